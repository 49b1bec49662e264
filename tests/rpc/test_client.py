"""Our own client: it says whether a call may have reached the server, reconnects, and pipelines."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from glassraft.rpc.client import Connection, ConnectionFailed
from glassraft.rpc.codec import encode_reply
from glassraft.rpc.http import MessageReader, response_bytes

PATIENCE_S = 20.0

Connect = Callable[[int], Connection]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A server that does only what the test does."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.settimeout(PATIENCE_S)
        yield listening


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_calls_share_one_connection(served: Any, connect: Connect) -> None:
    connection = connect(served.port)
    assert not connection.is_open
    assert [connection.call("Count", i, timeout_s=PATIENCE_S) for i in range(5)] == [1, 2, 3, 4, 5]
    assert connection.is_open
    assert served.server.connection_count == 1


def test_nobody_listens() -> None:
    connection = Connection("127.0.0.1", free_port())
    with pytest.raises(
        ConnectionFailed, match=r"127\.0\.0\.1:\d+: cannot connect: connection refused"
    ) as caught:
        connection.call("Ping")
    assert not caught.value.sent


def test_no_such_host() -> None:
    with pytest.raises(ConnectionFailed, match=r"no-such-host\.invalid:1: cannot connect") as caught:
        Connection("no-such-host.invalid", 1).connect()
    assert not caught.value.sent


def test_a_server_that_does_not_answer(listener: socket.socket, connect: Connect) -> None:
    """A paused process: its system accepts, and nobody reads."""
    connection = connect(listener.getsockname()[1])
    with pytest.raises(ConnectionFailed, match="no answer in time") as caught:
        connection.call("Ping", timeout_s=0.05)
    assert caught.value.sent
    assert not connection.is_open


def test_a_large_call_to_a_server_that_does_not_read(listener: socket.socket, connect: Connect) -> None:
    connection = connect(listener.getsockname()[1])
    with pytest.raises(ConnectionFailed, match="no answer in time") as caught:
        connection.call("Ping", "x" * 50_000_000, timeout_s=0.3)
    assert caught.value.sent


def test_an_answer_that_trickles_does_not_outlast_the_timeout(
    listener: socket.socket, connect: Connect
) -> None:
    connection = connect(listener.getsockname()[1])
    stop = threading.Event()

    def trickle() -> None:
        accepted, _ = listener.accept()
        with accepted:
            for byte in response_bytes(200, b"x" * 10_000, keep_alive=True):
                if stop.wait(0.02):
                    return
                accepted.send(bytes([byte]))

    server = threading.Thread(target=trickle)
    server.start()
    began = time.monotonic()
    with pytest.raises(ConnectionFailed, match="no answer in time"):
        connection.call("Ping", timeout_s=0.3)
    assert time.monotonic() - began < PATIENCE_S / 2
    stop.set()
    server.join(PATIENCE_S)


def answer_once(listener: socket.socket, answer: bytes) -> threading.Thread:
    """Answer one request with the given bytes, then close."""

    def serve() -> None:
        accepted, _ = listener.accept()
        with accepted:
            MessageReader(accepted).read_request()
            accepted.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n<meth",
        b"garbage\r\n\r\n",
        response_bytes(200, b"<html/>", keep_alive=True),
        response_bytes(200, b"", keep_alive=True),
    ],
)
def test_what_is_no_answer(listener: socket.socket, connect: Connect, answer: bytes) -> None:
    server = answer_once(listener, answer)
    connection = connect(listener.getsockname()[1])
    with pytest.raises(ConnectionFailed) as caught:
        connection.call("Ping", timeout_s=PATIENCE_S)
    assert caught.value.sent
    assert not connection.is_open
    server.join(PATIENCE_S)


def test_a_kept_connection_that_the_server_closed_is_opened_again(
    listener: socket.socket, connect: Connect
) -> None:
    """Seen before the call is sent, so that nothing is in doubt."""
    connection = connect(listener.getsockname()[1])
    for number in (1, 2):
        server = answer_once(listener, response_bytes(200, encode_reply(number), keep_alive=True))
        assert connection.call("Ping", timeout_s=PATIENCE_S) == number
        server.join(PATIENCE_S)
        time.sleep(0.06)  # longer than a connection is taken to be fresh


def test_a_server_that_wants_the_connection_closed(listener: socket.socket, connect: Connect) -> None:
    server = answer_once(listener, response_bytes(200, encode_reply("x"), keep_alive=False))
    connection = connect(listener.getsockname()[1])
    assert connection.call("Ping", timeout_s=PATIENCE_S) == "x"
    assert not connection.is_open
    server.join(PATIENCE_S)


def test_a_timeout_holds_for_its_call_alone(served: Any, connect: Connect) -> None:
    connection = connect(served.port)
    assert connection.call("Echo", "a", timeout_s=0.2) == "a"
    opener = threading.Timer(0.5, served.gate.opened.set)
    opener.start()
    assert connection.call("Gate") == "opened"
    opener.join()


def test_a_pipeline_is_answered_in_order_and_accounted_for(served: Any, connect: Connect) -> None:
    connection = connect(served.port)
    connection.connect()
    lengths = [connection.send("Echo", [str(i)]) for i in range(100)]
    assert connection.unanswered == 100
    assert connection.unanswered_bytes == sum(lengths)
    assert [connection.receive(PATIENCE_S) for _ in range(100)] == [str(i) for i in range(100)]
    assert (connection.unanswered, connection.unanswered_bytes) == (0, 0)


def test_one_thread_sends_while_another_receives(served: Any, connect: Connect) -> None:
    connection = connect(served.port)
    connection.connect()
    received: list[str] = []
    reader = threading.Thread(target=lambda: received.extend(connection.receive() for _ in range(500)))
    reader.start()
    for i in range(500):
        connection.send("Echo", [str(i)])
    reader.join(PATIENCE_S)
    assert received == [str(i) for i in range(500)]


def test_a_send_never_waits_for_a_connect(served: Any, connect: Connect) -> None:
    with pytest.raises(ConnectionFailed) as caught:
        connect(served.port).send("Echo", ["x"])
    assert not caught.value.sent


def test_a_send_into_the_buffer_does_not_block(listener: socket.socket, connect: Connect) -> None:
    """A peer that is paused reads nothing; what is bounded still goes out at once."""
    connection = connect(listener.getsockname()[1])
    connection.connect()
    began = time.monotonic()
    while connection.unanswered_bytes < 128 * 1024:
        connection.send("Echo", ["x" * 1000])
    assert time.monotonic() - began < PATIENCE_S / 2


def test_close_from_another_thread_ends_the_wait(served: Any, connect: Connect) -> None:
    connection = connect(served.port)
    connection.connect()
    failures: list[ConnectionFailed] = []

    def receive() -> None:
        try:
            connection.receive()
        except ConnectionFailed as error:
            failures.append(error)

    connection.send("Gate", [])
    reader = threading.Thread(target=receive)
    reader.start()
    assert served.gate.entered.acquire(timeout=PATIENCE_S)
    connection.close()
    reader.join(PATIENCE_S)
    assert len(failures) == 1
    assert failures[0].sent
    connection.close()


def test_a_closed_connection_opens_again_for_a_call(served: Any, connect: Connect) -> None:
    connection = connect(served.port)
    assert connection.call("Echo", "a", timeout_s=PATIENCE_S) == "a"
    connection.close()
    assert connection.call("Echo", "b", timeout_s=PATIENCE_S) == "b"
