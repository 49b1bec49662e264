"""Cluster time: the median of the nodes' clocks, never going back, whatever one clock says."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glassraft.replica.cluster_clock import BEST_COUNTS_FOR, ClusterClock

NOW_MS = 1_700_000_000_000
HEARD_FOR_S = 1.0


def clock_of(members: int) -> ClusterClock:
    return ClusterClock(1, range(1, members + 1), HEARD_FOR_S)


def wall(now: float) -> int:
    """What a right clock shows at this monotonic time."""
    return int(NOW_MS + now * 1000)


def hear(clock: ClusterClock, now: float, **offsets_ms: int) -> None:
    """Each of these nodes says what its clock shows: right but for so much."""
    for name, offset_ms in offsets_ms.items():
        clock.heard(int(name[1:]), wall(now) + offset_ms, now)


offsets = st.integers(-10_000_000, 10_000_000)
steps = st.lists(
    st.tuples(
        st.one_of(st.floats(0, 0.01), st.floats(0, 20), st.just(3_600.0)),
        st.sampled_from(["stamp", "hear", "go on", "silence"]),
        offsets,
        st.integers(1, 5),
    ),
    max_size=40,
)


@given(steps=steps, members=st.sampled_from([1, 3, 5]))
def test_it_never_goes_back_and_never_stands_still(
    steps: list[tuple[float, str, int, int]], members: int
) -> None:
    clock = clock_of(members)
    now = 10.0
    clock.goes_on_from(NOW_MS - 1000, now)
    stamps = [(now, clock.stamp(now, wall(now)), "")]
    for passed, what, offset_ms, node in steps:
        now += passed
        if what == "hear" and node <= members:
            clock.heard(node, wall(now) + offset_ms, now)
        elif what == "go on":
            clock.goes_on_from(NOW_MS + offset_ms, now)
        elif what == "silence":
            now += 2 * HEARD_FOR_S
        read = clock.read_ms(now, wall(now) + offset_ms * (what == "stamp"))
        stamps.append((now, clock.stamp(now, wall(now) + offset_ms * (what == "stamp")), what))
        assert read == stamps[-1][1]
    for (before, earlier, _), (after, later, what) in pairwise(stamps):
        assert later >= earlier
        if what != "go on":  # a new leader begins at the last stamp in its log
            assert later - earlier >= int((after - before) * 500) - 1, "at half speed at least"


@given(wrong=offsets, others=st.lists(st.integers(-50, 50), min_size=2, max_size=2), who=st.integers(1, 3))
def test_one_wrong_clock_of_three_moves_nothing_beyond_the_right_ones(
    wrong: int, others: list[int], who: int
) -> None:
    check_one_wrong(3, wrong, others, who)


@given(wrong=offsets, others=st.lists(st.integers(-50, 50), min_size=4, max_size=4), who=st.integers(1, 5))
def test_one_wrong_clock_of_five_moves_nothing_beyond_the_right_ones(
    wrong: int, others: list[int], who: int
) -> None:
    check_one_wrong(5, wrong, others, who)


def check_one_wrong(members: int, wrong: int, others: list[int], who: int) -> None:
    clock, now = clock_of(members), 10.0
    shows = dict(zip([node for node in range(1, members + 1) if node != who], others, strict=True)) | {
        who: wrong
    }
    for node in range(2, members + 1):
        clock.heard(node, wall(now) + shows[node], now)
    stamp = clock.stamp(now, wall(now) + shows[1])
    assert min(others) <= stamp - wall(now) <= max(others)


def test_a_minority_of_wrong_clocks_among_five_moves_nothing() -> None:
    clock = clock_of(5)
    hear(clock, 10.0, n2=9_000_000, n3=9_000_000, n4=3, n5=-2)
    assert clock.stamp(10.0, wall(10.0)) == wall(10.0) + 3


@given(wrong=offsets, who=st.integers(1, 2))
def test_with_one_of_three_silent_a_wrong_clock_neither_slows_it_nor_makes_it_leap(
    wrong: int, who: int
) -> None:
    """Of two clocks nobody can say which is wrong: what the three agreed on before goes on."""
    clock = clock_of(3)
    shows = {1: 0, 2: 0} | {who: wrong}
    for second in range(100, 200):
        now = second / 10
        hear(clock, now, n2=shows[2])
        if not 12 <= now <= 18:
            hear(clock, now, n3=0)
        stamp = clock.stamp(now, wall(now) + shows[1])
        assert stamp == pytest.approx(wall(now), abs=1)


def test_of_two_clocks_alone_both_bound_it() -> None:
    """After an outage the last stamp is no guide: it is at the present at once, by the earlier of the two."""
    clock = clock_of(3)
    clock.goes_on_from(NOW_MS - 7_200_000, 10.0)
    hear(clock, 10.0, n2=-60_000)
    assert clock.stamp(10.0, wall(10.0)) == wall(10.0) - 60_000


def test_a_node_alone_is_its_own_majority() -> None:
    clock = clock_of(1)
    assert clock.stamp(10.0, wall(10.0)) == wall(10.0)


def test_without_a_majority_it_goes_on_from_the_last_stamp_at_full_speed() -> None:
    """A new leader that has heard nobody does not believe its own clock alone."""
    clock = clock_of(3)
    clock.goes_on_from(NOW_MS, 10.0)
    wrong = wall(10.0) + 3_600_000
    assert clock.stamp(10.0, wrong) == NOW_MS
    assert clock.stamp(12.5, wrong) == NOW_MS + 2_500


def test_the_very_first_leader_has_only_its_own_clock() -> None:
    assert clock_of(3).stamp(10.0, wall(10.0)) == wall(10.0)


def test_a_clock_counts_for_a_while_after_it_was_heard() -> None:
    clock = clock_of(3)
    clock.goes_on_from(NOW_MS - 5_000, 10.0)
    hear(clock, 10.0, n2=0)
    assert clock.read_ms(10.0 + HEARD_FOR_S, wall(10.0 + HEARD_FOR_S)) == wall(10.0 + HEARD_FOR_S)
    later = 10.1 + HEARD_FOR_S
    assert clock.read_ms(later, wall(later)) == pytest.approx(NOW_MS - 5_000 + 1_100, abs=1)


def test_messages_that_come_late_set_it_neither_back_nor_leaping_forward() -> None:
    """Else the leases of whoever works end early when messages come in time again."""
    clock = clock_of(3)
    hear(clock, 0.0, n2=0, n3=0)
    stamps = [clock.stamp(0.0, wall(0.0) - 5_000)]
    for tenth in range(1, 9):
        now = tenth / 10
        hear(clock, now, n2=-700, n3=-700)
        stamps.append(clock.stamp(now, wall(now) - 5_000))
    hear(clock, 0.9, n2=0, n3=0)
    stamps.append(clock.stamp(0.9, wall(0.9) - 5_000))
    assert stamps == [wall(tenth / 10) for tenth in range(10)]


def test_messages_that_all_come_late_for_longer_than_a_clock_counts_do_not_set_it_back_either() -> None:
    clock = clock_of(3)
    hear(clock, 0.0, n2=-10, n3=-10)
    assert clock.stamp(0.0, wall(0.0)) == wall(0.0) - 10
    for now in (1.5 * HEARD_FOR_S, 2 * HEARD_FOR_S):
        hear(clock, now, n2=-600, n3=-1_200)
    now = 2 * HEARD_FOR_S
    assert clock.stamp(now, wall(now)) == wall(now) - 10


def test_a_clock_that_was_set_back_is_believed_after_a_while() -> None:
    clock = clock_of(3)
    hear(clock, 0.0, n2=0, n3=0)
    late = BEST_COUNTS_FOR * HEARD_FOR_S + 0.1
    for now in (late / 2, late):
        hear(clock, now, n2=-60_000, n3=-60_000)
    assert clock.read_ms(late, wall(late) - 60_000) < wall(late) - 500


def test_ahead_of_the_median_it_runs_at_half_speed_until_that_has_caught_up() -> None:
    clock = clock_of(1)
    clock.goes_on_from(wall(10.0) + 1_000, 10.0)
    assert clock.stamp(11.0, wall(11.0)) == wall(11.0) + 500
    assert clock.stamp(12.0, wall(12.0)) == wall(12.0)
    assert clock.stamp(13.0, wall(13.0)) == wall(13.0)


def test_after_an_outage_it_is_at_the_present_at_once() -> None:
    clock = clock_of(3)
    clock.goes_on_from(NOW_MS - 3_600_000, 10.0)
    hear(clock, 10.0, n2=4)
    assert clock.stamp(10.0, wall(10.0)) == wall(10.0)


@pytest.mark.parametrize("ahead_ms", [0, 100])
def test_stamps_closer_than_a_millisecond_do_not_freeze_it(ahead_ms: int) -> None:
    """Each takes up what the last one left of a millisecond."""
    clock = clock_of(1)
    clock.goes_on_from(wall(10.0) + ahead_ms, 10.0)
    for n in range(1, 10_001):
        stamp = clock.stamp(10.0 + n * 0.0001, wall(10.0 + n * 0.0001))
    assert stamp == pytest.approx(wall(11.0), abs=2)


def test_an_older_stamp_changes_nothing() -> None:
    clock = clock_of(3)
    clock.goes_on_from(NOW_MS, 10.0)
    clock.goes_on_from(NOW_MS - 1, 11.0)
    assert clock.read_ms(11.0, 0) == NOW_MS + 1_000
