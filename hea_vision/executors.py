"""Where the work of a batch is done: in this process, in processes beside it, or by the workers of a Dask scheduler.

Each way yields a path with its rows as soon as they are there. An exception of the work is a row with its error; a disk
that takes no more ends the run, since every further input would fail the same way.
"""

from __future__ import annotations

import errno
import gc
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from hea_sim.documents import to_jsonable, versions
from hea_sim.errors import HEAError, InputError, MissingDependencyError, one_line_error

Work = Callable[[Path], Iterable[Mapping[str, Any]]]
Rows = list[dict[str, Any]]

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS")
_PROCESS_DIED = "its process was ended by the system (out of memory?); make the file smaller, or use fewer workers"
_WORKER_DIED = "the workers that took it were ended by the system (out of memory?); make the file smaller"
_NO_MEMORY = "does not fit into memory; crop or bin it, or use fewer workers"
#: Errors of a disk that takes nothing more.
_DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})

#: Seconds to reach a scheduler, to wait for its first worker, and to go on without any.
CONNECT_S, FIRST_WORKER_S, NO_WORKER_S = 5.0, 60.0, 120.0
_POLL_S = 2.0
#: Inputs given to a worker before it has finished those that it has.
_AHEAD = 2


def attempt(work: Work, path: Path) -> Rows:
    """Do the work for one input; what goes wrong becomes a row, but for a full disk."""
    try:
        return [to_jsonable(row) for row in work(path)]
    except Exception as error:  # one bad file must not stop the rest, whatever it did to a reader
        return _failed(path, explain(error))


def explain(error: Exception) -> str:
    """Say what went wrong with one input, in one line; an error of a disk that takes nothing more is raised again."""
    if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
        raise error
    return _NO_MEMORY if isinstance(error, MemoryError) else one_line_error(error)


def _failed(path: Path, error: str) -> Rows:
    return [{"input": path.as_posix(), "error": error}]


def in_turn(work: Work, paths: Sequence[Path]) -> Iterator[tuple[Path, Rows]]:
    """Do the work in this process."""
    for path in paths:
        yield path, attempt(work, path)


def in_processes(work: Work, paths: Sequence[Path], workers: int) -> Iterator[tuple[Path, Rows]]:
    """Yield results as they come; an input whose process dies when it runs alone is a failure."""
    left, alone = list(paths), False
    while left:
        now = left[:1] if alone else left
        finished: set[Path] = set()
        with _one_thread_each(), _pool(work, min(workers, len(now))) as pool:
            try:
                for path, rows in _results_of(pool, now):
                    finished.add(path)
                    yield path, rows
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        broken = len(finished) < len(now)
        if broken and alone:
            finished.add(now[0])
            yield now[0], _failed(now[0], _PROCESS_DIED)
        left = [path for path in left if path not in finished]
        alone = broken and not alone


def _results_of(pool: ProcessPoolExecutor, paths: Sequence[Path]) -> Iterator[tuple[Path, Rows]]:
    """Yield what a pool finishes; nothing for inputs that were lost when the system ended one of its processes."""
    tasks: dict[Future[Rows], Path] = {}
    with suppress(BrokenProcessPool):  # out of memory, or a crash in a library, while the list is handed over
        tasks.update((pool.submit(_attempt_in_process, path), path) for path in paths)
    for task in as_completed(tasks):
        with suppress(BrokenProcessPool):
            yield tasks[task], task.result()


def _pool(work: Work, workers: int) -> ProcessPoolExecutor:
    # Spawned, because a forked copy of threads hangs; the work is handed over once, since it may list every input.
    return ProcessPoolExecutor(workers, get_context("spawn"), _start_process, (work,))


_work_of_process: list[Work] = []


def _start_process(work: Work) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends the process without a word of its own
    _work_of_process[:] = [work]


def _attempt_in_process(path: Path) -> Rows:
    return attempt(_work_of_process[0], path)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let new processes compute with one thread, so that several do not fight over the cores."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def on_scheduler(work: Work, paths: Sequence[Path], address: str) -> Iterator[tuple[Path, Rows]]:
    """Yield results as the workers of a Dask scheduler give them; what a worker that dies had in hand is done again.

    A worker does one input at a time, whatever its threads. It must run the same versions and see all files under the
    same paths. Raises InputError where the scheduler cannot be reached, has no workers, or goes away on the way.
    """
    with _client(address) as client:
        left, silent_s = list(reversed(paths)), 0.0
        running: dict[Any, Path] = {}
        try:
            while left or running:
                workers = max(1, len(client.nthreads()))
                while left and len(running) < _AHEAD * workers:
                    path = left.pop()
                    running[client.submit(_attempt_on_worker, work, path, versions(), pure=False)] = path
                done = _finished(client, list(running))
                silent_s = 0.0 if done or client.nthreads() else silent_s + _POLL_S
                if silent_s > NO_WORKER_S:
                    raise InputError(f"scheduler {address} has lost all its workers; start some and run again to go on")
                for future in done:
                    path = running.pop(future)
                    yield path, _rows_of(future, path, address)
        finally:
            with suppress(Exception):  # the scheduler may be gone
                client.cancel(list(running))


@contextmanager
def _client(address: str) -> Iterator[Any]:
    """Join a scheduler; whatever goes wrong with the connection is said in one line."""
    try:
        import dask
        import distributed
    except ImportError as error:
        raise MissingDependencyError(
            "a scheduler needs the packages dask and distributed; wanted `pip install 'hea-toolkit[cluster]'`"
        ) from error
    log = logging.getLogger("distributed")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)  # its tracebacks would bury the one line that says what is wrong
    lost = (OSError, TimeoutError, RuntimeError, distributed.client.FutureCancelledError)
    try:
        with dask.config.set({"distributed.comm.timeouts.connect": f"{CONNECT_S:g}s"}):
            client = _joined(distributed, address)
            try:
                yield client
            except lost as error:
                if isinstance(error, HEAError) or getattr(error, "errno", None) in _DISK_ERRORS:
                    raise
                raise InputError(
                    f"scheduler {address} went away ({one_line_error(error)}); start it and run again to go on"
                ) from error
            finally:
                with suppress(Exception):
                    client.close(timeout=2)
    finally:
        log.setLevel(level)


def _joined(distributed: Any, address: str) -> Any:
    """Connect and wait for the first worker."""
    try:
        client = distributed.Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, TimeoutError, ValueError, TypeError) as error:
        raise InputError(
            f"scheduler {address} cannot be reached ({one_line_error(error)}); wanted the address that"
            " `dask scheduler` prints, such as tcp://127.0.0.1:8786"
        ) from error.with_traceback(None)  # which would hold on to the half-made client
    finally:
        gc.collect()  # a half-made client must end here: collected while the next one starts, it would hang it
    try:
        client.wait_for_workers(1, timeout=FIRST_WORKER_S)
    except TimeoutError as error:
        client.close(timeout=2)
        raise InputError(
            f"scheduler {address} has no worker after {FIRST_WORKER_S:.0f} s; start some with `dask worker {address}`"
        ) from error
    return client


def _finished(client: Any, futures: Sequence[Any]) -> list[Any]:
    """Wait until a future is done, or for a moment."""
    from distributed import wait

    with client.as_current():
        try:
            return list(wait(futures, timeout=_POLL_S, return_when="FIRST_COMPLETED").done)
        except TimeoutError:
            return []


def _rows_of(future: Any, path: Path, address: str) -> Rows:
    """Take the rows of a future; a worker that cannot do the work at all ends the run."""
    from distributed import KilledWorker

    error = future.exception() if future.status == "error" else None
    if error is None:
        rows: Rows = future.result()
        return rows
    if isinstance(error, KilledWorker):
        return _failed(path, _WORKER_DIED)
    if isinstance(error, HEAError | OSError):
        raise error
    raise InputError(
        f"a worker of {address} cannot do the work ({one_line_error(error)}); wanted the same hea-toolkit there as here"
    ) from error


_one_at_a_time = threading.Lock()


def _attempt_on_worker(work: Work, path: Path, wanted: Mapping[str, str]) -> Rows:
    here = versions()
    if different := sorted(name for name in {*here, *wanted} if here.get(name) != wanted.get(name)):
        name = different[0]
        raise InputError(
            f"a worker has {name} {here.get(name, 'missing')}, this machine {wanted.get(name, 'missing')};"
            " wanted the same versions, since results may depend on them"
        )
    with _one_at_a_time:  # drawing is not safe in two threads
        return attempt(work, path)
