"""The schema is what the pages say, and it finds what does not fit it."""

import pathlib
import shutil
import subprocess

import pytest

from glassraft.events import EVENTS, problems
from glassraft.events.document import with_tables
from glassraft.events.types import COMMON, MESSAGE_FIELDS, TYPES

ROOT = pathlib.Path(__file__).parents[2]
GOOD = {
    "ts": 1.0, "mono": 2.0, "clock": 3, "node": 1, "seq": 4, "event": "commit", "term": 2,
    "index": 5, "was": 4,
}  # fmt: skip


def test_the_page_is_current():
    page = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
    assert page == with_tables(page), "run: python -m glassraft.events.document docs/events.md"


def test_a_page_without_the_marks_is_refused():
    with pytest.raises(ValueError, match="no line"):
        with_tables("# Events\n")


def test_every_field_has_a_known_type_and_no_event_shadows_a_common_field():
    for fields in [COMMON, *MESSAGE_FIELDS.values(), *(each.fields for each in EVENTS.values())]:
        assert all(field.type in TYPES and field.help for field in fields.values())
    for each in EVENTS.values():
        assert not set(each.fields) & set(COMMON)


def test_a_good_event_has_no_problems():
    assert problems(GOOD) == []
    assert problems({**GOOD, "why": "majority_holds_entry", "holders": [1, 2]}) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"index": "5"}, "commit: index is '5', not a whole number"),
        ({"index": True}, "commit: index is True, not a whole number"),
        ({"colour": 1}, "commit: unknown field 'colour'"),
        ({"event": "comit"}, "unknown event 'comit'"),
        ({"holders": [1, "2"]}, "commit: holders is [1, '2'], not a list of node ids"),
        ({"term": None}, "term is None, not a whole number"),
    ],
)
def test_a_misfit_is_named(change, problem):
    assert problem in problems({**GOOD, **change})


def test_a_missing_field_is_named():
    event = {name: value for name, value in GOOD.items() if name != "was"}
    assert problems(event) == ["commit: was is missing"]


def test_a_message_carries_its_kinds_fields():
    send = {**GOOD, "event": "send", "to": 2, "kind": "RequestVote", "id": "n1-1", "last": [1, 5]}
    del send["index"], send["was"]
    assert problems(send) == []
    assert problems({**send, "last": 5}) == ["send: last is 5, not [term, index] of an entry"]


def one_liners() -> dict[str, str]:
    lines = (ROOT / "logs" / "README.md").read_text(encoding="utf-8").splitlines()
    commands = [line.strip() for line in lines if line.startswith("    ")]
    return {("jq" if "jq" in command else "python"): command for command in commands}


@pytest.mark.parametrize(
    ("tool", "expected"),
    [
        ("jq", "n1  term 1  follower -> candidate  election_timeout_elapsed"),
        ("python", "n1 {'append': 1, 'role': 2, 'state': 1, 'term': 1, 'vote': 1, 'votes': 1}"),
    ],
)
def test_the_readmes_one_liners_work(model, tool, expected):
    if not shutil.which(tool) or not shutil.which("sh"):
        pytest.skip(f"no {tool} or no sh here")
    node = model()
    node.campaign()
    node.win()
    node.writer.close()
    done = subprocess.run(
        ["sh", "-c", one_liners()[tool]], cwd=node.path.parent, capture_output=True, text=True, timeout=30
    )
    assert expected in done.stdout, done.stderr
