"""Metrics as Prometheus reads them: its text format, version 0.0.4. Pure. Next: metrics.py, which metrics there are."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Literal

from glassraft.replica.tallies import Histogram

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric with its samples. A histogram's have the suffixes _bucket, _sum and _count."""

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    help: str
    samples: Iterable[tuple[str, Mapping[str, str], float]] = field(default=())


def metric(name: str, kind: Literal["gauge", "counter"], help: str, value: float, **labels: str) -> Metric:
    """A metric of one sample."""
    return Metric(name, kind, help, [("", labels, value)])


def by_label(
    name: str, kind: Literal["gauge", "counter"], help: str, label: str, values: Mapping[str, float]
) -> Metric:
    """A metric with a sample for each value of one label."""
    return Metric(name, kind, help, [("", {label: key}, value) for key, value in values.items()])


def histogram(name: str, help: str, values: Histogram) -> Metric:
    """Buckets are cumulative, and the last one, +Inf, counts all."""
    totals = list(accumulate(values.counts))
    bounds = [*(_number(bound) for bound in values.bounds), "+Inf"]
    buckets = [("_bucket", {"le": bound}, float(total)) for bound, total in zip(bounds, totals, strict=True)]
    return Metric(
        name, "histogram", help, [*buckets, ("_sum", {}, values.sum), ("_count", {}, float(totals[-1]))]
    )


def exposition(metrics: Iterable[Metric]) -> str:
    """The page. A metric without samples is left out."""
    return "".join(line + "\n" for each in metrics for line in _lines(each))


def _lines(metric: Metric) -> Iterator[str]:
    samples = list(metric.samples)
    if samples:
        yield f"# HELP {metric.name} {_escaped(metric.help, quotes=False)}"
        yield f"# TYPE {metric.name} {metric.kind}"
    for suffix, labels, value in samples:
        pairs = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
        shown = f"{{{pairs}}}" if pairs else ""
        yield f"{metric.name}{suffix}{shown} {_number(value)}"


def _escaped(text: str, quotes: bool = True) -> str:
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n")
    return escaped.replace('"', '\\"') if quotes else escaped


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
