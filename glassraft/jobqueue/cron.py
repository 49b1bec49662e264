"""Five-field cron lines: which minutes they mean, and when the next one comes in a time zone. Pure.

A line says minute, hour, day of month, month and day of week, as cron(5) has them. It is read by
the clocks of its time zone, and those are changed twice a year:

- a line for set hours means each of its times once: one that the clocks pass over comes at the
  moment at which they go forward, one that comes twice counts the first time;
- a line for every hour goes by the time that really passes: its minutes come whenever clocks show them.

Next: replica/schedules.py, where the leader asks; queue.md, "Schedules".
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final

from glassraft.errors import BadArgument
from glassraft.jobqueue.fields import shown

MINUTE: Final = timedelta(minutes=1)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
LAST_YEAR: Final = 9998
"""No date is looked for later, so that every sum of a date and an offset is one."""

SEARCHED_YEARS: Final = 50
"""A day that does not come in so many years never does: 29 February comes on a given weekday within 40."""

MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


@dataclass(frozen=True, slots=True)
class Field:
    """One of the five: its name, its least and greatest number, and the names that stand for numbers from `least`."""

    name: str
    least: int
    most: int
    names: Sequence[str] = ()


FIELDS: Final = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of month", 1, 31),
    Field("month", 1, 12, MONTHS),
    Field("day of week", 0, 7, DAYS),
)


@dataclass(frozen=True, slots=True)
class Cron:
    """What a line means: the numbers of each field, ascending. `weekdays` count from Sunday, 0."""

    minutes: Sequence[int]
    hours: Sequence[int]
    days: Sequence[int]
    months: Sequence[int]
    weekdays: Sequence[int]
    either: bool
    """Both kinds of days are given: one of the two is enough, as in cron(5)."""

    def next_after(self, ms: int, zone: tzinfo) -> int | None:
        """The first of its times after `ms`, both in milliseconds UTC; None where none comes any more."""
        after = EPOCH + timedelta(milliseconds=ms)
        found = self._by_passing(after, zone) if len(self.hours) == 24 else self._by_clock(after, zone)
        return None if found is None else (found - EPOCH) // timedelta(milliseconds=1)

    def _by_clock(self, after: datetime, zone: tzinfo) -> datetime | None:
        """Each time that the clocks show, or would have shown, once. `instant` never falls as these rise."""
        local = after.astimezone(zone).replace(tzinfo=None)
        for day in self._days_from(local.date()):
            earliest = local.time() if day == local.date() else time.min
            for wall in self._times_of(day, earliest):
                at = instant(wall, zone)
                if at > after:
                    return at
        return None

    def _by_passing(self, after: datetime, zone: tzinfo) -> datetime | None:
        """Minute by minute of real time within the days it means: changes of clocks need no rule of their own."""
        at = after.replace(second=0, microsecond=0) + MINUTE
        for day in self._days_from(at.astimezone(zone).date()):
            at = max(at, instant(datetime.combine(day, time.min), zone))
            while (local := at.astimezone(zone)).date() == day:
                if local.minute in self.minutes:
                    return at
                at += MINUTE
        return None

    def _times_of(self, day: date, earliest: time) -> Iterator[datetime]:
        for hour in self.hours[bisect_left(self.hours, earliest.hour) :]:
            least = earliest.minute if hour == earliest.hour else 0
            for minute in self.minutes[bisect_left(self.minutes, least) :]:
                yield datetime.combine(day, time(hour, minute))

    def _days_from(self, first: date) -> Iterator[date]:
        """The days that it means, from this one on."""
        for year in range(first.year, min(first.year + SEARCHED_YEARS, LAST_YEAR) + 1):
            for month in self.months:
                if (year, month) < (first.year, first.month):
                    continue
                day = max(first, date(year, month, 1))
                while day.month == month:
                    if self._means(day):
                        yield day
                    day += timedelta(days=1)

    def _means(self, day: date) -> bool:
        by_date = day.day in self.days
        by_weekday = day.isoweekday() % 7 in self.weekdays
        return by_date or by_weekday if self.either else by_date and by_weekday


def instant(wall: datetime, zone: tzinfo) -> datetime:
    """When the clocks of the zone show this, the first time; where they never do, when they go past it. In UTC."""
    before = wall.replace(tzinfo=zone).astimezone(UTC)
    if before.astimezone(zone).replace(tzinfo=None) == wall:
        return before
    # The clocks go forward between these two: by the offset of after and by that of before the change.
    low, high = wall.replace(tzinfo=zone, fold=1).astimezone(UTC), before
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) // 2
        middle = middle.replace(microsecond=0)
        if middle.astimezone(zone).replace(tzinfo=None) < wall:
            low = middle
        else:
            high = middle
    return high


def parse_cron(line: str) -> Cron:
    """What a line means. Raises BadArgument, which names the field."""
    fields = line.split() if isinstance(line, str) else []
    if len(fields) != len(FIELDS):
        names = ", ".join(field.name for field in FIELDS)
        raise BadArgument(f"cron takes five fields, {names}, such as '30 2 * * mon', not {shown(line)}")
    minutes, hours, days, months, weekdays = (
        _numbers(field, text) for field, text in zip(FIELDS, fields, strict=True)
    )
    either = not fields[2].startswith("*") and not fields[4].startswith("*")
    cron = Cron(minutes, hours, days, months, sorted({day % 7 for day in weekdays}), either)
    if next(cron._days_from(date(2000, 1, 1)), None) is None:
        raise BadArgument(f"cron: the day of {shown(line)} never comes")
    return cron


def _numbers(field: Field, text: str) -> Sequence[int]:
    """The numbers of one field: a list of *, a, a-b, each perhaps with /step."""
    numbers: set[int] = set()
    for part in text.split(","):
        span, slash, step = part.partition("/")
        first, last = _span(field, span, open_ended=bool(slash))
        every = _whole(field, step) if slash else 1
        if every < 1:
            raise BadArgument(f"cron: a step is 1 or more, not {part!r} ({field.name})")
        numbers.update(range(first, last + 1, every))
    return sorted(numbers)


def _span(field: Field, text: str, *, open_ended: bool) -> tuple[int, int]:
    if text == "*":
        return field.least, field.most - (field.most == 7)  # 7 is another name for Sunday, 0
    first_text, dash, last_text = text.partition("-")
    first = _number(field, first_text)
    last = _number(field, last_text) if dash else field.most if open_ended else first
    if last < first:
        raise BadArgument(f"cron: {text!r} ends before it begins ({field.name})")
    return first, last


def _number(field: Field, text: str) -> int:
    if text.lower() in field.names:
        return field.least + field.names.index(text.lower())
    number = _whole(field, text)
    if not field.least <= number <= field.most:
        raise BadArgument(f"cron: {field.name} is from {field.least} to {field.most}, not {number}")
    return number


def _whole(field: Field, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 4):
        raise BadArgument(f"cron: {text!r} is no {field.name}")
    return int(text)
