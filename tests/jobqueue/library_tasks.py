"""Tasks for the library's tests: small, and importable by a worker's processes."""

import asyncio
from pathlib import Path

from glassraft import Cancel, GiveUp, Snooze, current_job, task


@task(priority=5, max_attempts=3, backoff={"base": 0})
def plus(a: int, b: int = 1) -> int:
    """The sum."""
    return a + b


@task(backoff={"base": 0})
def succeeds_at_last(path: str) -> int:
    """Fails twice."""
    tries = Path(path)
    tries.write_text(tries.read_text() + "." if tries.exists() else ".")
    if tries.stat().st_size < 3:
        raise ConnectionError("not yet")
    return tries.stat().st_size


@task(give_up_on=(ValueError,), backoff={"base": 0})
def gives_up_on_values(value: str) -> int:
    """Raises ValueError for what is no number."""
    return int(value)


@task(retry_on=(ConnectionError,), backoff={"base": 0})
def retries_connections() -> None:
    """Raises what it was not told to retry on."""
    raise KeyError("other")


@task
def snoozes_once() -> int:
    """Says that it is too early, the first time."""
    if current_job().attempt == 1:
        raise Snooze(0.1, "too early")
    return current_job().attempt


@task
def returns_a_snooze() -> object:
    """The same, returned."""
    return Snooze(0) if current_job().attempt == 1 else "late"


@task
def leaves() -> None:
    """Is not wanted any more."""
    raise Cancel("the customer has left")


@task
def gives_up() -> None:
    """Will never work."""
    raise GiveUp("the account is closed")


@task
async def sleeps_a_little(value: int) -> int:
    """An async function."""
    await asyncio.sleep(0.01)
    return value


@task
def hands_on_a_sum(a: int) -> str:
    """Submits another job with its completion."""
    keyed = plus.options(key=f"after {current_job().id}", unique_for=3_600)
    current_job().submit_on_success(keyed, a, b=10)
    return current_job().id
