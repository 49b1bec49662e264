"""The audit sees each way in which a promise can be broken, and nothing else."""

import pytest

from glassraft.evaluation.audit import Promises, audit


def job(mark: int, **change: object) -> dict[str, object]:
    return {"id": f"j{mark}", "state": "succeeded", "args": [mark], "result": mark, **change}


def promises() -> Promises:
    return Promises(acknowledged={1: "j1", 2: "j2"}, unknown={3}, refused={4})


@pytest.mark.parametrize("in_doubt", [[], [job(3)]])
def test_kept_promises_whether_or_not_a_job_in_doubt_is_there(in_doubt):
    found = audit(promises(), [job(1), job(2), *in_doubt])
    assert found.kept
    assert found.sentences() == []


@pytest.mark.parametrize(
    ("jobs", "name", "marks"),
    [
        ([job(1)], "lost", [2]),
        ([job(1), job(2), job(2)], "doubled", [2]),
        ([job(1), job(2), job(3), job(3, id="other")], "doubled", [3]),
        ([job(1), job(2), job(4)], "unasked", [4]),
        ([job(1), job(2), job(5)], "unasked", [5]),
        ([job(1), job(2, id="other")], "renamed", [2]),
        ([job(1), job(2, state="running", result=None)], "unfinished", [2]),
        ([job(1), job(2, state="dead", result=None)], "unfinished", [2]),
        ([job(1), job(2, result=1)], "wrong", [2]),
    ],
)
def test_a_broken_promise_is_named_by_its_kind_and_mark(jobs, name, marks):
    found = audit(promises(), jobs)
    assert not found.kept
    assert getattr(found, name) == marks
    assert found.sentences() == [f"1 {name}: {marks[0]}"]
