"""Five-field cron lines, against a model that looks at every minute, and at the hours when clocks are changed."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import pytest
from hypothesis import example, given, settings

from glassraft.errors import BadArgument
from glassraft.jobqueue.cron import Cron, instant, parse_cron

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE_MS = 60_000


def ms(at: datetime) -> int:
    return round(at.timestamp() * 1_000)


def following(line: str, zone: str, start: str, count: int) -> list[str]:
    """The next times after `start` (local), as the clocks of the zone show them."""
    tz = ZoneInfo(zone)
    at = ms(datetime.fromisoformat(start).replace(tzinfo=tz))
    shown = []
    for _ in range(count):
        found = parse_cron(line).next_after(at, tz)
        assert found is not None
        at = found
        shown.append(datetime.fromtimestamp(at / 1_000, tz).strftime("%m-%d %H:%M %z"))
    return shown


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("30 2 * * *", ["05-10 02:30", "05-11 02:30"]),
        ("*/20 9-10 * * mon-fri", ["05-11 09:00", "05-11 09:20", "05-11 09:40", "05-11 10:00"]),
        ("0 0 1 * *", ["06-01 00:00", "07-01 00:00"]),
        ("0 12 * * 7", ["05-10 12:00", "05-17 12:00"]),
        ("0 12 * * 0", ["05-10 12:00", "05-17 12:00"]),
        ("5,10 0 9,12 * *", ["05-09 00:05", "05-09 00:10", "05-12 00:05"]),
        ("0 0 13 * FRI", ["05-13 00:00", "05-15 00:00", "05-22 00:00"]),  # either: cron(5)
        ("0 0 29 feb *", ["02-29 00:00"]),
        ("50/5 23 31 dec *", ["12-31 23:50", "12-31 23:55"]),
    ],
)
def test_lines_mean_what_cron_says(line: str, expected: list[str]) -> None:
    start = "2026-05-08T23:00" if line.startswith("5,") else "2026-05-10T02:00"
    if "9-10" in line:
        start = "2026-05-09T09:00"  # a Saturday
    assert following(line, "UTC", start, len(expected)) == [f"{each} +0000" for each in expected]


def test_a_day_passed_over_by_the_clocks_still_has_its_run() -> None:
    """Berlin, 29 March 2026: 02:00 becomes 03:00."""
    assert following("30 2 * * *", "Europe/Berlin", "2026-03-28T01:00", 3) == [
        "03-28 02:30 +0100",
        "03-29 03:00 +0200",
        "03-30 02:30 +0200",
    ]


def test_times_passed_over_together_run_once() -> None:
    assert following("*/15 2,3 * * *", "Europe/Berlin", "2026-03-29T01:00", 3) == [
        "03-29 03:00 +0200",
        "03-29 03:15 +0200",
        "03-29 03:30 +0200",
    ]


def test_an_hour_that_comes_twice_counts_once_for_set_hours() -> None:
    """Berlin, 25 October 2026: 03:00 becomes 02:00."""
    assert following("30 2 * * *", "Europe/Berlin", "2026-10-25T00:00", 2) == [
        "10-25 02:30 +0200",
        "10-26 02:30 +0100",
    ]
    second_time = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)
    found = parse_cron("30 2 * * *").next_after(ms(second_time), BERLIN)
    assert found == ms(datetime(2026, 10, 26, 1, 30, tzinfo=UTC))


def test_every_hour_goes_by_the_time_that_passes() -> None:
    assert following("30 * * * *", "Europe/Berlin", "2026-10-25T01:00", 4) == [
        "10-25 01:30 +0200",
        "10-25 02:30 +0200",
        "10-25 02:30 +0100",
        "10-25 03:30 +0100",
    ]
    assert following("30 * * * *", "Europe/Berlin", "2026-03-29T01:00", 2) == [
        "03-29 01:30 +0100",
        "03-29 03:30 +0200",
    ]


def test_midnight_that_is_passed_over() -> None:
    """Beirut, 29 March 2026: 00:00 becomes 01:00."""
    assert following("0 0 * * *", "Asia/Beirut", "2026-03-28T12:00", 2) == [
        "03-29 01:00 +0300",
        "03-30 00:00 +0300",
    ]


def test_half_an_hour_is_passed_over_too() -> None:
    """Lord Howe, 4 October 2026: 02:00 becomes 02:30; 5 April: 02:00 becomes 01:30."""
    assert following("10 2 * * *", "Australia/Lord_Howe", "2026-10-04T00:00", 2) == [
        "10-04 02:30 +1100",
        "10-05 02:10 +1100",
    ]
    assert following("45 * * * *", "Australia/Lord_Howe", "2026-04-05T01:00", 3) == [
        "04-05 01:45 +1100",
        "04-05 01:45 +1030",
        "04-05 02:45 +1030",
    ]


ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Asia/Beirut")


def model(cron: Cron, start: datetime, zone: ZoneInfo, minutes: int) -> list[datetime]:
    """Looks at each minute: what do the clocks show, and what have they just passed over?"""
    found = []
    for n in range(minutes):
        at = start + timedelta(minutes=n)
        here = at.astimezone(zone)
        before = (at - timedelta(minutes=1)).astimezone(zone).replace(tzinfo=None)
        wall = here.replace(tzinfo=None)
        if len(cron.hours) == 24:
            if means(cron, wall):
                found.append(at)
            continue
        walls = [wall] if not here.fold else []
        skipped = before + timedelta(minutes=1)
        while skipped < wall:
            walls.append(skipped)
            skipped += timedelta(minutes=1)
        if any(means(cron, each) for each in walls):
            found.append(at)
    return found


def means(cron: Cron, wall: datetime) -> bool:
    by_date = wall.day in cron.days
    by_weekday = wall.isoweekday() % 7 in cron.weekdays
    day = by_date or by_weekday if cron.either else by_date and by_weekday
    return day and wall.minute in cron.minutes and wall.hour in cron.hours and wall.month in cron.months


def fields(least: int, most: int) -> st.SearchStrategy[str]:
    numbers = st.integers(least, most)
    spans = st.tuples(numbers, numbers).map(lambda two: f"{min(two)}-{max(two)}")
    steps = st.tuples(st.one_of(st.just("*"), spans), st.integers(1, 20)).map(
        lambda two: f"{two[0]}/{two[1]}"
    )
    part = st.one_of(numbers.map(str), spans, steps)
    return st.one_of(st.just("*"), st.just("*"), st.lists(part, min_size=1, max_size=3).map(",".join))


lines = st.tuples(fields(0, 59), fields(0, 23), fields(1, 28), st.just("*"), fields(0, 7)).map(" ".join)
around_changes = st.sampled_from(
    [
        datetime(2026, 3, 28, 20, tzinfo=UTC),
        datetime(2026, 3, 8, 4, tzinfo=UTC),
        datetime(2026, 10, 24, 21, tzinfo=UTC),
        datetime(2026, 11, 1, 3, tzinfo=UTC),
        datetime(2026, 4, 4, 12, tzinfo=UTC),
        datetime(2026, 10, 3, 12, tzinfo=UTC),
        datetime(2027, 12, 31, 12, tzinfo=UTC),
    ]
)


@settings(max_examples=60, deadline=None)
@given(line=lines, zone=st.sampled_from(ZONES), start=around_changes, seconds=st.integers(0, 7_200))
@example(line="*/15 2 * * *", zone="Europe/Berlin", start=datetime(2026, 3, 28, 20, tzinfo=UTC), seconds=0)
@example(line="0 * * * *", zone="Europe/Berlin", start=datetime(2026, 10, 24, 21, tzinfo=UTC), seconds=1)
def test_every_minute_is_as_the_model_has_it(line: str, zone: str, start: datetime, seconds: int) -> None:
    minutes = 2 * 24 * 60
    tz = ZoneInfo(zone)
    cron = parse_cron(line)
    end = start + timedelta(minutes=minutes)
    after = start + timedelta(seconds=seconds)
    found = []
    at = cron.next_after(ms(after), tz)
    while at is not None and at < ms(end):
        found.append(at)
        at = cron.next_after(at, tz)
    assert found == [ms(each) for each in model(cron, start, tz, minutes) if each > after]


@given(
    wall=st.datetimes(datetime(1975, 1, 1), datetime(2100, 1, 1)),
    later=st.timedeltas(timedelta(0), timedelta(hours=3)),
    zone=st.sampled_from(ZONES),
)
def test_later_on_the_clock_is_never_earlier(wall: datetime, later: timedelta, zone: str) -> None:
    wall, tz = wall.replace(second=0, microsecond=0), ZoneInfo(zone)
    then = (wall + later).replace(second=0, microsecond=0)
    assert instant(wall, tz) <= instant(then, tz)


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("* * * *", "five fields"),
        (None, "five fields"),
        ("60 * * * *", "minute is from 0 to 59"),
        ("* 24 * * *", "hour is from 0 to 23"),
        ("* * 0 * *", "day of month is from 1 to 31"),
        ("* * * tue *", "'tue' is no month"),
        ("* * * * 8", "day of week is from 0 to 7"),
        ("*/0 * * * *", "a step is 1 or more"),
        ("5-3 * * * *", "ends before it begins"),
        ("1,, * * * *", "'' is no minute"),
        ("-1 * * * *", "'' is no minute"),
        ("٣ * * * *", "is no minute"),
        ("0 0 30 2 *", "never comes"),
        ("0 0 31 4,6,9,11 *", "never comes"),
    ],
)
def test_what_is_wrong_is_named(line: str, wrong: str) -> None:
    with pytest.raises(BadArgument, match=wrong):
        parse_cron(line)


def test_a_day_that_comes_seldom_is_found() -> None:
    cron = parse_cron("0 0 29 2 */7")  # both a star and a step: a Sunday, 29 February
    assert not cron.either
    start = ms(datetime(2032, 3, 1, tzinfo=UTC))
    found = cron.next_after(start, UTC)
    assert found == ms(datetime(2060, 2, 29, tzinfo=UTC))
    assert found - start > 27 * 365 * 24 * 60 * MINUTE_MS


def test_there_is_an_end_to_time() -> None:
    assert parse_cron("0 0 * * *").next_after(ms(datetime(9999, 1, 1, tzinfo=UTC)), UTC) is None
