"""docs/wire.md says what is served: every method with its parameters, and every fault."""

from pathlib import Path

import pytest

from glassraft.replica.service import Service
from glassraft.rpc.faults import FAULTS
from glassraft.rpc.methods import BoundMethod

DOCUMENT = (Path(__file__).parents[2] / "docs" / "wire.md").read_text("utf-8")
METHODS = Service(1, "c").methods()


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_documented_as_it_is_served(name: str) -> None:
    method = METHODS[name]
    said = f"#### `{BoundMethod(name, method).spoken()} -> {method.signature[0]}`\n"
    assert said in DOCUMENT
    assert method.help


def test_nothing_else_is_documented() -> None:
    headings = [line for line in DOCUMENT.splitlines() if line.startswith("#### `")]
    assert len(headings) == len(METHODS)


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_documented(name: str) -> None:
    fault = FAULTS[name]
    assert f"| {fault.code} | `{fault.name}` | {fault.meaning} | {fault.detail} |\n" in DOCUMENT
