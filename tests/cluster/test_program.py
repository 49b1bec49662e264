"""cluster.py, headless: it starts, says what happens in one line each, and leaves nothing behind."""

import os
import signal
import sys
from pathlib import Path

import pytest

from glassraft import events
from glassraft.jobqueue.client import JobQueue
from tests.cluster.conftest import MakeConfig, MakeProgram
from tests.cluster.program import children, is_running, pause
from tests.conftest import MakeCluster
from tests.live import Cluster, eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")

ELECTED_S = 3.0


def test_five_nodes_elect_a_leader(make_config: MakeConfig, run_cluster: MakeProgram) -> None:
    """With the timings of config.json as it comes."""
    config = make_config(5, heartbeat_ms=100, election_timeout_ms=(600, 1200))
    program = run_cluster(config, "--no-worker")
    program.line(r"^n5 serves 127.0.0.1:\d+$")
    program.line(r"^n\d leads in term 1\.", timeout_s=ELECTED_S)
    assert len(program.descendants()) == 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_every_node_cleanly(
    make_config: MakeConfig, run_cluster: MakeProgram, number: signal.Signals
) -> None:
    config = make_config(3)
    program = run_cluster(config, "--no-worker")
    program.leader()
    nodes = program.descendants()
    assert len(nodes) == 3
    program.signal(number)
    assert program.end() == 0
    assert not any(is_running(pid) for pid in nodes)
    for node_id in config.members():
        assert list(events.read_node(config.folders.logs, node_id))[-1]["event"] == "stop"


def test_a_second_signal_stops_at_once(make_config: MakeConfig, run_cluster: MakeProgram) -> None:
    program = run_cluster(make_config(3), "--no-worker")
    program.leader()
    nodes = program.descendants()
    program.signal(signal.SIGINT)
    program.signal(signal.SIGINT)
    assert program.end() == 0
    assert not any(is_running(pid) for pid in nodes)


def test_killed_with_9_it_leaves_no_orphan_even_of_a_paused_node(
    make_config: MakeConfig, run_cluster: MakeProgram
) -> None:
    """Nor of the worker, while a job runs."""
    config = make_config(3)
    program = run_cluster(config)
    leader = program.leader()
    with JobQueue(config.path) as queue:
        job = queue.submit("nap", 60)
        eventually(lambda: queue.get(job)["state"] == "running")
    started = program.descendants()
    assert len(started) >= 5
    pause(children(program.process.pid)[leader - 1])
    program.signal(signal.SIGKILL)
    program.end()
    eventually(lambda: not any(is_running(pid) for pid in started))


def test_the_worker_runs_jobs_and_comes_back_when_it_is_killed(
    make_config: MakeConfig, run_cluster: MakeProgram
) -> None:
    config = make_config(3)
    program = run_cluster(config)
    program.leader()
    with JobQueue(config.path) as queue:
        assert queue.result(queue.submit("primes", 1, 200_000), 30) == 17_984
        os.kill(program.worker(), signal.SIGKILL)
        program.line(r"^worker ended: killed by signal 9 \(SIGKILL\)")
        program.line(r"It is started again in 0\.5 s")
        assert queue.result(queue.submit("primes", 1, 10), 30) == 4
    started = program.descendants()
    program.signal(signal.SIGTERM)
    assert program.end() == 0
    assert not any(is_running(pid) for pid in started)


def test_a_node_killed_from_elsewhere_is_told_and_not_restarted(
    make_config: MakeConfig, run_cluster: MakeProgram
) -> None:
    program = run_cluster(make_config(3), "--no-worker")
    leader = program.leader()
    killed = program.descendants()[leader - 1]
    os.kill(killed, signal.SIGKILL)
    program.line(rf"^n{leader} ended: killed by signal 9 \(SIGKILL\)")
    program.line(rf"not started again by itself.*node\.py --id {leader}")
    assert program.leader() != leader
    assert len(program.descendants()) == 2


def test_with_too_few_nodes_it_says_that_there_is_no_quorum(
    make_config: MakeConfig, run_cluster: MakeProgram
) -> None:
    program = run_cluster(make_config(3), "--no-worker")
    program.leader()
    for pid in program.descendants()[:2]:
        os.kill(pid, signal.SIGKILL)
    program.line(r"^No quorum: 1 of 3 nodes answer, 2 are needed")


def test_a_second_cluster_on_the_same_ports_is_refused_in_one_line(
    make_config: MakeConfig, run_cluster: MakeProgram
) -> None:
    config = make_config(3)
    first = run_cluster(config, "--no-worker")
    first.leader()
    second = run_cluster(config, "--fresh")
    assert second.end() == 2
    ports = ", ".join(str(node.port) for node in config.nodes)
    assert second.lines == [
        f"cluster: ports {ports} are in use: is another cluster running here? "
        "Stop it, or change the ports in config.json"
    ]
    assert len(first.descendants()) == 3


def test_fresh_does_not_take_the_files_of_a_running_cluster(
    make_config: MakeConfig, make_cluster: MakeCluster, run_cluster: MakeProgram
) -> None:
    running: Cluster = make_cluster(1)
    config = make_config(1, folders={"data": str(running.config.folders.data)})
    program = run_cluster(config, "--fresh")
    assert program.end() == 2
    assert "in use by another process" in program.lines[0]
    assert running.config.raft_file(1).exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{nodes: 3}", "not JSON at line 1, column 2"),
        ('{"nodes": []}', "nodes is empty"),
        ('{"nodes": [{"id": 1, "host": "127.0.0.1", "port": 1}], "x": 1}', 'unknown key "x"'),
    ],
)
def test_a_broken_config_is_refused_in_one_line(
    make_config: MakeConfig, run_cluster: MakeProgram, text: str, said: str
) -> None:
    config = make_config(3)
    config.path.write_text(text, encoding="utf-8")
    program = run_cluster(config)
    assert program.end() == 2
    assert len(program.lines) == 1
    assert said in program.lines[0]


def test_a_folder_that_cannot_be_written_is_refused_in_one_line(
    make_config: MakeConfig, run_cluster: MakeProgram, tmp_path: Path
) -> None:
    (tmp_path / "in-the-way").touch()
    program = run_cluster(make_config(3, folders={"data": "in-the-way"}))
    assert program.end() == 2
    assert len(program.lines) == 1
    assert "cannot write in the folder" in program.lines[0]


def test_another_machines_address_is_refused_with_what_to_do(
    make_config: MakeConfig, run_cluster: MakeProgram
) -> None:
    config = make_config(1)
    config.path.write_text(config.to_json().replace("127.0.0.1", "192.0.2.1"), encoding="utf-8")
    program = run_cluster(config)
    assert program.end() == 2
    assert "run on each: python node.py --id N" in program.lines[-1]


def test_an_even_number_of_nodes_is_warned_about(make_config: MakeConfig, run_cluster: MakeProgram) -> None:
    program = run_cluster(make_config(3), "--nodes", "2", "--no-worker")
    program.line("^Warning: 2 nodes tolerate no more failures than 1")
    program.leader()


def test_data_of_five_is_refused_to_three_and_goes_on_with_five(
    make_config: MakeConfig, run_cluster: MakeProgram
) -> None:
    config = make_config(5)
    first = run_cluster(config, "--no-worker")
    first.leader()
    first.signal(signal.SIGINT)
    assert first.end() == 0
    second = run_cluster(config, "--nodes", "3")
    assert second.end() == 2
    assert len(second.lines) == 1
    assert "holds the data of 5 nodes" in second.lines[0]
    assert "Start with --nodes 5, or with --fresh" in second.lines[0]
    run_cluster(config, "--no-worker").leader()


def test_fresh_begins_anew_with_another_number_of_nodes(
    make_config: MakeConfig, run_cluster: MakeProgram, tmp_path: Path
) -> None:
    config = make_config(3)
    first = run_cluster(config, "--no-worker")
    first.leader()
    first.signal(signal.SIGINT)
    assert first.end() == 0
    (tmp_path / "data" / "mine.txt").touch()
    second = run_cluster(config, "--fresh", "--nodes", "1", "--no-worker")
    second.line(r"^Removed \d+ files of the old cluster")
    assert second.leader() == 1
    assert (tmp_path / "data" / "mine.txt").exists()
    assert not config.raft_file(3).exists()


def test_a_node_whose_files_are_gone_is_refused_and_the_rest_goes_on(
    make_config: MakeConfig, run_cluster: MakeProgram
) -> None:
    config = make_config(3)
    first = run_cluster(config, "--no-worker")
    first.leader()
    first.signal(signal.SIGINT)
    assert first.end() == 0
    for file in config.folders.data.glob("node-2.*"):
        file.unlink()
    second = run_cluster(config, "--no-worker")
    refusal = second.line("^n2 ended: exit status 2: n2: ")
    assert "node-2.raft.db" in refusal
    assert second.leader() in (1, 3)
    second.signal(signal.SIGINT)
    assert second.end() == 0
    for file in config.folders.data.glob("node-3.*"):
        file.unlink()
    third = run_cluster(config, "--no-worker")
    third.line("1 of 3 nodes started, 2 are needed. Only n1 have files")
    assert third.end() == 2


def test_without_a_display_it_says_so_and_runs_on(make_config: MakeConfig, run_cluster: MakeProgram) -> None:
    program = run_cluster(make_config(1), "--no-worker", display=":no-such-display")
    program.line("^cluster: no window can be opened: ")
    program.line("^Running without a window")
    eventually(lambda: "n1 leads in term 1." in program.lines)


def test_a_signal_closes_the_window_and_stops_every_node(
    make_config: MakeConfig, run_cluster: MakeProgram, display: str
) -> None:
    program = run_cluster(make_config(3), "--no-worker", display=display)
    program.leader()
    nodes = program.descendants()
    program.signal(signal.SIGINT)
    assert program.end() == 0
    assert not any(is_running(pid) for pid in nodes)
    assert program.lines[-1].startswith("Stopping the nodes")
    assert not any("without" in line for line in program.lines)
