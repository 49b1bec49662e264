"""Leader election (§5.2), its restriction to servers with all committed entries (§5.4.1), and its manners.

A server that was cut off, or that does not know that it was removed, must not depose a leader
whom a majority hears: it asks first whether it could win (pre-vote, diss. §9.6), and voters stand
by a leader whom they hear (diss. §4.2.3). In return a leader whom no majority answers steps down
by itself (diss. §6.2).
"""

from typing import TYPE_CHECKING

from glassraft.raft.messages import Message, RequestVote, RequestVoteReply
from glassraft.raft.ready import PreVote

if TYPE_CHECKING:
    from glassraft.raft.server import Server

NEVER = float("inf")


# Standing for election


def time_out(server: "Server") -> None:
    """The election timer ran out: stand for election, or ask first whether that could be won (§5.2)."""
    if server.settings.pre_vote:
        ask_for_pre_votes(server)
    else:
        campaign(server, "election_timeout_elapsed")


def ask_for_pre_votes(server: "Server") -> None:
    """Ask everyone whether they would vote for this server, which stays what it is (diss. §9.6)."""
    server.lose_leader("election_timeout_elapsed")
    server.start_election_timer("election_timeout_elapsed")
    server.pre_vote_round += 1
    asked = PreVote(server.rules.next_term(server.current_term), server.pre_vote_round)
    server.pre_vote = asked
    for peer in server.peers:
        server.send(
            RequestVote(server.id, peer, asked.term, server.log.last, pre_vote=True, round=asked.round)
        )
    _count_pre_vote(server, asked, server.id, granted=True)


def campaign(server: "Server", why: str, *, transfer: bool = False) -> None:
    """Begin an election: ask everyone for a vote (§5.2). `transfer`: the leader wants it (diss. §3.10)."""
    server.become_candidate(why)
    for peer in server.peers:
        server.send(RequestVote(server.id, peer, server.current_term, server.log.last, transfer=transfer))


def count_own_vote(server: "Server") -> None:
    """A candidate's vote for itself counts once its disk has it."""
    is_durable = server.voted_for == server.id and server.durable_state == server.hard_state
    if server.role == "candidate" and is_durable and server.id not in server.votes:
        _count(server, server.id, granted=True)


def on_request_vote_reply(server: "Server", reply: RequestVoteReply) -> None:
    """A vote came in, or a refusal; it counts for the term it was asked in (§5.2)."""
    if reply.pre_vote:
        return _on_pre_vote_reply(server, reply)
    if server.role != "candidate" or not server.rules.vote_counts(reply.term, server.current_term):
        return
    voter = server.rules.voter(reply.sender, server.configuration.voters, server.votes)
    _count(server, voter, reply.vote_granted)


def _on_pre_vote_reply(server: "Server", reply: RequestVoteReply) -> None:
    """The voter's term may well be older: a candidate that stood before is ahead of those who did not."""
    asked = server.pre_vote
    if asked is not None and reply.round == asked.round:
        _count_pre_vote(server, asked, reply.sender, reply.vote_granted)


def _count(server: "Server", voter: int, granted: bool) -> None:
    # A refusal after a grant answers a request of an earlier term.
    server.votes[voter] = granted or server.votes.get(voter, False)
    in_favour, against = _sides(server.votes)
    voters = server.rules.electorate(server.configuration)
    server.note("votes", "", granted=in_favour, refused=against, needed=len(voters) // 2 + 1)
    if server.rules.is_majority(in_favour, voters):
        server.become_leader("is_majority")


def _count_pre_vote(server: "Server", asked: PreVote, voter: int, granted: bool) -> None:
    asked.votes[voter] = granted
    in_favour, against = _sides(asked.votes)
    voters = server.rules.electorate(server.configuration)
    server.note(
        "pre_votes",
        "",
        for_term=asked.term,
        granted=in_favour,
        refused=against,
        needed=len(voters) // 2 + 1,
    )
    if server.rules.is_majority(in_favour, voters):
        campaign(server, "majority_would_vote")


def _sides(votes: dict[int, bool]) -> tuple[list[int], list[int]]:
    """Who is for and who is against."""
    in_favour = sorted(voter for voter, granted in votes.items() if granted)
    against = sorted(voter for voter, granted in votes.items() if not granted)
    return in_favour, against


# Voting


def on_request_vote(server: "Server", request: RequestVote) -> None:
    """A candidate asks for this server's vote (Figure 2: RequestVote RPC), or whether it would get it."""
    if server.rules.term_is_stale(request.term, server.current_term):
        return _answer(server, request, False, "term_is_stale")
    if is_disregarded(server, request):
        return _answer(server, request, False, "leader_is_alive")
    if request.pre_vote:
        return _on_pre_vote(server, request)
    if not server.rules.may_grant_vote(server.voted_for, request.sender):
        return _answer(server, request, False, "may_grant_vote")
    if not server.rules.candidate_log_is_up_to_date(server.log.last, request.last_log):
        return _answer(server, request, False, "candidate_log_is_up_to_date")
    server.vote_for(request.sender, "candidate_log_is_up_to_date")
    server.restart_election_timer("granted_vote")
    _answer(server, request, True, "candidate_log_is_up_to_date")


def _on_pre_vote(server: "Server", request: RequestVote) -> None:
    """Would this server vote for the sender? Saying so binds it to nothing (diss. §9.6)."""
    if not server.rules.may_grant_pre_vote(request.term, server.current_term):
        return _answer(server, request, False, "may_grant_pre_vote")
    granted = server.rules.candidate_log_is_up_to_date(server.log.last, request.last_log)
    _answer(server, request, granted, "candidate_log_is_up_to_date")


def _answer(server: "Server", request: RequestVote, granted: bool, why: str) -> None:
    if request.pre_vote:
        server.note("pre_vote", why, candidate=request.sender, granted=granted, for_term=request.term)
    elif not granted:
        server.note("vote", why, candidate=request.sender, granted=False)
    server.send(
        RequestVoteReply(
            server.id,
            request.sender,
            server.current_term,
            granted,
            why,
            pre_vote=request.pre_vote,
            round=request.round,
        )
    )


# Standing by a leader


def hear_leader(server: "Server", term: int, leader: int) -> None:
    """A message of its term's leader: follow it, and wait anew (§5.2)."""
    server.become_follower(term, leader, "heard_leader_of_its_term")
    server.leader_heard_at = server.now
    server.restart_election_timer("heard_leader")


def is_left_alone(server: "Server", message: Message) -> bool:
    """Whether a message of a newer term does not change this server's: a pre-vote, or a vote that disturbs."""
    return not server.rules.says_its_term(message) or (
        isinstance(message, RequestVote) and is_disregarded(server, message)
    )


def is_disregarded(server: "Server", request: RequestVote) -> bool:
    """A vote or pre-vote is not considered while a leader is heard, but for one that the leader wants."""
    is_bound = server.settings.check_quorum or request.pre_vote
    if not is_bound or server.rules.leader_wants_it(request):
        return False
    heard_at = quorum_heard_at(server) if server.role == "leader" else server.leader_heard_at
    return server.rules.leader_is_alive(heard_at, server.now, server.settings.election_shortest_s)


def quorum_heard_at(server: "Server") -> float:
    """When this leader had last heard from a majority; it hears itself for ever."""
    return server.rules.time_of_majority(
        NEVER if voter == server.id else server.progress[voter].heard_at
        for voter in server.rules.electorate(server.configuration)
    )


def quorum_deadline(server: "Server") -> float:
    """When this leader steps down unless a majority answers before (diss. §6.2), or looks whether one has.

    An answer only ever puts it off, so it is worked out anew only once it has come.
    """
    if not server.settings.check_quorum:
        return NEVER
    if server.now >= server.quorum_due:
        heard_at = quorum_heard_at(server)
        server.quorum_due = server.rules.leads_until(heard_at, server.settings.election_longest_s)
    return server.quorum_due
