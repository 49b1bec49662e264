"""Fixtures for pytest: a queue of a test's own, and its clock. In conftest.py:

pytest_plugins = ["glassraft.pytest_plugin"]
"""

from collections.abc import Iterator

import pytest

from glassraft.jobqueue.client import JobQueue
from glassraft.jobqueue.clock import ManualClock
from glassraft.jobqueue.default_queue import using


@pytest.fixture
def job_clock() -> ManualClock:
    """The time of job_queue, which stands still until the test moves it."""
    return ManualClock()


@pytest.fixture
def job_queue(job_clock: ManualClock) -> Iterator[JobQueue]:
    """An empty queue in this process, to which tasks are submitted during the test; testing.drain runs them."""
    with JobQueue.embedded(clock=job_clock) as queue, using(queue):
        yield queue
