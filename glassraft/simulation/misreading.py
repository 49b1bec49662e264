"""What a broken rule is: a name, what is misread, what comes of it, and in what weather it matters.

Runs with one leave the servers' own assertions out, so that a property checked from outside must
catch it. Next: broken.py, the rules themselves.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from glassraft.jobqueue.rules import QueueRules
from glassraft.raft.assertions import NoAssertions
from glassraft.raft.rules import Rules
from glassraft.replica.rules import TurnRules
from glassraft.simulation.disks import RaftDisk
from glassraft.simulation.parts import Parts
from glassraft.simulation.schedule import DrawFault


@dataclass(frozen=True)
class BrokenRule:
    """One animal of the zoo: what is misread, and what comes of it."""

    name: str
    section: str
    """Of the paper or the dissertation, or the page that says otherwise."""
    misreading: str
    breaks: str
    """The property that does not hold any longer."""
    parts: Parts
    """The cluster's parts, one of which is broken."""
    where: "Where"


@dataclass(frozen=True)
class Where:
    """In what clusters and weather a misreading matters, where that is not in every one: the rest is the seed's."""

    nodes: int | None = None
    raft: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the servers."""
    faults: Sequence[DrawFault] = ()
    """What goes wrong oftener than other things."""
    periodic: int = 0
    """Schedules that somebody keeps."""
    only: bool = False
    """Nothing else goes wrong: the rest would mostly spoil faults of many steps."""


EVERYWHERE: Final = Where()

ALL: Final[dict[str, BrokenRule]] = {}
"""By name: broken.py fills it."""

Override = TypeVar("Override", bound=type[Rules] | type[TurnRules] | type[QueueRules] | type[RaftDisk])


def misreading(section: str, breaks: str, where: Where = EVERYWHERE) -> Callable[[Override], Override]:
    """Puts a class with one override into the zoo; its docstring says what was misread."""

    def put(override: Override) -> Override:
        name = re.sub("(?<!^)(?=[A-Z])", "-", override.__name__).lower()
        text = (override.__doc__ or "").strip()
        ALL[name] = BrokenRule(name, section, text, breaks, _parts_with(override), where)
        return override

    return put


def _parts_with(override: type) -> Parts:
    """The real parts but for this one, and without assertions."""
    if issubclass(override, Rules):
        return Parts(assertions=NoAssertions(), rules=override())
    if issubclass(override, TurnRules):
        return Parts(assertions=NoAssertions(), turn_rules=override())
    if issubclass(override, QueueRules):
        return Parts(assertions=NoAssertions(), queue_rules=override())
    assert issubclass(override, RaftDisk)
    return Parts(assertions=NoAssertions(), make_disk=override)
