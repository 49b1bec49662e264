"""Writes the tables of docs/events.md from types.py: `python -m glassraft.events.document docs/events.md`.

The text around the tables is written by hand; what stands between the two marks is made here,
and a test fails while the page is not current.
"""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from glassraft.events.types import COMMON, EVENTS, MESSAGE_FIELDS, TYPES, Field

BEGIN = "<!-- made by `python -m glassraft.events.document docs/events.md`: change types.py instead -->"
END = "<!-- end of what is made -->"


def tables() -> str:
    """The made part of the page, in Markdown."""
    parts = ["## Fields of every event", _table(COMMON), "## Events"]
    for event in EVENTS.values():
        parts += [f"### {event.name}", event.help, _table(event.fields)]
    parts.append("## Fields of messages")
    parts.append("`send` and `receive` carry these too, by `kind`:")
    for kind, fields in MESSAGE_FIELDS.items():
        parts += [f"### {kind}", _table(fields)]
    parts += ["## Types", "| type | is |\n|---|---|\n" + _rows((f"`{n}`", t.help) for n, t in TYPES.items())]
    return "\n\n".join(parts)


def with_tables(page: str) -> str:
    """The page with its made part renewed. Raises ValueError where the page lacks the marks."""
    before, begin, rest = page.partition(BEGIN)
    _old, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no line {BEGIN!r} followed by {END!r}")
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}"


def _table(fields: Mapping[str, Field]) -> str:
    rows = (
        (f"`{name}`", f"`{field.type}`", field.help + (" (may be absent)" if field.optional else ""))
        for name, field in fields.items()
    )
    return "| field | type | meaning |\n|---|---|---|\n" + _rows(rows)


def _rows(rows: Iterable[tuple[str, ...]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.write_text(with_tables(target.read_text(encoding="utf-8")), encoding="utf-8")
