"""Which metrics a node has: docs/wire.md says what each means. Next: exposition.py, their format; pages.py."""

from collections.abc import Iterator, Mapping
from typing import Any

from glassraft import __version__
from glassraft.jobqueue.states import STATES
from glassraft.replica.exposition import Metric, by_label, histogram, metric
from glassraft.replica.turn import Replica

ROLES = ("follower", "candidate", "leader")
TOTALS = {
    "submitted": "Jobs that were submitted.",
    "completed": "Jobs that succeeded.",
    "failed": "Attempts that failed, ran out of their lease or of their time.",
}


def node_metrics(replica: Replica, cluster_id: str) -> list[Metric]:
    """What Raft is doing here. Quick, since no turn runs meanwhile."""
    server, tallies = replica.server, replica.recorder.tallies
    node = str(server.id)
    cluster_ms, wall_ms = replica.now_ms(), replica.clock.wall_ms()
    matches = {str(peer): float(progress.match_index) for peer, progress in server.progress.items()}
    first, last = server.log.first_index, server.log.last.index
    indexes = {
        "commit": ("Index of the last entry known to be committed.", server.commit_index),
        "applied": ("Index of the last entry applied to the queue.", replica.queue.machine.applied_index),
        "log_first": ("Index of the first entry that the log still has.", first),
        "log_last": ("Index of the last entry in the log.", last),
    }
    return [
        metric(
            *("glassraft_info", "gauge", "Which node this is.", 1),
            node=node,
            cluster=cluster_id,
            version=__version__,
        ),
        metric("glassraft_term", "gauge", "The current term.", server.current_term),
        by_label(
            *("glassraft_role", "gauge", "1 for the role that the node has.", "role"),
            {role: float(role == server.role) for role in ROLES},
        ),
        metric("glassraft_leader_id", "gauge", "Which node leads; 0: not known here.", server.leader_id or 0),
        metric(
            *("glassraft_leader_silence_seconds", "gauge", "Time since a leader was heard; 0 on the leader."),
            0.0 if server.role == "leader" else max(0.0, replica.clock.monotonic() - replica.leader_heard_at),
        ),
        *(metric(f"glassraft_{name}_index", "gauge", help, n) for name, (help, n) in indexes.items()),
        metric("glassraft_log_entries", "gauge", "Entries in the log.", last - first + 1),
        metric("glassraft_voters", "gauge", "Servers that vote.", len(server.configuration.voters)),
        metric(
            "glassraft_learners", "gauge", "New servers without a vote.", len(server.configuration.learners)
        ),
        by_label(
            *(
                "glassraft_peer_match_index",
                "gauge",
                "Last entry known to be on a peer; the leader alone knows.",
            ),
            *("peer", matches),
        ),
        metric(
            *("glassraft_clock_ahead_seconds", "gauge", "This node's clock less the cluster's time."),
            (wall_ms - cluster_ms) / 1_000,
        ),
        metric(
            "glassraft_turns_total", "counter", "Turns: batches of arrivals that were handled.", tallies.turns
        ),
        *(
            by_label(f"glassraft_messages_{what}_total", "counter", help, "kind", dict(counted))
            for what, help, counted in (
                ("sent", "Messages sent to peers.", tallies.sent),
                ("received", "Messages received from peers.", tallies.received),
                ("lost", "Messages that the network gave up on.", tallies.lost),
            )
        ),
        histogram(
            "glassraft_save_duration_seconds",
            "Time to make a turn's entries and vote durable.",
            tallies.saves,
        ),
    ]


def queue_metrics(stats: Mapping[str, Any]) -> Iterator[Metric]:
    """What is in the queue, as this node has it: from QueueReader.stats()."""
    queues: Mapping[str, Mapping[str, int]] = stats["queues"]
    yield Metric(
        "glassraft_jobs",
        "gauge",
        "Jobs by queue and state.",
        [
            ("", {"queue": queue, "state": state}, counts[state])
            for queue, counts in queues.items()
            for state in STATES
            if state in counts
        ],
    )
    for total, help in TOTALS.items():
        values = {queue: float(counts[total]) for queue, counts in queues.items() if total in counts}
        yield by_label(f"glassraft_jobs_{total}_total", "counter", help, "queue", values)
    yield by_label(
        *("glassraft_oldest_ready_age_seconds", "gauge", "Time since the oldest ready job was submitted."),
        *("queue", {queue: ms / 1_000 for queue, ms in stats["oldest_ready_ms"].items()}),
    )
    paused = {queue: 1.0 for queue, settings in stats["settings"].items() if settings.get("paused")}
    yield by_label("glassraft_queue_paused", "gauge", "1 for a queue that is paused.", "queue", paused)
