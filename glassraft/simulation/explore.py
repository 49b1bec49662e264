"""Many seeds, one after the other or on several processes, and what came of them together.

Next: __main__.py, the command.
"""

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
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


@dataclass(frozen=True)
class Pool:
    """Who plays the seeds, and how many at once; no executor is this process itself."""

    executor: Executor | None
    width: int


def explore(first: int, count: int, pool: Pool, most_failures: int, advance: Advance) -> Findings:
    """Play `count` seeds from `first` on in this pool; stop after so many failures."""
    began = time.perf_counter()
    found = Findings()
    chunks = (range(start, min(start + CHUNK, first + count)) for start in range(first, first + count, CHUNK))
    executor = pool.executor
    for part in map(play, chunks) if executor is None else _at_once(chunks, executor, pool.width):
        found.add(part)
        advance(part.seeds)
        if len(found.failures) >= most_failures:
            break
    found.took_s = time.perf_counter() - began
    return found


@contextmanager
def processes(jobs: int) -> Iterator[Pool]:
    """Processes of this machine; one job is this very process."""
    if jobs == 1:
        yield Pool(None, 1)
        return
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as executor:
        try:
            yield Pool(executor, jobs)
        finally:
            executor.shutdown(cancel_futures=True)


def _at_once(chunks: Iterator[range], executor: Executor, width: int) -> Iterator[Findings]:
    """What the chunks come to, as they are done; so many wait that nobody is idle, and a failure soon stops all."""
    running: set[Future[Findings]] = set()
    for chunk in chunks:
        running.add(executor.submit(play, chunk))
        if len(running) >= width * WAITING_A_PROCESS:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
    while running:
        done, running = wait(running, return_when=FIRST_COMPLETED)
        yield from (future.result() for future in done)
