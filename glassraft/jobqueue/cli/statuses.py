"""How a command ends: its exit status, for scripts. docs/queue.md shows the same table."""

from collections.abc import Sequence
from typing import Final

from glassraft.errors import GlassraftError
from glassraft.jobqueue.client import JobFailed, NoQuorum, NotFinished, OutcomeUnknown, PartlySubmitted

JOB_FAILED: Final = 1
REFUSED: Final = 2
NO_QUORUM: Final = 3
UNKNOWN: Final = 4
NOT_FINISHED: Final = 5
INTERRUPTED: Final = 130

TEXT: Final = """exit status:
  0    done; a job that was waited for has succeeded
  1    a job that was waited for is dead or cancelled
  2    refused: wrong arguments, no such job or task, a broken config.json
  3    no cluster answers, or it has no quorum: nothing was done
  4    the outcome is not known: look with `list` before you submit again
  5    a job has not finished in the time given; it goes on
  130  interrupted with Ctrl-C
"""


def status_of(error: GlassraftError) -> int:
    """The exit status that tells a script what kind of error this was."""
    if isinstance(error, PartlySubmitted) and isinstance(error.__cause__, GlassraftError):
        error = error.__cause__
    statuses: Sequence[tuple[type[GlassraftError], int]] = (
        (JobFailed, JOB_FAILED),
        (NoQuorum, NO_QUORUM),
        (OutcomeUnknown, UNKNOWN),
        (NotFinished, NOT_FINISHED),
    )
    return next((status for kind, status in statuses if isinstance(error, kind)), REFUSED)
