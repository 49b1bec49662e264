"""What the queue's machine decides a job's fate by, one small named function a sentence of docs/queue.md.

The machine asks these by name, so that a run can have exactly one of them broken.
"""

from glassraft.jobqueue.states import RUNNING


class QueueRules:
    """The queue as promised. Override one method to see what it was for."""

    def token_is_valid(self, state: str, current_token: int, token: int) -> bool:
        """A token is valid from its Take until the attempt's end is applied, and no other beside it."""
        return state == RUNNING and token == current_token

    def firing_is_due(self, kept: tuple[int, int | None], meant: tuple[int, int]) -> bool:
        """A firing counts only while the schedule has the version and the due time that its leader saw."""
        return kept == meant

    def answer_is_kept(self) -> bool:
        """A command that is repeated gets the first answer again, and is not run again (diss. §6.3)."""
        return True
