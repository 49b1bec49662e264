"""The jobs: how many are in each state, how fast they come and go, and the newest of them."""

from collections.abc import Iterator

from glassraft.window.measures import FINISHED, RecentJob, duration
from glassraft.window.scene.stage import Stage
from glassraft.window.shapes import Line, Shape, Text

SHOWN = ("ready", "running", "scheduled", "succeeded", "dead")
RARE = ("waiting", "cancelled")
ROOMY = 76
"""A column of counts needs so much."""

ROW = 22.0
TOP = 41.0


def shapes(stage: Stage) -> Iterator[Shape]:
    """The counts above, the newest jobs below."""
    yield from _counts(stage)
    yield from _newest(stage)


def _counts(stage: Stage) -> Iterator[Shape]:
    counts, theme = stage.model.measures.by_state(), stage.theme
    states = SHOWN + tuple(state for state in RARE if counts.get(state))
    submitted, finished = stage.model.measures.rates(stage.model.now)
    columns = [(state, f"{counts.get(state, 0):,}") for state in states]
    if stage.width / (len(columns) + 2) > ROOMY:
        columns += [("submitted/s", rate(submitted)), ("finished/s", rate(finished))]
    step = (stage.width - 32) / len(columns)
    for at, (label, number) in enumerate(columns):
        x = 16 + at * step
        colour = theme.ink if number not in ("0", "0.0") else theme.faint
        shown = stage.fit(number, "count", step - 6) if stage.measure(number, "count") < step else number
        yield Text(f"count {at}", x, TOP + 21, shown, colour, "count" if len(number) < 7 else "value")
        yield Text(
            f"count {at} label", x, TOP + 42, stage.fit(label, "label", step - 4), theme.muted, "label"
        )
    y = TOP + 60
    yield Line("jobs rule", ((16, y), (stage.width - 16, y)), theme.border)


def _newest(stage: Stage) -> Iterator[Shape]:
    theme, top = stage.theme, TOP + 64
    jobs = stage.model.measures.newest()
    fits = max(1, int((stage.height - top - 4) / ROW))
    if not jobs:
        words = "no jobs yet: submit some with the button above, or with python jobs.py submit"
        yield Text(
            "jobs empty", 16, top + 18, stage.fit(words, "body", stage.width - 32), theme.muted, "body"
        )
    for row, job in enumerate(jobs[:fits]):
        y, key = top + ROW / 2 + row * ROW, f"job {row}"
        yield Text(f"{key} id", 16, y, job.id, theme.ink, "mono")
        yield Text(f"{key} task", 108, y, stage.fit(job.task or "…", "body", 170), theme.ink, "body")
        strong = job.state in ("running", "dead")
        yield Text(
            f"{key} state",
            292,
            y,
            job.state,
            theme.ink if strong else theme.muted,
            "strong" if strong else "body",
        )
        yield Text(f"{key} time", stage.width - 17, y, _when(stage, job), theme.muted, "label", "e")


def _when(stage: Stage, job: RecentJob) -> str:
    if job.state in FINISHED and job.submitted is not None and job.ended is not None:
        return f"after {duration(job.ended - job.submitted)}"
    return f"for {duration(max(0.0, stage.model.now - job.changed))}" if stage.offer.live else ""


def rate(value: float) -> str:
    """A number a second, no more exact than it is steady."""
    return f"{value:,.0f}" if value >= 10 or value == 0 else f"{value:.1f}"
