"""What clients were promised against what the cluster has: lost, doubled, unfinished or wrong. Pure.

Each submission carries a mark of its own as its argument, and its job gives the mark back, so that
a job can be told apart from every other without trusting its id. Next: endurance.py.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Promises:
    """What the clients saw: the id of each acknowledged submission by its mark, and the marks in doubt."""

    acknowledged: dict[int, str] = field(default_factory=dict)
    unknown: set[int] = field(default_factory=set)
    """Their fate was never learnt: such a job may be there or not, once at most."""
    refused: set[int] = field(default_factory=set)
    """Surely not submitted: such a job must not be there."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What is wrong, in marks; all empty where every promise was kept."""

    lost: list[int]
    """Acknowledged, and not there."""
    doubled: list[int]
    """There more than once."""
    unasked: list[int]
    """There, although the submission was refused or never made."""
    renamed: list[int]
    """Acknowledged under another id than the one that it has."""
    unfinished: list[int]
    """There, and not succeeded."""
    wrong: list[int]
    """Succeeded with another result than the mark."""

    @property
    def kept(self) -> bool:
        """Whether every promise was kept."""
        return not any(getattr(self, name) for name in self.__slots__)

    def sentences(self) -> list[str]:
        """One line for each kind of broken promise."""
        return [
            f"{len(marks)} {name}: {', '.join(map(str, marks[:10]))}{', ...' if len(marks) > 10 else ''}"
            for name in self.__slots__
            if (marks := getattr(self, name))
        ]


def audit(promises: Promises, jobs: Iterable[Mapping[str, Any]]) -> Audit:
    """Compare. A job is {"id", "state", "args": [mark], "result"}, as the queue lists it."""
    rows = [(int(job["args"][0]), job) for job in jobs]
    times = Counter(mark for mark, _job in rows)
    asked = promises.acknowledged.keys() | promises.unknown
    succeeded = [(mark, job) for mark, job in rows if job["state"] == "succeeded"]
    return Audit(
        lost=sorted(promises.acknowledged.keys() - times.keys()),
        doubled=sorted(mark for mark, count in times.items() if count > 1),
        unasked=sorted(times.keys() - asked),
        renamed=sorted(mark for mark, job in rows if promises.acknowledged.get(mark, job["id"]) != job["id"]),
        unfinished=sorted(mark for mark, job in rows if job["state"] != "succeeded"),
        wrong=sorted(mark for mark, job in succeeded if job["result"] != mark),
    )
