"""XML-RPC in bytes: what goes in comes out, the standard library agrees, and the rest is refused."""

import contextlib
import json
import time
import xmlrpc.client
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glassraft.errors import BadArgument
from glassraft.rpc.codec import (
    MAX_NESTING,
    Malformed,
    decode_call,
    decode_reply,
    encode_call,
    encode_fault,
    encode_reply,
)
from glassraft.rpc.faults import FAULTS, Fault

# What XML 1.0 can carry (its §2.2, Char); a carriage return must be written as a reference.
xml_text = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"))) | st.text(
    "\t\n\r <>&;]'\"aé€😀"
)
xml_text = xml_text.filter(lambda text: "\ufffe" not in text and "\uffff" not in text)
int64 = st.integers(-(2**63), 2**63 - 1)
doubles = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.booleans() | int64 | doubles | xml_text | st.binary()
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(xml_text, inner, max_size=4)
)


def same(left: Any, right: Any) -> bool:
    """Equal, and of equal types all the way down: True is not 1, and 1.0 is not 1."""
    return repr(left) == repr(right)


@given(st.lists(values, max_size=4))
def test_a_call_is_read_as_it_was_written(params: list[Any]) -> None:
    method, read = decode_call(encode_call("Submit", params))
    assert method == "Submit"
    assert same(read, params)


@given(values)
def test_a_reply_is_read_as_it_was_written(value: Any) -> None:
    assert same(decode_reply(encode_reply(value)), value)


@given(st.lists(values, max_size=4))
def test_the_standard_library_reads_what_we_write(params: list[Any]) -> None:
    read, method = xmlrpc.client.loads(encode_call("Submit", params), use_builtin_types=True)
    assert method == "Submit"
    assert same(list(read), params)


# The standard library writes a carriage return as it is, and parsers turn a bare one into a newline.
stock_text = xml_text.filter(lambda text: "\r" not in text)
stock_values = st.recursive(
    st.booleans() | st.integers(-(2**31), 2**31 - 1) | doubles | stock_text | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(stock_text, inner, max_size=4),
)


@given(st.lists(stock_values, max_size=4))
def test_we_read_what_the_standard_library_writes(params: list[Any]) -> None:
    assert same(decode_call(xmlrpc.client.dumps(tuple(params), "Take").encode()), ("Take", params))


@given(st.text(st.characters(exclude_categories=())))
def test_any_string_travels_inside_json(text: str) -> None:
    sent = json.dumps({"args": [text]})
    [received] = decode_call(encode_call("Submit", [sent]))[1]
    assert json.loads(received) == {"args": [text]}


@pytest.mark.parametrize("number", [2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**53 + 1, 2**63 - 1, -(2**63)])
def test_integers_up_to_64_bits(number: int) -> None:
    assert decode_reply(encode_reply(number)) == number
    assert xmlrpc.client.loads(encode_reply(number))[0] == (number,)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (2**63, "64 bits"),
        (-(2**63) - 1, "64 bits"),
        (float("nan"), "finite"),
        (float("inf"), "finite"),
        (None, "NoneType"),
        ({1, 2}, "set"),
        ({"a": object()}, "object"),
        ({1: "a"}, "names are strings"),
        ("bell\x07", r"\\x07"),
        ("\x00", r"\\x00"),
        ("\ud800", r"\\ud800"),
        ("\uffff", r"\\uffff"),
        ({"\x1b": 1}, r"\\x1b"),
    ],
)
def test_what_cannot_travel_is_refused_with_its_value(value: Any, words: str) -> None:
    with pytest.raises(BadArgument, match=words):
        encode_reply(value)


def test_nesting_is_bounded_when_writing() -> None:
    nested: list[Any] = []
    for _ in range(MAX_NESTING - 1):
        nested = [nested]
    assert decode_reply(encode_reply(nested)) == nested
    with pytest.raises(BadArgument, match="nested deeper"):
        encode_reply([nested])
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(BadArgument, match="nested deeper"):
        encode_reply(endless)


def test_nesting_is_bounded_when_reading() -> None:
    def call(depth: int) -> bytes:
        return one_param("<array><data><value>" * depth + "<int>1</int>" + "</value></data></array>" * depth)

    decode_call(call(MAX_NESTING))
    with pytest.raises(Malformed, match="nested deeper"):
        decode_call(call(MAX_NESTING + 1))
    began = time.monotonic()
    with pytest.raises(Malformed):
        decode_call(call(100_000))
    assert time.monotonic() - began < 10


def one_param(value: str) -> bytes:
    return (
        f"<methodCall><methodName>A</methodName><params><param><value>{value}</value></param></params></methodCall>"
    ).encode()


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("plain", "plain"),
        ("", ""),
        ("<string/>", ""),
        ("<string>a<!-- a comment -->b</string>", "ab"),
        ("<string><![CDATA[<b>&]]></string>", "<b>&"),
        ("<string>&#65;&amp;</string>", "A&"),
        (" <i4>-5</i4>\n", -5),
        ("<int>+7</int>", 7),
        ("<i8>9223372036854775807</i8>", 2**63 - 1),
        ("<double>-1.5e3</double>", -1500.0),
        ("<double>2</double>", 2.0),
        ("<boolean>1</boolean>", True),
        ("<base64> AAE=\n</base64>", b"\x00\x01"),
        ("<struct/>", {}),
        ("<array><data/></array>", []),
        ("<array><data><value>a</value> <value><int>1</int></value></data></array>", ["a", 1]),
    ],
)
def test_values_in_all_their_spellings(value: str, read: Any) -> None:
    assert same(decode_call(one_param(value)), ("A", [read]))


@pytest.mark.parametrize(
    "value",
    [
        "<int>1_000</int>",
        "<int> 1</int>",
        "<int></int>",
        "<int>\u0661</int>",
        "<int>9223372036854775808</int>",
        "<int>" + "9" * 10_000 + "</int>",
        "<i8>-9223372036854775809</i8>",
        "<boolean>2</boolean>",
        "<boolean>true</boolean>",
        "<double>nan</double>",
        "<double>1e999</double>",
        "<double>1_0.0</double>",
        "<base64>***</base64>",
        "<nil/>",
        "<dateTime.iso8601>20240101T00:00:00</dateTime.iso8601>",
        "<string>a<b/></string>",
        "text<int>1</int>",
        "<int>1</int>text",
        "<int>1</int><int>2</int>",
        "<array></array>",
        "<array><data/><data/></array>",
        "<array><value/></array>",
        "<struct><member><name>a</name></member></struct>",
        "<struct><member><value/></member></struct>",
        "<struct><member><value/><name>a</name></member></struct>",
        "<struct><member><name>a</name><value/></member><member><name>a</name><value/></member></struct>",
        "<struct><member><name>a</name><value/>x</member></struct>",
    ],
)
def test_values_that_are_none(value: str) -> None:
    with pytest.raises(Malformed):
        decode_call(one_param(value))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00\x01\x02",
        b"hello",
        b"<methodCall>",
        b"<methodCall/>",
        b"<methodCall><params/></methodCall>",
        b"<methodCall><methodName>A</methodName><methodName>B</methodName></methodCall>",
        b"<methodCall><methodName>A</methodName><params/><params/></methodCall>",
        b"<methodCall><methodName>A</methodName></methodCall><methodCall/>",
        b"<methodCall><methodName>A</methodName><params><param/></params></methodCall>",
        b"<html><body>404</body></html>",
        b"<methodResponse><params><param><value/></param></params></methodResponse>",
        b"<methodCall><methodName>\xff\xfe</methodName></methodCall>",
        b"<methodCall><methodName>&unknown;</methodName></methodCall>",
        b"<?xml version='1.0' encoding='utf-16'?><methodCall><methodName>A</methodName></methodCall>",
        b"<?xml version='1.0' encoding='iso-8859-1'?><methodCall><methodName>\xe9</methodName></methodCall>",
        "<methodCall><methodName>A</methodName></methodCall>".encode("utf-16"),
        one_param("<string>\x01</string>"),
        one_param("<string>&#0;</string>"),
    ],
)
def test_bodies_that_are_no_calls(body: bytes) -> None:
    with pytest.raises(Malformed):
        decode_call(body)


@pytest.mark.parametrize(
    "body",
    [
        b"<methodResponse/>",
        b"<methodResponse><params/></methodResponse>",
        b"<methodResponse><params><param><value/></param><param><value/></param></params></methodResponse>",
        b"<methodResponse><fault><value>text</value></fault></methodResponse>",
        b"<methodResponse><fault><value><struct/></value></fault></methodResponse>",
        b"<methodCall><methodName>A</methodName></methodCall>",
    ],
)
def test_bodies_that_are_no_replies(body: bytes) -> None:
    with pytest.raises(Malformed):
        decode_reply(body)


def test_a_call_without_params() -> None:
    assert decode_call(b"<methodCall><methodName>Ping</methodName></methodCall>") == ("Ping", [])


def test_a_document_type_is_refused_before_it_can_expand() -> None:
    """The billion laughs would expand to gigabytes; refused, they cost no time."""
    entities = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10 if i else "lol"}">' for i in range(12))
    call = one_param("<string>&l11;</string>").decode()
    bomb = f"<?xml version='1.0'?><!DOCTYPE x [{entities}]>{call}"
    for encoding, words in (("utf-8", "document type"), ("utf-16", "UTF-16"), ("utf-16-le", "UTF-16")):
        began = time.monotonic()
        with pytest.raises(Malformed, match=words):
            decode_call(bomb.encode(encoding))
        assert time.monotonic() - began < 1


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(noise: bytes) -> None:
    for body in (noise, one_param("<string>a</string>")[: len(noise)] + noise):
        with contextlib.suppress(Malformed):
            decode_call(body)


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_travels_with_its_detail(name: str) -> None:
    with pytest.raises(Fault) as caught:
        decode_reply(encode_fault(Fault.named(name, "why\nand how", {"leader_id": 3, "text": "é\x00"})))
    fault = caught.value
    assert (fault.code, fault.name) == (FAULTS[name].code, name)
    assert fault.message == "why and how"
    assert fault.detail == {"leader_id": 3, "text": "é\x00"}


def test_a_fault_always_travels() -> None:
    with pytest.raises(Fault, match=r"bell\?"):
        decode_reply(encode_fault(Fault.named("internal", "bell\x07\ud800")))


def test_the_standard_library_reads_our_faults() -> None:
    with pytest.raises(xmlrpc.client.Fault) as caught:
        xmlrpc.client.loads(encode_fault(Fault.named("not_leader", "ask n3", {"port": 7403})))
    assert caught.value.faultCode == 3
    assert caught.value.faultString == 'ask n3\n{"port": 7403}'


def test_a_fault_of_another_server_is_kept() -> None:
    with pytest.raises(Fault) as caught:
        decode_reply(xmlrpc.client.dumps(xmlrpc.client.Fault(4711, "first\nsecond")).encode())
    assert (caught.value.code, caught.value.name, caught.value.message) == (4711, "unknown", "first")
    assert caught.value.detail == {}
