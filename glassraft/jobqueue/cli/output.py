"""How commands answer: a value as JSON for programs, or as text for people."""

import argparse
import json
from collections.abc import Callable
from typing import Any


def show(options: argparse.Namespace, value: Any, as_text: Callable[[Any], str]) -> None:
    """The answer of a command, on the standard output."""
    print(json.dumps(value, indent=2) if options.json else as_text(value))
