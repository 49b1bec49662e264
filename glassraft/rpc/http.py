"""HTTP/1.1 as far as XML-RPC needs it: POST with a Content-Length, on kept-alive connections; and GET of a page.

Framing of our own, because the standard library's reads headers through the email package at
several times the cost. Strict: what is ambiguous is refused and the connection closed. Only
bytes and limits live here. Next: server.py and client.py, which own the sockets.
"""

import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from glassraft.errors import GlassraftError

MAX_HEAD_BYTES = 16 * 1024
"""The request line and all headers. A stock XML-RPC client's take 200 bytes."""

MAX_BODY_BYTES = 16 * 1024 * 1024
"""Default bound of a body. A command has at most 4 MiB, and escaping can double it, twice."""

PATHS = (b"/RPC2", b"/")

REASONS = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    411: "Length Required",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    417: "Expectation Failed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}

Stage = Literal["idle", "head", "body"]


class HttpError(GlassraftError):
    """A message that is refused before its body is looked at; the connection ends with it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class ConnectionEnded(GlassraftError):
    """The other side closed the connection. `clean`: between two messages, as it may at any time."""

    def __init__(self, clean: bool) -> None:
        super().__init__("the connection ended" if clean else "the connection ended within a message")
        self.clean = clean


@dataclass(frozen=True, slots=True)
class Request:
    """A call's body, or the path of the page that a GET asks for; and whether the connection stays open after it."""

    body: bytes
    keep_alive: bool
    page: str = ""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer's status and body, and whether the connection stays open after it."""

    status: int
    body: bytes
    keep_alive: bool


# --- Writing ---------------------------------------------------------------------------------

_USUAL_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n"


def request_bytes(host: str, body: bytes, path: str = "/RPC2") -> bytes:
    """A POST of `body`, ready to be sent in one piece. `host` goes into the Host header."""
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: text/xml\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n"
    return head.encode("latin-1") + body


def response_bytes(status: int, body: bytes, keep_alive: bool) -> bytes:
    """An answer, ready to be sent in one piece: XML where the status is 200, plain text otherwise."""
    if status == 200 and keep_alive:
        return _USUAL_HEAD % len(body) + body
    kind = "text/xml" if status == 200 else "text/plain; charset=utf-8"
    head = f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    head += "Allow: POST\r\n" if status == 405 else ""
    head += "Connection: keep-alive\r\n\r\n" if keep_alive else "Connection: close\r\n\r\n"
    return head.encode("latin-1") + body


# --- Reading ---------------------------------------------------------------------------------

_REQUEST_LINE = re.compile(rb"([A-Z]{1,20}) ([!-~]{1,2000}) HTTP/1\.([01])\r\n")
_OTHER_VERSION = re.compile(rb"[A-Z]{1,20} [!-~]{1,2000} HTTP/\d")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) (\d{3})[^\r\n]*\r\n")
_HEADERS = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\x00]*\r\n)*")
_ONCE = frozenset({b"content-length", b"transfer-encoding", b"host", b"content-type", b"content-encoding"})
_KEPT = _ONCE | {b"connection", b"expect", b"origin"}
_MAX_HEADERS = 100


# What our own side writes, read at once; any other head is looked at header by header, to the same end.
_OUR_REQUEST = re.compile(
    rb"POST /RPC2 HTTP/1\.1\r\nHost: [!-~]{1,300}\r\nContent-Type: text/xml\r\n"
    rb"Content-Length: ([0-9]{1,18})\r\n"
)
_OUR_RESPONSE = re.compile(
    rb"HTTP/1\.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: ([0-9]{1,18})\r\n"
)


def _parse_headers(block: bytes) -> dict[bytes, bytes]:
    """The headers that matter here, by lower-case name. One that must be single and is not is refused."""
    if not _HEADERS.fullmatch(block):
        raise HttpError(400, "a header is malformed")
    lines = block.split(b"\r\n")
    if len(lines) > _MAX_HEADERS:
        raise HttpError(431, f"more than {_MAX_HEADERS} headers")
    headers: dict[bytes, bytes] = {}
    for line in lines:
        name, _, value = line.partition(b":")
        name = name.lower()
        if name in _KEPT:
            if name in headers:
                if name in _ONCE:
                    raise HttpError(400, f"the header {name.decode()} is there twice")
                value = headers[name] + b"," + value
            headers[name] = value.strip(b" \t")
    return headers


def _keep_alive(minor_version: bytes, headers: dict[bytes, bytes]) -> bool:
    """HTTP/1.1 connections stay open unless told otherwise, HTTP/1.0 ones only when asked."""
    said = headers.get(b"connection")
    if said is None:
        return minor_version == b"1"
    options = {option.strip() for option in said.lower().split(b",")}
    return b"close" not in options and (minor_version == b"1" or b"keep-alive" in options)


def _length(headers: dict[bytes, bytes], max_body: int) -> int:
    """The body's length, checked before a byte of it is read."""
    if b"transfer-encoding" in headers:
        raise HttpError(501, "Transfer-Encoding is not taken; send a Content-Length")
    text = headers.get(b"content-length")
    if text is None:
        raise HttpError(411, "a Content-Length is needed")
    if not text.isdigit():
        raise HttpError(400, f"Content-Length {text[:40]!r} is not a number")
    return _checked_length(text, max_body)


def _checked_length(text: bytes, max_body: int) -> int:
    length = int(text) if len(text) < 19 else max_body + 1
    if length > max_body:
        raise HttpError(413, f"the body has {text[:40].decode()} bytes; at most {max_body} are taken")
    return length


def _check_request(method: bytes, path: bytes, headers: dict[bytes, bytes]) -> None:
    """A call's. A GET of anything but the calls' own paths asks for a page, and brings nothing along."""
    if method == b"GET" and path.partition(b"?")[0] not in PATHS:
        if headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers:
            raise HttpError(400, "a GET has no body here")
        if b"origin" in headers:  # as for calls: another site's page may not read this one
            raise HttpError(403, "a browser's page may not read this")
        return
    if method != b"POST":
        raise HttpError(405, f"{method.decode()} is not taken; calls are sent by POST to /RPC2")
    if path.partition(b"?")[0] not in PATHS:
        raise HttpError(404, f"nothing is served at {path[:100].decode()}; calls go to /RPC2")
    if b"origin" in headers:  # else any page that the user visits could submit jobs to this machine
        raise HttpError(403, "calls from a browser's page are not taken")
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if kind not in (b"text/xml", b"application/xml"):
        raise HttpError(415, "the Content-Type must be text/xml")
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise HttpError(415, "a Content-Encoding is not taken")
    if headers.get(b"expect", b"100-continue").lower() != b"100-continue":
        raise HttpError(417, "only 100-continue can be expected")


class MessageReader:
    """Reads one side's messages from a socket, in order, whatever pieces they come in.

    `before_receive(stage, length)` is called before each wait for bytes: `idle` where no byte of
    a message is here yet, `head` within the headers, `body` with the body's whole length. It is
    where the owner sets its deadlines. One thread at a time.
    """

    def __init__(
        self,
        connection: socket.socket,
        *,
        max_body: int = MAX_BODY_BYTES,
        before_receive: Callable[[Stage, int], None] | None = None,
    ) -> None:
        self._socket = connection
        self._max_body = max_body
        self._before_receive = before_receive or (lambda stage, length: None)
        self._buffer = b""

    @property
    def has_bytes(self) -> bool:
        """Whether something of the next message is here already."""
        return bool(self._buffer)

    def read_request(self) -> Request:
        """The next request. Raises HttpError, ConnectionEnded, or the socket's own OSError."""
        head, rest = self._read_head(b"POST ")
        ours = _OUR_REQUEST.fullmatch(head)
        if ours is not None:
            length = _checked_length(ours[1], self._max_body)
            return Request(self._read_body(rest, length), keep_alive=True)
        line = _REQUEST_LINE.match(head)
        if line is None:
            if _OTHER_VERSION.match(head):
                raise HttpError(505, "HTTP/1.1 is spoken here")
            raise HttpError(400, "this is not an HTTP request")
        headers = _parse_headers(head[line.end() :])
        _check_request(line[1], line[2], headers)
        if line[1] == b"GET":
            self._buffer = rest
            return Request(b"", _keep_alive(line[3], headers), line[2].partition(b"?")[0].decode())
        length = _length(headers, self._max_body)
        if b"expect" in headers and len(rest) < length:
            self._socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        return Request(self._read_body(rest, length), _keep_alive(line[3], headers))

    def take_whole(self, received: bytes) -> bytes | None:
        """Bytes that came in while nothing was here: the body, if they are one request of our own clients'.

        Anything else is kept as the beginning of what read_request() reads.
        """
        end = received.find(b"\r\n\r\n", 0, MAX_HEAD_BYTES)
        ours = _OUR_REQUEST.fullmatch(received, 0, end + 2) if end >= 0 else None
        if ours is not None and len(received) == end + 4 + int(ours[1]) <= self._max_body:
            return received[end + 4 :]
        self._buffer = received
        return None

    def put_back(self, received: bytes) -> None:
        """read_request() is to begin with these bytes."""
        self._buffer = received

    def read_response(self) -> Response:
        """The next response. Raises HttpError, ConnectionEnded, or the socket's own OSError."""
        head, rest = self._read_head(b"HTTP/1.")
        ours = _OUR_RESPONSE.fullmatch(head)
        if ours is not None:
            length = _checked_length(ours[1], self._max_body)
            return Response(200, self._read_body(rest, length), keep_alive=True)
        line = _STATUS_LINE.match(head)
        if line is None:
            raise HttpError(400, "this is not an HTTP/1.1 response")
        headers = _parse_headers(head[line.end() :])
        length = _length(headers, self._max_body)
        return Response(int(line[2]), self._read_body(rest, length), _keep_alive(line[1], headers))

    def _receive(self, stage: Stage, length: int = 0, size: int = 65536) -> bytes:
        self._before_receive(stage, length)
        chunk = self._socket.recv(size)
        if not chunk:
            raise ConnectionEnded(clean=stage == "idle")
        return chunk

    def _read_head(self, usual_start: bytes) -> tuple[bytes, bytes]:
        """The first line and headers with their line ends, and what came after the empty line."""
        buffer = self._buffer or self._receive("idle")
        while True:
            if buffer[:1] in (b"\r", b"\n"):  # empty lines before a message are skipped (RFC 9112 §2.2)
                buffer = buffer.lstrip(b"\r\n")
            end = buffer.find(b"\r\n\r\n", 0, MAX_HEAD_BYTES)
            if end >= 0:
                self._buffer = b""
                return buffer[: end + 2], buffer[end + 4 :]
            _check_beginning(buffer, usual_start)
            buffer += self._receive("head")

    def _read_body(self, start: bytes, length: int) -> bytes:
        missing = length - len(start)
        if missing <= 0:
            self._buffer = start[length:]
            return start[:length] if missing else start
        body = bytearray(start)
        while missing > 0:
            piece = self._receive("body", length, min(missing, 262_144))
            body += piece
            missing -= len(piece)
        return bytes(body)


def _check_beginning(buffer: bytes, usual_start: bytes) -> None:
    """Refuse early what can no longer become a message's head, so that nobody waits for the rest of it."""
    if len(buffer) >= MAX_HEAD_BYTES:
        raise HttpError(431, f"the headers have more than {MAX_HEAD_BYTES} bytes")
    if not buffer.startswith(usual_start) and not (buffer[:1].isupper() and buffer[:20].isascii()) and buffer:
        raise HttpError(400, "this is not HTTP")
    if b"\n\n" in buffer:
        raise HttpError(400, "lines end with CR LF")
