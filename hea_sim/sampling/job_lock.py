"""One process at a time in a folder: a lock file that a killed process cannot leave for good.

| a lock counts as left behind | where |
|---|---|
| its process is gone | on the machine that made it, where that can be asked |
| it was not touched for `FORGOTTEN_S` | on other machines; the holder touches it every `TOUCHED_S` |
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from hea_sim.errors import InputError

LOCK_FILE = "lock.json"
TOUCHED_S, FORGOTTEN_S = 10.0, 300.0
#: A machine may sleep and its processes with it; after this a process of the same number is another one.
_LONGEST_PAUSE_S = 86_400.0


@contextlib.contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold a folder while a block runs; InputError that names the holder where another process has it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK_FILE
    process = {"pid": os.getpid(), "process_began": _process_began(os.getpid())}
    mine = json.dumps({"host": socket.gethostname(), **process, "began": time.time_ns()})
    while not _made(path, mine):
        _remove_forgotten(path)
    ended = threading.Event()
    touching = threading.Thread(target=_touch, args=(path, ended), daemon=True)
    touching.start()
    try:
        yield
    finally:
        ended.set()
        touching.join()
        if _text(path) == mine:
            with contextlib.suppress(OSError):
                path.unlink()


def _made(path: Path, text: str) -> bool:
    """Make the lock, or say that there is one."""
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        return False
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        with contextlib.suppress(OSError):
            path.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from error
    return True


def _touch(path: Path, ended: threading.Event) -> None:
    while not ended.wait(TOUCHED_S):
        with contextlib.suppress(OSError):
            os.utime(path)


def _remove_forgotten(path: Path) -> None:
    """Remove a lock that nobody holds; InputError where somebody does.

    It is renamed first, which one of several processes can do, and compared with what was judged.
    """
    found = _text(path)
    if found is None:
        return
    told = _holder(path, found)
    if told:
        raise InputError(
            f"{path.parent} is being run by {told}; wait for it, or remove {path} if nothing runs there any more"
        )
    aside = path.with_name(f"{path.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        os.rename(path, aside)
        if _text(aside) != found and not path.exists():  # another process was faster: this lock is its own
            os.rename(aside, path)
        else:
            aside.unlink()


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return None


def _holder(path: Path, text: str) -> str:
    """Name the process that holds a lock; nothing where none does."""
    try:
        age = time.time() - path.stat().st_mtime
        kept = json.loads(text)
        host, pid = str(kept["host"]), int(kept["pid"])
        began = str(kept.get("process_began", ""))
    except FileNotFoundError:
        return ""
    except (ValueError, KeyError, TypeError):  # being written, or cut off
        return "another process, which has just begun" if age < TOUCHED_S else ""
    here = host == socket.gethostname()
    if here and os.name == "posix":
        another = began and _process_began(pid) not in ("", began)  # of the same number, as after a restart
        return f"process {pid}" if _lives(pid) and not another and age < _LONGEST_PAUSE_S else ""
    return f"process {pid} on {host}" if age < FORGOTTEN_S else ""


def _lives(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and was not collected does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] != "Z"
    return True


def _process_began(pid: int) -> str:
    """Give when a process began, in the system's ticks; nothing where that cannot be asked."""
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[19]
    return ""
