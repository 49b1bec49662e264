"""Short calls: read by one thread for all connections, and answered as if each had its own."""

import socket
import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from glassraft.rpc import sockets
from glassraft.rpc.codec import encode_call
from glassraft.rpc.faults import Fault
from glassraft.rpc.http import MessageReader, request_bytes
from glassraft.rpc.methods import Call

PATIENCE_S = 20.0
RECEPTION = "test-reception"


def short_echo(text: str) -> bytes:
    return request_bytes("127.0.0.1", encode_call("ShortEcho", [text]))


def short() -> bytes:
    return request_bytes("127.0.0.1", encode_call("Short", []))


def rest(served: Any, client: Any) -> MessageReader:
    """Bring the client's connection to rest: its first short call is its own thread's."""
    resting = served.server.reception.guest_count
    reader = MessageReader(client.socket)
    client.send(short_echo("first"))
    assert b"<string>first</string>" in reader.read_response().body
    deadline = time.monotonic() + PATIENCE_S
    while served.server.reception.guest_count == resting:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return reader


def test_after_a_short_call_the_reception_reads_the_next(served: Any, raw: Any) -> None:
    client = raw(served.port)
    reader = rest(served, client)
    for number in range(3):
        client.send(short())
        assert served.short.entered.acquire(timeout=PATIENCE_S)
        served.short.calls[-1].respond(f"later {number}")
        assert f"later {number}".encode() in reader.read_response().body
    assert served.short.threads == [RECEPTION] * 3


def test_any_other_call_is_its_own_threads_and_short_ones_are_served_after_it(served: Any, raw: Any) -> None:
    client = raw(served.port)
    reader = rest(served, client)
    for text in ("one", "two"):
        client.send(request_bytes("127.0.0.1", encode_call("Echo", [text])))
        assert text.encode() in reader.read_response().body
        client.send(short_echo(text))
        assert text.encode() in reader.read_response().body


def test_calls_that_come_together_are_gathered(serve: Any, raw: Any) -> None:
    served = serve()
    clients = [raw(served.port) for _ in range(4)]
    readers = [rest(served, client) for client in clients]
    entered, go_on = threading.Event(), threading.Event()

    def hold(call: Call, value: Any) -> Any:
        entered.set()
        assert go_on.wait(PATIENCE_S)
        return value

    bound = served.server.table._bound["ShortEcho"]
    bound.method = replace(bound.method, function=hold)
    clients[0].send(short_echo("held"))
    assert entered.wait(PATIENCE_S)
    for client in clients[1:]:
        client.send(short())
    go_on.set()  # on loopback, what was sent has arrived
    assert b"held" in readers[0].read_response().body
    for _ in clients[1:]:
        assert served.short.entered.acquire(timeout=PATIENCE_S)
    for call in list(served.short.calls):
        call.respond("done")
    for reader in readers[1:]:
        assert b"done" in reader.read_response().body
    assert max(served.gathered) == 3


def test_pipelined_short_calls_are_answered_in_order(served: Any, raw: Any) -> None:
    client = raw(served.port)
    reader = rest(served, client)
    client.send(b"".join(short_echo(f"number {i};") for i in range(50)))
    for i in range(50):
        assert f"number {i};".encode() in reader.read_response().body


def test_a_call_before_the_earlier_ones_answer_waits_for_it(served: Any, raw: Any) -> None:
    client = raw(served.port)
    reader = rest(served, client)
    client.send(short())
    assert served.short.entered.acquire(timeout=PATIENCE_S)
    client.send(short_echo("after"))
    served.short.calls[0].respond("before")
    assert b"before" in reader.read_response().body
    assert b"after" in reader.read_response().body


def test_a_short_call_in_pieces_or_from_a_stranger_is_served(served: Any, raw: Any) -> None:
    client = raw(served.port)
    reader = rest(served, client)
    message = short_echo("in pieces")
    client.send(message[:70])
    client.send(message[70:])
    assert b"in pieces" in reader.read_response().body
    body = encode_call("ShortEcho", ["stranger"])
    client.send(
        b"POST / HTTP/1.1\r\nA: b\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )
    assert b"stranger" in reader.read_response().body


@pytest.mark.parametrize("kind", ["fault", "argument", "bug"])
def test_a_short_call_that_is_refused_gets_its_fault(served: Any, connect: Any, kind: str) -> None:
    connection = connect(served.port)
    for _ in range(2):
        with pytest.raises(Fault):
            connection.call("ShortRefuse", kind, timeout_s=PATIENCE_S)
    assert connection.call("ShortEcho", "still here", timeout_s=PATIENCE_S) == "still here"


def test_what_is_no_call_is_refused_while_the_connection_rests(served: Any, raw: Any) -> None:
    client = raw(served.port)
    rest(served, client)
    client.send(b"\xff" * 1000)
    assert client.read_all().startswith(b"HTTP/1.1 400")


def test_a_client_that_goes_while_its_connection_rests_leaves_nothing(served: Any, raw: Any) -> None:
    client = raw(served.port)
    rest(served, client)
    [own] = [each for each in threading.enumerate() if each.name.startswith("test-127")]
    client.socket.close()
    own.join(PATIENCE_S)
    assert not own.is_alive()
    assert served.server.connection_count == 0


def test_a_resting_connection_that_is_idle_for_too_long_is_closed(serve: Any, raw: Any) -> None:
    served = serve(idle_timeout_s=0.3)
    client = raw(served.port)
    rest(served, client)
    assert client.read_all() == b""


def test_a_resting_connection_is_idle_again_once_its_later_call_is_answered(serve: Any, raw: Any) -> None:
    served = serve(idle_timeout_s=0.3)
    client = raw(served.port)
    reader = rest(served, client)
    client.send(short())
    assert served.short.entered.acquire(timeout=PATIENCE_S)
    served.short.calls[0].respond("late")
    assert b"late" in reader.read_response().body
    assert client.read_all() == b""


def test_after_a_refused_short_call_a_resting_connection_may_be_idle_for_its_whole_time(
    serve: Any, raw: Any
) -> None:
    served = serve(header_timeout_s=0.1)
    client = raw(served.port)
    reader = rest(served, client)
    client.send(request_bytes("127.0.0.1", encode_call("ShortRefuse", ["fault"])))
    assert b"not the leader" in reader.read_response().body
    [connection] = served.server._snapshot()
    deadline = time.monotonic() + PATIENCE_S
    while connection.deadline < time.monotonic() + served.server.limits.idle_timeout_s / 2:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert not connection.is_cut


def test_stopping_ends_resting_connections(serve: Any, raw: Any) -> None:
    served = serve()
    client = raw(served.port)
    rest(served, client)
    served.server.stop()
    assert client.read_all() == b""


def test_an_answer_that_is_still_being_sent_is_not_taken_for_the_next_calls(
    served: Any, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next call may come in before the thread that sent the earlier answer has finished doing so."""
    client = raw(served.port)
    reader = rest(served, client)
    sent, go_on = threading.Event(), threading.Event()
    send_at_once = sockets.send_at_once

    def send_and_linger(opened: socket.socket, message: bytes) -> int:
        count = send_at_once(opened, message)
        if b"early" in message:
            sent.set()
            assert go_on.wait(PATIENCE_S)
        return count

    monkeypatch.setattr(sockets, "send_at_once", send_and_linger)
    client.send(short())
    assert served.short.entered.acquire(timeout=PATIENCE_S)
    answering = threading.Thread(target=served.short.calls[-1].respond, args=("early",))
    answering.start()
    assert sent.wait(PATIENCE_S)
    assert b"early" in reader.read_response().body
    client.send(short())
    threading.Timer(0.05, go_on.set).start()
    answering.join(PATIENCE_S)
    assert served.short.entered.acquire(timeout=PATIENCE_S)
    served.short.calls[-1].respond("late")
    assert b"late" in reader.read_response().body
