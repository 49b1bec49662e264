"""The table of transitions is whole, and the machine keeps to it."""

import pytest

from glassraft.jobqueue import states


def test_the_table_speaks_of_states_alone() -> None:
    tables = states.TRANSITIONS.values()
    named = {state for moves in tables for before in moves for state in (before, *moves[before])}
    assert named == {states.NOWHERE, *states.STATES}
    assert set(states.MEANING) == set(states.STATES)


def test_every_state_is_entered_and_left() -> None:
    tables = states.TRANSITIONS.values()
    entered = {after for moves in tables for afters in moves.values() for after in afters}
    left = {before for moves in tables for before in moves}
    assert entered >= set(states.STATES)
    assert left >= set(states.STATES)


def test_a_move_that_is_not_in_the_table_is_an_error() -> None:
    states.check("taken", states.READY, states.RUNNING)
    with pytest.raises(states.ImpossibleTransition, match="'taken' leads from 'dead' to 'running'"):
        states.check("taken", states.DEAD, states.RUNNING)
