"""Python's own xmlrpc.client, as any program in any language might call: every method that a node serves."""

import json
import secrets
import xmlrpc.client
from typing import Any

import pytest

from glassraft.rpc.faults import Fault
from tests.conftest import MakeCluster
from tests.live import Cluster

SYSTEM = {"system.listMethods", "system.methodHelp", "system.methodSignature"}
LEASE_MS = 30_000


class Stock:
    """A ServerProxy to the leader that remembers which methods were called."""

    def __init__(self, cluster: Cluster) -> None:
        self.leader = cluster.leader()
        self.called: set[str] = set()
        self._proxy = xmlrpc.client.ServerProxy(f"http://{cluster.config.node(self.leader.id)}/RPC2")
        self.session = secrets.token_hex(16)
        self.number = 0

    def __enter__(self) -> "Stock":
        return self

    def __exit__(self, *_: object) -> None:
        self._proxy("close")()

    def call(self, method: str, *params: Any) -> Any:
        self.called.add(method)
        return getattr(self._proxy, method)(*params)

    def numbered(self, method: str, *params: Any) -> Any:
        """A call under the session."""
        self.number += 1
        return self.call(method, self.session, self.number, self.number, *params)

    def take(self, count: int) -> list[tuple[str, int]]:
        """(id, token) of so many leased jobs."""
        answer = self.numbered("Take", "w1", '["default"]', count, LEASE_MS, 1000)
        return [(job["id"], job["token"]) for job in json.loads(answer["jobs"])]


def test_every_method_can_be_called(make_cluster: MakeCluster) -> None:
    with Stock(make_cluster(3)) as stock:
        the_queue(stock)
        schedules(stock)
        for_watchers(stock)
        as_a_peer(stock)
        as_an_operator(stock)
        for_administrators(stock)
        for method in stock.call("system.listMethods"):
            assert stock.call("system.methodHelp", method)
            assert stock.call("system.methodSignature", method)
        assert set(stock.call("system.listMethods")) == stock.called


def schedules(stock: Stock) -> None:
    wanted = json.dumps({"cron": "0 3 * * *", "zone": "Europe/Berlin", "job": {"task": "t", "queue": "q"}})
    assert json.loads(stock.numbered("SetSchedule", "nightly", wanted)["schedule"])["due_ms"]
    assert stock.numbered("RunSchedule", "nightly")["event"] == "fired"
    assert [each["name"] for each in json.loads(stock.call("ListSchedules", "", False)["schedules"])] == [
        "nightly"
    ]
    assert (
        json.loads(stock.call("GetSchedule", "nightly", False)["schedule"])["history"][0]["event"] == "fired"
    )
    assert stock.numbered("DropSchedule", "nightly") == {}


def the_queue(stock: Stock) -> None:
    first = stock.numbered("Submit", '{"task": "primes", "args": [1, 10]}')["job"]
    many = json.loads(stock.numbered("SubmitMany", '[{"task": "a"}, {"task": "b"}, {"task": "c"}]')["jobs"])
    leased = stock.take(4)
    assert [job for job, _ in leased] == [first, *many]
    items = json.dumps([[job, token, 0.5, "half"] for job, token in leased])
    assert all(item["ok"] for item in json.loads(stock.call("Extend", "w1", LEASE_MS, items)["jobs"]))
    assert stock.call("Complete", *leased[0], "[2, 3, 5, 7]")["state"] == "succeeded"
    stock.call("CompleteMany", json.dumps([[*leased[1], None]]))
    assert stock.call("Fail", *leased[2], "it broke", "", False)["state"] == "dead"
    assert stock.call("Release", *leased[3], 0)["state"] == "ready"
    assert json.loads(stock.call("Get", first, False)["job"])["state"] == "succeeded"
    assert len(json.loads(stock.call("List", "{}", False)["jobs"])) == 4
    assert json.loads(stock.call("Stats", False)["stats"])
    done = json.loads(stock.call("Wait", json.dumps([first, many[2]]), 1000)["jobs"])
    assert [job["id"] for job in done] == [first]
    for method, state in (("Cancel", "cancelled"), ("Retry", "ready"), ("Cancel", "cancelled")):
        [answer] = json.loads(stock.numbered(method, json.dumps([leased[3][0]]))["jobs"])
        assert answer["state"] == state
    assert stock.numbered("SetQueue", "q", '{"max_running": 3}')["settings"]
    changes = json.dumps([{"job": many[2], "priority": 1}])
    assert not json.loads(stock.numbered("Update", changes)["jobs"])[0]["ok"]
    assert json.loads(stock.numbered("Purge", json.dumps([leased[2][0]]))["jobs"])[0]["ok"]


def for_watchers(stock: Stock) -> None:
    assert stock.call("Ping")["id"] == stock.leader.id
    assert stock.call("State", 0)["role"] == "leader"
    events = stock.call("Events", 0)
    assert json.loads(events["events"])
    assert events["next"] > 0


def as_an_operator(stock: Stock) -> None:
    """Changes that are refused, so that they change nothing."""
    for method, params, refused in (
        ("AddServer", (stock.leader.id, "127.0.0.1", 1), "already_member"),
        ("RemoveServer", (9,), "not_member"),
    ):
        with pytest.raises(xmlrpc.client.Fault) as caught:
            stock.call(method, *params)
        assert caught.value.faultCode == Fault.named(refused, "").code


def as_a_peer(stock: Stock) -> None:
    """Messages of term 0 are stale everywhere, so they change nothing."""
    state = stock.call("State", 0)
    sender = stock.leader.id % 3 + 1
    context = {"id": f"n{sender}-1", "clock": 1, "wallMs": 1, "sender": sender, "round": 1}
    context["cluster"] = state["cluster"]
    assert stock.call("RequestVote", 0, sender, 0, 0, context)["voteGranted"] is False
    assert stock.call("AppendEntries", 0, sender, 0, 0, "[]", 0, context)["success"] is False
    configuration = '{"learners":[],"voters":[1,2,3]}'
    whole = {
        "snapshot": "s",
        "size": 1,
        "sha256": "0" * 64,
        "configuration": configuration,
        "configurationIndex": 0,
    }
    chunk = (0, sender, 1, 1, 0, xmlrpc.client.Binary(b"x"), True, context | whole)
    assert stock.call("InstallSnapshot", *chunk)["installed"] is False
    assert stock.call("TimeoutNow", 0, sender, context)["term"] == state["term"]
    assert stock.call("State", 0)["role"] == "leader"


def for_administrators(stock: Stock) -> None:
    target = stock.leader.id % 3 + 1
    answer = stock.call("TransferLeadership", target)
    assert answer["leader_id"] == target
    assert answer["term"] > stock.leader.term


@pytest.mark.parametrize(
    ("method", "params", "fault"),
    [
        ("Nonsense", (), "unknown_method"),
        ("Get", ("no id", False), "bad_argument"),
        ("Submit", ("", 1, 1, '{"task": 5}'), "bad_argument"),
        ("Submit", ("", 1), "bad_argument"),
        ("Ping", ("too", "many"), "bad_argument"),
    ],
)
def test_what_is_wrong_is_a_fault_with_its_code(
    make_cluster: MakeCluster, method: str, params: tuple[Any, ...], fault: str
) -> None:
    with Stock(make_cluster(1)) as stock:
        with pytest.raises(xmlrpc.client.Fault) as caught:
            stock.call(method, *params)
        assert caught.value.faultCode == Fault.named(fault, "").code
        assert stock.call("Ping")["id"] == 1
