"""python -m glassraft.simulation: play many seeds, or one with all that happens in it.

    python -m glassraft.simulation --seeds 10000 --jobs 2     look for a seed that breaks a property
    python -m glassraft.simulation --seed 42                  tell what happens in one
    python -m glassraft.simulation --seed 42 --shrink         the shortest schedule in which it still fails, told
    python -m glassraft.simulation --seed 42 --record DIR     write the event files that real nodes write
    python -m glassraft.simulation --broken all --jobs 2      in how many seeds each broken rule is caught
    python -m glassraft.simulation --play FILE                a scenario that was written by hand, and what comes of it

Exit status 0 where all held, 1 where something did not.
"""

import argparse
import sys
from contextlib import AbstractContextManager
from pathlib import Path

from glassraft.simulation import hunt
from glassraft.simulation.broken import ZOO
from glassraft.simulation.coverage import table
from glassraft.simulation.dask import NoDask, dask_cluster
from glassraft.simulation.explore import Findings, Pool, explore, processes
from glassraft.simulation.progress import progress
from glassraft.simulation.run import plan_of, simulate
from glassraft.simulation.scenario import Scenario, ScenarioError, played
from glassraft.simulation.shrink import Case, schedule_text, shrink, transcript

SEEDS = 1_000


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """See the head of this file."""
    parser = argparse.ArgumentParser(
        prog="python -m glassraft.simulation",
        description="The whole cluster in one thread on one seed, with every property checked after every step.",
    )
    parser.add_argument("--seeds", type=int, default=SEEDS, metavar="N", help=f"how many (default {SEEDS:,})")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="the first of them (default 0)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes (default 1)")
    parser.add_argument(
        "--executor", metavar="dask://HOST:PORT", help="play the seeds on this Dask cluster instead"
    )
    parser.add_argument(
        "--failures",
        type=int,
        default=1,
        metavar="N",
        help="stop after so many seeds have failed (default 1)",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="play this seed alone, and tell what happens")
    parser.add_argument(
        "--record", type=Path, metavar="DIR", help="with --seed or --play: write the nodes' event files there"
    )
    parser.add_argument("--play", type=Path, metavar="FILE", help="play this scenario alone")
    parser.add_argument(
        "--shrink",
        action="store_true",
        help="with --seed (and --broken NAME): cut it down to what still fails",
    )
    parser.add_argument(
        "--broken",
        choices=["all", *ZOO],
        metavar="NAME",
        help="a rule of the zoo, or all: how soon each is caught",
    )
    parser.add_argument(
        "--tries", type=int, default=hunt.TRIES, metavar="N", help="of which the median counts"
    )
    parser.add_argument(
        "--within", type=int, default=hunt.WITHIN, metavar="N", help="seeds that a broken rule may survive"
    )
    return parser.parse_args(arguments)


def tell_one(seed: int, record: Path | None) -> int:
    """Play one seed, telling everything or writing it down; 1 if it fails."""
    plan = plan_of(seed)
    print(f"seed {seed}: {plan.settings}")
    if record is not None and not _is_empty(record):
        return 2
    listener = None if record is not None else lambda at, text: print(f"{at:9.4f}  {text}")
    result = simulate(seed, record=record, listener=listener)
    if record is not None:
        print(f"event files are in {record}: python visualizer.py {record}")
    print(f"{result.simulated_s:.1f} s simulated in {result.steps:,} steps; {len(result.history)} operations")
    if result.failure:
        print(f"seed {seed} fails {result.failure}")
        return 1
    print("every property held")
    return 0


def _is_empty(folder: Path) -> bool:
    """Whether event files can be written there; else it is said why not."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.glob("node-*.jsonl")):
        print(f"{folder} holds event files already: give an empty folder", file=sys.stderr)
        return False
    return True


def tell_scenario(file: Path, record: Path | None) -> int:
    """Print a scenario and what comes of it; 2 if it cannot be played."""
    if record is not None and not _is_empty(record):
        return 2
    try:
        blocks = played(file.read_text(encoding="utf-8"), Scenario(record))
    except (OSError, UnicodeDecodeError, ScenarioError) as error:
        print(f"{file}: {error}", file=sys.stderr)
        return 2
    print("\n".join(block.written() for block in blocks), end="")
    return 0


def tell_many(found: Findings) -> int:
    """Print what many seeds came to; 1 if any fails."""
    print(table(found.coverage, found.seeds))
    rate = found.seeds / found.took_s
    per_seed = (
        f"{found.simulated_s / found.seeds:.1f} s simulated and {found.steps / found.seeds:,.0f} steps a seed"
    )
    print(f"\n{found.seeds:,} seeds in {found.took_s:.0f} s, {rate:.1f} a second; {per_seed}")
    for seed, failure in sorted(found.failures.items()):
        print(f"seed {seed} fails {failure}")
        print(f"  python -m glassraft.simulation --seed {seed}")
    if not found.failures:
        print("every property held")
    else:
        shrunk = shrink(case_of(min(found.failures)))
        print(
            f"\nthe shortest that still fails (--shrink tells it):\n{schedule_text(shrunk)}" if shrunk else ""
        )
    return 1 if found.failures else 0


def tell_shrunk(case: Case) -> int:
    """Print what happens in the smallest case in which a seed still fails; 1 if it does."""
    shrunk = shrink(case)
    if shrunk is None:
        print(f"seed {case.seed}: every property held")
        return 0
    print(transcript(shrunk))
    return 1


def case_of(seed: int, broken: str | None = None) -> Case:
    """What this seed plays, all rules kept or one broken."""
    if broken is not None:
        rule = ZOO[broken]
        return Case(seed, hunt.settings_for(rule, seed), hunt.schedule_for(rule, seed), rule.parts)
    plan = plan_of(seed)
    return Case(seed, plan.settings, plan.schedule)


def tell_broken(name: str, tries: int, within: int, jobs: int) -> int:
    """Print how soon broken rules are caught; 1 if one is not."""
    names = list(ZOO) if name == "all" else [name]
    with progress("hunts", len(names) * tries) as advance:
        rows = hunt.hunt_all(names, tries, within, jobs, advance)
    print(hunt.table(rows))
    return 0 if all(row.is_caught for row in rows) else 1


def pool_of(options: argparse.Namespace) -> AbstractContextManager[Pool]:
    """Who plays many seeds: this machine's processes, or a Dask cluster's workers."""
    return dask_cluster(options.executor) if options.executor else processes(options.jobs)


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    options = parse_arguments(arguments)
    if options.play is not None:
        return tell_scenario(options.play, options.record)
    if options.seed is not None and options.shrink:
        return tell_shrunk(case_of(options.seed, options.broken))
    if options.seed is not None:
        return tell_one(options.seed, options.record)
    if options.broken is not None:
        return tell_broken(options.broken, options.tries, options.within, options.jobs)
    try:
        with pool_of(options) as pool, progress("seeds", options.seeds) as advance:
            found = explore(options.first, options.seeds, pool, options.failures, advance)
    except NoDask as error:
        print(error, file=sys.stderr)
        return 2
    return tell_many(found)


if __name__ == "__main__":
    sys.exit(main())
