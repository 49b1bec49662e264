"""Text for people at a terminal: coloured where `rich` is installed, else as it is. Pipes never get colour."""

import re
import sys
from typing import Final

STYLES: Final = {
    r"(?m)^[A-Z][A-Z/ ]+$": "bold",
    r"\bsucceeded\b": "green",
    r"\brunning\b": "cyan",
    r"\b(?:ready|scheduled|waiting)\b": "blue",
    r"\bdead\b": "red",
    r"\b(?:cancelled|paused)\b": "yellow",
}
"""The heads of tables, and states; rich itself heeds NO_COLOR and terminals without colours."""


def is_seen() -> bool:
    """Whether people look at the standard output."""
    return sys.stdout.isatty()


def write(text: str) -> None:
    """One answer, on the standard output."""
    if not is_seen() or not _write_in_colour(text):
        print(text, flush=True)


def _write_in_colour(text: str) -> bool:
    """False where rich is not installed; it is imported only here, as it takes its time."""
    try:
        from rich.console import Console
        from rich.text import Text
    except ImportError:
        return False
    coloured = Text(text)
    for pattern, style in STYLES.items():
        for found in re.finditer(pattern, text):
            coloured.stylize(style, found.start(), found.end())
    Console().print(coloured, soft_wrap=True)
    return True
