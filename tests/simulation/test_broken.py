"""Every broken rule is caught by a property checked from outside: the test of the tests.

`python -m glassraft.simulation --broken all` measures how soon; here each is caught once, and a
few of them, others every day, from seeds that nobody has chosen.
"""

import os
import time
from random import Random

import pytest

from glassraft.raft.assertions import NoAssertions
from glassraft.simulation import __main__ as command
from glassraft.simulation.broken import ZOO
from glassraft.simulation.hunt import WITHIN, Row, hunt, play, table

DAY = int(os.environ.get("GLASSRAFT_DAY", time.time() // 86_400))
ROTATING = 2


@pytest.mark.parametrize("name", ZOO)
def test_a_broken_rule_is_caught(name: str) -> None:
    catch = hunt(name, 0, WITHIN)
    assert catch is not None
    assert catch.failure.from_outside


@pytest.mark.parametrize("number", range(ROTATING))
def test_a_broken_rule_is_caught_elsewhere(number: int) -> None:
    """Not by the luck of known seeds; GLASSRAFT_DAY plays another day's."""
    name = Random(DAY).sample(list(ZOO), ROTATING)[number]
    assert hunt(name, DAY * 1_000, WITHIN) is not None, f"{name} on day {DAY}"


def test_the_zoo_says_what_is_misread() -> None:
    assert len(ZOO) >= 24
    for rule in ZOO.values():
        assert isinstance(rule.parts.assertions, NoAssertions)
        assert rule.misreading.endswith(".")
        assert rule.section
        assert rule.breaks


def test_the_same_seed_is_caught_again() -> None:
    catch = hunt("votes-twice", 0, 50)
    assert catch is not None
    assert play(ZOO["votes-twice"], catch.seed) == catch.failure


def test_one_that_survives_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--broken", "votes-twice", "--tries", "1", "--within", "0"]) == 1
    assert ">0" in capsys.readouterr().out
    assert command.main(["--broken", "applies-before-commit", "--tries", "1"]) == 0
    assert "Only what is committed is applied" in capsys.readouterr().out


def test_the_table_counts_what_was_not_caught_as_late() -> None:
    row = Row(ZOO["votes-twice"], [None, None, None], 10)
    assert not row.is_caught
    assert table([row]).splitlines()[1].split() == ["votes-twice", "§5.2", ">10", "nothing"]
