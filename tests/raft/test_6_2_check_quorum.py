"""diss. §6.2: a leader that no majority has answered for an election timeout steps down by itself."""

import pytest

from glassraft.raft.ready import DEFAULT_SETTINGS, Propose, Read, TimeIs
from tests.raft.single import Single, leader, ok, refusal
from tests.raft.world import World

LONGEST_S = DEFAULT_SETTINGS.election_longest_s


def leads_after(single: Single, seconds: float) -> bool:
    """Whether it still leads when so much time has passed, with its timers going off."""
    end = single.now + seconds
    while single.leads() and single.server.next_deadline <= end:
        single.now = single.server.next_deadline
        single.step(TimeIs())
    single.now = end
    return single.leads()


def test_it_steps_down_within_an_election_timeout() -> None:
    single = leader(3, settings=DEFAULT_SETTINGS)
    assert leads_after(single, LONGEST_S - 0.01)
    assert not leads_after(single, 0.02)
    assert (single.server.role, single.server.current_term, single.server.leader_id) == ("follower", 1, None)
    assert single.disk.hard_state == (1, 1)  # its vote stays given


def test_it_leads_on_while_a_majority_answers() -> None:
    single = leader(5, settings=DEFAULT_SETTINGS)
    for _ in range(10):
        assert leads_after(single, 1.0)
        single.step(ok(2, 1, 1, single.server.round), ok(3, 1, 1, single.server.round))


def test_one_of_four_others_is_no_majority() -> None:
    single = leader(5, settings=DEFAULT_SETTINGS)
    leads_after(single, 1.0)
    single.step(ok(2, 1, 1, single.server.round))
    assert not leads_after(single, 0.3)


def test_a_refusal_for_the_log_is_an_answer_too() -> None:
    single = leader(3, settings=DEFAULT_SETTINGS)
    leads_after(single, 1.0)
    single.step(refusal(2, 1, single.server.round, conflict=(1, 0)))
    assert leads_after(single, 1.0)


def test_a_new_leader_has_time_to_be_answered() -> None:
    single = Single(3, settings=DEFAULT_SETTINGS)
    single.now = 100.0
    single.lead()
    assert leads_after(single, LONGEST_S - 0.01)


def test_a_lone_leader_leads_on() -> None:
    assert leads_after(leader(1, settings=DEFAULT_SETTINGS), 100.0)


def test_who_waits_for_it_is_told() -> None:
    single = leader(3, settings=DEFAULT_SETTINGS)
    single.step(Read("r"))
    single.now += LONGEST_S
    assert [(refused.ticket, refused.why) for refused in single.step(TimeIs()).refused] == [
        ("r", "not_leader")
    ]
    assert single.step(Propose("p", "a")).refused[0].why == "not_leader"


@pytest.mark.parametrize("one_way", [False, True])
def test_a_leader_that_is_cut_off_makes_room_for_another(one_way: bool) -> None:
    # One way: the others still hear it and would follow it for ever, but it hears nobody.
    world = World(3, settings=DEFAULT_SETTINGS)
    world.network.delays = lambda message: (0.005,)
    world.run(5.0)
    (old,) = {node.up.leader_id for node in world.running}
    world.network.cut([id for id in world.nodes if id != old], [old], one_way=one_way)
    world.run(5.0 + LONGEST_S + 0.1)
    assert world.server(old).role == "follower"
    world.run(15.0)
    leaders = [node.id for node in world.running if node.up.role == "leader"]
    assert len(leaders) == 1
    assert leaders != [old]
