"""The words of a scenario: what each does, how it is written, and what is said of one that is written wrongly.

A word is a function of the scenario and what follows it on its line, put into WORDS by `word`. The
words stand by theme: nodes.py, messages.py, people.py, looking.py, cluster.py. Next: scenario.py.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from glassraft.errors import GlassraftError

if TYPE_CHECKING:
    from glassraft.simulation.scenario.scenario import Scenario

Does = Callable[["Scenario", list[str]], None]


class ScenarioError(GlassraftError):
    """A line of a scenario cannot be carried out: what is wrong, and what is allowed."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word: how it is written, and what it does."""

    written: tuple[str, ...]
    meaning: str
    does: Does


WORDS: Final[dict[str, Word]] = {}
"""By its first word."""


def word(*written: str) -> Callable[[Does], Does]:
    """Puts a function among the words; its docstring is the meaning. `written`: each way to write it."""

    def put(does: Does) -> Does:
        WORDS[written[0].split()[0]] = Word(written, (does.__doc__ or "").strip(), does)
        return does

    return put


# What follows a word


def node_id(name: str) -> int:
    """n3 is 3."""
    if not re.fullmatch(r"n[1-9]\d*", name):
        raise ScenarioError(f"{name!r} is no node; nodes are n1, n2, ...")
    return int(name[1:])


def positive(text: str, what: str) -> float:
    """A number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ScenarioError(f"{what} must be a number above 0, not {text!r}")
    return value


def whole(text: str, what: str) -> int:
    """A whole number above 0."""
    if not re.fullmatch(r"[1-9]\d*", text):
        raise ScenarioError(f"{what} must be a whole number above 0, not {text!r}")
    return int(text)


def switch(text: str, what: str) -> bool:
    """On or off."""
    if text not in ("on", "off"):
        raise ScenarioError(f"{what} is on or off, not {text!r}")
    return text == "on"


def one_of(text: str, known: Iterable[str], what: str) -> str:
    """One of what is known."""
    known = tuple(known)
    if text not in known:
        raise ScenarioError(f"{text!r} is no {what}; known are {', '.join(known)}")
    return text


def count(words: Sequence[str], fewest: int, most: int | None = None) -> None:
    """As many words as this one takes."""
    if len(words) < fewest:
        raise ScenarioError("something is missing")
    if most is not None and len(words) > most:
        raise ScenarioError(f"{' '.join(words[most:])!r} is too much")


def options(words: Iterable[str]) -> dict[str, str]:
    """key=value, several."""
    pairs = [each.partition("=") for each in words]
    wrong = [key for key, equals, value in pairs if not (equals and value)]
    if wrong:
        raise ScenarioError(f"{wrong[0]!r} is no option; options are written key=value")
    return {key: value for key, _, value in pairs}
