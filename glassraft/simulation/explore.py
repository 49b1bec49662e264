"""Many seeds, one after the other or on several processes, and what came of them together.

Next: __main__.py, the command.
"""

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Final

from glassraft.simulation.coverage import Coverage
from glassraft.simulation.run import Failure, simulate

CHUNK: Final = 10
"""Seeds that one process plays at a time."""

WAITING_A_PROCESS: Final = 4
"""Chunks that wait for each process, so that none is idle and a failure soon stops all."""

Advance = Callable[[int], None]
"""Told how many more seeds are done."""


@dataclass
class Findings:
    """What many seeds came to."""

    seeds: int = 0
    failures: dict[int, Failure] = field(default_factory=dict)
    coverage: Coverage = field(default_factory=Coverage)
    steps: int = 0
    simulated_s: float = 0.0
    took_s: float = 0.0

    def add(self, other: "Findings") -> None:
        """What others found."""
        self.seeds += other.seeds
        self.failures.update(other.failures)
        self.coverage.update(other.coverage)
        self.steps += other.steps
        self.simulated_s += other.simulated_s


def play(seeds: Sequence[int]) -> Findings:
    """Play these seeds."""
    findings = Findings()
    for seed in seeds:
        result = simulate(seed)
        failures = {seed: result.failure} if result.failure else {}
        findings.add(Findings(1, failures, result.coverage, result.steps, result.simulated_s))
    return findings


def explore(first: int, count: int, jobs: int, most_failures: int, advance: Advance) -> Findings:
    """Play `count` seeds from `first` on with `jobs` processes; stop after so many failures."""
    began = time.perf_counter()
    found = Findings()
    chunks = (range(start, min(start + CHUNK, first + count)) for start in range(first, first + count, CHUNK))
    for part in map(play, chunks) if jobs == 1 else _in_processes(chunks, jobs):
        found.add(part)
        advance(part.seeds)
        if len(found.failures) >= most_failures:
            break
    found.took_s = time.perf_counter() - began
    return found


def _in_processes(chunks: Iterator[range], jobs: int) -> Iterator[Findings]:
    """What the chunks come to, as they are done."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context) as pool:
        running = set()
        try:
            for chunk in chunks:
                running.add(pool.submit(play, chunk))
                if len(running) >= jobs * WAITING_A_PROCESS:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            pool.shutdown(cancel_futures=True)
