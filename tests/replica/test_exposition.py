"""Prometheus's text format: what `promtool check metrics` would say of a page, and of a node's."""

import math
import re
import urllib.error
import urllib.request
from collections.abc import Iterable

import pytest

from glassraft.jobqueue.client import JobQueue
from glassraft.replica.exposition import Metric, by_label, exposition, histogram, metric
from glassraft.replica.tallies import Histogram
from tests.conftest import MakeCluster
from tests.live import eventually

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
PAIR = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
SUFFIXES = {"gauge": ("",), "counter": ("",), "histogram": ("_bucket", "_sum", "_count")}

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def checked(page: str) -> Samples:
    """A page's samples, after every check that promtool makes of the format, and of names of counters."""
    assert page.endswith("\n")
    samples: Samples = {}
    kinds: dict[str, str] = {}
    helped: list[str] = []
    for line in page.splitlines():
        if line.startswith("# HELP "):
            name, _, text = line.removeprefix("# HELP ").partition(" ")
            assert NAME.fullmatch(name)
            assert text
            assert name not in helped
            helped.append(name)
        elif line.startswith("# TYPE "):
            name, kind = line.removeprefix("# TYPE ").split(" ")
            assert name == helped[-1]
            assert name not in kinds
            assert (kind == "counter") == name.endswith("_total")
            kinds[name] = kind
        else:
            name, labels, value = sample(line)
            family = helped[-1]
            assert name in {family + suffix for suffix in SUFFIXES[kinds[family]]}
            assert (name, labels) not in samples
            samples[name, labels] = value
    for family in (name for name, kind in kinds.items() if kind == "histogram"):
        check_histogram(family, samples)
    return samples


def sample(line: str) -> tuple[str, tuple[tuple[str, str], ...], float]:
    found = SAMPLE.fullmatch(line)
    assert found, line
    labels = found[2] or ""
    pairs = PAIR.findall(labels)
    assert PAIR.sub("", labels) == ""
    assert len({name for name, _ in pairs}) == len(pairs)
    return found[1], tuple(sorted(pairs)), float(found[3])


def check_histogram(family: str, samples: Samples) -> None:
    buckets = [
        (math.inf if dict(labels)["le"] == "+Inf" else float(dict(labels)["le"]), value)
        for (name, labels), value in samples.items()
        if name == f"{family}_bucket"
    ]
    assert buckets == sorted(buckets)
    assert [value for _, value in buckets] == sorted(value for _, value in buckets)
    assert buckets[-1] == (math.inf, samples[f"{family}_count", ()])
    assert samples[f"{family}_sum", ()] >= 0


def test_every_character_is_escaped() -> None:
    name = 'a"b\\c\nd é'
    page = exposition([by_label("m", "gauge", "Help with \\ and\nlines.", "queue", {name: 0.25})])
    assert page == (
        "# HELP m Help with \\\\ and\\nlines.\n# TYPE m gauge\n" + 'm{queue="a\\"b\\\\c\\nd é"} 0.25\n'
    )
    assert list(checked(page).values()) == [0.25]


def test_buckets_are_cumulative_and_bounds_belong_to_them() -> None:
    values = Histogram((0.5, 1.0))
    for value in (0.1, 0.5, 0.75, 9.0):
        values.add(value)
    found = checked(exposition([histogram("took_seconds", "Time.", values)]))
    assert [value for (name, _), value in found.items() if name.endswith("_bucket")] == [2, 3, 4]
    assert found["took_seconds_sum", ()] == 10.35


def test_large_whole_numbers_are_whole_and_what_has_no_sample_is_left_out() -> None:
    page = exposition([metric("i", "gauge", "Index.", 2**53), Metric("none", "gauge", "Nothing.", [])])
    assert page == f"# HELP i Index.\n# TYPE i gauge\ni {2**53}\n"


@pytest.mark.parametrize(
    "page",
    [
        "m 1\n# TYPE m gauge\n",
        "# HELP m M.\n# TYPE m gauge\nm 1\nm 1\n",
        '# HELP m M.\n# TYPE m gauge\nm{a="x"y"} 1\n',
        "# HELP m M.\n# TYPE m counter\nm 1\n",
        '# HELP m M.\n# TYPE m histogram\nm_bucket{le="1"} 2\nm_bucket{le="+Inf"} 1\nm_sum 0\nm_count 1\n',
    ],
)
def test_the_check_finds_what_is_wrong(page: str) -> None:
    with pytest.raises((AssertionError, IndexError)):
        checked(page)


def get(port: int, path: str) -> tuple[int, str, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read().decode()


def valued(samples: Samples, name: str) -> Iterable[float]:
    return [value for (each, _), value in samples.items() if each == name]


def test_a_real_cluster_shows_how_it_is(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(3)
    ports = [node.port for node in cluster.config.nodes]
    with JobQueue(cluster.config.path) as queue:
        queue.submit("t", queue='odd "name"')
        queue.set_queue("q", paused=True)
    eventually(lambda: all('"ready"' in get(port, "/metrics")[2] for port in ports))  # its file is read
    pages = [get(port, "/metrics") for port in ports]
    assert {(status, kind) for status, kind, _ in pages} == {
        (200, "text/plain; version=0.0.4; charset=utf-8")
    }
    nodes = [checked(page) for _, _, page in pages]
    leaders = [node for node in nodes if node["glassraft_role", (("role", "leader"),)]]
    assert len(leaders) == 1
    [leader] = leaders
    labels = (("queue", 'odd \\"name\\"'), ("state", "ready"))
    assert leader["glassraft_jobs", labels] == 1
    assert leader["glassraft_queue_paused", (("queue", "q"),)] == 1
    assert leader["glassraft_jobs_submitted_total", labels[:1]] == 1
    assert leader["glassraft_commit_index", ()] == leader["glassraft_applied_index", ()] > 2
    assert len(list(valued(leader, "glassraft_peer_match_index"))) == 2
    assert leader["glassraft_save_duration_seconds_count", ()] > 0
    for node in nodes:
        assert node["glassraft_turns_total", ()] > 0
        assert sum(valued(node, "glassraft_messages_sent_total")) > 0
        assert abs(node["glassraft_clock_ahead_seconds", ()]) < 5
    for port in ports:
        assert get(port, "/healthz")[::2] == (200, "ok\n")
        assert get(port, "/readyz?verbose")[::2] == (200, "ready\n")
        assert get(port, "/nothing")[0] == 404
        assert get(port, "/RPC2")[0] == 405


def test_a_node_without_a_leader_is_well_but_not_ready(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(3)
    leader = cluster.leader().id
    others = [node for node in cluster.config.nodes if node.id != leader]
    cluster.kill(leader)
    cluster.kill(others[0].id)
    port = others[1].port
    eventually(lambda: get(port, "/readyz")[::2] == (503, "no leader is known\n"))
    assert get(port, "/healthz")[::2] == (200, "ok\n")
    cluster.restart(leader)
    eventually(lambda: get(port, "/readyz")[0] == 200)
