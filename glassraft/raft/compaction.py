"""Log compaction (§7): which entries go from the log, and when.

An entry may go once the state machine holds what came of it on disk. A tail is kept beyond that,
for followers that are a little behind; those that are further behind get a snapshot
(snapshot.py). Entries go in strides, at most one a moment, so that a server is never held up.
"""

from typing import TYPE_CHECKING

from glassraft.raft import snapshot

if TYPE_CHECKING:
    from glassraft.raft.messages import LogPosition
    from glassraft.raft.ready import StateMachineSynced
    from glassraft.raft.server import Server


def on_state_machine_synced(server: "Server", event: "StateMachineSynced") -> None:
    """What came of these entries cannot be lost any more."""
    server.synced_index = max(server.synced_index, event.index)
    server.sync_under_way = False


def wants_sync(server: "Server") -> bool:
    """Whether the state machine's file must be synced before another stride can go from the log."""
    first_unsynced = max(server.synced_index, server.log.base.index)
    stride = server.settings.compact_entries
    # What the tail keeps is looked at last, since this is asked with every Ready.
    if server.sync_under_way or server.last_applied - first_unsynced < stride:
        return False
    server.sync_under_way = _has_unneeded(server, first_unsynced + stride)
    return server.sync_under_way


def compact_a_stride(server: "Server") -> "LogPosition | None":
    """Let the oldest entries go, if it is time; the log's new base."""
    log, stride = server.log, server.settings.compact_entries
    held_on_disk = server.rules.highest_compactable(server.synced_index)
    if held_on_disk - log.base.index < stride or server.now <= server.compacted_at:
        return None
    if not _has_unneeded(server, log.base.index + stride):
        return None
    server.compacted_at = server.now
    was = log.first_index
    log.compact(log.base.index + stride)
    server.configurations.compact(log.base.index)
    server.note("compact", "highest_compactable", first=log.first_index, was=was, base_term=log.base.term)
    return log.base


def _has_unneeded(server: "Server", index: int) -> bool:
    """Whether this entry is below the kept tail, which is longer while a snapshot is made, sent or caught up from."""
    last, settings = server.log.last_index, server.settings
    if index > last - settings.kept_entries:
        return False
    needed_after = snapshot.needed_after(server)
    return needed_after is None or index <= max(needed_after, last - settings.kept_for_snapshot)
