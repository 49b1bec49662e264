"""What an operator asks of a cluster: add and remove servers, hand the lead over, say who its members are.

Each change of membership asks until it has an answer that stays: one that is refused because another one
is under way is asked for again, and so is one whose answer was lost. The algorithm is
glassraft/raft/membership.py's. Next: rpc/leader.py, how the leader is found.
"""

import time
from collections.abc import Callable
from typing import Any

from glassraft.errors import GlassraftError, NoQuorum, OutcomeUnknown
from glassraft.rpc.client import Connection
from glassraft.rpc.faults import Fault
from glassraft.rpc.leader import LeaderCalls

ADD_WAIT_S = 60.0
"""How long one AddServer may wait for the new server to catch up."""

AGAIN_S = 0.2
CONTACT_TIMEOUT_S = 2.0

Address = tuple[str, int]


def cluster_of(contact: Address, timeout_s: float) -> str:
    """The id of the cluster of which a node serves there. GlassraftError where none does in time."""
    deadline = time.monotonic() + timeout_s
    while True:
        connection = Connection(*contact, connect_timeout_s=CONTACT_TIMEOUT_S)
        try:
            return str(connection.call("Ping", timeout_s=CONTACT_TIMEOUT_S)["cluster"])
        except GlassraftError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(AGAIN_S)
        finally:
            connection.close()


def add_server(
    calls: LeaderCalls,
    id: int,
    address: Address,
    timeout_s: float,
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """Returns when the server votes. `say` is told of what takes long. Raises the Fault that refuses it."""
    _ask("already_member", calls, "AddServer", id, *address, timeout_s=timeout_s, wait_s=ADD_WAIT_S, say=say)


def remove_server(calls: LeaderCalls, id: int, timeout_s: float) -> None:
    """Returns when the removal is committed. Raises the Fault that refuses it."""
    _ask("not_member", calls, "RemoveServer", id, timeout_s=timeout_s, wait_s=0.0, say=lambda text: None)


def make_leader(calls: LeaderCalls, id: int) -> None:
    """Returns when the server leads (diss. §3.10). Raises the Fault that refuses it."""
    calls.call("TransferLeadership", id)


def members_of(calls: LeaderCalls) -> tuple[int, dict[int, tuple[str, bool]]]:
    """The leader's id, and of each member its "host:port" and whether it votes, as the leader has them."""
    calls.call("Stats", changes=False)  # only a leader answers this, and so it is found
    assert calls.leader is not None
    state = calls.connection(calls.leader).call("State", timeout_s=CONTACT_TIMEOUT_S)
    addresses = state["addresses"]
    members = sorted(state["members"] + state["learners"])
    return state["id"], {id: (addresses.get(str(id), "?"), id in state["members"]) for id in members}


def _ask(
    done_already: str,
    calls: LeaderCalls,
    method: str,
    *params: Any,
    timeout_s: float,
    wait_s: float,
    say: Callable[[str], None],
) -> None:
    """Until it is answered. A refusal that says so means success where an earlier answer was lost."""
    deadline = time.monotonic() + timeout_s
    was_lost = False
    while True:
        try:
            calls.call(method, *params, wait_s=wait_s)
            return
        except OutcomeUnknown:
            was_lost = True
            if time.monotonic() >= deadline:
                raise
        except NoQuorum:
            if time.monotonic() >= deadline:
                raise
        except Fault as fault:
            if fault.name == done_already and was_lost:
                return
            if fault.name not in ("change_under_way", "not_caught_up") or time.monotonic() >= deadline:
                raise
            if fault.name == "not_caught_up":
                say(fault.message)
        time.sleep(AGAIN_S)
