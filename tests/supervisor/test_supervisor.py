"""Processes are started, paused, killed, stopped and told about, whatever they do; none is left behind."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from glassraft.config import Config
from glassraft.supervisor import Supervisor, SupervisorError
from tests.supervisor.stand_ins import SERVE, Ends, MakeSupervisor, eventually

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals")

STUBBORN = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("n1 serves 127.0.0.1:1 (pid 1)", flush=True)
while True:
    time.sleep(60)
"""
POLITE = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("n1 serves 127.0.0.1:1 (pid 1)", flush=True)
while True:
    time.sleep(60)
"""
FAIL = """
import sys
print("n1: warming up", file=sys.stderr)
sys.exit("port 7401 is in use")
"""


def exists(pid: int) -> bool:
    """Whether a process runs (a dead one that nobody collected does not)."""
    try:
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat")
        return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (OSError, FileNotFoundError):
        return False


def test_nodes_start_and_say_so(make_supervisor: MakeSupervisor) -> None:
    supervisor = make_supervisor()
    assert supervisor.statuses() == {1: "exited", 2: "exited", 3: "exited"}
    assert supervisor.node(1).last_exit is None
    supervisor.start_all()
    assert all(supervisor.wait_ready(node_id, 10) for node_id in (1, 2, 3))
    assert supervisor.statuses() == {1: "running", 2: "running", 3: "running"}
    assert supervisor.alive() == [1, 2, 3]


def test_a_node_that_says_nothing_is_starting(make_supervisor: MakeSupervisor) -> None:
    supervisor = make_supervisor("import sys; sys.stdin.read()")
    supervisor.start(1)
    assert not supervisor.wait_ready(1, 0.2)
    assert supervisor.node(1).status == "starting"


def test_a_node_that_fails_at_its_start_is_told_with_its_last_line(
    make_supervisor: MakeSupervisor, ends: Ends
) -> None:
    supervisor = make_supervisor(FAIL)
    supervisor.start(2)
    assert not supervisor.wait_ready(2, 10)
    eventually(lambda: ends.list)
    end = ends.list[0]
    assert (end.name, end.returncode, end.ending) == ("n2", 1, None)
    assert end.reason == "exit status 1: port 7401 is in use"
    assert end.last_errors == ("n1: warming up", "port 7401 is in use")
    assert supervisor.node(2).status == "exited"
    assert supervisor.node(2).last_exit == end


def test_a_killed_node_can_be_started_again(make_supervisor: MakeSupervisor, ends: Ends) -> None:
    supervisor = make_supervisor()
    supervisor.start(1)
    assert supervisor.wait_ready(1, 10)
    first = supervisor.node(1).pid
    supervisor.kill(1)
    assert supervisor.node(1).status == "killed"
    assert supervisor.node(1).pid is None
    (end,) = ends.list
    assert (end.name, end.pid, end.ending, end.reason) == ("n1", first, "killed", "killed")
    supervisor.restart(1)
    assert supervisor.wait_ready(1, 10)
    assert supervisor.node(1).pid != first


def test_restarting_a_living_node_stops_it_first(make_supervisor: MakeSupervisor, ends: Ends) -> None:
    supervisor = make_supervisor(POLITE if sys.platform != "win32" else SERVE)
    supervisor.start(1)
    assert supervisor.wait_ready(1, 10)
    supervisor.restart(1)
    assert supervisor.wait_ready(1, 10)
    assert [(end.ending, end.reason) for end in ends.list] == [("stopped", "stopped")]


def test_a_running_node_cannot_be_started(make_supervisor: MakeSupervisor) -> None:
    supervisor = make_supervisor()
    supervisor.start(1)
    with pytest.raises(SupervisorError, match="n1 runs already"):
        supervisor.start(1)


def test_a_program_that_is_missing_is_said(config: Config) -> None:
    with Supervisor(config, node_command=lambda _: ["/no/such/program"]) as supervisor:
        with pytest.raises(SupervisorError, match="n1 cannot be started"):
            supervisor.start(1)
        assert supervisor.node(1).status == "exited"


@posix
def test_a_signal_from_elsewhere_is_named(make_supervisor: MakeSupervisor, ends: Ends) -> None:
    supervisor = make_supervisor()
    supervisor.start(1)
    assert supervisor.wait_ready(1, 10)
    pid = supervisor.node(1).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert supervisor.node(1).wait_gone(10)
    eventually(lambda: ends.list)
    assert (ends.list[0].ending, ends.list[0].reason) == (None, "killed by signal 9 (SIGKILL)")
    assert supervisor.node(1).status == "exited"


@posix
def test_a_paused_node_stays_and_goes_on(make_supervisor: MakeSupervisor) -> None:
    supervisor = make_supervisor()
    supervisor.start(1)
    assert supervisor.wait_ready(1, 10)
    supervisor.pause(1)
    assert supervisor.node(1).status == "paused"
    assert supervisor.can("pause", 1).reason == "n1 is paused already"
    supervisor.resume(1)
    assert supervisor.node(1).status == "running"
    with pytest.raises(SupervisorError, match="n1 is not paused"):
        supervisor.resume(1)


@posix
@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_paused_node_can_be_ended(make_supervisor: MakeSupervisor, how: str) -> None:
    supervisor = make_supervisor(POLITE)
    supervisor.start(1)
    assert supervisor.wait_ready(1, 10)
    supervisor.pause(1)
    getattr(supervisor, how)(1)
    assert supervisor.node(1).status == {"kill": "killed", "stop": "exited"}[how]


@posix
def test_who_does_not_stop_is_killed_after_the_grace(make_supervisor: MakeSupervisor, ends: Ends) -> None:
    supervisor = make_supervisor(STUBBORN)
    supervisor.start(1)
    assert supervisor.wait_ready(1, 10)
    supervisor.stop(1, grace_s=0.1)
    assert ends.list[0].returncode == -9
    assert ends.list[0].reason == "killed by signal 9 (SIGKILL)"


@posix
def test_stopping_all_takes_one_grace_for_all(make_supervisor: MakeSupervisor) -> None:
    supervisor = make_supervisor(STUBBORN)
    supervisor.start_all()
    assert all(supervisor.wait_ready(node_id, 10) for node_id in (1, 2, 3))
    supervisor.stop_all(grace_s=0.2)
    assert supervisor.alive() == []


@posix
def test_what_a_child_leaves_behind_dies_with_it(make_supervisor: MakeSupervisor, tmp_path: Path) -> None:
    left = tmp_path / "left"
    supervisor = make_supervisor(f"""
        import os, sys, time
        print("n1 serves 127.0.0.1:1 (pid 1)", flush=True)
        child = os.fork()
        if child == 0:
            time.sleep(60)
        with open({str(left)!r}, "w") as file:
            file.write(str(child))
        sys.stdin.read()
    """)
    supervisor.start(1)
    eventually(lambda: left.exists() and left.read_text())
    child = int(left.read_text())
    assert exists(child)
    supervisor.kill(1)
    eventually(lambda: not exists(child))


def test_long_lines_and_many_lines_are_bounded(make_supervisor: MakeSupervisor, ends: Ends) -> None:
    supervisor = make_supervisor("""
        import sys
        sys.stderr.write("x" * 5000 + "\\n")
        for number in range(1000):
            print("line", number, "caf\\xe9", file=sys.stderr)
        sys.stderr.buffer.write(b"\\xff\\xfe no text\\n")
        sys.exit(4)
    """)
    supervisor.start(1)
    eventually(lambda: ends.list)
    lines = ends.list[0].last_errors
    assert len(lines) == 40
    assert lines[-2] == "line 999 café"
    assert lines[-1].endswith("no text")


def test_output_is_passed_on_but_not_the_ready_line(make_supervisor: MakeSupervisor) -> None:
    lines: list[tuple[str, str]] = []
    supervisor = make_supervisor(
        'print("n1 serves 127.0.0.1:1 (pid 1)"); print("job done")', on_line=lambda *line: lines.append(line)
    )
    supervisor.start(1)
    assert supervisor.node(1).wait_gone(10)
    assert lines == [("n1", "job done")]


def test_what_can_be_done_depends_on_the_status(make_supervisor: MakeSupervisor) -> None:
    supervisor = make_supervisor()
    assert supervisor.can("restart", 1)
    assert supervisor.can("kill", 1).reason == "n1 is not running"
    supervisor.start(1)
    assert supervisor.can("kill", 1)
    assert supervisor.can("start", 1).reason == "n1 runs already"
    assert not supervisor.can("resume", 1)
    with pytest.raises(SupervisorError, match="there is no node n9"):
        supervisor.can("kill", 9)
    supervisor.stop_all(grace_s=0)
    assert supervisor.can("restart", 1).reason == "the cluster is stopping"
    with pytest.raises(SupervisorError, match="the cluster is stopping"):
        supervisor.restart(1)


def test_without_sigstop_pausing_is_refused_with_the_reason(
    make_supervisor: MakeSupervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glassraft.supervisor.supervisor.CAN_PAUSE", False)
    monkeypatch.setattr("glassraft.supervisor.process.CAN_PAUSE", False)
    supervisor = make_supervisor()
    supervisor.start(1)
    assert "cannot pause a process" in supervisor.can("pause", 1).reason
    with pytest.raises(SupervisorError, match="cannot pause a process"):
        supervisor.pause(1)


def test_two_supervisors_do_not_disturb_each_other(make_supervisor: MakeSupervisor) -> None:
    one, other = make_supervisor(), make_supervisor()
    one.start_all()
    other.start_all()
    assert all(one.wait_ready(node_id, 10) and other.wait_ready(node_id, 10) for node_id in (1, 2, 3))
    one.close()
    assert one.alive() == []
    assert other.statuses() == {1: "running", 2: "running", 3: "running"}


def test_closing_leaves_no_thread_behind(make_supervisor: MakeSupervisor) -> None:
    before = set(threading.enumerate())
    supervisor = make_supervisor()
    supervisor.start_all()
    supervisor.worker.start()
    supervisor.close()
    assert set(threading.enumerate()) <= before


def test_actions_from_many_threads_keep_one_process_a_node(make_supervisor: MakeSupervisor) -> None:
    supervisor = make_supervisor()

    def start() -> None:
        try:
            supervisor.start(1)
        except SupervisorError:
            refused.append(1)

    refused: list[int] = []
    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 7


@posix
def test_children_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    """Their standard input ends with it: nothing else is needed, on any system."""
    parent = tmp_path / "parent.py"
    node = tmp_path / "node.py"
    node.write_text(SERVE, encoding="utf-8")
    parent.write_text(
        textwrap.dedent(f"""
            import sys, time
            from pathlib import Path
            from glassraft.config import load
            from glassraft.supervisor import Supervisor
            command = [sys.executable, {str(node)!r}]
            supervisor = Supervisor(load(), node_command=lambda _: command)
            supervisor.start_all()
            ids = supervisor.config.members()
            assert all(supervisor.wait_ready(node_id, 10) for node_id in ids)
            supervisor.pause(1)
            print(*(supervisor.node(node_id).pid for node_id in ids), flush=True)
            time.sleep(60)
        """),
        encoding="utf-8",
    )
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, str(parent)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    with process:
        assert process.stdout is not None
        pids = [int(word) for word in process.stdout.readline().split()]
        assert len(pids) == 5
        assert all(exists(pid) for pid in pids)
        process.kill()
    # n1 is paused: it cannot read, but the system continues a stopped group that has become an orphan.
    eventually(lambda: not any(exists(pid) for pid in pids))
