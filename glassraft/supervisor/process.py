"""A process that can be started again and again, with its status and the reason of its last end.

What a person sees and does belongs here: killed is not the same as exited, and an end has a
reason in plain English. Next: child.py, one run of it; supervisor.py, all of a cluster's.
"""

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from glassraft.errors import GlassraftError
from glassraft.supervisor.child import CAN_PAUSE, Child, Spawner

Status = Literal["starting", "running", "paused", "killed", "exited"]
Ending = Literal["killed", "stopped"]

STOP_GRACE_S = 5.0
"""How long a process asked to stop may take before it is killed."""

SIGNALS = {1: "SIGHUP", 2: "SIGINT", 6: "SIGABRT", 9: "SIGKILL", 11: "SIGSEGV", 13: "SIGPIPE", 15: "SIGTERM"}


KILLED = (-9, 1)
"""What a process that was ended at once returns: POSIX's signal, TerminateProcess's status."""


class SupervisorError(GlassraftError):
    """A process cannot be started, or not be treated like this in the state it is in."""


@dataclass(frozen=True, slots=True)
class Exit:
    """One process's end.

    `ending` says who wanted it: "killed" and "stopped" were asked for here, None was not.
    `reason` is plain English, such as "killed by signal 9" or "exit status 3: port 7401 is in use".
    `again_s` says in how many seconds a process that is kept running is started again.
    """

    name: str
    pid: int
    returncode: int
    ending: Ending | None
    reason: str
    last_errors: tuple[str, ...]
    again_s: float | None = None


class ManagedProcess:
    """One named process. All methods may be called from any thread, but not from `on_exit`'s.

    A process counts as started when it prints a line that `ready` matches; without `ready`,
    as soon as it is spawned.
    """

    def __init__(
        self,
        name: str,
        spawner: Spawner,
        *,
        ready: re.Pattern[str] | None = None,
        on_exit: Callable[[Exit], None] = lambda end: None,
        on_line: Callable[[str, str], None] = lambda name, line: None,
    ) -> None:
        self.name = name
        self._spawner = spawner
        self._ready_line = ready
        self._on_exit = on_exit
        self._on_line = on_line
        self._changed = threading.Condition()
        self._child: Child | None = None
        self._status: Status = "exited"
        self._ending: Ending | None = None
        self._ready = False
        self.last_exit: Exit | None = None
        self.was_ever_ready = False

    @property
    def status(self) -> Status:
        """What it does now. A process never started counts as exited, with no `last_exit`."""
        return self._status

    @property
    def alive(self) -> bool:
        """Whether there is a process, paused or not."""
        return self._status in ("starting", "running", "paused")

    @property
    def pid(self) -> int | None:
        """The process's id while there is one."""
        child = self._child
        return child.pid if child is not None and self.alive else None

    def last_errors(self) -> tuple[str, ...]:
        """The last lines of error output of this run, or of the last one."""
        child = self._child
        return child.last_errors() if child is not None else ()

    def start(self, command: Sequence[str]) -> None:
        """Spawn it. SupervisorError where it runs already or the command cannot be run."""
        with self._changed:
            if self.alive:
                raise SupervisorError(f"{self.name} runs already (pid {self.pid}); kill or stop it first")
            self._status, self._ending, self._ready = "starting", None, False
            try:
                popen = self._spawner.spawn(command)
            except OSError as error:
                self._status = "exited"
                raise SupervisorError(f"{self.name} cannot be started: {error}") from error
            self._child = Child(popen, self.name, on_line=self._take_line, on_exit=self._take_exit)
            if self._ready_line is None:
                self._become_ready()

    def kill(self) -> None:
        """End it at once (SIGKILL, TerminateProcess), and wait until it is gone."""
        self._end("killed", Child.kill).wait()

    def ask_to_stop(self) -> None:
        """Ask it to finish what it does and exit; return at once. A paused one is continued for that."""
        with self._changed:
            self._end("stopped", Child.ask_to_stop)
            if self._status == "paused":
                self.resume()

    def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """Ask it to stop, and kill it where it still runs after `grace_s` seconds. If it is gone: nothing."""
        try:
            self.ask_to_stop()
        except SupervisorError:
            return
        self.finish(grace_s)

    def finish(self, grace_s: float) -> None:
        """Wait up to `grace_s` seconds for its end, then kill it: it is gone afterwards."""
        child = self._child
        if child is not None and not child.wait(max(grace_s, 0)):
            child.kill()
            child.wait()

    def pause(self) -> None:
        """Stop it where it is (SIGSTOP): it keeps its connections and stays silent."""
        if not CAN_PAUSE:
            raise SupervisorError(NO_PAUSE)
        with self._changed:
            if self._status == "paused":
                raise SupervisorError(f"{self.name} is paused already")
            self._living().pause()
            self._set("paused")

    def resume(self) -> None:
        """Let it go on (SIGCONT)."""
        with self._changed:
            if self._status != "paused":
                raise SupervisorError(f"{self.name} is not paused")
            self._living().resume()
            self._set("running" if self._ready else "starting")

    def wait_ready(self, timeout_s: float) -> bool:
        """Wait until it has started. False where it ended before, or takes longer."""
        with self._changed:
            self._changed.wait_for(lambda: self._status != "starting", timeout_s)
            return self._status in ("running", "paused")

    def wait_gone(self, timeout_s: float) -> bool:
        """Wait until there is no process. False where that takes longer."""
        with self._changed:
            return self._changed.wait_for(lambda: not self.alive, timeout_s)

    def _living(self) -> Child:
        if self._child is None or not self.alive:
            raise SupervisorError(f"{self.name} is not running")
        return self._child

    def _end(self, ending: Ending, how: Callable[[Child], None]) -> Child:
        with self._changed:
            child = self._living()
            # A kill after a request to stop is the kill's; a request after a kill changes nothing.
            self._ending = "killed" if self._ending == "killed" else ending
            how(child)
            return child

    def _take_line(self, line: str) -> None:
        if self._ready_line is not None and self._ready_line.match(line):
            with self._changed:
                self._become_ready()
        else:
            self._on_line(self.name, line)

    def _become_ready(self) -> None:
        self._ready = self.was_ever_ready = True
        if self._status == "starting":
            self._set("running")

    def _take_exit(self, child: Child) -> None:
        with self._changed:
            returncode = child.returncode if child.returncode is not None else 0
            ending = self._ending
            if ending == "killed" and returncode not in KILLED:
                ending = None  # it ended by itself, just before
            errors = child.last_errors()
            reason = reason_of(returncode, ending, errors)
            end = Exit(self.name, child.pid, returncode, ending, reason, errors)
            self.last_exit = end
            self._set("killed" if ending == "killed" else "exited")
        self._on_exit(end)

    def _set(self, status: Status) -> None:
        self._status = status
        self._changed.notify_all()


NO_PAUSE = "this operating system cannot pause a process (it has no SIGSTOP)"


def reason_of(returncode: int, ending: Ending | None, errors: Sequence[str]) -> str:
    """Why a process ended, in plain English, with its last line of error output where it failed."""
    if ending == "killed":
        return "killed"
    if returncode == 0:
        return "stopped" if ending == "stopped" else "exit status 0"
    if returncode < 0:
        name = SIGNALS.get(-returncode)
        return f"killed by signal {-returncode}" + (f" ({name})" if name else "")
    # Windows reports a crash as a large number that is known in hexadecimal.
    status = f"{returncode:#010x}" if returncode > 0xFFFF else str(returncode)
    return f"exit status {status}" + (f": {errors[-1]}" if errors else "")
