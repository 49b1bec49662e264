"""The XML-RPC server: a thread a connection, kept alive, answers in the order of the calls.

Sockets, threads and their deadlines live here. The connections' sockets block without a
timeout, since each timeout costs a second hand-over between threads on every call; instead
the accepting thread closes what has passed its deadline. Next: methods.py, what a call runs;
http.py and codec.py, the bytes.
"""

import contextlib
import errno
import select
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from glassraft.errors import BadArgument
from glassraft.rpc import sockets
from glassraft.rpc.codec import Malformed, decode_call, encode_fault, encode_reply
from glassraft.rpc.faults import Fault
from glassraft.rpc.http import (
    MAX_BODY_BYTES,
    ConnectionEnded,
    HttpError,
    MessageReader,
    Stage,
    response_bytes,
)
from glassraft.rpc.methods import LATER, Call, Method, MethodTable, as_fault
from glassraft.rpc.pages import Page, Pages, page_bytes
from glassraft.rpc.reception import Gathering, Reception

__all__ = ["Call", "Method", "RpcServer", "ServerLimits"]

_NEVER = float("inf")
_LOOK_EVERY_S = 0.25
"""How often deadlines are looked at: so late at most is a stalled connection closed."""

_LAST_WAIT_S = 1.0
"""How long a thread may take to notice that its connection was cut."""

_SHORT_BYTES = 64 * 1024
"""A call that does not come in one piece of so many bytes is its own thread's."""

_FAREWELL_S = 2.0
"""How long a refused client may go on sending before it is cut, so that it can read the refusal."""


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What one server bears. Sizes in bytes, times in seconds.

    A message must have its headers within `header_timeout_s`, and be read or written whole within
    that and the time that it takes at `slowest_bytes_per_s`: what is slower is a stall.
    """

    max_body: int = MAX_BODY_BYTES
    max_connections: int = 256
    reserved_connections: int = 32
    """So many more are taken for vital calls alone: clients must not keep a node from its peers."""
    header_timeout_s: float = 10.0
    idle_timeout_s: float = 600.0
    slowest_bytes_per_s: int = 16 * 1024


OnError = Callable[[str, Exception], None]


class RpcServer:
    """Serves `methods` on one address until stopped.

    `on_error(method, exception)` hears of exceptions that are neither a Fault nor a
    BadArgument: a bug. It is called on the connection's thread; without one, the traceback goes
    to standard error.
    """

    def __init__(
        self,
        host: str,
        port: int,
        methods: Mapping[str, Method],
        *,
        limits: ServerLimits | None = None,
        name: str = "rpc",
        on_error: OnError | None = None,
        gathering: Gathering = contextlib.nullcontext,
        pages: Pages = MappingProxyType({}),
    ) -> None:
        """Bind and listen. ConfigError where the address cannot be had. Port 0 takes a free one.

        `gathering` is entered around short calls that came in together. `pages`: what a GET is answered with.
        """
        self.name = name
        self.limits = limits or ServerLimits()
        self.on_error = on_error or _print_traceback
        self.table = MethodTable(methods)
        self.pages = pages
        self.reception = Reception(name, gathering)
        self.stopping = False
        self._listener = sockets.listen(host, port)
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._connections: set[_Connection] = set()
        self._farewells: list[tuple[float, socket.socket]] = []
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._acceptor = threading.Thread(target=self._accept_and_watch, name=f"{name}-accept", daemon=True)

    def start(self) -> None:
        """Begin to serve. Calls that came in since binding wait in the listener's queue."""
        self._acceptor.start()
        self.reception.start()

    def stop(self, grace_s: float = 2.0) -> None:
        """Take no more calls; those under way have `grace_s` seconds to be answered; end every thread.

        A method that still runs after that is left to end with its process. Stopping twice is no error.
        """
        if self.stopping:
            return
        self.stopping = True
        self._wake_writer.send(b"!")
        if self._acceptor.is_alive():
            self._acceptor.join()
        self._listener.close()
        self.reception.stop()
        deadline = time.monotonic() + grace_s
        connections = self._snapshot()
        for connection in connections:
            connection.end_when_idle()
        for connection in connections:
            connection.thread.join(max(0.0, deadline - time.monotonic()))
            connection.cut()
        for connection in connections:
            connection.thread.join(_LAST_WAIT_S)
        for _, farewell in self._farewells:
            farewell.close()
        self._wake_reader.close()
        self._wake_writer.close()

    @property
    def connection_count(self) -> int:
        """How many connections are open now."""
        with self._lock:
            return len(self._connections)

    def full(self) -> str:
        """What is said to who comes when there is no room."""
        return f"this node serves {self.limits.max_connections} connections already; try again later"

    def forget(self, connection: "_Connection") -> None:
        """A connection's thread is done."""
        with self._lock:
            self._connections.discard(connection)

    def _snapshot(self) -> list["_Connection"]:
        with self._lock:
            return list(self._connections)

    def _accept_and_watch(self) -> None:
        while not self.stopping:
            ready, _, _ = select.select([self._listener, self._wake_reader], [], [], _LOOK_EVERY_S)
            if self._listener in ready and not self.stopping:
                self._accept()
            self._close_overdue(time.monotonic())

    def _accept(self) -> None:
        try:
            accepted, address = self._listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                time.sleep(_LOOK_EVERY_S)  # out of descriptors: let connections end instead of spinning
            return
        over = self.connection_count - self.limits.max_connections
        if over >= self.limits.reserved_connections:
            self._turn_away(accepted)
            return
        connection = _Connection(self, accepted, f"{address[0]}:{address[1]}", for_vital_calls=over >= 0)
        with self._lock:
            self._connections.add(connection)
        try:
            connection.thread.start()
        except RuntimeError:  # no thread can be had
            self.forget(connection)
            self._turn_away(accepted)

    def _turn_away(self, accepted: socket.socket) -> None:
        """Say 503 and leave the socket open for a moment: closed at once, the answer could be lost."""
        with contextlib.suppress(OSError):
            accepted.setblocking(False)
            accepted.send(response_bytes(503, f"{self.full()}\n".encode(), keep_alive=False))
            accepted.shutdown(socket.SHUT_WR)
        self._farewells.append((time.monotonic() + _LOOK_EVERY_S, accepted))
        if len(self._farewells) > 64:
            self._farewells.pop(0)[1].close()

    def _close_overdue(self, now: float) -> None:
        for connection in self._snapshot():
            if connection.deadline < now:
                connection.cut()
        while self._farewells and self._farewells[0][0] < now:
            self._farewells.pop(0)[1].close()


class _Connection:
    """One client's connection and the thread that serves it."""

    def __init__(
        self, server: RpcServer, accepted: socket.socket, peer: str, *, for_vital_calls: bool
    ) -> None:
        self.thread = threading.Thread(target=self._serve, name=f"{server.name}-{peer}", daemon=True)
        self.is_cut = False
        self._server = server
        self.socket = accepted
        self._peer = peer
        self._for_vital_calls = for_vital_calls
        limits = server.limits
        self._idle_timeout_s = limits.header_timeout_s if for_vital_calls else limits.idle_timeout_s
        self.deadline = time.monotonic() + self._idle_timeout_s
        self._stage: Stage = "idle"
        self._busy = False
        self._keep_alive = True
        self._lock = threading.Lock()
        self._answering = threading.Condition(self._lock)
        self._in_method = False
        self._call: Call | None = None  # the call that has no answer yet
        self._early: bytes | None = None  # what is left to send of an early answer
        self._resting = threading.Semaphore(0)
        self._reader = MessageReader(
            accepted, max_body=server.limits.max_body, before_receive=self._before_receive
        )

    def cut(self) -> None:
        """End the connection, from any thread: its own wakes from whatever read or write it is in."""
        self.is_cut = True
        sockets.shut(self.socket)

    def end_when_idle(self) -> None:
        """End after the answer that is under way, if one is."""
        if not self._busy:
            self.cut()

    def alive(self) -> bool:
        """Whether the client still holds its end open; false once it has closed it."""
        return self._reader.has_bytes or not sockets.has_ended(self.socket)

    def _serve(self) -> None:
        try:
            with self.socket:
                self.socket.setblocking(True)
                sockets.without_delay(self.socket)
                self._answer_calls()
        except OSError:
            pass  # the client, or `cut`, ended the connection
        finally:
            self._server.forget(self)

    def _answer_calls(self) -> None:
        while self._keep_alive and not self._server.stopping:
            try:
                request = self._reader.read_request()
            except ConnectionEnded:
                return
            except HttpError as error:
                self._refuse(error)
                return
            if request.page:
                self._show(request.page, request.keep_alive)
                continue
            if self._for_vital_calls and not self._server.table.is_vital(request.body):
                self._refuse(HttpError(503, self._server.full()))
                return
            self._await_earlier_answer()
            self._busy = True
            self.deadline = _NEVER
            self._keep_alive = request.keep_alive
            self._answer(request.body)
            if self._server.table.is_short(request.body):
                self._rest()
        self._await_earlier_answer()

    def _show(self, path: str, keep_alive: bool) -> None:
        """Answer a GET, after the calls before it: also where no more calls are taken, since then it tells most."""
        self._await_earlier_answer()
        self._busy = True
        self.deadline = _NEVER
        self._keep_alive = keep_alive and not self._server.stopping
        make = self._server.pages.get(path)
        try:
            page = make() if make else Page(404, f"nothing is shown at {path[:100]}\n")
        except Exception as error:  # as of a method
            self._server.on_error(f"GET {path}", error)
            page = Page(500, "this page failed: a bug; the node's error log has more\n")
        answer = page_bytes(page, self._keep_alive)
        self.deadline = self._patience(len(answer))
        self.socket.sendall(answer)
        self._busy = False

    # Short calls, which the reception's thread serves

    def _rest(self) -> None:
        """After a short call: let the reception read on, until something comes that is none."""
        if self._keep_alive and not self._reader.has_bytes:
            self._be_idle()
            if self._server.reception.take_in(self):
                self._resting.acquire()

    def go_on(self) -> None:
        """The connection's own thread is to read on."""
        self._resting.release()

    def serve_short_call(self) -> bool:
        """Read what came in, and serve it if it is a whole short call and no earlier one is unanswered."""
        try:
            received = self.socket.recv(_SHORT_BYTES)
        except OSError:
            received = b""
        body = self._reader.take_whole(received)
        if body is None:
            return False
        with self._lock:  # whoever sends the earlier answer has done so when this is had
            waits = self._call is not None
        if waits or not self._server.table.is_short(body):
            self._reader.put_back(received)
            return False
        self._busy = True
        self.deadline = _NEVER
        self._answer(body, at_once=True)
        with self._lock:
            if self._call is None:
                self._be_idle()
        return True

    def _be_idle(self) -> None:
        """The next call may be long in coming."""
        self._stage = "idle"
        self.deadline = time.monotonic() + self._idle_timeout_s

    # Any call

    def _await_earlier_answer(self) -> None:
        """One that comes LATER holds up the next call, since answers keep their order, and the end."""
        with self._answering:
            if self._call is not None:
                self.deadline = _NEVER
            while self._call is not None and not self.is_cut:
                self._answering.wait(_LOOK_EVERY_S)

    def _answer(self, body: bytes, at_once: bool = False) -> None:
        """Run one call and send its answer, or what is left of it, or nothing where it comes LATER.

        `at_once`: without waiting for a client that does not read; it is cut off instead.
        """
        answer = self._outcome(body)
        with self._lock:  # an early answer that is being written is finished first
            self._in_method = False
            if self._early is not None:
                answer, self._early = self._early, None
            elif answer is None:
                self._busy = self._call is not None
                return
            self._call = None
        self._stage = "idle"
        self.deadline = self._patience(len(answer))
        if at_once and sockets.send_at_once(self.socket, answer) < len(answer):
            self.cut()
        elif answer and not at_once:
            self.socket.sendall(answer)
        self._busy = False

    def _outcome(self, body: bytes) -> bytes | None:
        """The whole message that answers a call: its reply, or its fault; None where that comes LATER."""
        method = "?"
        self._in_method = True
        try:
            method, params = decode_call(body)
            self._call = Call(method, self._peer, self.alive, self._respond)
            value = self._server.table.call(self._call, params)
            if value is LATER:
                return None
            answer = _encoded(value) if self._call is not None else b""
        except Malformed as error:
            answer = encode_fault(Fault.named("malformed", str(error)))
        except Exception as error:  # whatever a method raises, its caller gets an answer
            if not isinstance(error, (Fault, BadArgument)):
                self._server.on_error(method, error)
            answer = encode_fault(as_fault(method, error))
        return self._message(answer)

    def _message(self, answer: bytes) -> bytes:
        return response_bytes(200, answer, self._keep_alive and not self._server.stopping)

    def _respond(self, call: Call, value: Any) -> None:
        """Call.respond: on any thread, while the connection's own is in the method or reads on already."""
        answer = self._message(_encoded(value))
        with self._lock:
            if self._call is not call:
                return
            self._call = None
            rest = answer[sockets.send_at_once(self.socket, answer) :]
            if self._in_method:
                self._early = rest
                return
            self._answering.notify()
            self._busy = False
            if self._stage == "idle":
                self._be_idle()
        if rest or not self._keep_alive or self._server.stopping:
            self.cut()

    def _refuse(self, error: HttpError) -> None:
        """Answer with an HTTP status, then read on for a moment without keeping anything.

        Closing while the client still sends would reset the connection, and the answer would be lost.
        """
        self.deadline = time.monotonic() + _FAREWELL_S
        self.socket.sendall(response_bytes(error.status, f"{error.message}\n".encode(), keep_alive=False))
        self.socket.shutdown(socket.SHUT_WR)
        while self.socket.recv(65536):
            pass

    def _before_receive(self, stage: Stage, length: int) -> None:
        if stage == "idle":
            return self._be_idle()
        if stage != self._stage:
            self.deadline = self._patience(length)
        self._stage = stage

    def _patience(self, length: int) -> float:
        """Until when so many bytes may take."""
        limits = self._server.limits
        return time.monotonic() + limits.header_timeout_s + length / limits.slowest_bytes_per_s


def _print_traceback(method: str, error: Exception) -> None:
    print(f"{method} failed:", file=sys.stderr)
    traceback.print_exception(error)


def _encoded(value: Any) -> bytes:
    """A reply, or a fault: also where the value cannot travel."""
    try:
        return encode_fault(value) if isinstance(value, Fault) else encode_reply(value)
    except BadArgument as error:
        return encode_fault(Fault.named("internal", f"the answer cannot be sent: {error}"))
