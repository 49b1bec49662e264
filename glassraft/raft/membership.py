"""Changes of membership, one server at a time (dissertation §4).

A leader appends the new configuration as an entry, and it counts from then on. Two changes never
overlap, and none begins before the leader has committed an entry of its own term: without that
second condition, found in 2015, two leaders could decide by majorities that share nobody. A new
server is a learner first; its leader makes it a voter once it has caught up (diss. §4.2.1). A
leader that removes itself goes on, without counting itself, until that is committed (diss. §4.2.2).
Next: configuration.py, what a configuration is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glassraft.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    Entry,
    InstallSnapshot,
    Message,
    RequestVote,
    TimeoutNow,
)

if TYPE_CHECKING:
    from glassraft.raft.configuration import Configuration
    from glassraft.raft.ready import ChangeMembership, Progress
    from glassraft.raft.server import Server

CATCH_UP_ROUNDS = 10
"""After so many slow rounds who asked is told; the learner stays, and may catch up later (diss. §4.2.1)."""


@dataclass(slots=True)
class CatchUp:
    """How a learner comes along: in each round it is to get all that the log held when the round began."""

    target: int
    began_at: float
    round: int = 1


@dataclass(frozen=True, slots=True)
class WaitingAdd:
    """Somebody waits until this learner has become a voter."""

    ticket: Any
    learner: int


@dataclass(slots=True)
class Leaver:
    """A server that was removed and is still sent entries, so that it learns of it where it can be reached."""

    progress: "Progress"
    index: int
    """Of the configuration's entry without it."""
    until: float = float("inf")
    """When it is given up: some time after the entry was committed."""
    told_in_round: int | None = None
    """The first AppendEntries that told it that the entry is committed."""


# Whom the newest configuration names


def use_newest_configuration(server: "Server", why: str) -> None:
    """Another configuration counts from now on, committed or not (diss. §4.1)."""
    configuration = server.configuration
    server.members = configuration.members
    server.peers = tuple(member for member in server.members if member != server.id)
    server.quorum_due = 0.0  # a majority of others
    if server.role == "leader":
        _look_after_others(server)
    server.note(
        "membership",
        why,
        members=[*configuration.voters],
        learners=[*configuration.learners],
        index=server.configurations.newest_index,
    )


def _look_after_others(server: "Server") -> None:
    for peer in server.progress.keys() - set(server.peers):
        server.leavers[peer] = Leaver(server.progress.pop(peer), server.configurations.newest_index)
    for peer in server.peers:
        server.leavers.pop(peer, None)
        server.progress.setdefault(peer, server.new_progress())
    watch_learners(server)


def watch_learners(server: "Server") -> None:
    """A leader follows each learner's rounds, those of an earlier leader's too."""
    learners = server.configuration.learners
    for gone in server.catch_ups.keys() - set(learners):
        del server.catch_ups[gone]
    for learner in learners:
        server.catch_ups.setdefault(learner, CatchUp(server.log.last_index, server.now))


def may_campaign(server: "Server") -> bool:
    """Whether this server may stand for election."""
    committed = server.configuration_at(server.commit_index)[1]
    return server.rules.may_campaign(server.id, server.configuration, committed)


def hears(server: "Server", message: Message) -> bool:
    """Whether a message means anything here, for who sent it (diss. §4.2.2)."""
    if message.sender in server.peers:
        return True
    if isinstance(message, RequestVote | AppendEntries | InstallSnapshot | TimeoutNow):
        return message.sender != server.id and server.rules.serves_servers_outside()
    # A removed server's answers say how far it got; its term, which nobody follows, deposes no leader.
    return message.sender in server.leavers and message.term <= server.current_term


# A change is asked for


def on_change_membership(server: "Server", event: "ChangeMembership") -> None:
    """An operator adds or removes a server."""
    if server.role != "leader":
        return server.refuse(event.ticket, "not_leader")
    if server.hand_over is not None:
        return server.refuse(event.ticket, "transferring")
    CHANGES[event.change](server, event)


def _add(server: "Server", event: "ChangeMembership") -> None:
    if event.server in server.configuration.voters:
        return server.refuse(event.ticket, "already_member")
    if event.server not in server.configuration.learners:
        why = _why_not_now(server)
        if why:
            return server.refuse(event.ticket, why)
        _append(server, server.configuration.with_learner(event.server))
    server.waiting_adds.append(WaitingAdd(event.ticket, event.server))


def _remove(server: "Server", event: "ChangeMembership") -> None:
    why = _why_not_removed(server, event.server) or _why_not_now(server)
    if why:
        return server.refuse(event.ticket, why)
    _append(server, server.configuration.without(event.server))
    server.place(event.ticket, server.log.last_index)
    refuse_waiting_adds(server, "removed", learner=event.server)


CHANGES: Mapping[str, Callable[["Server", "ChangeMembership"], None]] = {"add": _add, "remove": _remove}


def _why_not_removed(server: "Server", id: int) -> str:
    if id not in server.members:
        return "not_member"
    return "last_voter" if server.configuration.voters == (id,) else ""


def _why_not_now(server: "Server") -> str:
    """The rule that forbids a change at this moment; "" where none does."""
    if not server.rules.term_allows_change(server.log, server.commit_index, server.current_term):
        return "term_not_committed"
    if not server.rules.no_change_is_under_way(server.configurations.newest_index, server.commit_index):
        return "change_under_way"
    return ""


def _append(server: "Server", configuration: "Configuration") -> None:
    text = server.write_configuration(configuration, server.now)
    server.append(Entry(server.log.last_index + 1, server.current_term, "configuration", text))


# A learner catches up (diss. §4.2.1)


def hear_learner(server: "Server", learner: int) -> None:
    """A learner has got so far: perhaps its round is over, and perhaps it was fast enough to vote from now on."""
    catch_up = server.catch_ups.get(learner)
    if catch_up is None or server.progress[learner].match_index < catch_up.target:
        return
    took_s = server.now - catch_up.began_at
    is_fast = server.rules.learner_has_caught_up(took_s, server.settings.election_shortest_s)
    if is_fast and _why_not_now(server):
        catch_up.target, catch_up.began_at = server.log.last_index, server.now
        return
    server.note(
        "catch_up",
        "learner_has_caught_up",
        peer=learner,
        round=catch_up.round,
        took=round(took_s, 4),
        enough=is_fast,
    )
    if is_fast:
        _promote(server, learner)
    else:
        _begin_next_round(server, learner, catch_up)


def _promote(server: "Server", learner: int) -> None:
    _append(server, server.configuration.with_voter(learner))
    waiting = [add for add in server.waiting_adds if add.learner == learner]
    server.waiting_adds = [add for add in server.waiting_adds if add.learner != learner]
    for add in waiting:
        server.place(add.ticket, server.log.last_index)


def _begin_next_round(server: "Server", learner: int, catch_up: CatchUp) -> None:
    catch_up.target, catch_up.began_at = server.log.last_index, server.now
    catch_up.round += 1
    if catch_up.round > CATCH_UP_ROUNDS:
        refuse_waiting_adds(server, "not_caught_up", learner=learner)


def refuse_waiting_adds(server: "Server", why: str, learner: int | None = None) -> None:
    """Tell who waits for this learner, or for any, that it is no voter."""
    still_waiting = []
    for add in server.waiting_adds:
        if learner in (None, add.learner):
            server.refuse(add.ticket, why)
        else:
            still_waiting.append(add)
    server.waiting_adds = still_waiting


# A server is removed (diss. §4.2.2)


def tell_leaver(server: "Server", request: AppendEntries) -> None:
    """An AppendEntries goes to a removed server; perhaps it tells that the removal is committed."""
    leaver = server.leavers[request.receiver]
    told = min(request.leader_commit, request.prev_log.index + len(request.entries))
    if leaver.told_in_round is None and told >= leaver.index:
        leaver.told_in_round = request.round


def tell_leavers_soon(server: "Server") -> None:
    """A removed server whose removal is committed hears of it at once."""
    for leaver in server.leavers.values():
        if leaver.told_in_round is None and leaver.index <= server.commit_index:
            leaver.progress.must_send = True


def hear_leaver(server: "Server", reply: AppendEntriesReply) -> None:
    """A removed server has got so far; when it knows all, it is left alone."""
    leaver = server.leavers[reply.sender]
    if leaver.told_in_round is None:
        # Once it has the entry: a message for each answer would be a storm where messages are doubled.
        if leaver.progress.match_index >= leaver.index <= server.commit_index:
            leaver.progress.must_send = True
    elif reply.success and reply.round >= leaver.told_in_round:
        del server.leavers[reply.sender]
        server.speaks_to_others()


def give_up_leavers(server: "Server") -> None:
    """What a removed server does not hear within an election timeout after its removal, it never will."""
    for id, leaver in list(server.leavers.items()):
        if leaver.index <= server.commit_index:
            leaver.until = min(leaver.until, server.now + server.settings.election_longest_s)
        if server.now >= leaver.until:
            del server.leavers[id]
            server.speaks_to_others()


def is_removed(server: "Server") -> bool:
    """Whether this leader's own removal is committed, so that it leads no longer."""
    is_committed = server.configurations.newest_index <= server.commit_index
    return server.rules.removed_leader_steps_down(server.id, server.configuration, is_committed)
