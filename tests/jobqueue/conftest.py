from collections.abc import Iterator

import pytest

from tests.jobqueue.queue_driver import QueueDriver, new_queue


@pytest.fixture
def queue() -> Iterator[QueueDriver]:
    with new_queue() as driver:
        yield driver
