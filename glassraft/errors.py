"""The one tree of errors that Glassraft raises on purpose.

Every message says what was wrong, with the value, and what to do. What users of the queue meet is here,
but for Fault, a node's documented refusal (rpc/faults.py); what only one room raises lives beside it.
This file imports nothing, so any room may use it. docs/queue.md shows the tree.
"""

from collections.abc import Sequence


class GlassraftError(Exception):
    """The root: catch this to catch everything that Glassraft raises on purpose."""


class ConfigError(GlassraftError):
    """config.json, or an option on the command line, cannot be used as it is."""


class StorageError(GlassraftError):
    """A node's files cannot be used: damaged, another's, newer, or the disk refuses."""


class BadArgument(GlassraftError):
    """A caller's argument is of the wrong type, out of range or unknown."""


# Calls to a cluster


class NoQuorum(GlassraftError):
    """Too few nodes answer, or none of them leads: the call surely had no effect."""


class NoCluster(NoQuorum):
    """No node answers at all."""


class OutcomeUnknown(GlassraftError):
    """A command was sent and its answer never came: it may be done, or may still be, or may never be."""


# Jobs


class JobFailed(GlassraftError):
    """A job that was waited for is dead or cancelled. `job`, `state` and `error` tell more."""

    def __init__(self, job: str, state: str, error: str) -> None:
        super().__init__(f"job {job} is {state}: {error or 'no reason was given'}")
        self.job = job
        self.state = state
        self.error = error


class NotFinished(GlassraftError):
    """A job that was waited for has not finished in the time given; it goes on."""


class PartlySubmitted(GlassraftError):
    """submit_many failed after its first commands: `submitted` has the ids of the jobs that are in.

    Its cause is what befell the rest.
    """

    def __init__(self, submitted: Sequence[str], total: int, cause: GlassraftError) -> None:
        super().__init__(f"{len(submitted)} of {total} jobs were submitted, then: {cause}")
        self.submitted = list(submitted)


class NoQueue(GlassraftError):
    """A task was submitted, and no queue was named for it: see glassraft.configure."""


class NoJob(GlassraftError):
    """A function asked for its job, and was not called for one."""
