"""cluster.py as a process: its lines as they come, the processes it started, and its end."""

import contextlib
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from glassraft.config import Config

ROOT = Path(__file__).resolve().parents[2]
LINE_S = 30.0
"""How long a line may take on a machine that is busy with other tests."""


class Program:
    """One run of cluster.py. Its output and its errors are read as one stream of lines."""

    def __init__(self, config: Config, *options: str, display: str = "") -> None:
        self.config = config
        self.lines: list[str] = []
        self._new: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "cluster.py"), "--config", str(config.path), *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            env={**os.environ, "DISPLAY": display},
            process_group=0 if sys.platform != "win32" else None,
        )
        self._reader = threading.Thread(target=self._read, name="program-reader", daemon=True)
        self._reader.start()

    def line(self, pattern: str, timeout_s: float = LINE_S) -> str:
        """Wait for a line in which the pattern is found; lines before it are passed over."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                line = self._new.get(timeout=max(deadline - time.monotonic(), 0.001))
            except queue.Empty:
                line = None
            assert line is not None, f"no line with {pattern!r} in:\n" + "\n".join(self.lines)
            if re.search(pattern, line):
                return line

    def leader(self) -> int:
        """Wait until a leader is reported; its id."""
        return int(self.line(r"leads in term").split()[0][1:])

    def signal(self, number: int) -> None:
        """Send cluster.py a signal."""
        self.process.send_signal(number)

    def end(self, timeout_s: float = LINE_S) -> int:
        """Wait for its end; its exit status."""
        status = self.process.wait(timeout_s)
        self._reader.join(timeout_s)
        return status

    def descendants(self) -> list[int]:
        """All processes that it started, and theirs. Only where /proc tells."""
        return descendants(self.process.pid)

    def worker(self) -> int:
        """The worker's process."""
        return next(pid for pid in children(self.process.pid) if "jobs.py worker" in command_of(pid))

    def close(self) -> None:
        """End it, whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
        self.end()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            self._new.put(self.lines[-1])
        self._new.put(None)


def children(pid: int) -> list[int]:
    """The processes that one started itself, as /proc tells."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # that thread has just ended
            found += [int(word) for word in task.read_text().split()]
    return sorted(found)


def descendants(pid: int) -> list[int]:
    """The processes below one."""
    below = children(pid)
    return below + [lower for child in below for lower in descendants(child)]


def command_of(pid: int) -> str:
    """How a process was started; "" where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def is_running(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not collected does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def pause(pid: int) -> None:
    """SIGSTOP, where there is one."""
    os.kill(pid, signal.SIGSTOP)
