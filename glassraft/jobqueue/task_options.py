"""What @task and .options() take of a job's options, in seconds, for type checkers and for a check at once. Pure.

job_specs.py puts them as they travel, job_options.py has their ranges.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from glassraft.jobqueue.job_options import check_job
from glassraft.jobqueue.job_specs import as_wire


class TaskOptions(TypedDict, total=False):
    """What all jobs of a task can have in common."""

    queue: str
    priority: int
    max_attempts: int
    timeout: float
    """Seconds that an attempt may run."""
    backoff: Mapping[str, float]
    """Any of base (s), factor and cap (s)."""
    lease: float
    start_within: float
    """Seconds from submission, after which no attempt starts."""
    retention: float
    """Seconds that a job is kept once finished."""
    unique_for: float
    on_conflict: Literal["return", "replace", "refuse"]
    on_dependency: Literal["cancel", "run"]


class CallOptions(TaskOptions, total=False):
    """What one job can have as well."""

    delay: float
    at: float
    """Seconds since the epoch; so deadline."""
    deadline: float
    key: str
    after: Sequence[str]


_ABOUT_A_KEY = ("unique_for", "on_conflict")


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Raises BadArgument where no job of this task could be submitted with these options."""
    needs_key = "key" not in options and any(option in options for option in _ABOUT_A_KEY)
    check_job(as_wire({"task": name, **options, **({"key": "any"} if needs_key else {})}))
