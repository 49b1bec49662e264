"""A job's id: its place in the log, as a number for the tables and as a short text for people.

The number is log index * 1024 + position in the command, so ids are unique for ever and rise
with submission. The text is the number in Crockford's base 32 (no i, l, o, u) behind one letter
that tells how many digits follow; so sorting texts sorts numbers. Entry 1234, position 0 is "c16j00".
"""

from glassraft.errors import BadArgument

POSITIONS = 1024
"""How many ids one log entry can give: exactly two digits of base 32."""

MAX_INDEX = 2**53 - 1

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUES = {digit: value for value, digit in enumerate(_DIGITS)}
_LENGTH_LETTERS = "abcdefghjkm"
_DIGITS_OF_LETTER = {letter: count for count, letter in enumerate(_LENGTH_LETTERS, start=3)}
_LETTER_OF_DIGITS = {count: letter for letter, count in _DIGITS_OF_LETTER.items()}
_PAIRS = [high + low for high in _DIGITS for low in _DIGITS]
_TYPED = str.maketrans("OoIiLl", "001111")


def number(index: int, position: int) -> int:
    """The number of the job at `position` (0 to 1023) of the command in log entry `index`."""
    return index * POSITIONS + position


def to_text(job: int) -> str:
    """The id as people see it."""
    text = ""
    rest = job
    while rest:
        text = _PAIRS[rest & 1023] + text
        rest >>= 10
    text = text.lstrip("0")
    return _LETTER_OF_DIGITS[len(text)] + text


def from_text(text: str) -> int:
    """The number of an id. Capitals are taken, and O for 0, I and L for 1, as people mistype them.

    Raises BadArgument when the text cannot be an id.
    """
    typed = text.strip() if isinstance(text, str) else ""
    letter, digits = typed[:1].lower(), typed[1:].translate(_TYPED).lower()
    if not digits or len(digits) != _DIGITS_OF_LETTER.get(letter) or digits[0] == "0":
        raise _not_an_id(text)
    job = 0
    try:
        for digit in digits:
            job = job * 32 + _VALUES[digit]
    except KeyError:
        raise _not_an_id(text) from None
    if job // POSITIONS > MAX_INDEX:
        raise _not_an_id(text)
    return job


def _not_an_id(text: object) -> BadArgument:
    shown = repr(text) if len(repr(text)) <= 60 else repr(text)[:57] + "..."
    return BadArgument(f"{shown} is not a job's id; one looks like 'c16j00'")
