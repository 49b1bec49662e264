"""The turn's own rules: what must be on disk before what. Raft's are in raft/rules.py.

The turn asks them by name, so that a run can have exactly one of them broken. Next: turn.py.
"""


class TurnRules:
    """The turn as it should be. Override one method to see what it was for."""

    def disk_before_messages(self) -> bool:
        """What depends on term, vote or entries is said once they are on stable storage (Figure 2)."""
        return True

    def disk_before_counting(self) -> bool:
        """A server's own vote and entries count once its own disk has them (diss. §10.2.1)."""
        return True
