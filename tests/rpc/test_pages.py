"""Plain GETs: they are answered beside the calls, in order, and refused like them."""

import socket
from typing import Any

import pytest

from glassraft.rpc.codec import encode_call
from glassraft.rpc.http import request_bytes
from glassraft.rpc.pages import Page
from glassraft.rpc.server import Method, RpcServer

ERRORS: list[str] = []


def broken() -> Page:
    raise ZeroDivisionError("a bug")


@pytest.fixture
def server() -> Any:
    ERRORS.clear()
    made = RpcServer(
        "127.0.0.1",
        0,
        {"Echo": Method(lambda call, text: text, ("string", "string"), 1, "", short=True)},
        pages={"/page": lambda: Page(200, "é\n"), "/ill": lambda: Page(503, "ill\n"), "/broken": broken},
        on_error=lambda method, error: ERRORS.append(method),
        name="test",
    )
    made.start()
    yield made
    made.stop()


def exchange(server: RpcServer, data: bytes) -> bytes:
    """What comes back until the connection ends."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := client.recv(65_536):
            answer += piece
        return answer


def get(path: str, headers: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode()


def test_pages_and_calls_share_a_connection_in_order(server: RpcServer) -> None:
    call = request_bytes("x", encode_call("Echo", ("called",)))
    answer = exchange(server, get("/page?x=1") + call + get("/ill") + get("/page"))
    parts = [answer.find(part) for part in (b"\r\n\r\n\xc3\xa9\n", b"called", b"\r\n\r\nill\n")]
    assert parts == sorted(parts)
    assert -1 not in parts
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert answer.endswith(b"\r\n\r\n\xc3\xa9\n")


def test_a_connection_that_rests_after_short_calls_shows_pages(server: RpcServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        for _ in range(2):
            client.sendall(request_bytes("x", encode_call("Echo", ("short",))))
            assert b"short" in client.recv(65_536)
            client.sendall(get("/page"))
            assert client.recv(65_536).endswith("é\n".encode())


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (get("/nothing"), 404),
        (get("/RPC2"), 405),
        (get("/page", "Content-Length: 1\r\n") + b"x", 400),
        (get("/page", "Origin: http://evil.example\r\n"), 403),
        (get("/page").replace(b"GET", b"DELETE"), 405),
        (get("/broken"), 500),
    ],
)
def test_what_is_refused(server: RpcServer, data: bytes, status: int) -> None:
    assert exchange(server, data).startswith(b"HTTP/1.1 %d " % status)
    assert len(ERRORS) == (status == 500)
    assert exchange(server, get("/page")).endswith("é\n".encode())
