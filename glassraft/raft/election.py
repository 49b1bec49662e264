"""Leader election (§5.2) and its restriction to servers with all committed entries (§5.4.1)."""

from typing import TYPE_CHECKING

from glassraft.raft.messages import RequestVote, RequestVoteReply

if TYPE_CHECKING:
    from glassraft.raft.server import Server


def campaign(server: "Server") -> None:
    """The election timer ran out: ask everyone for a vote (§5.2)."""
    server.become_candidate("election_timeout_elapsed")
    for peer in server.peers:
        server.send(RequestVote(server.id, peer, server.current_term, server.log.last))


def count_own_vote(server: "Server") -> None:
    """A candidate's vote for itself counts once its disk has it."""
    vote_is_durable = server.durable_state == (server.current_term, server.id)
    if server.role == "candidate" and vote_is_durable and server.id not in server.votes:
        _count(server, server.id, granted=True)


def on_request_vote(server: "Server", request: RequestVote) -> None:
    """A candidate asks for this server's vote (Figure 2: RequestVote RPC)."""
    if server.rules.term_is_stale(request.term, server.current_term):
        return _answer(server, request, False, "term_is_stale")
    if not server.rules.may_grant_vote(server.voted_for, request.sender):
        return _answer(server, request, False, "may_grant_vote")
    if not server.rules.candidate_log_is_up_to_date(server.log.last, request.last_log):
        return _answer(server, request, False, "candidate_log_is_up_to_date")
    server.vote_for(request.sender, "candidate_log_is_up_to_date")
    server.restart_election_timer("granted_vote")
    _answer(server, request, True, "candidate_log_is_up_to_date")


def on_request_vote_reply(server: "Server", reply: RequestVoteReply) -> None:
    """A vote came in, or a refusal; it counts for the term it was asked in (§5.2)."""
    if server.rules.term_is_stale(reply.term, server.current_term) or server.role != "candidate":
        return
    _count(server, reply.sender, reply.vote_granted)


def _answer(server: "Server", request: RequestVote, granted: bool, why: str) -> None:
    if not granted:
        server.note("vote", why, candidate=request.sender, granted=False)
    server.send(RequestVoteReply(server.id, request.sender, server.current_term, granted, why))


def _count(server: "Server", voter: int, granted: bool) -> None:
    # A refusal after a grant answers a request of an earlier term.
    server.votes[voter] = granted or server.votes.get(voter, False)
    in_favour = sorted(voter for voter, granted in server.votes.items() if granted)
    against = sorted(voter for voter, granted in server.votes.items() if not granted)
    voters = server.configuration.voters
    server.note("votes", "", granted=in_favour, refused=against, needed=len(voters) // 2 + 1)
    if server.rules.is_majority(in_favour, voters):
        server.become_leader("is_majority")
