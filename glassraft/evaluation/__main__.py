"""Runs the two comparisons and writes a CSV and two plots: `python -m glassraft.evaluation`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from glassraft.errors import GlassraftError
from glassraft.evaluation import plots, scenarios
from glassraft.evaluation.progress import Progress
from glassraft.evaluation.results import Result, table, write_csv

DEFAULT_OUT = Path("docs") / "evaluation"
CSV_NAME = "evaluation.csv"


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when everything was measured, written and drawn; 1 else, with a line that says why."""
    options = _parse(arguments)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        results = _run(options)
        write_csv(results, options.out / CSV_NAME)
        print(table(results))
        print(f"wrote {options.out / CSV_NAME}")
        _draw(results, options.out)
    except (GlassraftError, OSError) as error:
        print(f"evaluation: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("evaluation: interrupted, nothing was written", file=sys.stderr)
        return 1
    return 0


def _run(options: argparse.Namespace) -> list[Result]:
    points = scenarios.points(options.quick)
    with Progress("submissions", sum(point.submissions for point in points)) as progress:
        return [scenarios.run(point, options.nodes, options.seed, progress.advance) for point in points]


def _draw(results: Sequence[Result], out: Path) -> None:
    for scenario in plots.TITLES:
        path = out / f"{scenario}.png"
        plots.draw(results, scenario, path)
        print(f"wrote {path}")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m glassraft.evaluation",
        description="Measure real clusters: few and many submissions, small and large payloads, a kill.",
    )
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="folder for the CSV and the plots")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    parser.add_argument("--nodes", type=int, default=3, help="nodes of each cluster, 3 or more (default 3)")
    parser.add_argument("--seed", type=int, default=1, help="from which the payloads follow (default 1)")
    options = parser.parse_args(arguments)
    if options.nodes < 3:
        parser.error(f"--nodes {options.nodes}: a leader is killed, which a cluster survives from 3 nodes on")
    return options


if __name__ == "__main__":
    sys.exit(main())
