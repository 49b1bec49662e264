"""A slot: one process that runs one job at a time, and is replaced when it dies.

Each slot has an executor of its own, of one process: so a job that crashes, or has to be ended,
takes no other down with it. The process is spawned, never forked, on every system. worker.py
decides what runs in it and what becomes of the outcome.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from ctypes import c_byte
from dataclasses import replace
from multiprocessing.connection import wait
from typing import Any, Final

from glassraft.errors import GlassraftError
from glassraft.jobqueue import current, tasks
from glassraft.jobqueue.tasks import Done

_SPAWN: Final = multiprocessing.get_context("spawn")


class CannotStart(GlassraftError):
    """No process for jobs could be started: what was wrong stands in the worker's error output."""


class ProcessDied(GlassraftError):
    """The process ended while it ran a job."""


class TimedOut(GlassraftError):
    """The job ran longer than it may, and was ended."""


class Slot:
    """One process for jobs. One thread uses it; any thread may `kill`."""

    def __init__(self, modules: Sequence[str]) -> None:
        """`modules` are those whose import registers the tasks."""
        self._modules = modules
        self._pool: ProcessPoolExecutor | None = None
        self._pid = 0
        # Memory that both processes see, without a lock that a killed one might keep.
        self._told_to_stop = _SPAWN.RawValue(c_byte, 0)

    def start(self) -> None:
        """Has a process ready. Raises CannotStart."""
        if self._pool is not None:
            return
        initargs = (self._modules, self._told_to_stop)
        self._pool = ProcessPoolExecutor(1, _SPAWN, initializer=_begin, initargs=initargs)
        try:
            self._pid = self._pool.submit(os.getpid).result()
        except (BrokenProcessPool, OSError) as error:
            self.close()
            raise CannotStart(f"no process for jobs could be started ({error})") from error

    def run(self, job: Mapping[str, Any]) -> Done:
        """Runs a job to its end. Raises ProcessDied, or TimedOut after its timeout; the slot can go on."""
        assert self._pool is not None, "start comes first"
        timeout_s = job["timeout_ms"] / 1_000 if job["timeout_ms"] else None
        try:
            future: Future[Done] = self._pool.submit(_call, job)
            return future.result(timeout_s)
        except BrokenProcessPool:
            self.close()
            raise ProcessDied(
                "the process that ran it died: it crashed, was killed, or was out of memory"
            ) from None
        except TimeoutError:
            self.kill()
            self.close()
            raise TimedOut(f"timed out: it ran longer than {timeout_s:g} s") from None

    def tell(self, to_stop: bool) -> None:
        """What current_job().cancelled() says to the job that runs, or to the next one."""
        self._told_to_stop.value = to_stop

    def kill(self) -> None:
        """Ends the process, and with it the job."""
        if self._pid:
            with suppress(OSError):
                os.kill(self._pid, getattr(signal, "SIGKILL", signal.SIGTERM))

    def close(self) -> None:
        """Lets the process go; `start` makes a new one."""
        pool, self._pool, self._pid = self._pool, None, 0
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)


def _begin(modules: Sequence[str], told_to_stop: c_byte) -> None:
    """First in the new process: leave Ctrl-C to the worker, end when it ends, and know the tasks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), name="parent", daemon=True).start()
    current.told_to_stop_by(told_to_stop)
    tasks.load(modules)


def _call(job: Mapping[str, Any]) -> Done:
    current.begin(job)
    done = tasks.call(job["task"], job["args"], job["kwargs"])
    return replace(done, submit=current.jobs_on_success()) if done.ok else done


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
