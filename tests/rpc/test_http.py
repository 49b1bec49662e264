"""HTTP as it is spoken here: what is read, in whatever pieces it comes, and what is refused, and when."""

import contextlib
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glassraft.rpc.http import (
    MAX_HEAD_BYTES,
    ConnectionEnded,
    HttpError,
    MessageReader,
    request_bytes,
    response_bytes,
)

PATIENCE_S = 20.0


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected sockets: one to write as a client, one to read from."""
    writer, reader = socket.socketpair()
    with writer, reader:
        writer.settimeout(PATIENCE_S)
        reader.settimeout(PATIENCE_S)
        yield writer, reader


Pair = tuple[socket.socket, socket.socket]


def post(*headers: str, body: bytes = b"<a/>", line: str = "POST /RPC2 HTTP/1.1") -> bytes:
    return "\r\n".join([line, "Host: x", "Content-Type: text/xml", *headers, "", ""]).encode("latin-1") + body


class Pieces:
    """A socket that hands out given pieces, then the end."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = [piece for piece in pieces if piece]

    def recv(self, size: int) -> bytes:
        piece = self.pieces.pop(0) if self.pieces else b""
        if piece[size:]:
            self.pieces.insert(0, piece[size:])
        return piece[:size]


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=4), st.data())
def test_messages_come_in_order_whatever_pieces_they_come_in(
    bodies: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(request_bytes("x", body) for body in bodies)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    reader = MessageReader(Pieces(pieces))  # type: ignore[arg-type]
    assert [reader.read_request().body for _ in bodies] == bodies
    with pytest.raises(ConnectionEnded) as ended:
        reader.read_request()
    assert ended.value.clean


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=4))
def test_responses_come_in_order(bodies: list[bytes]) -> None:
    stream = b"".join(response_bytes(200, body, keep_alive=True) for body in bodies)
    reader = MessageReader(Pieces([stream[:7], stream[7:]]))  # type: ignore[arg-type]
    assert [reader.read_response().body for _ in bodies] == bodies


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_a_refusal(noise: bytes) -> None:
    for start in (b"", b"POST /RPC2 HTTP/1.1\r\n", post("Content-Length: 4", body=b"")[:-2]):
        reader = MessageReader(Pieces([start + noise]))  # type: ignore[arg-type]
        with contextlib.suppress(HttpError, ConnectionEnded):
            for _ in range(100):
                reader.read_request()


@pytest.mark.parametrize(
    ("line", "headers", "keep_alive"),
    [
        ("POST /RPC2 HTTP/1.1", (), True),
        ("POST / HTTP/1.1", (), True),
        ("POST /RPC2?x=1 HTTP/1.1", (), True),
        ("POST /RPC2 HTTP/1.1", ("Connection: close",), False),
        ("POST /RPC2 HTTP/1.1", ("Connection: Keep-Alive, Close",), False),
        ("POST /RPC2 HTTP/1.1", ("Connection: te", "Connection: close"), False),
        ("POST /RPC2 HTTP/1.0", (), False),
        ("POST /RPC2 HTTP/1.0", ("Connection: keep-alive",), True),
    ],
)
def test_when_a_connection_stays_open(
    pair: Pair, line: str, headers: tuple[str, ...], keep_alive: bool
) -> None:
    writer, reader = pair
    writer.sendall(post("Content-Length: 4", *headers, line=line))
    request = MessageReader(reader).read_request()
    assert (request.body, request.keep_alive) == (b"<a/>", keep_alive)


def test_empty_lines_before_a_request_are_skipped(pair: Pair) -> None:
    writer, reader = pair
    writer.sendall(b"\r\n\n\r\n" + post("Content-Length: 4"))
    assert MessageReader(reader).read_request().body == b"<a/>"


def test_header_names_and_types_are_read_without_regard_to_case(pair: Pair) -> None:
    writer, reader = pair
    writer.sendall(
        b"POST / HTTP/1.1\r\nCONTENT-LENGTH:4\r\ncontent-type: Text/XML; charset=utf-8\r\n\r\n<a/>"
    )
    assert MessageReader(reader).read_request().body == b"<a/>"


REFUSED = [
    (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),  # TLS to a port that does not speak it
    (400, b"\x00" * 8),
    (400, b"hello there\r\n\r\n"),
    (400, b"POST /RPC2\r\n\r\n"),
    (400, b"POST  /RPC2 HTTP/1.1\r\n\r\n"),
    (400, b"POST /RPC2 HTTP/1.1\nHost: x\n\n"),
    (400, post("Content-Length: 4", "Content-Length: 4")),
    (400, post("Content-Length: 4", "content-length: 5")),
    (400, post("Content-Length: -4")),
    (400, post("Content-Length: +4")),
    (400, post("Content-Length: 4, 4")),
    (400, post("Content-Length: 0x4")),
    (400, post("Content-Length: ")),
    (400, post("Content-Length : 4")),
    (400, post(" Content-Length: 4")),
    (400, post("Content-Length: 4", "no colon here")),
    (400, post("Content-Length: 4", "A: b\x00c")),
    (400, post("Content-Length: 4", "A: b\rc")),
    (400, post("Content-Length: 4", "Host: y")),
    (403, post("Content-Length: 4", "Origin: http://evil.example")),
    (404, post("Content-Length: 4", line="POST /admin HTTP/1.1")),
    (405, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    (405, b"OPTIONS * HTTP/1.1\r\n\r\n"),
    (411, post(body=b"")),
    (413, post("Content-Length: 101", body=b"")),
    (413, post("Content-Length: " + "9" * 1000, body=b"")),
    (415, b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n"),
    (415, b"POST / HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\n"),
    (415, post("Content-Length: 4", "Content-Encoding: gzip")),
    (417, post("Content-Length: 4", "Expect: tea")),
    (431, b"POST / HTTP/1.1\r\nA: " + b"a" * MAX_HEAD_BYTES),
    (431, post(*[f"X-{i}: y" for i in range(200)], "Content-Length: 4")),
    (431, b"G" * MAX_HEAD_BYTES),
    (501, post("Transfer-Encoding: chunked", body=b"4\r\n<a/>\r\n0\r\n\r\n")),
    (501, post("Transfer-Encoding: chunked", "Content-Length: 4")),
    (505, b"POST / HTTP/2.0\r\n\r\n"),
    (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
]


@pytest.mark.parametrize(("status", "data"), REFUSED)
def test_what_is_refused_is_refused_at_once(pair: Pair, status: int, data: bytes) -> None:
    """Without waiting for more bytes: the sender's end stays open, and no body comes."""
    writer, reader = pair
    writer.sendall(data)
    with pytest.raises(HttpError) as refused:
        MessageReader(reader, max_body=100).read_request()
    assert refused.value.status == status


def test_a_client_that_waits_is_told_to_go_on(pair: Pair) -> None:
    writer, reader = pair
    writer.sendall(post("Content-Length: 4", "Expect: 100-continue", body=b""))
    messages = MessageReader(reader, before_receive=lambda stage, length: None)
    # Without the body here, the reader says 100 before it waits; so the body can be sent at once after it.
    reader.settimeout(0.0)
    with pytest.raises(BlockingIOError):
        messages.read_request()
    assert writer.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"


def test_an_end_within_a_message_is_no_clean_end(pair: Pair) -> None:
    writer, reader = pair
    writer.sendall(post("Content-Length: 10"))
    writer.shutdown(socket.SHUT_WR)
    with pytest.raises(ConnectionEnded) as ended:
        MessageReader(reader).read_request()
    assert not ended.value.clean


def test_deadlines_can_be_set_for_each_stage(pair: Pair) -> None:
    writer, reader = pair
    stages: list[tuple[str, int]] = []
    rest = [post("Content-Length: 4")[-6:-4], b"<a", b"/>"]

    def before_receive(stage: str, length: int) -> None:
        if stages:
            writer.sendall(rest.pop(0))
        stages.append((stage, length))

    writer.sendall(post("Content-Length: 4")[:-6])
    assert MessageReader(reader, before_receive=before_receive).read_request().body == b"<a/>"
    assert stages == [("idle", 0), ("head", 0), ("body", 4), ("body", 4)]


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"\x00\x01",
    ],
)
def test_what_is_no_response(pair: Pair, data: bytes) -> None:
    writer, reader = pair
    writer.sendall(data)
    with pytest.raises(HttpError):
        MessageReader(reader, max_body=100).read_response()


def test_a_refusal_is_readable_and_ends_the_connection() -> None:
    refusal = response_bytes(405, b"no\n", keep_alive=False)
    assert refusal.startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")
    assert b"\r\nAllow: POST\r\n" in refusal
    assert b"\r\nConnection: close\r\n" in refusal
