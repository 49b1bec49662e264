"""docs/queue.md shows the tables of states and transitions as they are in the code."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from glassraft.jobqueue import commands, job_options, states

DOCUMENT = Path(__file__).parents[2] / "docs" / "queue.md"


def states_table() -> Sequence[str]:
    return [f"| {state} | {states.MEANING[state]} |" for state in states.STATES]


def transitions_table() -> Sequence[str]:
    def named(state: str) -> str:
        return state or "(nowhere)"

    return [
        f"| {event.replace('_', ' ')} | {named(before)} | {', '.join(map(named, afters))} |"
        for event, moves in states.TRANSITIONS.items()
        for before, afters in moves.items()
    ]


TABLES = {"states": states_table, "transitions": transitions_table}


@pytest.mark.parametrize("name", sorted(TABLES))
def test_the_tables_are_current(name: str) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    found = re.search(rf"<!-- {name}: .*? -->\n.*\n\|[-|]+\|\n(.*?)<!-- /{name} -->", text, re.DOTALL)
    assert found is not None
    assert found[1].splitlines() == TABLES[name]()


def test_every_option_and_operation_is_documented() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert [option for option in job_options.JOB_OPTIONS if f"`{option}`" not in text] == []
    assert [op for op in commands.OPS if not re.search(rf"^\|.*\b{op}\b", text, re.MULTILINE)] == []
