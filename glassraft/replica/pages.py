"""What a node shows to a plain GET: /metrics, /healthz, /readyz. docs/wire.md says what each promises.

Next: metrics.py, what is measured; rpc/pages.py, how a page travels.
"""

from collections.abc import Callable
from typing import TypeVar

from glassraft.replica.behind import Behind
from glassraft.replica.exposition import MEDIA_TYPE, exposition
from glassraft.replica.metrics import node_metrics, queue_metrics
from glassraft.replica.turn import Replica
from glassraft.rpc.pages import Page, Pages

LOOK_S = 2.0
"""A node that does not turn within this long is reported as not well."""

BEHIND_ENTRIES = 1_000
"""So many committed entries may wait to be applied here: a fraction of a second's at full load."""

SILENCE_S = 5.0
"""A leader that was not heard for so long is not known any more, whatever this node last believed."""

T = TypeVar("T")


class NodePages:
    """One node's."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    def pages(self) -> Pages:
        """By path."""
        return {"/metrics": self.metrics, "/healthz": self.healthz, "/readyz": self.readyz}

    def metrics(self) -> Page:
        """All there is to measure, in Prometheus's text format."""
        try:
            node = self._seen(lambda replica: node_metrics(replica, self._behind.cluster_id))
        except TimeoutError as error:
            return Page(503, f"{error}\n")
        with self._behind.queue.reading() as reader:
            stats = reader.stats()
        return Page(200, exposition([*node, *queue_metrics(stats)]), MEDIA_TYPE)

    def healthz(self) -> Page:
        """200 where the process turns: to be restarted where it does not."""
        try:
            self._seen(lambda replica: None)
        except TimeoutError as error:
            return Page(503, f"{error}\n")
        return Page(200, "ok\n")

    def readyz(self) -> Page:
        """200 where this node knows a leader and has applied what it knows to be committed: to be asked."""
        try:
            missing = self._seen(not_ready_because)
        except TimeoutError as error:
            missing = str(error)
        return Page(503, f"{missing}\n") if missing else Page(200, "ready\n")

    def _seen(self, see: Callable[[Replica], T]) -> T:
        """What is seen between two turns. TimeoutError where there is none within LOOK_S."""
        seen: list[T] = []
        self._behind.driver.look(lambda replica: seen.append(see(replica)), LOOK_S)
        return seen[0]


def not_ready_because(replica: Replica) -> str:
    """Why clients should ask another node; empty where this one will do."""
    server = replica.server
    if replica.stopping:
        return "it is shutting down"
    if server.leader_id is None:
        return "no leader is known"
    silence_s = replica.clock.monotonic() - replica.leader_heard_at
    if server.role != "leader" and silence_s > SILENCE_S:
        return f"its leader, n{server.leader_id}, was not heard for {silence_s:.1f} s"
    behind = server.commit_index - replica.queue.machine.applied_index
    if behind > BEHIND_ENTRIES:
        return f"{behind} committed entries are not applied yet"
    return ""
