"""Checks of what users write, field by field: each gives the value as a command holds it, or a BadArgument. Pure.

The whole of a job is checked in job_options.py, the whole of a command in commands.py.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from glassraft.errors import BadArgument
from glassraft.jobqueue.canonical import canonical

SECOND_MS: Final = 1_000
HOUR_MS: Final = 3_600 * SECOND_MS
DAY_MS: Final = 24 * HOUR_MS
LONGEST_MS: Final = 3_650 * DAY_MS
"""No duration is longer than ten years, and no instant later than the year 9999."""
LAST_INSTANT_MS: Final = 253_402_300_799_999
LEAST_RETENTION_MS: Final = 600 * SECOND_MS
"""A finished job is kept so long at least, so that a call which is repeated gets its first answer."""
MAX_TOKEN: Final = 2**53 - 1
MAX_NAME: Final = 200
MAX_PAYLOAD_NESTING: Final = 64
"""Less than canonical.MAX_NESTING, so that an answer that shows a payload can always be written."""
MAX_ERROR_BYTES: Final = 2 * 1024
MAX_TRACEBACK_BYTES: Final = 16 * 1024
MAX_NOTE: Final = 200


class TooLarge(BadArgument):
    """A payload or command is larger than the limit that the message names."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes that are checked before anything is proposed."""

    max_items: int = 1_000
    max_command_bytes: int = 4 * 1024 * 1024
    max_payload_bytes: int = 256 * 1024


LIMITS: Final = Limits()

Check: TypeAlias = Callable[[Any], Any]
"""Takes what was written and returns what the command holds; raises BadArgument."""

_name = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,200}").fullmatch


def check_name(value: Any, what: str = "name") -> str:
    """1 to 200 characters, none of them a control character."""
    if not isinstance(value, str):
        raise BadArgument(f"{what} must be text, not {shown(value)}")
    if not _name(value):
        rule = f"1 to {MAX_NAME} characters without control characters"
        raise BadArgument(f"{what} must be {rule}, not {shown(value)}")
    return value


def shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def integer(what: str, least: int, most: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if type(value) is not int or not least <= value <= most:
            raise BadArgument(f"{what} must be a whole number from {least} to {most}, not {shown(value)}")
        return value

    return check


def named(what: str) -> Callable[[Any], str]:
    return lambda value: check_name(value, what)


def payload(value: Any, what: str, limits: Limits = LIMITS) -> str:
    """The canonical JSON of a user's value. Raises TooLarge beyond the limit, BadArgument if not JSON."""
    try:
        text = canonical(value, MAX_PAYLOAD_NESTING)
    except BadArgument as error:
        raise BadArgument(f"{what}: {error}") from None
    if len(text) > limits.max_payload_bytes:
        raise TooLarge(f"{what} is {len(text):,} bytes of JSON; the limit is {limits.max_payload_bytes:,}")
    return text


def refuse_unknown(given: Mapping[str, Any], known: Collection[str], what: str) -> None:
    unknown = [key for key in given if key not in known]
    if unknown:
        raise BadArgument(f"{what} {shown(unknown[0])}; those known are {', '.join(known)}")


# Texts that are cut rather than refused


def storable(text: str) -> str:
    """The text without what UTF-8 cannot hold: lone surrogates become question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")


def cut_end(text: str, limit_bytes: int) -> str:
    """At most `limit_bytes` of UTF-8, the beginning kept."""
    data = text.encode("utf-8", "replace")
    return data[:limit_bytes].decode("utf-8", "ignore")


def cut_start(text: str, limit_bytes: int) -> str:
    """At most `limit_bytes` of UTF-8, the end kept: the last lines of a traceback say the most."""
    data = text.encode("utf-8", "replace")
    return data[-limit_bytes:].decode("utf-8", "ignore")
