"""The server against clients of all kinds: the standard library's, hurried, broken and hostile ones."""

import contextlib
import socket
import threading
import time
import xmlrpc.client
from collections.abc import Callable
from typing import Any

import pytest

from glassraft.errors import ConfigError
from glassraft.rpc.client import Connection
from glassraft.rpc.codec import encode_call
from glassraft.rpc.faults import Fault
from glassraft.rpc.http import MessageReader, request_bytes
from glassraft.rpc.server import Call, Method, RpcServer

PATIENCE_S = 20.0

Connect = Callable[[int], Connection]
Serve = Callable[..., Any]


def ping_call(text: str = "x") -> bytes:
    return request_bytes("127.0.0.1", encode_call("Echo", [text]))


# --- The standard library's client ---------------------------------------------------------


def test_a_stock_client_calls_every_kind_of_method(served: Any) -> None:
    with xmlrpc.client.ServerProxy(f"http://127.0.0.1:{served.port}", use_builtin_types=True) as proxy:
        for text in ("", "plain", 'a <b> & "c" ]]>', "é€😀\t\n", "x" * 100_000):
            assert proxy.Echo(text) == text
        assert proxy.EchoStruct({"a": [1, {"b": True}]}) == {"a": [1, {"b": True}]}
        assert proxy.EchoArray([1.5, "x", b"\x00"]) == [1.5, "x", b"\x00"]
        assert proxy.EchoBytes(b"\x00\xff") == b"\x00\xff"
        assert proxy.EchoDouble(1.5) == 1.5
        assert proxy.EchoBoolean(False) is False
        assert proxy.Count(1) == 2
        assert proxy.Count(1, 10) == 11
        assert served.server.connection_count == 1


def test_a_stock_client_discovers_the_methods(served: Any) -> None:
    with xmlrpc.client.ServerProxy(f"http://127.0.0.1:{served.port}/") as proxy:
        names = proxy.system.listMethods()
        assert {"Echo", "Count", "system.listMethods", "system.methodHelp"} <= set(names)
        assert names == sorted(names)
        assert all(proxy.system.methodHelp(name) for name in names)
        assert all(proxy.system.methodSignature(name) for name in names)
        assert proxy.system.methodHelp("Count") == "Adds a step."
        assert proxy.system.methodSignature("Count") == [["int", "int"], ["int", "int", "int"]]
        with pytest.raises(xmlrpc.client.Fault) as caught:
            proxy.system.methodHelp("Nope")
        assert caught.value.faultCode == 2


def test_a_stock_client_gets_the_documented_faults(served: Any) -> None:
    with xmlrpc.client.ServerProxy(f"http://127.0.0.1:{served.port}") as proxy:
        with pytest.raises(xmlrpc.client.Fault) as caught:
            proxy.Refuse("fault")
        assert caught.value.faultCode == 3
        assert caught.value.faultString == 'n2 is not the leader\n{"leader_id": 3, "port": 7403}'
        assert proxy.Echo("still here") == "still here"


def test_a_stock_client_sends_integers_past_32_bits_as_doubles_or_strings(served: Any) -> None:
    with xmlrpc.client.ServerProxy(f"http://127.0.0.1:{served.port}") as proxy:
        assert proxy.Count(2.0**40) == 2**40 + 1
        assert proxy.Count(str(2**62)) == 2**62 + 1
        assert proxy.Count("-5") == -4


# --- Calls against their signatures --------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "params", "words"),
    [
        ("Count", [], r"Count\(int number, \[int step\]\) was called with 0 parameters"),
        ("Count", [1, 2, 3], "called with 3 parameters"),
        ("Count", [True], "parameter number must be an int .*not the boolean 'True'"),
        ("Count", [1, [2]], "parameter step must be an int .*not the array"),
        ("Count", [1.5], "parameter number must be an int"),
        ("Count", [1e300], "parameter number must be an int"),
        ("Count", ["1e3"], "parameter number must be an int"),
        ("Count", ["9223372036854775808"], "parameter number must be an int"),
        ("Count", [""], "parameter number must be an int"),
        ("Echo", [1], "parameter value must be a string, not the int '1'"),
        ("EchoStruct", [[]], "must be a struct"),
        ("EchoArray", [{}], "must be an array"),
        ("EchoBytes", ["AA=="], "must be base64"),
        ("EchoDouble", ["1.5"], "must be a double"),
        ("EchoBoolean", [1], "must be a boolean"),
        ("Gate", ["x"], "called with 1 parameters"),
        ("system.methodHelp", [], "called with 0 parameters"),
    ],
)
def test_a_wrong_parameter_is_named(
    served: Any, connect: Connect, method: str, params: list[Any], words: str
) -> None:
    with pytest.raises(Fault, match=words) as caught:
        connect(served.port).call(method, *params, timeout_s=PATIENCE_S)
    assert caught.value.name == "bad_argument"


def test_a_double_may_be_given_as_an_int(served: Any, connect: Connect) -> None:
    assert connect(served.port).call("EchoDouble", 2, timeout_s=PATIENCE_S) == 2.0


def test_an_unknown_method_is_named(served: Any, connect: Connect) -> None:
    with pytest.raises(Fault, match="no method 'Nope'") as caught:
        connect(served.port).call("Nope", timeout_s=PATIENCE_S)
    assert caught.value.name == "unknown_method"


def test_errors_become_faults_and_bugs_are_reported(served: Any, connect: Connect) -> None:
    connection = connect(served.port)
    with pytest.raises(Fault, match="count must be from 1 to 1000") as caught:
        connection.call("Refuse", "argument", timeout_s=PATIENCE_S)
    assert caught.value.name == "bad_argument"
    assert served.errors == []
    with pytest.raises(Fault, match="ZeroDivisionError: nobody foresaw this") as caught:
        connection.call("Refuse", "bug", timeout_s=PATIENCE_S)
    assert caught.value.name == "internal"
    assert [method for method, _ in served.errors] == ["Refuse"]
    assert connection.call("Echo", "still here", timeout_s=PATIENCE_S) == "still here"


def test_a_bug_that_nobody_hears_of_goes_to_standard_error(
    connect: Connect, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(call: Call) -> str:
        raise ZeroDivisionError("nobody foresaw this")

    server = RpcServer("127.0.0.1", 0, {"Broken": Method(broken, ("string",), 0, "")}, name="test")
    server.start()
    try:
        with pytest.raises(Fault, match="Broken failed: ZeroDivisionError"):
            connect(server.port).call("Broken", timeout_s=PATIENCE_S)
    finally:
        server.stop()
    said = capfd.readouterr().err
    assert "Broken failed:" in said
    assert "in broken" in said


def test_an_answer_that_cannot_travel_is_the_servers_fault(served: Any, connect: Connect) -> None:
    with pytest.raises(Fault, match="NoneType"):
        connect(served.port).call("Nothing", timeout_s=PATIENCE_S)


# --- Connections ---------------------------------------------------------------------------


def test_pipelined_requests_are_answered_in_order(served: Any, raw: Any) -> None:
    client = raw(served.port)
    client.send(b"".join(ping_call(str(i)) for i in range(50)))
    reader = MessageReader(client.socket)
    for i in range(50):
        assert f"<string>{i}</string>".encode() in reader.read_response().body


def test_a_request_in_single_bytes_is_served(served: Any, raw: Any) -> None:
    client = raw(served.port)
    for byte in ping_call():
        client.send(bytes([byte]))
    assert MessageReader(client.socket).read_response().status == 200


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"400"),
        (b"\xff" * 1000, b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"405"),
        (
            b"POST / HTTP/1.1\r\nContent-Type: text/xml\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            b"400",
        ),
        (b"POST / HTTP/1.1\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"501"),
        (b"POST / HTTP/1.1\r\n" + b"A: b\r\n" * 5000, b"431"),
        (b"POST / HTTP/1.1\r\nContent-Type: text/xml\r\nContent-Length: 99999999\r\n\r\n", b"413"),
    ],
)
def test_what_is_no_call_is_refused_and_the_connection_closed(
    served: Any, raw: Any, connect: Connect, data: bytes, status: bytes
) -> None:
    client = raw(served.port)
    client.send(data)
    client.socket.shutdown(socket.SHUT_WR)
    assert client.read_all().startswith(b"HTTP/1.1 " + status)
    assert connect(served.port).call("Echo", "others are served", timeout_s=PATIENCE_S) == "others are served"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"garbage",
        b"\xff\xfe\xfd",
        b"<methodCall>",
        b"<!DOCTYPE a [<!ENTITY b 'c'>]><methodCall><methodName>&b;</methodName></methodCall>",
        b"<methodCall><methodName>Echo</methodName>" + b"<params>" * 10_000,
        b"<a>" * 100_000,
    ],
)
def test_a_body_that_is_no_call_gets_a_fault_and_the_connection_goes_on(
    served: Any, raw: Any, body: bytes
) -> None:
    client = raw(served.port)
    client.send(request_bytes("x", body) + ping_call())
    reader = MessageReader(client.socket)
    assert b"<int>19</int>" in reader.read_response().body
    assert b"<string>x</string>" in reader.read_response().body


def test_too_large_a_body_is_refused_before_it_is_sent(serve: Serve, raw: Any) -> None:
    served = serve(max_body=1000)
    client = raw(served.port)
    client.send(b"POST / HTTP/1.1\r\nContent-Type: text/xml\r\nContent-Length: 1001\r\n\r\n")
    assert b"the body has 1001 bytes; at most 1000 are taken" in client.read_all()


def test_a_client_that_sends_too_large_a_body_reads_the_refusal(serve: Serve, connect: Connect) -> None:
    served = serve(max_body=1000)
    connection = connect(served.port)
    with pytest.raises(Fault, match="at most 1000 are taken") as caught:
        connection.call("Echo", "x" * 3_000_000, timeout_s=PATIENCE_S)
    assert caught.value.name == "too_large"
    assert connection.call("Echo", "x", timeout_s=PATIENCE_S) == "x"


@pytest.mark.parametrize("length", [1, 20, 60, 150])
def test_half_a_request_that_stalls_is_closed(serve: Serve, raw: Any, length: int) -> None:
    served = serve(header_timeout_s=0.2)
    client = raw(served.port)
    client.send(ping_call()[:length])
    began = time.monotonic()
    assert client.read_all() == b""
    assert time.monotonic() - began < PATIENCE_S / 2


def test_a_trickle_is_a_stall_too(serve: Serve, raw: Any) -> None:
    served = serve(header_timeout_s=0.2)
    client = raw(served.port)
    client.socket.settimeout(0.05)
    trickled = 0
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            client.send(
                b"POST / HTTP/1.1\r\nA: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"[trickled % 40 :][:1] or b"a"
            )
            trickled += 1
            if client.read_some() == b"":
                break
        except TimeoutError:
            continue
        except ConnectionError:
            break
    assert time.monotonic() < deadline


def test_an_idle_connection_is_closed_in_the_end(serve: Serve, raw: Any) -> None:
    served = serve(idle_timeout_s=0.2)
    client = raw(served.port)
    client.send(ping_call())
    assert client.read_some().startswith(b"HTTP/1.1 200")
    assert client.read_all() == b""


def test_a_client_that_does_not_read_its_answers_is_closed(serve: Serve, raw: Any) -> None:
    served = serve(header_timeout_s=0.2, slowest_bytes_per_s=100_000_000)
    client = raw(served.port)
    with contextlib.suppress(ConnectionError):
        for _ in range(100):
            client.send(ping_call("x" * 1_000_000))
    wait_until(lambda: served.server.connection_count == 0)


def test_a_connection_too_many_is_told_so(serve: Serve, connect: Connect, raw: Any) -> None:
    served = serve(max_connections=2, reserved_connections=0)
    first, second = connect(served.port), connect(served.port)
    assert first.call("Echo", "a", timeout_s=PATIENCE_S) == "a"
    assert second.call("Echo", "a", timeout_s=PATIENCE_S) == "a"
    refused = raw(served.port).read_all()
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b"this node serves 2 connections already" in refused
    with pytest.raises(Fault) as caught:
        connect(served.port).call("Echo", "a", timeout_s=PATIENCE_S)
    assert caught.value.name == "busy"
    first.close()
    wait_until(lambda: served.server.connection_count == 1)
    assert connect(served.port).call("Echo", "a", timeout_s=PATIENCE_S) == "a"


def test_a_vital_call_is_served_where_clients_have_all_connections(
    serve: Serve, connect: Connect, raw: Any
) -> None:
    served = serve(max_connections=1, reserved_connections=1)
    client = connect(served.port)
    assert client.call("Echo", "a", timeout_s=PATIENCE_S) == "a"
    with pytest.raises(Fault) as caught:
        connect(served.port).call("Echo", "a", timeout_s=PATIENCE_S)
    assert caught.value.name == "busy"
    wait_until(lambda: served.server.connection_count == 1)
    peer = connect(served.port)
    assert peer.call("Vital", "a", timeout_s=PATIENCE_S) == "a"
    assert raw(served.port).read_all().startswith(b"HTTP/1.1 503 ")  # the reserve is used up too
    assert peer.call("Vital", "b", timeout_s=PATIENCE_S) == "b"


def test_a_connection_of_the_reserve_that_says_nothing_is_closed(
    serve: Serve, connect: Connect, raw: Any
) -> None:
    served = serve(max_connections=1, header_timeout_s=0.2)
    client = connect(served.port)
    assert client.call("Echo", "a", timeout_s=PATIENCE_S) == "a"
    assert raw(served.port).read_all() == b""
    assert client.call("Echo", "b", timeout_s=PATIENCE_S) == "b"


def test_many_connections_at_once(served: Any, connect: Connect) -> None:
    results: list[str] = []

    def caller(number: int) -> None:
        connection = connect(served.port)
        results.extend(connection.call("Echo", f"{number}", timeout_s=PATIENCE_S) for _ in range(20))

    threads = [threading.Thread(target=caller, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert sorted(results) == sorted(str(number) for number in range(16) for _ in range(20))


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


# --- Calls that wait -----------------------------------------------------------------------


def test_a_method_sees_that_its_caller_is_gone(served: Any, raw: Any) -> None:
    client = raw(served.port)
    client.send(request_bytes("x", encode_call("Gate", [])))
    assert served.gate.entered.acquire(timeout=PATIENCE_S)
    [call] = served.gate.calls
    assert call.connection_alive()
    assert call.peer == f"127.0.0.1:{client.socket.getsockname()[1]}"
    client.socket.close()
    wait_until(lambda: not call.connection_alive())


def test_a_pipelining_caller_counts_as_alive(served: Any, raw: Any) -> None:
    client = raw(served.port)
    client.send(request_bytes("x", encode_call("Gate", [])) + ping_call())
    assert served.gate.entered.acquire(timeout=PATIENCE_S)
    assert served.gate.calls[0].connection_alive()


def test_an_answer_can_be_given_before_the_method_returns(served: Any, raw: Any) -> None:
    client = raw(served.port)
    client.send(request_bytes("x", encode_call("Gate", [])) + ping_call("next"))
    assert served.gate.entered.acquire(timeout=PATIENCE_S)
    [call] = served.gate.calls
    reader = MessageReader(client.socket)
    call.respond("early")
    call.respond("twice")
    assert b"early" in reader.read_response().body
    served.gate.opened.set()
    assert b"next" in reader.read_response().body
    call.respond("late")
    client.send(ping_call("last"))
    assert b"last" in reader.read_response().body


def test_an_early_answer_never_blocks_and_is_sent_whole(served: Any, raw: Any) -> None:
    """What the socket does not take at once is sent by the connection's own thread."""
    client = raw(served.port)
    client.send(request_bytes("x", encode_call("Gate", [])) + ping_call("next"))
    assert served.gate.entered.acquire(timeout=PATIENCE_S)
    large = "x" * 20_000_000
    served.gate.calls[0].respond(large)
    served.gate.opened.set()
    reader = MessageReader(client.socket, max_body=30_000_000)
    assert len(reader.read_response().body) > len(large)
    assert b"next" in reader.read_response().body


def later_call(*headers: str) -> bytes:
    body = encode_call("Later", [])
    head = ["POST /RPC2 HTTP/1.1", "Content-Type: text/xml", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(head).encode() + body


def test_an_answer_can_come_after_the_method_has_returned(served: Any, raw: Any) -> None:
    client = raw(served.port)
    client.send(later_call() + ping_call("next"))
    assert served.postponed.entered.acquire(timeout=PATIENCE_S)
    [call] = served.postponed.calls
    assert call.connection_alive()
    call.respond("late")
    call.respond("twice")
    reader = MessageReader(client.socket)
    assert b"late" in reader.read_response().body
    assert b"next" in reader.read_response().body


def test_a_later_answer_can_be_a_fault(served: Any, raw: Any) -> None:
    client = raw(served.port)
    for value, code in ((Fault.named("not_leader", "ask another"), 3), ({1: 2}, 15)):
        client.send(later_call())
        assert served.postponed.entered.acquire(timeout=PATIENCE_S)
        served.postponed.calls[-1].respond(value)
        assert f"<int>{code}</int>".encode() in MessageReader(client.socket).read_response().body


@pytest.mark.parametrize("waits", [False, True])
def test_a_later_answer_comes_before_the_connections_end(serve: Serve, raw: Any, waits: bool) -> None:
    """The client wants the connection closed; it is, after the answer that it waits for."""
    served = serve(idle_timeout_s=0.2)
    client = raw(served.port)
    client.send(later_call("Connection: close"))
    assert served.postponed.entered.acquire(timeout=PATIENCE_S)
    if waits:
        time.sleep(0.6)  # beyond every deadline of a connection that is not in a call
    served.postponed.calls[0].respond("late")
    assert b"<string>late</string>" in client.read_all()


def test_a_caller_that_leaves_before_its_later_answer(served: Any, raw: Any) -> None:
    client = raw(served.port)
    client.send(later_call())
    assert served.postponed.entered.acquire(timeout=PATIENCE_S)
    client.socket.close()
    wait_until(lambda: served.server.connection_count == 0)
    assert not served.postponed.calls[0].connection_alive()
    served.postponed.calls[0].respond("to nobody")


def test_stop_lets_a_later_answer_out(serve: Serve, raw: Any) -> None:
    served = serve()
    client = raw(served.port)
    client.send(later_call())
    assert served.postponed.entered.acquire(timeout=PATIENCE_S)
    stopper = threading.Thread(target=served.server.stop, args=(PATIENCE_S,))
    stopper.start()
    wait_until(lambda: served.server.stopping)
    served.postponed.calls[0].respond("at last")
    assert b"at last" in client.read_all()
    stopper.join(PATIENCE_S)


@pytest.mark.parametrize("ending", [(), ("Connection: close",)])
def test_stop_does_not_wait_for_ever_for_a_later_answer(
    serve: Serve, raw: Any, ending: tuple[str, ...]
) -> None:
    served = serve()
    client = raw(served.port)
    client.send(later_call(*ending))
    assert served.postponed.entered.acquire(timeout=PATIENCE_S)
    served.server.stop(grace_s=0.1)
    assert client.read_all() == b""


# --- Start and stop ------------------------------------------------------------------------


def test_stop_answers_the_call_under_way(serve: Serve, raw: Any) -> None:
    served = serve()
    client = raw(served.port)
    client.send(request_bytes("x", encode_call("Gate", [])))
    assert served.gate.entered.acquire(timeout=PATIENCE_S)
    stopper = threading.Thread(target=served.server.stop, args=(PATIENCE_S,))
    stopper.start()
    wait_until(lambda: served.server.stopping)
    served.gate.opened.set()
    response = MessageReader(client.socket).read_response()
    assert b"opened" in response.body
    assert not response.keep_alive
    assert client.read_all() == b""
    stopper.join(PATIENCE_S)


def test_stop_ends_idle_connections_and_frees_the_port(serve: Serve, connect: Connect, raw: Any) -> None:
    served = serve()
    assert connect(served.port).call("Echo", "x", timeout_s=PATIENCE_S) == "x"
    client = raw(served.port)
    client.send(ping_call())
    assert client.read_some().startswith(b"HTTP/1.1 200")
    began = time.monotonic()
    served.server.stop(PATIENCE_S)
    assert time.monotonic() - began < PATIENCE_S / 2
    assert client.read_all() == b""
    again = RpcServer("127.0.0.1", served.port, {})
    again.stop()


def test_stop_without_start(serve: Serve) -> None:
    server = RpcServer("127.0.0.1", 0, {})
    server.stop()


def test_stop_twice(serve: Serve) -> None:
    served = serve()
    served.server.stop()
    served.server.stop()


def test_a_port_in_use_is_named() -> None:
    first = RpcServer("127.0.0.1", 0, {})
    try:
        with pytest.raises(ConfigError, match=f"port {first.port} on 127.0.0.1 is in use"):
            RpcServer("127.0.0.1", first.port, {})
    finally:
        first.stop()


@pytest.mark.parametrize(
    ("host", "port", "words"),
    [
        ("192.0.2.1", 0, "192.0.2.1 is not an address of this machine"),
        ("no-such-host.invalid", 0, "no-such-host.invalid is not an address"),
        ("127.0.0.1", 65536, "65536 is not a port"),
    ],
)
def test_an_address_that_cannot_be_had_is_named(host: str, port: int, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        RpcServer(host, port, {})


def test_a_wrong_signature_is_found_at_once() -> None:
    def method(call: Call, a: str) -> str:
        return a

    with pytest.raises(KeyError):
        RpcServer("127.0.0.1", 0, {"A": Method(method, ("string", "text"), 1, "")})
