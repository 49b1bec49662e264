"""§7: the log is cut where the state machine holds what came of it, and who needs what is gone gets a snapshot."""

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from glassraft.raft.assertions import InvariantBroken
from glassraft.raft.configuration import Configuration
from glassraft.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    InstallSnapshot,
    InstallSnapshotReply,
    LogPosition,
    SnapshotMeta,
)
from glassraft.raft.ready import (
    Propose,
    Settings,
    SnapshotDamaged,
    SnapshotFailed,
    SnapshotMade,
    SnapshotVerified,
    StateMachineSynced,
    Undelivered,
)
from glassraft.raft.rules import Rules
from glassraft.raft.server import Server
from glassraft.simulation.broken import SnapshotThrowsTheLogAway
from tests.raft.single import Done, Single, append_entries, entries, leader, ok, refusal
from tests.raft.world import AS_PRINTED, World

SMALL = replace(AS_PRINTED, kept_entries=3, kept_for_snapshot=12, compact_entries=2, chunk_bytes=4)
DATA = b"0123456789"


def meta(index: int, term: int, id: str = "s", **other: Any) -> SnapshotMeta:
    """A snapshot of DATA."""
    fields: dict[str, Any] = {"size": len(DATA), "sha256": "", "configuration_index": 0, **other}
    return SnapshotMeta(LogPosition(term, index), id, configuration=Configuration((1, 2, 3)), **fields)


def chunk(
    snapshot: SnapshotMeta, offset: int, data: bytes, term: int = 2, sender: int = 2, round: int = 1
) -> InstallSnapshot:
    done = offset + len(data) == snapshot.size
    return InstallSnapshot(sender, 1, term, snapshot, offset, data, done, round)


def wanted(
    sender: int, request: InstallSnapshot, offset: int, installed: bool = False
) -> InstallSnapshotReply:
    return InstallSnapshotReply(sender, 1, request.term, request.round, offset, installed)


def leader_of(count: int, settings: Settings = SMALL, synced: bool = True) -> Single:
    """A leader with so many committed entries after its empty one, all applied; synced, so that it may compact."""
    single = leader(settings=settings, snapshot=DATA)
    for number in range(count):
        done = single.step(Propose(number, f"c{number}"))
        last = single.server.log.last_index
        single.step(*(ok(peer, 1, last, done.the(AppendEntries, peer).round) for peer in (2, 3)))
    if synced:
        single.step(StateMachineSynced(single.server.last_applied))
        while single.wait(0.01).notes:
            pass
    return single


def without(single: Single, count: int) -> None:
    """So many more entries, which n3 does not get; the log is compacted behind them."""
    for number in range(count):
        done = single.step(Propose(number, f"d{number}"))
        single.step(ok(2, 1, single.server.log.last_index, done.the(AppendEntries, 2).round))
    single.step(StateMachineSynced(single.server.last_applied))
    while single.server.log.last_index - single.server.log.base.index > 4:
        before = single.server.log.base
        single.wait(0.01)
        assert single.server.log.base != before


# Compaction


def test_nothing_goes_that_the_state_machine_could_lose() -> None:
    single = leader_of(10, synced=False)
    single.wait(0.01)
    assert single.server.log.first_index == 1
    single.step(StateMachineSynced(4))
    for _ in range(10):
        single.wait(0.01)
    assert single.server.log.base == LogPosition(1, 4)
    assert single.disk.base == LogPosition(1, 4)


def test_a_tail_is_kept_and_entries_go_in_strides_one_a_moment() -> None:
    single = leader_of(10, synced=False)
    single.now += 0.01
    done = single.step(StateMachineSynced(11))
    assert [(note.fields["was"], note.fields["first"]) for note in done.notes if note.event == "compact"] == [
        (1, 3)
    ]
    for _ in range(10):
        single.wait(0.01)
    assert single.server.log.first_index == 9, "three are kept, and a stride is two"


def test_a_sync_is_asked_for_when_a_stride_could_go_and_once_until_it_comes() -> None:
    single = leader(settings=SMALL)
    asked = []
    for number in range(7):
        done = single.step(Propose(number, "x"))
        asked.append(done.asked)
        last = single.server.log.last_index
        asked.append(single.step(ok(2, 1, last, done.the(AppendEntries).round)).asked)
    assert [what for each in asked for what in each] == ["sync"]


def test_a_leader_without_a_quorum_compacts_nothing_and_refuses_when_it_is_full() -> None:
    single = leader(settings=replace(SMALL, uncommitted_entries=10))
    single.step(StateMachineSynced(single.server.last_applied))
    done = single.step(*(Propose(number, "x") for number in range(20)))
    assert [refused.why for refused in done.refused] == ["full"] * 10
    for _ in range(20):
        single.wait(0.01)
    assert single.server.log.first_index == 1


def test_a_compacted_log_still_finds_where_logs_part() -> None:
    single = leader_of(10)
    base = single.server.log.base
    assert single.server.log.term_at(base.index) == base.term
    assert single.server.log.last_index_of_term(1) == 11
    assert single.server.log.first_of_run(base.index + 1) == base.index + 1


def test_entries_that_are_compacted_here_are_taken_for_agreed() -> None:
    """What a snapshot stands for was committed, so every leader has it (§5.4)."""
    single = Single(terms=[1, 1, 1, 1, 1, 1], term=1, applied=6, settings=SMALL)
    single.step(StateMachineSynced(6))
    assert single.server.log.base.index == 2
    reply = single.step(append_entries(term=1, prev=(1, 1), entries=entries(1, 1, 1, first=2))).the(
        AppendEntriesReply
    )
    assert (reply.success, reply.match_index) == (True, 4)
    reply = single.step(append_entries(term=1, prev=(1, 1), round=2)).the(AppendEntriesReply)
    assert (reply.success, reply.match_index) == (True, 2), "as far as the log is compacted, at least"
    assert single.server.log.last_index == 6


# The leader's side


def need_snapshot() -> tuple[Single, Done]:
    """n3 answers again after it missed much: what the leader does."""
    single = leader_of(2)
    without(single, 12)
    heartbeat = single.wait(SMALL.election_shortest_s).the(AppendEntries, 3)
    assert heartbeat.prev_log == single.server.log.base
    return single, single.step(refusal(3, 1, heartbeat.round, conflict=(4, 0)))


def made(single: Single, id: str = "s") -> SnapshotMeta:
    last = single.server.log.position(single.server.last_applied)
    return meta(last.index, last.term, id)


def test_a_follower_whose_next_entry_is_gone_gets_a_snapshot() -> None:
    single, done = need_snapshot()
    assert done.asked == ["snapshot"]
    assert not done.to(3)
    snapshot = made(single)
    sent = single.step(SnapshotMade(snapshot)).the(InstallSnapshot, 3)
    assert (sent.snapshot, sent.offset, sent.data, sent.done) == (snapshot, 0, DATA[:4], False)


def test_chunks_follow_each_other_and_go_on_where_the_follower_says() -> None:
    single, _ = need_snapshot()
    first = single.step(SnapshotMade(made(single))).the(InstallSnapshot, 3)
    second = single.step(wanted(3, first, 4)).the(InstallSnapshot, 3)
    assert (second.offset, second.data, second.done) == (4, DATA[4:8], False)
    again = single.step(wanted(3, second, 2)).the(InstallSnapshot, 3)
    assert (again.offset, again.data) == (2, DATA[2:6])
    last = single.step(wanted(3, again, 8)).the(InstallSnapshot, 3)
    assert (last.data, last.done) == (DATA[8:], True)


def test_one_chunk_is_under_way_and_a_late_answer_counts_for_nothing() -> None:
    single, _ = need_snapshot()
    first = single.step(SnapshotMade(made(single))).the(InstallSnapshot, 3)
    assert not single.step(Propose("t", "x")).to(3)
    second = single.step(wanted(3, first, 4)).the(InstallSnapshot, 3)
    assert not single.step(wanted(3, first, 0)).to(3)
    assert single.step(wanted(3, second, 8)).the(InstallSnapshot, 3).offset == 8


def test_a_lost_chunk_waits_until_the_follower_is_heard_again() -> None:
    single, _ = need_snapshot()
    first = single.step(SnapshotMade(made(single))).the(InstallSnapshot, 3)
    assert not single.step(Undelivered(3, first.round)).to(3)
    heartbeat = single.wait(0.2).the(AppendEntries, 3)
    assert single.step(refusal(3, 1, heartbeat.round, conflict=(4, 0))).the(InstallSnapshot, 3).offset == 0


def test_a_chunk_that_nobody_answers_is_sent_again() -> None:
    single, _ = need_snapshot()
    single.step(SnapshotMade(made(single)))
    done = single.wait(SMALL.election_shortest_s)
    assert [type(message) for message in done.to(3)] == [AppendEntries, InstallSnapshot]


def test_an_installed_snapshot_is_followed_by_entries() -> None:
    single, _ = need_snapshot()
    snapshot = made(single)
    first = single.step(SnapshotMade(snapshot)).the(InstallSnapshot, 3)
    single.step(Propose("t", "x"))
    done = single.step(wanted(3, first, 10, installed=True))
    following = done.the(AppendEntries, 3)
    assert following.prev_log == snapshot.last
    assert [entry.command for entry in following.entries] == ["x"]
    assert done.asked == [], "the snapshot is needed until the follower agrees"
    assert "drop" in single.step(ok(3, 1, snapshot.last.index + 1, following.round)).asked


def test_the_log_keeps_what_follows_a_snapshot_up_to_a_limit() -> None:
    single, _ = need_snapshot()
    snapshot = made(single)
    single.step(SnapshotMade(snapshot))
    dropped_at = 0
    for number in range(20):
        done = single.step(Propose(number, "x"))
        appended = [message for message in done.to(2) if isinstance(message, AppendEntries)]
        asked = done.asked + single.step(ok(2, 1, single.server.log.last_index, appended[-1].round)).asked
        single.now += 0.01
        asked += single.step(StateMachineSynced(single.server.last_applied)).asked
        follow = single.server.log.last_index - snapshot.last.index
        if "drop" in asked:
            dropped_at = follow
        elif not dropped_at:
            assert single.server.log.base.index <= snapshot.last.index
    assert SMALL.kept_for_snapshot <= dropped_at <= SMALL.kept_for_snapshot + 2 * SMALL.compact_entries


def test_a_snapshot_that_cannot_be_made_is_tried_again_later() -> None:
    single, _ = need_snapshot()
    assert single.step(SnapshotFailed()).asked == []
    assert single.wait(SMALL.snapshot_again_s / 2).asked == []
    assert "snapshot" in single.wait(SMALL.snapshot_again_s).asked


def damaged(single: Single, snapshot: SnapshotMeta) -> Done:
    """n3 gets all of the snapshot, finds it damaged, and wants it anew: what the leader does then."""
    first = single.wait(SMALL.election_shortest_s).the(InstallSnapshot, 3)
    whole = single.step(wanted(3, first, snapshot.size))
    assert not whole.to(3), "it is being checked"
    heartbeat = single.wait(0.2).the(AppendEntries, 3)
    empty = single.step(refusal(3, 1, heartbeat.round, conflict=(4, 0))).the(InstallSnapshot, 3)
    return single.step(wanted(3, empty, 0))


@pytest.mark.parametrize("id", ["another", "s"])
def test_a_snapshot_that_a_follower_finds_damaged_is_sent_no_more_and_another_is_made_later(id: str) -> None:
    """Else what is damaged here would go out again and again, for ever.

    The new one may be the same: who is needed for a majority was killed and not damaged, and nothing was applied since.
    """
    single, _ = need_snapshot()
    snapshot = made(single)
    single.step(SnapshotMade(snapshot))
    done = damaged(single, snapshot)
    assert [note.event for note in done.notes] == ["doubt"]
    assert (done.to(3), done.asked) == ([], ["drop"])
    heartbeat = single.wait(0.2).the(AppendEntries, 3)
    done = single.step(refusal(3, 1, heartbeat.round, conflict=(4, 0)))
    assert (done.to(3), done.asked) == ([], [])
    assert "snapshot" in single.wait(SMALL.snapshot_again_s).asked
    another = made(single, id)
    assert single.step(SnapshotMade(another)).the(InstallSnapshot, 3).snapshot == another


def silent(single: Single, peer: int, seconds: float) -> list[str]:
    """Only the other follower answers for so long; what is asked for meanwhile."""
    asked: list[str] = []
    for _ in range(round(seconds / 0.5)):
        done = single.wait(0.5)
        asked += done.asked
        last = single.server.log.last_index
        for request in done.to(5 - peer):
            assert isinstance(request, AppendEntries)
            asked += single.step(ok(5 - peer, 1, last, request.round)).asked
    return asked


def test_a_follower_that_goes_silent_under_its_snapshot_is_given_up_after_a_while() -> None:
    single, _ = need_snapshot()
    snapshot = made(single)
    single.step(SnapshotMade(snapshot))
    assert "drop" not in silent(single, 3, SMALL.silent_given_up_s - 2)
    assert "drop" in silent(single, 3, 4)


def test_what_a_follower_needs_after_its_snapshot_goes_when_it_stays_silent() -> None:
    single, _ = need_snapshot()
    snapshot = made(single)
    first = single.step(SnapshotMade(snapshot)).the(InstallSnapshot, 3)
    for number in range(8):
        done = single.step(Propose(number, "x"))
        single.step(ok(2, 1, single.server.log.last_index, done.the(AppendEntries, 2).round))
    following = single.step(wanted(3, first, 10, installed=True)).the(AppendEntries, 3)
    single.step(ok(3, 1, snapshot.last.index, following.round))
    single.step(StateMachineSynced(single.server.last_applied))
    silent(single, 3, SMALL.silent_given_up_s - 2)
    assert single.server.log.base.index <= snapshot.last.index
    silent(single, 3, 6)
    assert single.server.log.base.index > snapshot.last.index


def test_who_steps_down_drops_its_snapshot() -> None:
    single, _ = need_snapshot()
    single.step(SnapshotMade(made(single)))
    assert "drop" in single.step(append_entries(term=5, sender=2, prev=(1, 1))).asked


# The follower's side


def follower(**options: Any) -> Single:
    return Single(settings=SMALL, term=2, **options)


def receive(single: Single, snapshot: SnapshotMeta) -> Done:
    """All of it, in three chunks: what the last one leads to."""
    single.step(chunk(snapshot, 0, DATA[:4]))
    single.step(chunk(snapshot, 4, DATA[4:8]))
    return single.step(chunk(snapshot, 8, DATA[8:]))


def test_a_snapshot_is_written_checked_and_then_installed() -> None:
    single = follower()
    snapshot = meta(7, 2)
    done = single.step(chunk(snapshot, 0, DATA[:4]))
    assert [(each.offset, each.data) for each in done.chunks] == [(0, DATA[:4])]
    assert done.the(InstallSnapshotReply).offset == 4
    done = receive(single, snapshot)
    assert done.asked == ["check"]
    assert not done.the(InstallSnapshotReply).installed
    assert single.server.last_applied == 0
    done = single.step(SnapshotVerified(snapshot))
    assert [install.keeps_log for install in done.installs] == [False]
    server = single.server
    assert (server.last_applied, server.commit_index, server.log.base) == (7, 7, LogPosition(2, 7))
    assert single.disk.base == LogPosition(2, 7)


def test_the_log_goes_on_after_an_installed_snapshot() -> None:
    single = follower()
    snapshot = meta(7, 2)
    receive(single, snapshot)
    single.step(SnapshotVerified(snapshot))
    reply = single.step(append_entries(term=2, prev=(7, 2), entries=entries(2, first=8), commit=8)).the(
        AppendEntriesReply
    )
    assert (reply.success, reply.match_index, single.server.commit_index) == (True, 8, 8)
    assert single.step(chunk(snapshot, 0, DATA[:4], round=9)).the(InstallSnapshotReply).installed


def test_a_longer_log_that_has_the_snapshots_last_entry_is_kept() -> None:
    single = follower(terms=[1, 1, 2, 2, 2])
    snapshot = meta(3, 2)
    receive(single, snapshot)
    done = single.step(SnapshotVerified(snapshot))
    assert [install.keeps_log for install in done.installs] == [True]
    assert (single.server.log.base.index, single.server.log.last_index) == (3, 5)
    assert [entry.term for entry in single.disk.entries[3:]] == [2, 2]


def test_a_log_that_differs_is_thrown_away() -> None:
    single = follower(terms=[1, 1, 1, 1, 1])
    snapshot = meta(3, 2)
    receive(single, snapshot)
    single.step(SnapshotVerified(snapshot))
    assert single.server.log.last == LogPosition(2, 3)


@pytest.mark.parametrize(("rules", "end"), [(Rules(), 5), (SnapshotThrowsTheLogAway(), 3)])
def test_what_was_acknowledged_while_a_snapshot_was_checked_stays(rules: Rules, end: int) -> None:
    """Another leader, whose log begins earlier, may count on it for what it commits."""
    single = follower(rules=rules)
    snapshot = meta(3, 2)
    receive(single, snapshot)
    done = single.step(append_entries(term=2, prev=(0, 0), entries=entries(1, 1, 2, 2, 2)))
    assert done.the(AppendEntriesReply).match_index == 5
    single.step(SnapshotVerified(snapshot))
    assert len(single.disk.entries) == single.server.log.last_index == end


def test_entries_that_come_with_the_installation_are_saved_behind_it() -> None:
    single = follower(terms=[1, 1])
    snapshot = meta(7, 2)
    receive(single, snapshot)
    single.step(
        SnapshotVerified(snapshot), append_entries(term=2, prev=(7, 2), entries=entries(2, 2, first=8))
    )
    assert [entry.index for entry in single.disk.entries[7:]] == [8, 9]
    assert single.server.durable_index == 9


def test_unsaved_entries_before_the_snapshots_end_are_not_saved_any_more() -> None:
    single = follower(terms=[1])
    snapshot = meta(3, 2)
    receive(single, snapshot)
    single.step(
        append_entries(term=2, prev=(1, 1), entries=entries(2, 2, 2, first=2)), SnapshotVerified(snapshot)
    )
    assert single.disk.base == LogPosition(2, 3)
    assert [(entry.index, entry.term) for entry in single.disk.entries[3:]] == [(4, 2)]


def test_the_state_never_goes_back() -> None:
    single = follower(terms=[2, 2, 2, 2], applied=1)
    snapshot = meta(3, 2)
    receive(single, snapshot)
    single.step(append_entries(term=2, prev=(4, 2), commit=4))
    assert single.server.last_applied == 4
    done = single.step(SnapshotVerified(snapshot))
    assert not done.installs
    assert single.step(chunk(snapshot, 0, DATA[:4])).the(InstallSnapshotReply).installed


@pytest.mark.parametrize(
    "other",
    [meta(7, 2, "other"), meta(7, 2, size=11), meta(7, 2, sha256="x"), meta(8, 2)],
    ids=["id", "size", "sha256", "index"],
)
def test_chunks_of_two_snapshots_never_mix(other: SnapshotMeta) -> None:
    single = follower()
    single.step(chunk(meta(7, 2), 0, DATA[:4]))
    done = single.step(chunk(other, 4, DATA[4:8]))
    assert not done.chunks
    assert done.the(InstallSnapshotReply).offset == 0


def test_a_doubled_chunk_is_written_once() -> None:
    single = follower()
    snapshot = meta(7, 2)
    single.step(chunk(snapshot, 0, DATA[:4]))
    done = single.step(chunk(snapshot, 0, DATA[:4]))
    assert not done.chunks
    assert done.the(InstallSnapshotReply).offset == 4


def test_a_damaged_snapshot_is_received_anew() -> None:
    single = follower()
    snapshot = meta(7, 2)
    receive(single, snapshot)
    single.step(SnapshotDamaged(snapshot))
    assert not single.step(SnapshotVerified(snapshot)).installs
    assert single.step(chunk(snapshot, 10, b"")).the(InstallSnapshotReply).offset == 0


def test_damage_of_a_snapshot_that_is_no_longer_received_changes_nothing() -> None:
    single = follower()
    earlier, snapshot = meta(7, 2), meta(9, 2, "later")
    receive(single, earlier)
    single.step(chunk(snapshot, 0, DATA[:4]))
    single.step(SnapshotDamaged(earlier))
    assert single.step(chunk(snapshot, 4, DATA[4:8])).the(InstallSnapshotReply).offset == 8


def test_a_server_without_a_reader_says_so_when_it_should_send_a_snapshot() -> None:
    server = Server(1, (1, 2, 3), random=Random(1))
    with pytest.raises(LookupError, match="no reader"):
        server.read_chunk(meta(7, 2), 0, 4)


def test_what_was_checked_counts_only_while_it_is_the_one_received() -> None:
    single = follower()
    snapshot = meta(7, 2)
    receive(single, snapshot)
    single.step(chunk(meta(7, 2, "other"), 0, DATA[:4]))
    single.step(chunk(snapshot, 0, DATA[:4]))
    assert not single.step(SnapshotVerified(snapshot)).installs


def test_an_older_leaders_chunk_is_refused() -> None:
    single = follower()
    done = single.step(chunk(meta(7, 1), 0, DATA[:4], term=1))
    assert not done.chunks
    assert done.the(InstallSnapshotReply).why == "term_is_stale"
    assert done.the(InstallSnapshotReply).term == 2


def test_a_newer_term_is_durable_together_with_the_snapshot() -> None:
    """Apart from it, a killed server could come back in a term before that of its own log."""
    single = follower()
    snapshot = meta(7, 9)
    receive(single, replace(snapshot))
    single.server.step(chunk(snapshot, 8, b"", term=9), single.now)
    single.server.step(SnapshotVerified(snapshot), single.now)
    ready = single.ready()
    assert ready.install is not None
    assert ready.hard_state is not None
    assert ready.hard_state.term == 9


def test_the_configuration_is_the_snapshots() -> None:
    single = follower()
    snapshot = replace(meta(7, 2), configuration=Configuration((1, 2, 4)), configuration_index=6)
    receive(single, snapshot)
    done = single.step(SnapshotVerified(snapshot))
    assert single.server.peers == (2, 4)
    assert single.server.configuration_at(7) == (6, Configuration((1, 2, 4)))
    assert [note.event for note in done.notes] == ["install", "membership"]


def test_a_second_leader_of_a_term_is_noticed() -> None:
    single = leader()
    with pytest.raises(InvariantBroken):
        single.step(chunk(meta(7, 1), 0, DATA[:4], term=1))


# A whole cluster


def test_a_server_that_was_away_comes_back_by_a_snapshot() -> None:
    world = World(3, settings=replace(SMALL, chunk_bytes=100))
    world.elect(1)
    world.crash(3)
    for number in range(30):
        world.propose(1, f"c{number}")
        world.settle()
        world.run(world.clock + 0.01)
    base = world.nodes[1].disk.base.index
    assert base > 20
    world.restart(3)
    world.run(world.clock + 2.0)
    assert world.nodes[3].applied == world.nodes[1].applied
    assert world.nodes[3].disk.base.index > 20
