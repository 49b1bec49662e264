"""The Python that README.md and docs/queue.md show runs, and the tree of errors is as in the code."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import glassraft
from glassraft import GlassraftError, configure
from glassraft.jobqueue import tasks

ROOT = Path(__file__).parents[2]
QUEUE = ROOT / "docs" / "queue.md"


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing of the examples stays registered or configured."""
    known = dict(tasks.TASKS)
    yield
    configure(None)
    for name in set(tasks.TASKS) - set(known):
        monkeypatch.delitem(tasks._tasks, name)


@pytest.mark.parametrize("path", [ROOT / "README.md", QUEUE], ids=lambda path: path.name)
def test_the_examples_run(path: Path) -> None:
    """One after another, in a queue that runs jobs at once where they name a cluster's."""
    examples = re.findall(
        r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    assert examples
    names: dict[str, object] = {"__name__": "example"}
    for example in examples:
        exec(compile(example.replace('Queue("config.json")', "Queue.inline()"), path.name, "exec"), names)
    for queue in (names.get("queue"), glassraft.jobqueue.default_queue.default_queue()):
        if isinstance(queue, glassraft.JobQueue):
            queue.close()


def error_lines(error: type[GlassraftError], depth: int = 0) -> list[str]:
    """The public errors below one, as a nested list."""
    lines = [f"{'  ' * depth}- `{error.__name__}`: {(inspect.getdoc(error) or '').splitlines()[0]}"]
    public = [each for each in error.__subclasses__() if each.__name__ in glassraft.__all__]
    for each in sorted(public, key=lambda each: each.__name__):
        lines += error_lines(each, depth + 1)
    return lines


def test_the_tree_of_errors_is_current() -> None:
    found = re.search(r"<!-- errors: .*? -->\n(.*?)<!-- /errors -->", QUEUE.read_text("utf-8"), re.DOTALL)
    assert found is not None
    for name in glassraft.__all__:
        getattr(glassraft, name)
    assert found[1].splitlines() == error_lines(GlassraftError)
