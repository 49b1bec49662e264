"""What a task can say of its attempt instead of a result: raise one of these, or return it.

    @task
    def fetch(url: str) -> str:
        if not is_there_yet(url):
            raise Snooze(60)

They are no GlassraftErrors, so that a task which catches those does not swallow what it says itself.
Next: tasks.py, which turns them into what is reported.
"""


class Snooze(Exception):
    """Not now: the job is given back and runs again after so many seconds; the attempt does not count."""

    def __init__(self, seconds: float, reason: str = "") -> None:
        super().__init__(reason or f"snoozed for {seconds:g} s")
        self.seconds = seconds


class Cancel(Exception):
    """No longer wanted: the job becomes cancelled, with the reason."""


class GiveUp(Exception):
    """No further attempt will help: the job is dead at once, with the reason."""
