"""The refusals that a node answers with, as one table of documented codes.

A fault travels as XML-RPC's own `<fault>`: `faultCode` is the code, `faultString` a sentence
for people and, where there is more to say, a second line of JSON for programs. Only the table
and its translation live here. Next: codec.py, which puts a fault into bytes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from glassraft.errors import GlassraftError


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One row of the table: what a code means, and the keys that its detail may have."""

    code: int
    name: str
    meaning: str
    detail: str = ""


_ROWS = (
    FaultKind(1, "bad_argument", "A parameter is missing, of the wrong type, out of range or unknown."),
    FaultKind(2, "unknown_method", "No method of this name is served; system.listMethods lists them."),
    FaultKind(
        3,
        "not_leader",
        "This node does not lead. Nothing was done; ask the leader.",
        "leader_id (0: not known), and where it is known host, port; members: how many vote;"
        " nodes: each member's [host, port]",
    ),
    FaultKind(4, "too_large", "A body is over its limit (HTTP status 413). Nothing was done."),
    FaultKind(
        5,
        "not_found",
        "There is no such job.",
        "state: empty; or that of the job to complete, which stays, where what is gone is a job to come after",
    ),
    FaultKind(6, "unauthorised", "The caller may not do this."),
    FaultKind(7, "no_quorum", "No answer from a majority of the nodes, so nothing was read.", "needed"),
    FaultKind(8, "shutting_down", "The node is stopping. A command under way may still be committed."),
    FaultKind(9, "stale_token", "The token is not the job's current one; nothing was changed.", "state"),
    FaultKind(10, "wrong_state", "The job's state does not allow this; nothing was changed.", "state"),
    FaultKind(
        11,
        "session_expired",
        "The session is unknown or expired, and the number is above 1; this try was not run.",
        "session, number",
    ),
    FaultKind(12, "wrong_cluster", "The message is for another cluster."),
    FaultKind(
        13,
        "full",
        "A bound of the cluster is reached; nothing was done.",
        "which one: sessions; queue, queues; queue, unfinished; or empty where commands wait for a majority",
    ),
    FaultKind(14, "timeout", "No answer within the node's own limit. The call's fate is unknown."),
    FaultKind(15, "internal", "The node failed in a way that nobody foresaw: a bug. Its error log has more."),
    FaultKind(16, "busy", "Too much is waiting or connected already. Nothing was done; try again later."),
    FaultKind(
        17,
        "outcome_unknown",
        "The lead was lost, or no majority answered, while the command was under way. Its fate is unknown.",
        "needed; or as not_leader",
    ),
    FaultKind(
        18,
        "stale_number",
        "The session's number is below the lowest still waited for; it is never run.",
        "number, low",
    ),
    FaultKind(19, "malformed", "The bytes are not an XML-RPC call, or not HTTP as it is spoken here."),
    FaultKind(
        20,
        "transfer_failed",
        "The lead was not handed over: another transfer is under way, no other voter answers, or none "
        "led in time.",
        "why: transfer_under_way, no_target, transfer_failed",
    ),
    FaultKind(
        21, "key_held", "Another job of the queue holds the key; nothing was done.", "item, key, holder"
    ),
    FaultKind(
        30,
        "change_under_way",
        "An earlier change of membership, or the first entry of a new leader, is not committed yet."
        " Nothing was done; try again.",
    ),
    FaultKind(
        31,
        "not_caught_up",
        "The new server gets the log too slowly, or cannot be reached. It is a learner, and votes once it has"
        " caught up; ask again to wait for that, or remove it.",
    ),
    FaultKind(32, "already_member", "The server is a voter already, or known at another address."),
    FaultKind(33, "not_member", "There is no such member."),
    FaultKind(34, "last_voter", "The last voter cannot be removed: nobody would be left to decide anything."),
)

FAULTS: Mapping[str, FaultKind] = MappingProxyType({kind.name: kind for kind in _ROWS})
"""The table, by name."""

_NAMES: Mapping[int, str] = MappingProxyType({kind.code: kind.name for kind in _ROWS})


class Fault(GlassraftError):
    """A refusal with a documented code: raised by a method, and again at its caller.

    `detail` is a JSON object with what a program needs, such as the leader's address.
    """

    def __init__(self, code: int, name: str, message: str, detail: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.name = name
        self.message = message
        self.detail: dict[str, Any] = dict(detail) if detail else {}

    @classmethod
    def named(cls, name: str, message: str, detail: Mapping[str, Any] | None = None) -> "Fault":
        """The fault of this name in the table. KeyError where there is none."""
        return cls(FAULTS[name].code, name, message, detail)

    @classmethod
    def from_wire(cls, code: int, text: str) -> "Fault":
        """Read what `wire_text` wrote. A code from a newer node is kept, named "unknown"."""
        message, _, rest = text.partition("\n")
        return cls(code, _NAMES.get(code, "unknown"), message, _parse_detail(rest))

    def wire_text(self) -> str:
        """The faultString: the message on one line, then the detail as a line of JSON."""
        sentence = " ".join(self.message.splitlines())
        return f"{sentence}\n{json.dumps(self.detail)}" if self.detail else sentence

    def __repr__(self) -> str:
        return f"Fault({self.code}, {self.name!r}, {self.message!r}, {self.detail!r})"


def _parse_detail(text: str) -> dict[str, Any]:
    """The second line of a faultString; empty where a server that is not ours wrote another text."""
    try:
        detail = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return detail if isinstance(detail, dict) else {}
