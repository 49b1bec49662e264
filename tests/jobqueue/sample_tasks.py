"""Tasks for the worker's tests: each does one thing that a job can do to its worker."""

import os
import sys
import time
from pathlib import Path
from typing import Any

from glassraft.jobqueue.current import current_job
from glassraft.jobqueue.tasks import task


@task
def double(value: Any) -> Any:
    """Twice the value."""
    return value * 2


@task
def slow(seconds: float) -> str:
    """Takes its time."""
    time.sleep(seconds)
    return "awake"


@task
def fails(message: str = "no") -> None:
    """Raises."""
    raise ValueError(message)


@task
def crashes() -> None:
    """Takes its process down."""
    os._exit(7)


@task
def exits() -> None:
    """Wants to end the program."""
    sys.exit("enough")


@task
def strange() -> Any:
    """Returns what JSON cannot hold."""
    return {1, 2}


@task
def stops_when_told(path: str) -> str:
    """Runs until it is told to stop."""
    Path(path).touch()
    while not current_job().cancelled():
        time.sleep(0.01)
    return f"stopped {current_job().id}"


@task
def hands_on(value: int) -> int:
    """Has a further job run once it has succeeded."""
    current_job().submit_on_success("double", value + 1, kwargs={})
    if value < 0:
        raise ValueError("no")
    return value


@task
def hands_on_to_nobody(gone: str) -> None:
    """Wants a further job to come after one that is gone."""
    current_job().submit_on_success("double", 1, after=[gone])


@task
def waits_for(path: str) -> str:
    """Runs until there is a file."""
    Path(path + ".begun").touch()
    while not Path(path).exists():
        time.sleep(0.01)
    return "seen"


@task(name="named.otherwise")
def named() -> int:
    """Has another name than its function."""
    return os.getpid()
