"""What every reader does first: find the file, look at its size, take it in, hash it."""

from __future__ import annotations

import hashlib
import logging
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hea_sim.errors import InputError, MissingFileError

#: Largest text file that is read whole; a long scan has under 1 MB.
MAX_TEXT_BYTES = 64 * 2**20

#: Longest text that is split into lines, columns and words.
MAX_TABLE_BYTES = 16 * 2**20

#: Loggers of file libraries that speak up about a bad file which is reported as one InputError anyway.
_CHATTY = ("tifffile", "hyperspy", "rsciio", "PIL", "imageio", "h5py", "dask")


def one_line(text: object, limit: int = 160) -> str:
    """Squeeze a foreign message into one short line.

    >>> one_line("bad\\n  header")
    'bad header'
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def checked_path(path: str | os.PathLike[str], what: str, suffixes: Iterable[str]) -> Path:
    """Check that a file exists, is no folder, is not empty and has a suffix that is read."""
    path = Path(path)
    known = tuple(suffixes)
    try:
        if "\0" in str(path):
            raise ValueError("null character")
        is_folder, exists = path.is_dir(), path.exists()
        size = path.stat().st_size if exists else 0
    except (OSError, ValueError) as error:
        raise InputError(f"{what} {one_line(path)!r} is no usable path ({one_line(error)}); check the name") from error
    if is_folder:
        raise InputError(f"{path}: is a folder, wanted one {what}; give a file in it")
    if not exists:
        raise MissingFileError(f"{what} {path} does not exist; check the name and the working directory")
    if not path.is_file():
        raise InputError(f"{path}: is no regular file (a pipe or a device); copy the {what} into a file")
    if path.suffix.lower() not in known:
        raise InputError(
            f"{path}: suffix {path.suffix!r} is not read as a {what}; export it as one of {' '.join(known)}"
        )
    if size == 0:
        raise InputError(f"{path}: the file is empty (0 bytes); export or copy it again")
    return path


def read_bytes(path: Path, limit: int = MAX_TEXT_BYTES) -> bytes:
    """Take in a whole file of bounded size."""
    try:
        with open(path, "rb") as stream:
            raw = stream.read(limit + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be opened ({one_line(error)}); check its permissions") from error
    if len(raw) > limit:
        raise InputError(f"{path}: over {limit // 2**20} MB, too large for this format; give another file")
    return raw


def decode_text(path: Path, raw: bytes) -> str:
    """Turn the bytes of a text file into text; refuse binary data.

    UTF-8 and UTF-16 are recognised, anything else is taken as Latin-1, which instrument software writes.
    """
    if len(raw) > MAX_TABLE_BYTES:
        raise InputError(f"{path}: over {MAX_TABLE_BYTES // 2**20} MB of text, too large for a scan; give another file")
    try:
        if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
            text = raw.decode("utf-16")
        else:
            text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    odd = sum(not (c.isprintable() or c in "\t\r\n\f\x1a") for c in text[:20_000])
    if "\0" in text or odd > 0.02 * min(len(text), 20_000):
        raise InputError(f"{path}: holds binary data, wanted text; export it as text")
    return text


def sha256_of_bytes(raw: bytes) -> str:
    """Compute the SHA-256 of bytes that are already here."""
    return hashlib.sha256(raw).hexdigest()


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back warnings and log lines of the file libraries, and put everything back afterwards."""
    loggers = [logging.getLogger(name) for name in _CHATTY]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.setLevel(logging.CRITICAL + 1)
            yield
        finally:
            for logger, level in zip(loggers, levels):
                logger.setLevel(level)
