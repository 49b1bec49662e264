"""The worker is started again when it ends by itself, later each time, and not when it was asked to end."""

from tests.supervisor.stand_ins import Ends, MakeSupervisor, eventually


def test_a_worker_that_dies_comes_back_later_each_time(make_supervisor: MakeSupervisor, ends: Ends) -> None:
    supervisor = make_supervisor(worker="import sys; sys.exit('no cluster')")
    supervisor.worker.first_delay_s = 0.01
    supervisor.worker.start()
    eventually(lambda: len(ends.list) >= 4)
    waits = [end.again_s for end in ends.list[:4]]
    assert waits == [0.01, 0.02, 0.04, 0.08]
    assert ends.list[0].reason == "exit status 1: no cluster"


def test_a_worker_asked_to_stop_stays_away(make_supervisor: MakeSupervisor, ends: Ends) -> None:
    supervisor = make_supervisor()
    supervisor.worker.start()
    supervisor.worker.stop(grace_s=5)
    assert [end.again_s for end in ends.list] == [None]
    assert not supervisor.worker.process.alive


def test_a_worker_waiting_to_come_back_can_be_stopped(make_supervisor: MakeSupervisor, ends: Ends) -> None:
    supervisor = make_supervisor(worker="import sys; sys.exit(1)")
    supervisor.worker.first_delay_s = 60
    supervisor.worker.start()
    eventually(lambda: ends.list)
    supervisor.worker.stop(grace_s=1)
    assert len(ends.list) == 1
