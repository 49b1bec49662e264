"""Carries a node's messages to its peers: two kept-alive connections each.

HTTP/1.1 answers in order, so what is small (votes, heartbeats, small appends) has a
connection of its own, written by the driver, which never writes more than surely fits into
the socket's buffer; what is large has another, written and read by its own thread. Every
connect is a thread's, so a paused or vanished peer never holds the driver up.
"""

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from glassraft.errors import BadArgument
from glassraft.raft.configuration import Address
from glassraft.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    InstallSnapshot,
    InstallSnapshotReply,
    Message,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
    TimeoutNowReply,
)
from glassraft.replica.arrivals import Arrival, MessageArrived, MessageLost, Origin
from glassraft.rpc.client import Connection, ConnectionFailed
from glassraft.rpc.faults import Fault
from glassraft.rpc.raft_calls import Context, from_reply, to_call

SMALL_BYTES = 32 * 1024
"""An AppendEntries with more than this in its commands goes by the bulk connection."""

UNANSWERED_BYTES = 80 * 1024
"""So much may be unanswered on the small connection when a message is written to it.

With the largest small message, five times as long on the wire if all of it is escaped, that is
less than its socket buffers for sure (rpc.sockets.SEND_BUFFER_BYTES).
"""

SILENCE_S = 10.0
"""A connection on which nothing was answered for so long is given up: the machine behind it may be gone."""

BULK_TIMEOUT_S = 30.0
RECONNECT_AFTER_S = (0.02, 0.05, 0.1, 0.2)
CONNECT_TIMEOUT_S = 1.0

Bring = Callable[[Arrival], None]
Request = RequestVote | AppendEntries | InstallSnapshot | TimeoutNow
REPLY_TO: dict[type, type] = {
    RequestVote: RequestVoteReply,
    AppendEntries: AppendEntriesReply,
    InstallSnapshot: InstallSnapshotReply,
    TimeoutNow: TimeoutNowReply,
}


class Peer:
    """One peer's two connections and their threads."""

    def __init__(self, id: int, host: str, port: int, *, node: int, cluster_id: str, bring: Bring) -> None:
        self.id = id
        self.address = (host, port)
        self._node = node
        self._cluster_id = cluster_id
        self._bring = bring
        self._stopping = threading.Event()
        self._small = Connection(host, port, connect_timeout_s=CONNECT_TIMEOUT_S)
        self._small_lock = (
            threading.Lock()
        )  # what is under way, and whether the connection is up, change together
        self._small_is_up = False
        self._on_small: deque[tuple[Request, str, float]] = deque()
        self._bulk = Connection(host, port, connect_timeout_s=CONNECT_TIMEOUT_S)
        self._for_bulk: queue.SimpleQueue[tuple[Request, Origin] | None] = queue.SimpleQueue()
        self._bulk_is_busy = False
        self._threads = [
            threading.Thread(target=self._read_small, name=f"n{id}-small", daemon=True),
            threading.Thread(target=self._carry_bulk, name=f"n{id}-bulk", daemon=True),
        ]

    def start(self) -> None:
        """Begin to connect."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End both connections and their threads."""
        self._stopping.set()
        self._for_bulk.put(None)
        self._small.close()
        self._bulk.close()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(CONNECT_TIMEOUT_S + 0.5)

    def send(self, message: Request, origin: Origin) -> None:
        """Called by the driver; never blocks. What cannot be sent comes back as MessageLost."""
        why = self._send_bulk(message, origin) if is_bulk(message) else self._send_small(message, origin)
        if why:
            self._lost(message, origin.id, why)

    def _send_bulk(self, message: Request, origin: Origin) -> str:
        """Hand it to the bulk connection's thread, or say why not."""
        if self._bulk_is_busy:
            return "an earlier large message is under way"
        self._bulk_is_busy = True
        self._for_bulk.put((message, origin))
        return ""

    def _send_small(self, message: Request, origin: Origin) -> str:
        """Write it, or say why not."""
        now = time.monotonic()
        with self._small_lock:
            if not self._small_is_up:
                return "not connected"
            if now - self._unanswered_since(now) > SILENCE_S:
                self._small.close()
                return "no answer"
            if self._small.unanswered_bytes > UNANSWERED_BYTES:
                return "buffer full"
            self._on_small.append((message, origin.id, now))
            with contextlib.suppress(ConnectionFailed):  # its reader tells of all that was under way
                self._small.send(*to_call(message, self._context(origin)))
        return ""

    def _unanswered_since(self, now: float) -> float:
        """When the oldest message without an answer went out; its reader may take it out at any moment."""
        try:
            return self._on_small[0][2]
        except IndexError:
            return now

    def _context(self, origin: Origin) -> Context:
        return Context(
            origin.id,
            origin.clock,
            origin.wall_ms,
            self._node,
            self._cluster_id,
            origin.applied,
            origin.digest,
        )

    def _lost(self, message: Request, id: str, why: str) -> None:
        self._bring(MessageLost(message, id, why))

    # The small connection's thread

    def _read_small(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                self._small.connect()
            except ConnectionFailed:
                self._pause(failures)
                failures += 1
                continue
            self._small_is_up = True
            answers = self._read_replies()
            self._give_up_on_small()
            if answers:
                failures = 0
            else:  # it was accepted and came to nothing: a full server does that, for one
                self._pause(failures)
                failures += 1

    def _pause(self, failures: int) -> None:
        self._stopping.wait(RECONNECT_AFTER_S[min(failures, len(RECONNECT_AFTER_S) - 1)])

    def _read_replies(self) -> int:
        """Until the connection breaks; how many came."""
        answers = 0
        while not self._stopping.is_set():
            why = ""
            try:
                struct = self._small.receive()
            except Fault as fault:
                why = fault.name
                struct = None
            except ConnectionFailed:
                break
            if not self._on_small:
                break  # an answer to nothing: not a sound peer's
            message, id, _ = self._on_small.popleft()
            answers += 1
            if struct is None:
                self._lost(message, id, why)
            else:
                self._arrived(message, id, struct)
        return answers

    def _give_up_on_small(self) -> None:
        with self._small_lock:
            self._small_is_up = False
            self._small.close()
            under_way = list(self._on_small)
            self._on_small.clear()
        for message, id, _ in under_way:
            self._lost(message, id, "connection broke")

    # The bulk connection's thread

    def _carry_bulk(self) -> None:
        while not self._stopping.is_set():
            work = self._for_bulk.get()
            if work is None:
                return
            message, origin = work
            struct, why = self._call_bulk(message, origin)
            self._bulk_is_busy = False  # before the answer is brought: it may lead to the next large message
            if struct is None:
                self._lost(message, origin.id, why)
            else:
                self._arrived(message, origin.id, struct)

    def _call_bulk(self, message: Request, origin: Origin) -> tuple[dict[str, object] | None, str]:
        """The reply's struct, or why there is none."""
        try:
            method, params = to_call(message, self._context(origin))
            self._bulk.connect()
            if self._stopping.is_set():  # stop() may have looked for a connection before there was this one
                self._bulk.close()
                return None, "not connected"
            return self._bulk.call(method, *params, timeout_s=BULK_TIMEOUT_S), ""
        except ConnectionFailed as error:
            return None, "connection broke" if error.sent else "connection refused"
        except Fault as fault:
            return None, fault.name

    def _arrived(self, request: Request, id: str, struct: Mapping[str, object]) -> None:
        try:
            reply, context = from_reply(type(request).__name__, struct, self._node)
        except BadArgument as error:
            self._lost(request, id, f"unreadable reply: {error}")
            return
        if reply.sender != self.id:  # two addresses are mixed up
            self._lost(request, id, f"answered by n{reply.sender}")
            return
        self._bring(MessageArrived(reply, origin_of(context)))


def is_bulk(message: Request) -> bool:
    """Whether it is too large for the connection of votes and heartbeats."""
    if isinstance(message, AppendEntries):
        return sum(len(entry.command) for entry in message.entries) > SMALL_BYTES
    return isinstance(message, InstallSnapshot)


def origin_of(context: Context) -> Origin:
    """What travelled with a message, as the turn wants it."""
    return Origin(context.id, context.clock, context.wall_ms, context.applied, context.digest)


MakePeer = Callable[[int, Address], Peer]


class PeerNetwork:
    """All peers of one node, as the turn's network."""

    def __init__(self, peers: Iterable[Peer] = (), make_peer: MakePeer | None = None) -> None:
        """`make_peer` connects to who is met later."""
        self._peers = {peer.id: peer for peer in peers}
        self._make_peer = make_peer
        self._waiting: dict[tuple[type, int], deque[MessageArrived]] = {}

    def meet(self, addresses: Mapping[int, Address]) -> None:
        """From now on, speak to these and to nobody else. Called by the driver; never blocks."""
        assert self._make_peer is not None, "this network's peers are fixed"
        known = {id: peer.address for id, peer in self._peers.items()}
        for id in [id for id, address in known.items() if addresses.get(id) != address]:
            threading.Thread(target=self._peers.pop(id).stop, name=f"n{id}-stop", daemon=True).start()
        for id, address in addresses.items():
            if id not in self._peers:
                self._peers[id] = self._make_peer(id, address)
                self._peers[id].start()

    def start(self) -> None:
        """Begin to connect to all."""
        for peer in self._peers.values():
            peer.start()

    def stop(self) -> None:
        """End all connections."""
        for peer in self._peers.values():
            peer.stop()

    def expect_reply(self, arrived: MessageArrived) -> None:
        """The server answers each request with exactly one reply, in the order in which it steps them."""
        kind = REPLY_TO[type(arrived.message)]
        self._waiting.setdefault((kind, arrived.message.sender), deque()).append(arrived)

    def send(self, message: Message, origin: Origin) -> None:
        """A request goes by its peer's connections, a reply by the call that it answers."""
        if isinstance(message, Request):
            peer = self._peers.get(message.receiver)
            if peer is not None:  # a member without an address cannot be reached, and must end nobody
                peer.send(message, origin)
        else:
            arrived = self._waiting[type(message), message.receiver].popleft()
            if arrived.respond is not None:
                arrived.respond(message, origin)
