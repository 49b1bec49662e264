"""Figure 3 from inside: a server that finds itself where the paper says it cannot be stops."""

from collections.abc import Callable

import pytest

from glassraft.raft.assertions import Assertions, InvariantBroken, NoAssertions
from tests.raft.single import Single, append_entries, entries, leader

CHECKS: list[tuple[str, Callable[[Assertions], None], Callable[[Assertions], None]]] = [
    ("term", lambda a: a.term_never_goes_back(3, 3), lambda a: a.term_never_goes_back(3, 2)),
    ("vote", lambda a: a.one_vote_a_term(2, 2, 1), lambda a: a.one_vote_a_term(2, 3, 1)),
    ("leader", lambda a: a.one_leader_a_term(False, 1, 2), lambda a: a.one_leader_a_term(True, 1, 2)),
    ("append", lambda a: a.leader_only_appends(False, 2), lambda a: a.leader_only_appends(True, 2)),
    ("stay", lambda a: a.committed_entries_stay(3, 4), lambda a: a.committed_entries_stay(3, 3)),
    ("commit", lambda a: a.commit_only_rises(3, 3, 3), lambda a: a.commit_only_rises(3, 2, 9)),
    ("commit end", lambda a: a.commit_only_rises(3, 4, 4), lambda a: a.commit_only_rises(3, 5, 4)),
]
NAMES = [name for name, _, _ in CHECKS]


@pytest.mark.parametrize(("name", "holds", "broken"), CHECKS, ids=NAMES)
def test_each_invariant(
    name: str, holds: Callable[[Assertions], None], broken: Callable[[Assertions], None]
) -> None:
    holds(Assertions())
    with pytest.raises(InvariantBroken):
        broken(Assertions())
    broken(NoAssertions())


def test_no_assertion_is_forgotten_where_none_are_wanted() -> None:
    def public(kind: type) -> set[str]:
        return {name for name in vars(kind) if not name.startswith("_")}

    assert public(Assertions) == public(NoAssertions)


def test_two_leaders_in_one_term_stop_the_server() -> None:
    with pytest.raises(InvariantBroken, match="n2 says that it leads term 1"):
        leader().step(append_entries(2, term=1))


def test_a_leader_that_would_overwrite_what_is_committed_stops_the_server() -> None:
    single = Single(term=1)
    single.step(append_entries(entries=entries(1, 1, 1), commit=2))
    with pytest.raises(InvariantBroken, match="entries from 2 on would be removed, but 2 is committed"):
        single.step(append_entries(3, term=2, prev=(1, 1), entries=entries(2, first=2)))


def test_a_second_vote_stops_the_server() -> None:
    single = Single(term=1, voted_for=2)
    with pytest.raises(InvariantBroken, match="a second vote in term 1: for n3 after n2"):
        single.server.vote_for(3, "test")
