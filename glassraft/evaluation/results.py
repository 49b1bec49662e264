"""What a run was and what came of it; as rows of the CSV and as lines for the terminal.

Nothing runs here, and nothing is drawn. Next: scenarios.py makes results, plots.py shows them.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from glassraft.evaluation.analysis import MessageCount, Numbers, Percentiles

KINDS = (
    "RequestVote",
    "RequestVoteReply",
    "AppendEntries",
    "AppendEntriesReply",
    "TimeoutNow",
    "TimeoutNowReply",
)

Scenario = Literal["messages", "payload"]


@dataclass(frozen=True, slots=True)
class Point:
    """One run to do: so many submissions of one job each, with a payload of so many bytes.

    With `kill`, the leader is killed with -9 after a third of them, and started again after two thirds.
    """

    scenario: Scenario
    submissions: int
    payload_bytes: int
    kill: bool = False

    def __str__(self) -> str:
        return f"{self.submissions} x {size(self.payload_bytes)}" + (", leader killed" if self.kill else "")


@dataclass(frozen=True, slots=True)
class Result:
    """A run that was done. `acknowledged` is what the clients saw, `numbers` what the nodes wrote down."""

    point: Point
    nodes: int
    seed: int
    acknowledged: int
    numbers: Numbers

    def total(self) -> MessageCount:
        """Messages of all kinds."""
        counts = self.numbers.messages.values()
        return MessageCount(sum(count.sent for count in counts), sum(count.received for count in counts))


def write_csv(results: Sequence[Result], path: Path) -> None:
    """One row a run; units are in the columns' names. Raises OSError where the file cannot be written."""
    rows = [_row(result) for result in results]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows(rows)


def _row(result: Result) -> dict[str, object]:
    point, numbers = result.point, result.numbers
    row: dict[str, object] = {
        "scenario": point.scenario,
        "submissions": point.submissions,
        "payload_bytes": point.payload_bytes,
        "leader_killed": int(point.kill),
        "nodes": result.nodes,
        "seed": result.seed,
        "acknowledged": result.acknowledged,
        "duration_s": f"{numbers.duration_s:.3f}",
        "jobs_per_s": f"{numbers.jobs_per_s:.1f}",
        "payload_kib_per_s": f"{numbers.jobs_per_s * point.payload_bytes / 1024:.1f}",
        **_columns("commit", numbers.commit_ms),
        **_columns("call", numbers.call_ms),
        "elections": numbers.elections,
    }
    for kind in KINDS:
        count = numbers.messages.get(kind, MessageCount(0, 0))
        row |= {f"{kind}_sent": count.sent, f"{kind}_received": count.received, f"{kind}_lost": count.lost}
    total = result.total()
    return row | {"sent": total.sent, "received": total.received, "lost": total.lost}


def _columns(name: str, times: Percentiles) -> dict[str, object]:
    return {
        f"{name}_{level}_ms": f"{value:.3f}"
        for level, value in (("p50", times.p50), ("p95", times.p95), ("p99", times.p99))
    }


def table(results: Sequence[Result]) -> str:
    """The results for the terminal, a line a run."""
    head = (
        f"{'run':<34}{'jobs/s':>9}{'commit p50':>12}{'p95':>8}{'p99':>8}"
        f"{'call p50':>10}{'p95':>8}{'p99':>8}{'sent':>9}{'lost':>7}"
    )
    lines = [head, "-" * len(head)]
    for result in results:
        numbers, total = result.numbers, result.total()
        commit, call = numbers.commit_ms, numbers.call_ms
        lines.append(
            f"{result.point!s:<34}{numbers.jobs_per_s:>9.0f}{commit.p50:>12.2f}{commit.p95:>8.2f}{commit.p99:>8.2f}"
            f"{call.p50:>10.2f}{call.p95:>8.2f}{call.p99:>8.2f}{total.sent:>9}{total.lost:>7}"
        )
    return "\n".join([*lines, "times in milliseconds; lost: sent and never received"])


def size(count: int) -> str:
    """A number of bytes for people: 16 B, 10 KiB."""
    return f"{count // 1024} KiB" if count >= 1024 and count % 1024 == 0 else f"{count} B"
