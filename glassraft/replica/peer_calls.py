"""The paper's calls, as a node answers its peers: read, brought to the driver, and answered within the turn.

Next: peers.py, the other end; rpc/raft_calls.py, what such a call looks like.
"""

from collections.abc import Sequence
from typing import Any

from glassraft.raft.messages import Message
from glassraft.replica.arrivals import MessageArrived, NothingReady, Origin, Ticket
from glassraft.replica.behind import Behind, give
from glassraft.replica.peers import origin_of
from glassraft.rpc.faults import Fault
from glassraft.rpc.methods import Call, Method
from glassraft.rpc.raft_calls import (
    APPEND_ENTRIES_SIGNATURE,
    INSTALL_SNAPSHOT_SIGNATURE,
    REQUEST_VOTE_SIGNATURE,
    TIMEOUT_NOW_SIGNATURE,
    Context,
    Reply,
    from_call,
    to_reply,
)

PEER_TIMEOUT_S = 10.0


class PeerCalls:
    """One node's."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    def methods(self) -> dict[str, Method]:
        """By name."""
        return {
            "RequestVote": Method.of(self.request_vote, REQUEST_VOTE_SIGNATURE, 5, vital=True),
            "AppendEntries": Method.of(self.append_entries, APPEND_ENTRIES_SIGNATURE, 7, vital=True),
            "InstallSnapshot": Method.of(self.install_snapshot, INSTALL_SNAPSHOT_SIGNATURE, 8),
            "TimeoutNow": Method.of(self.timeout_now, TIMEOUT_NOW_SIGNATURE, 3, vital=True),
        }

    def request_vote(
        self,
        call: Call,
        term: int,
        candidateId: int,
        lastLogIndex: int,
        lastLogTerm: int,
        context: dict[str, Any],
    ) -> str:
        """A candidate asks for this node's vote (§5.2)."""
        return self._from_peer(call, "RequestVote", (term, candidateId, lastLogIndex, lastLogTerm, context))

    def append_entries(
        self,
        call: Call,
        term: int,
        leaderId: int,
        prevLogIndex: int,
        prevLogTerm: int,
        entries: str,
        leaderCommit: int,
        context: dict[str, Any],
    ) -> str:
        """A leader replicates entries, or says that it lives (§5.3). `entries` is JSON, docs/wire.md."""
        params = (term, leaderId, prevLogIndex, prevLogTerm, entries, leaderCommit, context)
        return self._from_peer(call, "AppendEntries", params)

    def install_snapshot(
        self,
        call: Call,
        term: int,
        leaderId: int,
        lastIncludedIndex: int,
        lastIncludedTerm: int,
        offset: int,
        data: bytes,
        done: bool,
        context: dict[str, Any],
    ) -> str:
        """A leader sends a chunk of a snapshot to a node whose next entry is gone from its log (§7)."""
        params = (term, leaderId, lastIncludedIndex, lastIncludedTerm, offset, data, done, context)
        return self._from_peer(call, "InstallSnapshot", params)

    def timeout_now(self, call: Call, term: int, leaderId: int, context: dict[str, Any]) -> str:
        """The leader wants this node to stand for election at once, in its place (diss. §3.10)."""
        return self._from_peer(call, "TimeoutNow", (term, leaderId, context))

    def _from_peer(self, call: Call, method: str, params: Sequence[Any]) -> str:
        message, context = from_call(method, params, self._behind.id)
        if context.cluster != self._behind.cluster_id:
            raise Fault.named(
                "wrong_cluster", f"n{self._behind.id} belongs to another cluster than n{context.sender}"
            )
        if message.sender == self._behind.id:
            raise Fault.named("bad_argument", f"n{message.sender} is no peer of n{self._behind.id}")
        answered = Ticket()

        def respond(reply: Message, origin: Origin) -> None:
            assert isinstance(reply, Reply)
            give(call, to_reply(reply, self._context(origin)))
            answered.settle(NothingReady())

        self._behind.driver.bring(MessageArrived(message, origin_of(context), respond))
        if answered.wait(PEER_TIMEOUT_S) is None:
            raise Fault.named("timeout", f"n{self._behind.id} is too busy to answer")
        return ""

    def _context(self, origin: Origin) -> Context:
        return Context(origin.id, origin.clock, origin.wall_ms, self._behind.id, self._behind.cluster_id)
