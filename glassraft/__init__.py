"""Glassraft: a durable job queue replicated by Raft over XML-RPC, that you can watch, break and rewind.

What users import is here, and is loaded when it is first asked for: `import glassraft` costs nothing.
"""

from importlib import import_module

__version__ = "0.1.0"

TYPE_CHECKING = False  # as typing's, whose import would take longer than all else here

if TYPE_CHECKING:
    from glassraft.errors import (
        BadArgument,
        ConfigError,
        GlassraftError,
        JobFailed,
        NoCluster,
        NoJob,
        NoQueue,
        NoQuorum,
        NotFinished,
        OutcomeUnknown,
        PartlySubmitted,
        StorageError,
    )
    from glassraft.jobqueue.async_client import AsyncJob, AsyncJobQueue
    from glassraft.jobqueue.client import JobQueue
    from glassraft.jobqueue.current import CurrentJob, current_job
    from glassraft.jobqueue.default_queue import configure, using
    from glassraft.jobqueue.job import Job, Progress
    from glassraft.jobqueue.outcomes import Cancel, GiveUp, Snooze
    from glassraft.jobqueue.tasks import Task, task
    from glassraft.jobqueue.worker import Worker
    from glassraft.rpc.faults import Fault

_WHERE = {
    "glassraft.errors": (
        "BadArgument",
        "ConfigError",
        "GlassraftError",
        "JobFailed",
        "NoCluster",
        "NoJob",
        "NoQueue",
        "NoQuorum",
        "NotFinished",
        "OutcomeUnknown",
        "PartlySubmitted",
        "StorageError",
    ),
    "glassraft.jobqueue.async_client": ("AsyncJob", "AsyncJobQueue"),
    "glassraft.jobqueue.client": ("JobQueue",),
    "glassraft.jobqueue.current": ("CurrentJob", "current_job"),
    "glassraft.jobqueue.default_queue": ("configure", "using"),
    "glassraft.jobqueue.job": ("Job", "Progress"),
    "glassraft.jobqueue.outcomes": ("Cancel", "GiveUp", "Snooze"),
    "glassraft.jobqueue.tasks": ("Task", "task"),
    "glassraft.jobqueue.worker": ("Worker",),
    "glassraft.rpc.faults": ("Fault",),
}
_MODULES = {name: module for module, names in _WHERE.items() for name in names}

__all__ = [
    "AsyncJob",
    "AsyncJobQueue",
    "BadArgument",
    "Cancel",
    "ConfigError",
    "CurrentJob",
    "Fault",
    "GiveUp",
    "GlassraftError",
    "Job",
    "JobFailed",
    "JobQueue",
    "NoCluster",
    "NoJob",
    "NoQueue",
    "NoQuorum",
    "NotFinished",
    "OutcomeUnknown",
    "PartlySubmitted",
    "Progress",
    "Snooze",
    "StorageError",
    "Task",
    "Worker",
    "configure",
    "current_job",
    "task",
    "using",
]


def __getattr__(name: str) -> object:
    """Python asks here for what is not loaded yet."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
