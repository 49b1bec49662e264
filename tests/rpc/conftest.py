"""What the tests of the wire share: servers that leave nothing behind, and clients that speak raw bytes."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from glassraft.errors import BadArgument
from glassraft.rpc.client import Connection
from glassraft.rpc.faults import Fault
from glassraft.rpc.methods import LATER
from glassraft.rpc.server import Call, Method, RpcServer, ServerLimits

PATIENCE_S = 20.0
"""How long a test waits for what surely comes, on a machine that is busy with other things."""


class Gate:
    """A method that waits until the test opens it, and what it was asked meanwhile."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.opened = threading.Event()
        self.calls: list[Call] = []

    def __call__(self, call: Call) -> str:
        self.calls.append(call)
        self.entered.release()
        assert self.opened.wait(PATIENCE_S)
        return "opened"


def echo(call: Call, value: Any) -> Any:
    """Give a string back."""
    return value


def count(call: Call, number: int, step: int = 1) -> int:
    return number + step


class Postponed:
    """A method whose answers come later, from the test."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.calls: list[Call] = []
        self.threads: list[str] = []

    def __call__(self, call: Call) -> Any:
        self.calls.append(call)
        self.threads.append(threading.current_thread().name)
        self.entered.release()
        return LATER


def refuse(call: Call, kind: str) -> str:
    if kind == "fault":
        raise Fault.named("not_leader", "n2 is not the leader", {"leader_id": 3, "port": 7403})
    if kind == "argument":
        raise BadArgument("count must be from 1 to 1000, not 0")
    raise ZeroDivisionError("nobody foresaw this")


class Served:
    """A running server with the methods above."""

    def __init__(self, limits: ServerLimits) -> None:
        self.gate = Gate()
        self.postponed = Postponed()
        self.short = Postponed()
        self.gathered: list[int] = []
        self.errors: list[tuple[str, Exception]] = []
        self.server = RpcServer(
            "127.0.0.1",
            0,
            {
                "Echo": Method(echo, ("string", "string"), 1, "Gives a string back."),
                "EchoStruct": Method(echo, ("struct", "struct"), 1, "Gives a struct back."),
                "EchoArray": Method(echo, ("array", "array"), 1, "Gives an array back."),
                "EchoBytes": Method(echo, ("base64", "base64"), 1, "Gives bytes back."),
                "EchoDouble": Method(echo, ("double", "double"), 1, "Gives a double back."),
                "EchoBoolean": Method(echo, ("boolean", "boolean"), 1, "Gives a boolean back."),
                "Count": Method(count, ("int", "int", "int"), 1, "Adds a step."),
                "Refuse": Method(refuse, ("string", "string"), 1, "Refuses in the way asked for."),
                "Gate": Method(self.gate, ("string",), 0, "Waits for the test."),
                "Later": Method(self.postponed, ("string",), 0, "Is answered by the test."),
                "Short": Method(
                    self.short, ("string",), 0, "Is answered by the test, and is short.", short=True
                ),
                "ShortEcho": Method(echo, ("string", "string"), 1, "Gives a string back.", short=True),
                "ShortRefuse": Method(refuse, ("string", "string"), 1, "Refuses at once.", short=True),
                "Vital": Method(echo, ("string", "string"), 1, "Gives a string back.", vital=True),
                "Nothing": Method(lambda call: None, ("string",), 0, "Returns what cannot travel."),
            },
            limits=limits,
            name="test",
            on_error=lambda method, error: self.errors.append((method, error)),
            gathering=self.gather,
        )
        self.port = self.server.port
        self.server.start()

    @contextmanager
    def gather(self) -> Iterator[None]:
        """Notes how many short calls came in together."""
        before = len(self.short.calls)
        yield
        self.gathered.append(len(self.short.calls) - before)


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Start servers with given limits; at the end they are stopped, and no thread of theirs is left."""
    started: list[Served] = []

    def start(**limits: Any) -> Served:
        started.append(Served(ServerLimits(**limits)))
        return started[-1]

    yield start
    for served in started:
        served.gate.opened.set()
        served.server.stop(grace_s=5.0)
    assert [thread for thread in threading.enumerate() if thread.name.startswith("test-")] == []


@pytest.fixture
def served(serve: Callable[..., Served]) -> Served:
    """One server with the usual limits."""
    return serve()


@pytest.fixture
def connect() -> Iterator[Callable[[int], Connection]]:
    """Open our own client's connections; closed at the end."""
    opened: list[Connection] = []

    def open_to(port: int) -> Connection:
        opened.append(Connection("127.0.0.1", port, connect_timeout_s=PATIENCE_S))
        return opened[-1]

    yield open_to
    for connection in opened:
        connection.close()


class Raw:
    """A client that sends whatever bytes a test wants, and reads until the server closes."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read_some(self) -> bytes:
        return self.socket.recv(65536)

    def read_all(self) -> bytes:
        data = b""
        while piece := self.socket.recv(65536):
            data += piece
        return data


@pytest.fixture
def raw() -> Iterator[Callable[[int], Raw]]:
    """Open raw connections; closed at the end."""
    opened: list[Raw] = []

    def open_to(port: int) -> Raw:
        opened.append(Raw(port))
        return opened[-1]

    yield open_to
    for client in opened:
        client.socket.close()
