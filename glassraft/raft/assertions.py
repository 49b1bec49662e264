"""The paper's invariants, asserted where they are established (Figure 3).

A broken assumption must stop a server, never let it carry on. These are an object, so that
runs with a deliberately broken rule can leave them out: there, checks from outside must see it.
"""


class InvariantBroken(AssertionError):
    """A server found itself in a state that the paper rules out; it must stop."""


class Assertions:
    """Each method states one invariant and raises InvariantBroken when it does not hold."""

    def term_never_goes_back(self, was: int, term: int) -> None:
        """Terms rise over time (§5.1)."""
        if term < was:
            raise InvariantBroken(f"the term would go back from {was} to {term}")

    def one_vote_a_term(self, voted_for: int | None, candidate: int, term: int) -> None:
        """A server votes for at most one candidate in a term (§5.2)."""
        if voted_for not in (None, candidate):
            raise InvariantBroken(f"a second vote in term {term}: for n{candidate} after n{voted_for}")

    def one_leader_a_term(self, is_leader: bool, term: int, sender: int) -> None:
        """Election Safety: a term has at most one leader (§5.2)."""
        if is_leader:
            raise InvariantBroken(f"n{sender} says that it leads term {term}, which this server leads")

    def leader_only_appends(self, is_leader: bool, first: int) -> None:
        """Leader Append-Only: a leader never deletes entries of its log (§5.3)."""
        if is_leader:
            raise InvariantBroken(f"a leader would delete its entries from {first} on")

    def committed_entries_stay(self, commit_index: int, first: int) -> None:
        """What is committed is never removed (§5.4)."""
        if first <= commit_index:
            raise InvariantBroken(
                f"entries from {first} on would be removed, but {commit_index} is committed"
            )

    def commit_only_rises(self, was: int, commit_index: int, last_index: int) -> None:
        """The commit index never goes back, and never beyond the log (Figure 2)."""
        if commit_index < was:
            raise InvariantBroken(f"the commit index would go back from {was} to {commit_index}")
        if commit_index > last_index:
            raise InvariantBroken(
                f"index {commit_index} would be committed, but the log ends at {last_index}"
            )


class NoAssertions(Assertions):
    """For runs with a broken rule: nothing is asserted inside, so outside must see it."""

    def term_never_goes_back(self, was: int, term: int) -> None: ...
    def one_vote_a_term(self, voted_for: int | None, candidate: int, term: int) -> None: ...
    def one_leader_a_term(self, is_leader: bool, term: int, sender: int) -> None: ...
    def leader_only_appends(self, is_leader: bool, first: int) -> None: ...
    def committed_entries_stay(self, commit_index: int, first: int) -> None: ...
    def commit_only_rises(self, was: int, commit_index: int, last_index: int) -> None: ...
