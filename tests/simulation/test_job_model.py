"""What clients may be told of a job, and what they may not: histories written by hand."""

import pytest

from glassraft.simulation.job_model import REFUSED, JobModel, Submission, with_ends_of_leases
from glassraft.simulation.linearizability import EVERY_KEY, Operation, Violation, check


class History:
    """Operations in the order written, each with the next second to itself."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.now = 0.0

    def add(
        self, kind: str, argument: object = None, result: object = None, *, lasts: float = 1.0
    ) -> "History":
        self.operations.append(Operation("c1", self.now, self.now + lasts, kind, "job", argument, result))
        self.now += 2.0
        return self

    def lose(self, kind: str, argument: object = None, key: object = "job") -> "History":
        """Called, and never answered."""
        self.operations.append(Operation("c2", self.now, None, kind, key, argument))
        self.now += 2.0
        return self

    def check(self) -> Violation | None:
        return check(with_ends_of_leases(self.operations), JobModel())


def submitted(**asked: object) -> History:
    return History().add("submit", Submission(**asked), "submitted")  # type: ignore[arg-type]


def taken(lease_s: float = 1000.0, token: int = 5) -> History:
    return submitted().add("take", lease_s, token)


GOOD = {
    "a life": taken()
    .add("get", result="running")
    .add("extend", 5, "running")
    .add("complete", 5, "succeeded")
    .add("get", result="succeeded"),
    "told twice, answered alike": taken().add("complete", 5, "succeeded").add("complete", 5, "succeeded"),
    "failed and tried again": taken()
    .add("fail", (5, True), "scheduled")
    .add("get", result="scheduled")
    .add("get", result="ready")
    .add("take", 10.0, 9),
    "out of attempts": submitted(max_attempts=1).add("take", 10.0, 5).add("fail", (5, True), "dead"),
    "given back": taken().add("release", 5, "ready").add("take", 10.0, 6).add("complete", 5, REFUSED),
    "its lease ran out": taken(lease_s=3.0)
    .add("get", result="running")
    .add("take", 3.0, 8)
    .add("extend", 5, REFUSED),
    "a lost completion may count": taken().lose("complete", 5).add("get", result="succeeded"),
    "a lost completion may come late": taken()
    .lose("complete", 5)
    .add("get", result="running")
    .add("get", result="succeeded"),
    "a lost take may be of any job": submitted()
    .lose("take", 3.0, EVERY_KEY)
    .add("get", result="running")
    .add("get", result="ready")
    .add("take", 3.0, 9),
    "a lost submission may never be there": History().lose("submit", Submission()).add("get", result=None),
    "a lost submission may be there": History().lose("submit", Submission()).add("get", result="ready"),
    "a submission refused": History().add("submit", Submission(), REFUSED).add("get", result=None),
    "an unknown job's completion is refused": History().add("complete", 5, REFUSED),
    "delayed": submitted(is_delayed=True).add("get", result="scheduled").add("take", 3.0, 4),
}

BAD = {
    "a stale read": taken().add("complete", 5, "succeeded").add("get", result="running"),
    "a submission that is lost": submitted().add("get", result=None),
    "a double take": taken().add("take", 1000.0, 6),
    "a token that does not rise": taken(lease_s=1.0).add("get", result="ready").add("take", 1.0, 5),
    "a job that comes back": taken().add("complete", 5, "succeeded").add("take", 10.0, 9),
    "a stale token completes": taken()
    .add("release", 5, "ready")
    .add("take", 10.0, 7)
    .add("complete", 5, "succeeded"),
    "a valid token is refused": taken().add("complete", 5, REFUSED),
    "a completion that is undone": taken().add("complete", 5, "succeeded").add("complete", 5, REFUSED),
    "dead before its attempts are over": taken().add("fail", (5, True), "dead"),
    "two jobs of one submission": submitted().add("submit", Submission(), "submitted"),
    "a refused submission that is there": History()
    .add("submit", Submission(), REFUSED)
    .add("get", result="ready"),
    "a lease that ran out too early": taken(lease_s=1000.0).add("get", result="ready"),
    "scheduled again without an attempt": submitted(is_delayed=True)
    .add("get", result="ready")
    .add("get", result="scheduled"),
    "a lost completion counts once, and stays": taken()
    .lose("complete", 5)
    .add("get", result="succeeded")
    .add("get", result="running"),
}


@pytest.mark.parametrize("history", GOOD.values(), ids=GOOD)
def test_what_clients_may_be_told(history: History) -> None:
    assert history.check() is None


@pytest.mark.parametrize("history", BAD.values(), ids=BAD)
def test_what_clients_may_not_be_told(history: History) -> None:
    assert history.check() is not None


def test_two_takes_beside_each_other_get_one_job_once() -> None:
    history = submitted()
    takes = [Operation(f"w{number}", 3.0, 9.0, "take", "job", 100.0, 4 + number) for number in range(2)]
    assert check(with_ends_of_leases(history.operations + takes[:1]), JobModel()) is None
    assert check(with_ends_of_leases(history.operations + takes), JobModel()) is not None


def test_a_completion_beside_the_end_of_the_lease_goes_either_way() -> None:
    for told in ("succeeded", REFUSED):
        history = taken(lease_s=2.0)
        history.now = 3.5
        assert history.add("complete", 5, told, lasts=2.0).check() is None


def test_a_violation_reads_well() -> None:
    violation = taken().add("get", result="running").add("take", 1000.0, 6).check()
    assert str(violation).splitlines() == [
        "no order explains what the clients of job were told:",
        "     2.000 to 3.000  c1: take 1000.0 -> 5",
        "     6.000 to 7.000  c1: take 1000.0 -> 6",
        "when c1's take was answered it can only have been: running under token 5",
        "(2 other operations on it make no difference)",
    ]
