"""One kept-alive connection to a server, for calls one after another or for a pipeline of them.

A connection is used by one thread; in the pipelined use one thread sends and another receives.
Finding the leader and retries are not here. Next: http.py and codec.py, the bytes; leader.py,
which tries one node after another.
"""

import socket
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from glassraft.errors import GlassraftError
from glassraft.rpc import sockets
from glassraft.rpc.codec import Malformed, decode_reply, encode_call
from glassraft.rpc.faults import Fault
from glassraft.rpc.http import ConnectionEnded, HttpError, MessageReader, Response, Stage, request_bytes

MAX_REPLY_BYTES = 64 * 1024 * 1024

_FRESH_S = 0.05
"""A connection used so recently is taken to be open still; after that it is looked at before a call."""

_NEVER_BLOCKS_BYTES = 64 * 1024
"""What an empty send buffer takes at once, even where the server does not read."""

_STATUS_FAULTS = {413: "too_large", 503: "busy"}


class ConnectionFailed(GlassraftError):
    """A server did not answer.

    `sent`: whether the call may have reached it; False means surely not. `timed_out`: whether it
    stayed silent until the time was over, as a paused or vanished one does.
    """

    def __init__(self, message: str, *, sent: bool, timed_out: bool = False) -> None:
        super().__init__(message)
        self.sent = sent
        self.timed_out = timed_out


class Connection:
    """A connection to one server, opened by the first call, and again by the next one after a failure."""

    def __init__(self, host: str, port: int, *, connect_timeout_s: float = 2.0) -> None:
        self.host = host
        self.port = port
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._connect_timeout_s = connect_timeout_s
        self._socket: socket.socket | None = None
        self._reader: MessageReader | None = None
        self._deadline: float | None = None
        self._receiving = False
        self._used_at = 0.0
        self._lengths: deque[int] = deque()
        self._sent_bytes = 0
        self._answered_bytes = 0

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, as far as is known here."""
        return self._socket is not None

    @property
    def unanswered(self) -> int:
        """How many calls were sent and not answered yet."""
        return len(self._lengths)

    @property
    def unanswered_bytes(self) -> int:
        """How many bytes of calls are not answered yet: what may still fill the socket's buffers."""
        return self._sent_bytes - self._answered_bytes

    def connect(self, timeout_s: float | None = None) -> None:
        """Open the connection if there is none. ConnectionFailed (not sent) within the connect timeout.

        `timeout_s`: seconds, where less than the connection's own connect timeout is left.
        """
        if self._socket is not None:
            return
        patience_s = self._connect_timeout_s if timeout_s is None else min(timeout_s, self._connect_timeout_s)
        try:
            opened = sockets.connect(self.host, self.port, max(patience_s, 0.001))
        except OSError as error:
            raise self._failed("cannot connect", error, sent=False) from error
        self._lengths.clear()
        self._sent_bytes = self._answered_bytes = 0
        self._reader = MessageReader(opened, max_body=MAX_REPLY_BYTES, before_receive=self._set_timeout)
        self._socket = opened

    def call(self, method: str, *params: Any, timeout_s: float | None = None) -> Any:
        """Call and wait for the answer, for `timeout_s` seconds in all or for ever.

        Raises the server's Fault; ConnectionFailed, after which the next call opens a new
        connection; BadArgument where a parameter cannot travel.
        """
        message = self._message(method, params)
        now = time.monotonic()
        if self._socket is not None and now - self._used_at > _FRESH_S and sockets.is_readable(self._socket):
            self.close()  # nothing is due, so the server has ended it, and would not read what is sent
        self.connect(timeout_s)
        self._deadline = None if timeout_s is None else now + timeout_s
        if len(message) > _NEVER_BLOCKS_BYTES:
            self._set_timeout("idle", 0)
        self._write(message)
        return self._receive()

    def send(self, method: str, params: Sequence[Any]) -> int:
        """Write a call without waiting for its answer; the answers come in order from `receive`.

        The connection must be open: this never waits for a connect. Returns the bytes written.
        Blocks only where the socket's buffers are full: never while the caller keeps
        `unanswered_bytes` well below sockets.SEND_BUFFER_BYTES.
        """
        return self._write(self._message(method, params))

    def receive(self, timeout_s: float | None = None) -> Any:
        """The answer to the oldest call that has none yet; raises as `call` does.

        Without a timeout the wait ends at the latest when `close` is called, from any thread.
        """
        self._deadline = None if timeout_s is None else time.monotonic() + timeout_s
        return self._receive()

    def close(self) -> None:
        """End the connection, from any thread. A thread that waits in `receive` gets ConnectionFailed."""
        opened, self._socket = self._socket, None
        if opened is None:
            return
        sockets.shut(opened)
        if not self._receiving:
            opened.close()

    def _message(self, method: str, params: Sequence[Any]) -> bytes:
        return request_bytes(self.address, encode_call(method, params))

    def _write(self, message: bytes) -> int:
        opened = self._socket
        if opened is None:
            raise self._failed("connection broke", _closed_here(), sent=False)
        self._lengths.append(len(message))
        self._sent_bytes += len(message)
        try:
            opened.sendall(message)
        except OSError as error:
            self.close()
            raise self._failed("connection broke", error, sent=True) from error
        return len(message)

    def _receive(self) -> Any:
        self._receiving = True
        opened, reader = self._socket, self._reader
        try:
            if opened is None or reader is None:
                raise self._failed("connection broke", _closed_here(), sent=True)
            response = self._read(reader)
        finally:
            self._receiving = False
            if opened is not None and self._socket is not opened:  # closed meanwhile, and left to this thread
                opened.close()
        self._used_at = time.monotonic()
        self._answered_bytes += self._lengths.popleft() if self._lengths else 0
        return self._value(response)

    def _read(self, reader: MessageReader) -> Response:
        try:
            return reader.read_response()
        except (OSError, ConnectionEnded, HttpError) as error:
            self.close()
            raise self._failed("connection broke", error, sent=True) from error

    def _failed(self, what: str, error: Exception, *, sent: bool) -> ConnectionFailed:
        if isinstance(error, TimeoutError):
            return ConnectionFailed(f"{self.address}: no answer in time", sent=sent, timed_out=True)
        return ConnectionFailed(f"{self.address}: {what}: {_reason(error)}", sent=sent)

    def _value(self, response: Response) -> Any:
        if not response.keep_alive:
            self.close()
        if response.status != 200:
            text = response.body.decode("utf-8", "replace").strip()
            name = _STATUS_FAULTS.get(response.status, "malformed")
            raise Fault.named(name, f"{self.address} refused the call: {text} (HTTP {response.status})")
        try:
            return decode_reply(response.body)
        except Malformed as error:
            self.close()
            raise ConnectionFailed(f"{self.address}: what came is no answer: {error}", sent=True) from error

    def _set_timeout(self, _stage: Stage, _length: int) -> None:
        """Before each wait: let it end at the deadline, where there is one."""
        opened = self._socket
        if opened is None:
            raise _closed_here()
        if self._deadline is not None:
            remaining = self._deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError
            opened.settimeout(remaining)
        elif opened.gettimeout() is not None:
            opened.settimeout(None)


def _closed_here() -> OSError:
    return ConnectionAbortedError("closed on this side")


def _reason(error: Exception) -> str:
    """An error's words without its number."""
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
