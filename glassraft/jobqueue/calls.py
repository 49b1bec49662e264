"""What JobQueue, its asyncio twin and workers need of a queue: a call of one of docs/wire.md's methods.

A cluster (rpc/leader.py) and a queue in this process (embedded/calls.py) take the same methods with the same
parameters, so whoever calls knows nothing else of them. inline.py runs the jobs of the second in their caller.
"""

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Calls(Protocol):
    """Any thread may call."""

    timeout_s: float
    """How long a call may look for an answer, where it does not say itself."""

    def call(
        self,
        method: str,
        *params: Any,
        timeout_s: float | None = None,
        wait_s: float = 0.0,
        changes: bool = True,
    ) -> Any:
        """The method's answer; a refusal is raised as a Fault.

        `wait_s` is how long the method itself may wait before it answers; `changes` says whether it
        has an effect: then calling it again must be harmless, as its session makes it.
        """

    def close(self) -> None:
        """Nothing is called any more."""
