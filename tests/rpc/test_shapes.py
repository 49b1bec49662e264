"""The short cuts for what travels most: whatever they read, the parser reads alike; else they stand aside."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glassraft.rpc import codec, shapes
from glassraft.rpc.codec import Malformed, decode_call, decode_reply, encode_call, encode_reply

texts = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30) | st.sampled_from(
    ['{"a":"<b>&amp;"}', "&lt;", "&amp;lt;", "&", "]]>", "\t", "\r\n", "é", "<![CDATA[", ""]
)
naturals = st.integers(0, 2**63 - 1)
context = {"id": texts, "clock": naturals, "wallMs": naturals, "sender": naturals, "cluster": texts}
append = (naturals, naturals, naturals, naturals, texts, naturals)

calls = (
    st.tuples(st.just("Submit"), st.tuples(texts, naturals, naturals, texts))
    | st.tuples(
        st.just("AppendEntries"), st.tuples(*append, st.fixed_dictionaries({**context, "round": naturals}))
    )
    | st.tuples(
        st.just("AppendEntries"),
        st.tuples(
            *append,
            st.fixed_dictionaries({**context, "applied": naturals, "digest": texts, "round": naturals}),
        ),
    )
    | st.tuples(st.sampled_from(["Submit", "Take"]), st.tuples(texts, st.booleans()))
)
replies = (
    st.fixed_dictionaries({"job": texts, "index": naturals})
    | st.fixed_dictionaries(
        {
            **context,
            "term": naturals,
            "why": texts,
            "success": st.booleans(),
            "round": naturals,
            "matchIndex": naturals,
        }
    )
    | st.fixed_dictionaries({"job": naturals})
)


def parsed(body: bytes) -> Any:
    """What the parser says of a message, without any short cut."""
    try:
        reader = codec._read(body)
    except Malformed:
        return Malformed
    return reader.method, reader.values


def damaged(body: bytes, chance: random.Random) -> bytes:
    """The message with some of its bytes lost, doubled or exchanged for others of it."""
    data = bytearray(body)
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(data))
        length = chance.randint(0, 3)
        other = chance.randrange(len(data))
        data[place : place + length] = data[other : other + chance.randint(0, 3)]
    return bytes(data)


@given(calls)
def test_calls_are_read_as_the_parser_reads_them(call: tuple[str, tuple[Any, ...]]) -> None:
    method, params = call
    body = encode_call(method, params)
    assert repr(decode_call(body)) == repr((method, list(params)))
    assert repr(decode_call(body)) == repr(parsed(body))


@given(replies)
def test_replies_are_read_as_the_parser_reads_them(reply: dict[str, Any]) -> None:
    body = encode_reply(reply)
    assert repr(decode_reply(body)) == repr(reply)
    assert repr((None, [decode_reply(body)])) == repr(parsed(body))


@given(calls, st.randoms(use_true_random=False))
def test_damaged_calls_are_read_as_the_parser_reads_them(
    call: tuple[str, tuple[Any, ...]], chance: random.Random
) -> None:
    body = damaged(encode_call(*call), chance)
    known = shapes.read_call(body.decode("ascii")) if body.isascii() else None
    if known is not None:
        assert repr(known) == repr(parsed(body))


@given(replies, st.randoms(use_true_random=False))
def test_damaged_replies_are_read_as_the_parser_reads_them(
    reply: dict[str, Any], chance: random.Random
) -> None:
    body = damaged(encode_reply(reply), chance)
    known = shapes.read_reply(body.decode("ascii")) if body.isascii() else None
    if known is not None:
        assert repr((None, [known])) == repr(parsed(body))


SUBMIT = encode_call("Submit", ["s", 1, 2, "{}"]).decode()


def test_the_short_cut_is_taken() -> None:
    assert shapes.read_call(SUBMIT) == ("Submit", ["s", 1, 2, "{}"])


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ("<int>1</int>", "<int>1</i8>"),
        ("<int>1</int>", "<int>-1</int>"),
        ("<int>1</int>", "<int>1.0</int>"),
        ("<int>1</int>", "<string>1</string>"),
        ("{}", "a\rb"),
        ("{}", "&quot;"),
        ("{}", "&amp"),
        ("{}", "]]>"),
        ("{}", "\x01"),
        ("{}", "<!-- a comment -->"),
        ("</methodCall>", "</methodCall> "),
        ("<?xml version='1.0'?>", '<?xml version="1.0"?>'),
    ],
)
def test_whatever_is_different_is_left_to_the_parser(written: str, instead: str) -> None:
    assert shapes.read_call(SUBMIT.replace(written, instead, 1)) is None
