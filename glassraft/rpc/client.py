"""One kept-alive connection to a server, for calls one after another or for a pipeline of them.

A connection is used by one thread; in the pipelined use one thread sends and another receives.
Finding the leader, retries and sessions are not here. Next: http.py and codec.py, the bytes;
jobqueue/client.py, which retries.
"""

import contextlib
import select
import socket
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from glassraft.errors import GlassraftError
from glassraft.rpc.codec import Malformed, decode_reply, encode_call
from glassraft.rpc.faults import Fault
from glassraft.rpc.http import ConnectionEnded, HttpError, MessageReader, Response, Stage, request_bytes

SEND_BUFFER_BYTES = 256 * 1024
"""What the system is asked to buffer, so that a sender with less than that unanswered never blocks."""

MAX_REPLY_BYTES = 64 * 1024 * 1024

_FRESH_S = 0.05
"""A connection used so recently is taken to be open still; after that it is looked at before a call."""

_STATUS_FAULTS = {413: "too_large", 503: "busy"}


class ConnectionFailed(GlassraftError):
    """A server did not answer. `sent`: whether the call may have reached it; False means surely not."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


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

    def connect(self) -> None:
        """Open the connection if there is none. ConnectionFailed (not sent) within the connect timeout."""
        if self._socket is not None:
            return
        try:
            opened = _open(self.host, self.port, self._connect_timeout_s)
        except OSError as error:
            raise self._failed("cannot connect", error, sent=False) from error
        self._lengths.clear()
        self._sent_bytes = self._answered_bytes = 0
        self._reader = MessageReader(opened, max_body=MAX_REPLY_BYTES, before_receive=self._set_timeout)
        self._socket = opened

    def call(self, method: str, *params: Any, timeout_s: float | None = None) -> Any:
        """Call and wait for the answer, for `timeout_s` seconds or for ever.

        Raises the server's Fault; ConnectionFailed, after which the next call opens a new
        connection; BadArgument where a parameter cannot travel.
        """
        if self._socket is not None and time.monotonic() - self._used_at > _FRESH_S and self._has_ended():
            self.close()
        self.connect()
        self.send(method, params)
        return self.receive(timeout_s)

    def send(self, method: str, params: Sequence[Any]) -> int:
        """Write a call without waiting for its answer; the answers come in order from `receive`.

        The connection must be open: this never waits for a connect.

        Returns the bytes written. Blocks only where the socket's buffers are full: never while
        the caller keeps `unanswered_bytes` well below SEND_BUFFER_BYTES.
        """
        message = request_bytes(self.address, encode_call(method, params))
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

    def receive(self, timeout_s: float | None = None) -> Any:
        """The answer to the oldest call that has none yet; raises as `call` does.

        Without a timeout the wait ends at the latest when `close` is called, from any thread.
        """
        self._receiving = True
        opened, reader = self._socket, self._reader
        try:
            if opened is None or reader is None:
                raise self._failed("connection broke", _closed_here(), sent=True)
            self._deadline = None if timeout_s is None else time.monotonic() + timeout_s
            response = self._read(reader, timeout_s)
        finally:
            self._receiving = False
            if opened is not None and self._socket is not opened:  # closed meanwhile, and left to this thread
                opened.close()
        self._used_at = time.monotonic()
        self._answered_bytes += self._lengths.popleft() if self._lengths else 0
        return self._value(response)

    def close(self) -> None:
        """End the connection, from any thread. A thread that waits in `receive` gets ConnectionFailed."""
        opened, self._socket = self._socket, None
        if opened is None:
            return
        with contextlib.suppress(OSError):
            opened.shutdown(socket.SHUT_RDWR)
        if not self._receiving:
            opened.close()

    def _read(self, reader: MessageReader, timeout_s: float | None) -> Response:
        try:
            return reader.read_response()
        except TimeoutError:
            self.close()
            raise ConnectionFailed(f"{self.address}: no answer within {timeout_s:g} s", sent=True) from None
        except (OSError, ConnectionEnded, HttpError) as error:
            self.close()
            raise self._failed("connection broke", error, sent=True) from error

    def _failed(self, what: str, error: Exception, *, sent: bool) -> ConnectionFailed:
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
            raise ConnectionFailed(f"{self.address} no answer but: {error}", sent=True) from error

    def _set_timeout(self, _stage: Stage, _length: int) -> None:
        opened = self._socket
        if opened is None:
            raise _closed_here()
        if self._deadline is not None:
            remaining = self._deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError
            opened.settimeout(remaining)

    def _has_ended(self) -> bool:
        """Whether the server closed the kept-alive connection: then nothing sent on it would be read."""
        try:
            return self._socket is None or bool(select.select([self._socket], [], [], 0)[0])
        except (OSError, ValueError):
            return True


def _open(host: str, port: int, timeout_s: float) -> socket.socket:
    opened = socket.create_connection((host, port), timeout=timeout_s)
    try:
        if opened.getsockname() == opened.getpeername():  # a free local port can be connected to itself
            raise ConnectionRefusedError
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        opened.settimeout(None)
    except OSError:
        opened.close()
        raise
    return opened


def _closed_here() -> OSError:
    return ConnectionAbortedError("closed on this side")


def _reason(error: Exception) -> str:
    """An error's words without its number."""
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
