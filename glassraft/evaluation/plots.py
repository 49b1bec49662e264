"""Draws the results: one picture a scenario, three panels each (latency, throughput, messages).

Matplotlib is imported when something is drawn and not before, so that everything else works
without it. Colours are Okabe and Ito's, told apart by the colour-blind.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from glassraft.errors import GlassraftError
from glassraft.evaluation.analysis import Percentiles
from glassraft.evaluation.results import Point, Result, Scenario, size

BLUE, ORANGE, GREEN, PINK, GREY = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#5B6470"
LEVELS: Sequence[tuple[str, str, Callable[[Percentiles], float]]] = (
    ("p50", BLUE, lambda times: times.p50),
    ("p95", ORANGE, lambda times: times.p95),
    ("p99", PINK, lambda times: times.p99),
)

TITLES: Mapping[Scenario, str] = {
    "messages": "Few and many submissions",
    "payload": "Small and large payloads",
}
X_LABELS: Mapping[Scenario, str] = {"messages": "submissions", "payload": "payload of a job"}


class NoMatplotlib(GlassraftError):
    """The plots cannot be drawn here."""


def draw(results: Sequence[Result], scenario: Scenario, path: Path) -> None:
    """Draw one scenario's results into a PNG. Raises NoMatplotlib where it is not installed."""
    runs = [result for result in results if result.point.scenario == scenario]
    plt = _pyplot()
    with plt.rc_context(_STYLE):
        figure, (latency, throughput, messages) = plt.subplots(
            1, 3, figsize=(11.5, 3.7), width_ratios=(1.15, 1.0, 1.1), layout="constrained"
        )
        labels = [_label(result.point) for result in runs]
        _draw_latency(latency, runs)
        _draw_throughput(throughput, runs)
        _draw_messages(messages, runs)
        for axes in (latency, throughput, messages):
            axes.set_xticks(range(len(runs)), labels, fontsize=8.5)
            axes.set_xlabel(X_LABELS[scenario])
            axes.grid(axis="y", color="#E3E6EA", linewidth=0.8)
            axes.set_axisbelow(True)
        title = f"{TITLES[scenario]}: {_setting(runs)}"
        figure.suptitle(title, x=0.01, ha="left", fontsize=12, weight="bold")
        figure.get_layout_engine().set(w_pad=0.1, h_pad=0.08)
        figure.savefig(path, dpi=130)
        plt.close(figure)


def _pyplot() -> Any:
    try:
        import matplotlib
    except ImportError as error:
        raise NoMatplotlib(
            "matplotlib is not installed, so no plots were drawn: pip install matplotlib, and run again"
        ) from error
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


_STYLE: dict[str, object] = {
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}


def _draw_latency(axes: Any, runs: Sequence[Result]) -> None:
    """Both latencies by their percentiles; the run with a fault apart, as it has another story."""
    calm = [at for at, result in enumerate(runs) if not result.point.kill]
    killed = [at for at, result in enumerate(runs) if result.point.kill]
    for name, colour, level in LEVELS:
        commits = [level(result.numbers.commit_ms) for result in runs]
        calls = [level(result.numbers.call_ms) for result in runs]
        axes.plot(calm, [commits[at] for at in calm], "o-", color=colour, label=f"commit {name}")
        axes.plot(calm, [calls[at] for at in calm], "s--", color=colour, mfc="white", label=f"call {name}")
        axes.plot(killed, [commits[at] for at in killed], "o", color=colour)
        axes.plot(killed, [calls[at] for at in killed], "s", color=colour, mfc="white")
    axes.set_yscale("log", subs=())
    axes.yaxis.get_major_locator().set_params(subs=(1, 2, 5))
    axes.yaxis.set_major_formatter(lambda value, _position: f"{value:g}")
    axes.set_ylabel("milliseconds (log)")
    axes.set_title("Latency: append to commit, and the call")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * (high / low) ** 0.35)  # room for the legend
    axes.legend(ncols=3, loc="upper left", columnspacing=0.9, handlelength=1.6, borderaxespad=0.1)


def _draw_throughput(axes: Any, runs: Sequence[Result]) -> None:
    values = [result.numbers.jobs_per_s for result in runs]
    bars = axes.bar(range(len(runs)), values, width=0.62, color=GREEN)
    axes.bar_label(bars, labels=[f"{value:,.0f}" for value in values], padding=2, fontsize=8.5)
    axes.margins(y=0.12)
    axes.set_ylabel("acknowledged jobs a second")
    axes.set_title("Throughput")


def _draw_messages(axes: Any, runs: Sequence[Result]) -> None:
    """Counts span four powers of ten and lost ones are often none: a log scale that has a zero."""
    totals = [result.total() for result in runs]
    series = (
        ("sent", BLUE, [total.sent for total in totals]),
        ("received", GREEN, [total.received for total in totals]),
        ("lost", ORANGE, [total.lost for total in totals]),
    )
    for place, (name, colour, values) in enumerate(series):
        positions = [at + (place - 1) * 0.27 for at in range(len(runs))]
        bars = axes.bar(positions, values, width=0.25, color=colour, label=name)
        if name == "lost":
            axes.bar_label(bars, labels=[f"{value:,}" for value in values], padding=2, fontsize=8.5)
    axes.set_yscale("symlog", linthresh=1)
    axes.yaxis.set_major_formatter(lambda value, _position: f"{value:,.0f}")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * 12)
    axes.set_ylabel("messages between nodes (log)")
    axes.set_title("Messages")
    axes.legend(ncols=3, loc="upper left", columnspacing=1.0, handlelength=1.2)


def _label(point: Point) -> str:
    value = size(point.payload_bytes) if point.scenario == "payload" else f"{point.submissions:,}"
    return f"{value},\nkill -9" if point.kill else value


def _setting(runs: Sequence[Result]) -> str:
    """What all runs of a scenario share."""
    if not runs:
        return "no runs"
    point = runs[0].point
    each = size(point.payload_bytes) if point.scenario == "messages" else f"{point.submissions} submissions"
    return f"{runs[0].nodes} nodes, {each}" + (" each" if point.scenario == "payload" else " a job")
