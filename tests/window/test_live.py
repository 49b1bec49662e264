"""The live source on real nodes: killed, paused and running ones are told apart, and the fold is theirs."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from glassraft.rpc.leader import LeaderCalls
from glassraft.supervisor import Supervisor, ask_state
from glassraft.supervisor.membership import make_leader, remove_server
from glassraft.window.model import Model
from glassraft.window.poller import LiveSource
from tests.conftest import MakeCluster


@pytest.fixture
def sources() -> Iterator[list[LiveSource]]:
    """Sources that end with the test."""
    opened: list[LiveSource] = []
    yield opened
    for source in opened:
        source.stop()


def watch(model: Model, source: LiveSource, until: Callable[[], bool]) -> None:
    """Go on as a window would, until something has come about."""
    deadline = time.monotonic() + 20
    while not until():
        assert time.monotonic() < deadline, {id: model.state(id) for id in model.ids}
        model.put(source.take())
        model.advance(time.time())
        time.sleep(0.01)


def test_a_real_cluster_is_watched_through_a_kill_and_a_pause(
    make_cluster: MakeCluster, sources: list[LiveSource]
) -> None:
    cluster = make_cluster(3)
    source, model = LiveSource(cluster.config.nodes), Model([1, 2, 3])
    sources.append(source)
    source.start()
    watch(model, source, lambda: model.leader is not None and all(map(model.runs, model.ids)))
    first = model.leader
    assert first is not None
    cluster.supervisor.kill(first.id)
    watch(model, source, lambda: model.state(first.id) == "killed")
    watch(model, source, lambda: model.leader is not None)
    second = model.leader
    assert second is not None
    assert second.id != first.id
    assert model.lanes[first.id].open is None
    cluster.supervisor.restart(first.id)
    watch(
        model, source, lambda: model.runs(first.id) and model.node(first.id).last_index >= second.last_index
    )
    told = [sentence.text for sentence in model.sentences if sentence.node == first.id]
    assert "was killed; its log stays on disk" in told
    assert any(text.startswith("comes up again as process ") for text in told)
    if sys.platform != "win32":
        pause_and_resume(model, source, cluster.supervisor, first.id)
    state = ask_state(cluster.config, first.id)
    watch(model, source, lambda: model.node(first.id).term >= state["term"])
    assert model.node(first.id).pid == state["pid"]


def test_who_joined_elsewhere_is_watched_and_who_is_removed_is_marked(
    make_cluster: MakeCluster, sources: list[LiveSource]
) -> None:
    """The window's configuration lists two of three members: the nodes tell of the third."""
    cluster = make_cluster(3)
    source, model = LiveSource(cluster.config.nodes[:2]), Model([1, 2])
    sources.append(source)
    source.start()
    watch(model, source, lambda: model.ids == (1, 2, 3) and model.runs(3))
    with closing(LeaderCalls(list(cluster.config.addresses().values()))) as calls:
        make_leader(calls, 1)
        watch(model, source, lambda: model.leader is not None and model.leader.id == 1)
        remove_server(calls, 3, timeout_s=20)
    watch(model, source, lambda: model.state(3) == "outside")


def pause_and_resume(model: Model, source: LiveSource, supervisor: Supervisor, id: int) -> None:
    """A paused node is silent, which is not the same as gone; its lane says from when to when."""
    supervisor.pause(id)
    watch(model, source, lambda: model.state(id) == "paused")
    supervisor.resume(id)
    watch(model, source, lambda: model.runs(id))
    assert any(span.paused for span in model.lanes[id].spans)
