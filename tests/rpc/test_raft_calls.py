"""The paper's messages on the wire: in the paper's order and spelling, and sound when they arrive."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glassraft.errors import BadArgument
from glassraft.raft.configuration import Configuration
from glassraft.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    Entry,
    InstallSnapshot,
    InstallSnapshotReply,
    LogPosition,
    RequestVote,
    RequestVoteReply,
    SnapshotMeta,
    TimeoutNow,
    TimeoutNowReply,
)
from glassraft.rpc.codec import decode_call, decode_reply, encode_call, encode_reply
from glassraft.rpc.raft_calls import Context, Reply, Request, from_call, from_reply, to_call, to_reply

naturals = st.integers(0, 2**62)
words = st.text("abc_ é€", max_size=20)


@st.composite
def contexts(draw: st.DrawFn, sender: int = 3) -> Context:
    digest = draw(st.sampled_from(["", "ab" * 32]))
    return Context(
        id=draw(words),
        clock=draw(naturals),
        wall_ms=draw(naturals),
        sender=sender,
        cluster=draw(words),
        applied=draw(naturals) if digest else 0,
        digest=digest,
    )


@st.composite
def appends(draw: st.DrawFn) -> AppendEntries:
    prev = LogPosition(draw(naturals), draw(naturals))
    terms = sorted(draw(st.lists(st.integers(prev.term, prev.term + 5), max_size=5)))
    commands = st.text(st.characters(exclude_categories=()))
    entries = [
        Entry(prev.index + 1 + i, term, draw(st.sampled_from(["noop", "command"])), draw(commands))
        for i, term in enumerate(terms)
    ]
    return AppendEntries(3, 1, prev.term + 5, prev, tuple(entries), draw(naturals), draw(naturals))


@st.composite
def installs(draw: st.DrawFn) -> InstallSnapshot:
    data = draw(st.binary(max_size=300))
    offset, more = draw(st.integers(0, 2**40)), draw(st.integers(0, 2**40))
    voters = draw(st.sets(st.integers(1, 9), min_size=1))
    learners = draw(st.sets(st.integers(1, 9))) - voters
    snapshot = SnapshotMeta(
        LogPosition(draw(naturals), draw(naturals)),
        draw(words),
        offset + len(data) + more,
        draw(words),
        Configuration(tuple(sorted(voters)), tuple(sorted(learners))),
        draw(naturals),
    )
    return InstallSnapshot(3, 1, draw(naturals), snapshot, offset, data, not more, draw(naturals))


install_replies = st.builds(
    InstallSnapshotReply, st.just(3), st.just(1), naturals, naturals, naturals, st.booleans(), words
)
positions = st.builds(LogPosition, naturals, naturals)
votes = st.builds(
    RequestVote, st.just(3), st.just(1), naturals, positions, st.just(False), st.booleans(), st.just(0)
)
pre_votes = st.builds(
    RequestVote, st.just(3), st.just(1), naturals, positions, st.just(True), st.just(False), naturals
)
vote_replies = st.builds(
    RequestVoteReply, st.just(3), st.just(1), naturals, st.booleans(), words, st.just(False), st.just(0)
)
pre_vote_replies = st.builds(
    RequestVoteReply,
    st.just(3),
    st.just(1),
    naturals,
    st.booleans(),
    words,
    pre_vote=st.just(True),
    round=naturals,
)
wishes = st.builds(TimeoutNow, st.just(3), st.just(1), naturals)
wish_replies = st.builds(TimeoutNowReply, st.just(3), st.just(1), naturals)
append_refusals = st.builds(
    AppendEntriesReply,
    st.just(3),
    st.just(1),
    naturals,
    st.just(False),
    naturals,
    naturals,
    naturals,
    naturals,
    words,
)
append_successes = st.builds(
    AppendEntriesReply,
    st.just(3),
    st.just(1),
    naturals,
    st.just(True),
    naturals,
    naturals,
    st.just(0),
    st.just(0),
    words,
)


@given(votes | pre_votes | appends() | installs() | wishes, contexts())
def test_a_call_arrives_as_it_was_sent(message: Request, context: Context) -> None:
    method, params = decode_call(encode_call(*to_call(message, context)))
    assert method == type(message).__name__
    assert from_call(method, params, receiver=1) == (message, context)


@given(
    vote_replies | pre_vote_replies | append_refusals | append_successes | install_replies | wish_replies,
    contexts(),
)
def test_a_reply_arrives_as_it_was_sent(reply: Reply, context: Context) -> None:
    kind = type(reply).__name__.removesuffix("Reply")
    struct = decode_reply(encode_reply(to_reply(reply, context)))
    assert from_reply(kind, struct, receiver=1) == (reply, context)


CONTEXT = Context(id="n3-7", clock=12, wall_ms=1_700_000_000_000, sender=3, cluster="c1")
VOTE = RequestVote(3, 1, 5, LogPosition(4, 17))
APPEND = AppendEntries(3, 1, 5, LogPosition(4, 17), (Entry(18, 5, "command", '{"op":"Submit"}'),), 16, 9)


def test_calls_have_the_papers_parameters_in_the_papers_order() -> None:
    method, params = to_call(VOTE, CONTEXT)
    assert (method, params[:4]) == ("RequestVote", (5, 3, 17, 4))
    method, params = to_call(APPEND, CONTEXT)
    assert (method, params[:4], params[5]) == ("AppendEntries", (5, 3, 17, 4), 16)
    assert json.loads(params[4]) == [[18, 5, "command", '{"op":"Submit"}']]
    assert params[6]["round"] == 9


SNAPSHOT = SnapshotMeta(LogPosition(4, 17), "n3-4-17", 8, "ab", Configuration((1, 2, 3)), 0)
INSTALL = InstallSnapshot(3, 1, 5, SNAPSHOT, 4, b"4567", True, 9)


def test_a_snapshots_chunk_has_the_papers_parameters_in_the_papers_order() -> None:
    method, params = to_call(INSTALL, CONTEXT)
    assert (method, params[:7]) == ("InstallSnapshot", (5, 3, 17, 4, 4, b"4567", True))
    struct = params[7]
    assert (struct["snapshot"], struct["size"], struct["sha256"], struct["round"]) == ("n3-4-17", 8, "ab", 9)


@pytest.mark.parametrize(
    ("at", "value", "named"),
    [
        (0, -1, "term"),
        (1, 4, "leaderId is 4"),
        (2, "x", "lastIncludedIndex"),
        (4, 6, "does not fit a snapshot of 8"),
        (5, "4567", "InstallSnapshot takes"),
        (5, b"45", "does not fit a snapshot of 8"),
        (6, False, "does not fit a snapshot of 8"),
        (6, 1, "done must be a boolean"),
        (7, {"configuration": "{}"}, "configuration"),
        (7, {"sha256": 3}, "sha256"),
        (7, {"size": "8"}, "size"),
    ],
)
def test_a_wrong_chunk_is_refused(at: int, value: Any, named: str) -> None:
    _, sent = to_call(INSTALL, CONTEXT)
    params = [*sent]
    params[at] = {**sent[7], **value} if at == 7 else value
    with pytest.raises(BadArgument, match=named):
        from_call("InstallSnapshot", params, receiver=1)


def vote_params(**changes: Any) -> list[Any]:
    _, params = to_call(VOTE, CONTEXT)
    named = dict(zip(["term", "candidateId", "lastLogIndex", "lastLogTerm", "struct"], params, strict=True))
    return list({**named, **changes}.values())


def append_params(**changes: Any) -> list[Any]:
    _, params = to_call(APPEND, CONTEXT)
    names = ["term", "leaderId", "prevLogIndex", "prevLogTerm", "entries", "leaderCommit", "struct"]
    return list({**dict(zip(names, params, strict=True)), **changes}.values())


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"term": -1}, "term"),
        ({"term": 2**63}, "term"),
        ({"term": True}, "term"),
        ({"term": "5"}, "term"),
        ({"candidateId": 4}, "candidateId is 4, but the struct's sender is 3"),
        ({"lastLogIndex": 1.5}, "lastLogIndex"),
        ({"lastLogTerm": None}, "lastLogTerm"),
        ({"struct": []}, "struct"),
        ({"struct": {}}, "id must be a string"),
        ({"struct": {**CONTEXT.to_struct(), "clock": "x"}}, "clock"),
        ({"struct": {**CONTEXT.to_struct(), "wallMs": -1}}, "wallMs"),
        ({"struct": {**CONTEXT.to_struct(), "cluster": 1}}, "cluster"),
        ({"struct": {**CONTEXT.to_struct(), "applied": "1"}}, "applied"),
    ],
)
def test_a_wrong_request_for_a_vote_is_refused(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(BadArgument, match=named):
        from_call("RequestVote", vote_params(**changes), 1)


@pytest.mark.parametrize(
    "entries",
    [
        "",
        "{}",
        "null",
        "[" * 100_000,
        "[[18]]",
        "[{}]",
        '[["18",5,"noop",""]]',
        '[[18,5,"noop",""],[18,5,"noop",""]]',
        '[[18,5,"noop",""],[20,5,"noop",""]]',
        '[[19,5,"noop",""]]',
        '[[18,6,"noop",""]]',
        '[[18,3,"noop",""]]',
        '[[18,5,"noop",""],[19,4,"noop",""]]',
        '[[18,5,"joke",""]]',
        '[[18,5,["noop"],""]]',
        '[[18,5,"noop",null]]',
        '[[18,true,"noop",""]]',
        '[[18,5,"noop","",0]]',
    ],
)
def test_entries_that_no_sound_leader_sends_are_refused(entries: str) -> None:
    with pytest.raises(BadArgument, match="entries"):
        from_call("AppendEntries", append_params(entries=entries), 1)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"leaderId": 1}, "leaderId"),
        ({"entries": []}, "entries must be a string"),
        ({"leaderCommit": -1}, "leaderCommit"),
        ({"struct": CONTEXT.to_struct()}, "round"),
    ],
)
def test_a_wrong_append_is_refused(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(BadArgument, match=named):
        from_call("AppendEntries", append_params(**changes), 1)


def test_calls_and_replies_of_the_wrong_kind_are_refused() -> None:
    with pytest.raises(BadArgument, match="takes term, candidateId"):
        from_call("RequestVote", append_params(), 1)
    with pytest.raises(BadArgument, match="takes term, leaderId"):
        from_call("AppendEntries", vote_params(), 1)
    with pytest.raises(BadArgument, match="takes term, leaderId and a struct"):
        from_call("TimeoutNow", vote_params(), 1)
    with pytest.raises(BadArgument, match="'Submit' is not one of Raft's calls"):
        from_call("Submit", [], 1)
    with pytest.raises(BadArgument, match="'Submit' is not one of Raft's calls"):
        from_reply("Submit", {}, 1)
    with pytest.raises(BadArgument, match="must be a struct"):
        from_reply("RequestVote", "yes", 1)
    with pytest.raises(BadArgument, match="success"):
        from_reply("AppendEntries", to_reply(RequestVoteReply(3, 1, 5, True), CONTEXT), 1)
    with pytest.raises(BadArgument, match="voteGranted"):
        from_reply("RequestVote", to_reply(AppendEntriesReply(3, 1, 5, True, 1), CONTEXT), 1)


def test_many_entries_travel_in_little_time() -> None:
    """A leader's full batch: not a measurement, a guard against anything worse than in proportion."""
    entries = tuple(
        Entry(i, 5, "command", '{"op":"Submit","a":"' + "x" * 200 + '"}') for i in range(18, 10_018)
    )
    message = AppendEntries(3, 1, 5, LogPosition(4, 17), entries, 16, 9)
    method, params = decode_call(encode_call(*to_call(message, CONTEXT)))
    assert from_call(method, params, 1)[0] == message
