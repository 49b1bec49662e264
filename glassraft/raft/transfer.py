"""Leadership transfer: a leader hands its place over to a server of its choice (dissertation §3.10).

It takes no proposals meanwhile, brings the target's log up to its own, and tells it to stand at
once. If nobody else leads within an election timeout it gives up, and goes on as before.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glassraft.raft import election, membership
from glassraft.raft.messages import TimeoutNow, TimeoutNowReply

if TYPE_CHECKING:
    from glassraft.raft.ready import Transfer
    from glassraft.raft.server import Server

NEVER = float("inf")


@dataclass(slots=True)
class HandOver:
    """A transfer under way: to whom, and until when it is waited for (monotonic seconds)."""

    ticket: Any
    target: int
    until: float
    told: bool = False
    """Whether TimeoutNow has gone out since the last heartbeat: it may be lost."""


# The leader's side


def on_transfer(server: "Server", event: "Transfer") -> None:
    """Somebody wants another leader: the one named, or the follower that is furthest."""
    if server.role != "leader":
        return server.refuse(event.ticket, "not_leader")
    if server.hand_over is not None:
        return server.refuse(event.ticket, "transfer_under_way")
    if event.target == server.id:
        return server.transferred(event.ticket)
    if event.target is not None and event.target not in server.configuration.voters:
        return server.refuse(event.ticket, "not_voter")
    target = _furthest_follower(server) if event.target is None else event.target
    if target is None:
        return server.refuse(event.ticket, "no_target")
    server.hand_over = HandOver(event.ticket, target, server.now + server.settings.election_longest_s)
    server.note("transfer", "asked_for", target=target, state="begun")


def _furthest_follower(server: "Server") -> int | None:
    """The voter that answers and whose log is the longest; None where nobody answers."""
    since = server.now - server.settings.election_shortest_s
    answering = [
        (server.progress[voter].match_index, -voter)
        for voter in server.configuration.voters
        if voter != server.id and server.progress[voter].heard_at > since
    ]
    return -max(answering)[1] if answering else None


def tell_target(server: "Server") -> None:
    """Tell the target to stand as soon as it has every entry."""
    hand_over = server.hand_over
    if hand_over is None or hand_over.told:
        return
    progress = server.progress.get(hand_over.target)
    if progress and server.rules.target_may_stand(progress.match_index, server.log.last_index):
        hand_over.told = True
        server.gave_lease_up = not server.rules.lease_survives_transfer()
        server.send(TimeoutNow(server.id, hand_over.target, server.current_term))


def tell_again(server: "Server") -> None:
    """A heartbeat is due and this server leads still: TimeoutNow may have been lost."""
    if server.hand_over is not None:
        server.hand_over.told = False


def on_timeout_now_reply(server: "Server", reply: TimeoutNowReply) -> None:
    """The target stands: its term, which is newer, has told this server to step down (§5.1)."""


# How it ends


def deadline(server: "Server") -> float:
    """When a transfer under way is given up (monotonic seconds)."""
    return server.hand_over.until if server.hand_over is not None else NEVER


def give_up(server: "Server", why: str) -> None:
    """Nobody else leads: proposals are welcome again, if this server leads still."""
    hand_over, server.hand_over = server.hand_over, None
    if hand_over is not None:
        server.note("transfer", why, target=hand_over.target, state="given up")
        server.refuse(hand_over.ticket, "transfer_failed")


def end(server: "Server") -> None:
    """Another server is heard that leads."""
    hand_over, server.hand_over = server.hand_over, None
    if hand_over is not None:
        server.note("transfer", "heard_leader", target=hand_over.target, state="done")
        server.transferred(hand_over.ticket)


# The target's side


def on_timeout_now(server: "Server", request: TimeoutNow) -> None:
    """The leader wants this server in its place: it stands at once, and voters know why (diss. §3.10)."""
    is_stale = server.rules.term_is_stale(request.term, server.current_term)
    if not is_stale and membership.may_campaign(server):
        election.campaign(server, "leader_wants_it", transfer=True)
    server.send(TimeoutNowReply(server.id, request.sender, server.current_term))
