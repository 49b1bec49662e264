"""One run of one child process: its pipes, the threads that read them, and its end.

What differs between operating systems in starting, signalling and ending a process belongs
here, and nothing about nodes. Next: process.py, a process that can be started again.

No orphans, in three ways. The child's standard input is a pipe whose end, when this process
dies, tells it to stop. On Linux the child may ask for a parent-death signal, which follows the
thread that started it: so all are started by one `Spawner` thread. And each child has a process
group of its own: what it leaves behind in there dies with it; a terminal's Ctrl-C does not reach
it; and where this process dies while it is stopped, the system wakes it, because the group then
has nobody to continue it (POSIX, orphaned process groups).
"""

import collections
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO

CAN_PAUSE = hasattr(signal, "SIGSTOP")
"""Whether this operating system can stop and continue a process."""

KEPT_LINES = 40
"""Lines of error output kept in memory: a traceback and what led to it."""

MAX_LINE = 2000
"""Characters of a line that are kept; what is longer is cut into several."""

READERS_GRACE_S = 1.0
"""After a child has ended, how long its last lines are waited for."""


class Spawner:
    """The one thread that starts children, alive until `close`.

    Close it only when the children have ended: on Linux those that asked for a parent-death
    signal are killed with this thread.
    """

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    def spawn(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a process. OSError where that fails."""
        return self._thread.submit(_popen, command).result()

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=True)


class Child:
    """A process from its start to its end. All methods may be called from any thread."""

    def __init__(
        self,
        popen: subprocess.Popen[bytes],
        name: str,
        *,
        on_line: Callable[[str], None],
        on_exit: Callable[["Child"], None],
    ) -> None:
        """Watch `popen`: `on_line` gets each line of output, `on_exit` the child once it has ended.

        Both are called from threads of this child.
        """
        self._popen = popen
        self._on_line = on_line
        self._on_exit = on_exit
        self._errors: collections.deque[str] = collections.deque(maxlen=KEPT_LINES)
        self._collecting = threading.Lock()
        self._readers = [
            threading.Thread(target=self._read, args=work, name=f"{name}-reader", daemon=True)
            for work in ((popen.stdout, on_line), (popen.stderr, self._errors.append))
        ]
        self._watcher = threading.Thread(target=self._watch, name=f"{name}-watcher", daemon=True)
        for thread in (*self._readers, self._watcher):
            thread.start()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """Its exit status, negative for the signal that killed it; None while it runs."""
        return self._popen.returncode

    def last_errors(self) -> tuple[str, ...]:
        """The last lines of its error output."""
        return tuple(self._errors)

    def kill(self) -> None:
        """End it at once, whatever it does, and whatever it started in its process group."""
        if sys.platform == "win32":
            self._popen.kill()
        else:
            self._signal(signal.SIGKILL, os.killpg)

    def ask_to_stop(self) -> None:
        """Ask it to finish and exit; a paused one must be continued to do so."""
        if sys.platform == "win32":
            self._close_stdin()
        else:
            self._signal(signal.SIGTERM)

    def pause(self) -> None:
        """Stop it where it is (only where CAN_PAUSE)."""
        if sys.platform != "win32":
            self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on (only where CAN_PAUSE)."""
        if sys.platform != "win32":
            self._signal(signal.SIGCONT)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it has ended and `on_exit` was called; False where that takes longer."""
        self._watcher.join(timeout_s)
        return not self._watcher.is_alive()

    def _read(self, pipe: IO[bytes], take: Callable[[str], object]) -> None:
        with pipe:
            while line := pipe.readline(MAX_LINE):
                text = line.decode("utf-8", "replace").rstrip()
                if text:
                    take(text)

    def _watch(self) -> None:
        if self._wait_for_end():
            self.kill()  # it is dead: this is for what it left behind in its group
            with self._collecting:
                self._popen.wait()
        else:
            self._popen.wait()
        for reader in self._readers:
            reader.join(READERS_GRACE_S)
        self._close_stdin()
        self._on_exit(self)

    def _wait_for_end(self) -> bool:
        """Wait for its end without collecting it, so that its number cannot become another's.

        False at once where the operating system has no such call.
        """
        if sys.platform != "win32" and hasattr(os, "waitid"):
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            return True
        return False

    def _signal(self, number: int, send: Callable[[int, int], None] = os.kill) -> None:
        with self._collecting:
            if self._popen.returncode is None:
                # PermissionError is macOS's word for a group of which only a zombie is left.
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    send(self.pid, number)

    def _close_stdin(self) -> None:
        if self._popen.stdin is not None:
            with contextlib.suppress(OSError):
                self._popen.stdin.close()


def _popen(command: Sequence[str]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    pipe = subprocess.PIPE
    if sys.platform == "win32":
        return subprocess.Popen(
            command,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            env=environment,
            creationflags=subprocess.CREATE_NEW_PROCESS_GROUP,
        )
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, process_group=0)
