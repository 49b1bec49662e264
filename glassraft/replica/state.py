"""One node's state in words: for those who ask with State, and for the event log.

Both are taken between two turns, so they show one moment. Next: service.py, events/types.py.
"""

import os
from typing import Any

from glassraft.replica.turn import Replica


def wire_state(replica: Replica) -> dict[str, Any]:
    """What State answers; who is absent is 0."""
    server = replica.server
    machine = replica.queue.machine
    return {
        "id": server.id,
        "role": server.role,
        "term": server.current_term,
        "voted_for": server.voted_for or 0,
        "leader_id": server.leader_id or 0,
        "commit_index": server.commit_index,
        "last_applied": machine.applied_index,
        "last_log_index": server.log.last.index,
        "last_log_term": server.log.last.term,
        "first_log_index": server.log.first_index,
        "pid": os.getpid(),
        "members": list(server.configuration.voters),
        "learners": list(server.configuration.learners),
        "addresses": {
            str(id): "{}:{}".format(*replica.addresses[id])
            for id in server.members
            if id in replica.addresses
        },
        "peers": {
            str(peer): {"next_index": progress.next_index, "match_index": progress.match_index}
            for peer, progress in server.progress.items()
        },
        "clock": replica.recorder.writer.clock,
        "seq": replica.recorder.writer.seq,
        "digest": machine.digest,
        "cluster_time_ms": replica.now_ms(),
        "jobs": machine.counts(),
    }


def event_state(replica: Replica) -> dict[str, object]:
    """The fields of a `state` event: the node's whole state, from which a fold can begin."""
    server = replica.server
    return {
        "term": server.current_term,
        "role": server.role,
        "voted_for": server.voted_for,
        "leader_id": server.leader_id,
        "commit_index": server.commit_index,
        "last_applied": replica.queue.machine.applied_index,
        "last_log_index": server.log.last.index,
        "last_log_term": server.log.last.term,
        "first_log_index": server.log.first_index,
        "base_term": server.log.base.term,
        "log": [[first, last, term] for first, last, term in server.log.terms],
        "peers": {
            str(peer): [progress.next_index, progress.match_index]
            for peer, progress in server.progress.items()
        },
        "members": list(server.configuration.voters),
        "learners": list(server.configuration.learners),
        "pid": os.getpid(),
    }
