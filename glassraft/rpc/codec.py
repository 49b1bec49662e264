"""XML-RPC in bytes: calls and replies, written and read strictly.

Writing is `xmlrpc.client`'s Marshaller with its table of writers replaced, so that integers
may pass 2^31 (as `<i8>`) and what XML cannot carry is refused instead of sent broken. Reading
is expat, as in `xmlrpc.client`, under a table that says which element may follow which: no
DOCTYPE, bounded nesting, every value checked. Next: http.py, which carries these bytes.
"""

import base64
import binascii
import math
import re
import xmlrpc.client
from collections.abc import Callable, Sequence
from typing import Any
from xml.parsers import expat

from glassraft.errors import BadArgument, GlassraftError
from glassraft.rpc import shapes
from glassraft.rpc.faults import Fault

MAX_NESTING = 64
"""Arrays and structs inside one another. What is deeper belongs into one JSON text."""

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

Write = Callable[[str], Any]


class Malformed(GlassraftError):
    """Bytes that are not the XML-RPC message they should be."""


# --- Writing ---------------------------------------------------------------------------------

_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def _text(value: str) -> str:
    """Escape for XML. A carriage return goes as a reference: parsers turn a bare one into a newline."""
    if not (value.isascii() and value.isprintable()):
        found = _NOT_XML.search(value)
        if found:
            raise BadArgument(
                f"XML cannot carry the character {found[0]!r} at {found.start()} of {value[:40]!r}; "
                "send the text inside JSON with ASCII escapes, or as bytes"
            )
        value = value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return value.replace("\r", "&#13;")
    if "&" in value:
        value = value.replace("&", "&amp;")
    if "<" in value:
        value = value.replace("<", "&lt;")
    return value.replace(">", "&gt;") if ">" in value else value


def carriable(text: str) -> str:
    """The text with what XML cannot carry spelled out, such as "\\x1b": for texts that only people read."""
    return _NOT_XML.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def _write_int(_: Any, value: int, write: Write) -> None:
    if -0x80000000 <= value <= 0x7FFFFFFF:
        write(f"<value><int>{value}</int></value>")
    elif INT64_MIN <= value <= INT64_MAX:
        write(f"<value><i8>{value}</i8></value>")
    else:
        raise BadArgument(f"{value} does not fit into 64 bits; send it as a decimal string")


def _write_bool(_: Any, value: bool, write: Write) -> None:
    write("<value><boolean>1</boolean></value>" if value else "<value><boolean>0</boolean></value>")


def _write_float(_: Any, value: float, write: Write) -> None:
    if not math.isfinite(value):
        raise BadArgument(f"XML-RPC has no {value}; send a finite number")
    write(f"<value><double>{value!r}</double></value>")


def _write_str(_: Any, value: str, write: Write) -> None:
    write(f"<value><string>{_text(value)}</string></value>")


def _write_bytes(_: Any, value: bytes, write: Write) -> None:
    write(f"<value><base64>{base64.b64encode(value).decode('ascii')}</base64></value>")


def _write_array(marshaller: "Marshaller", value: Sequence[Any], write: Write) -> None:
    marshaller.nest(value)
    write("<value><array><data>")
    for item in value:
        marshaller.put(item, write)
    write("</data></array></value>")
    marshaller.depth -= 1


def _write_struct(marshaller: "Marshaller", value: dict[str, Any], write: Write) -> None:
    marshaller.nest(value)
    write("<value><struct>")
    for name, item in value.items():
        if type(name) is not str:
            raise BadArgument(f"a struct's names are strings, not {type(name).__name__} ({name!r})")
        write(f"<member><name>{_text(name)}</name>")
        marshaller.put(item, write)
        write("</member>")
    write("</struct></value>")
    marshaller.depth -= 1


class Marshaller(xmlrpc.client.Marshaller):
    """The standard library's marshaller with our table of writers: exactly these types, and no other."""

    dispatch: dict[Any, Callable[[Any, Any, Write], None]] = {  # noqa: RUF012 (the base class's own name)
        bool: _write_bool,
        int: _write_int,
        float: _write_float,
        str: _write_str,
        bytes: _write_bytes,
        list: _write_array,
        tuple: _write_array,
        dict: _write_struct,
    }

    def __init__(self) -> None:
        super().__init__(encoding="utf-8", allow_none=False)
        self.depth = 0

    def put(self, value: Any, write: Write) -> None:
        """Write one value. BadArgument where XML-RPC, or XML, has no way to say it."""
        writer = self.dispatch.get(type(value))
        if writer is None:
            raise BadArgument(f"XML-RPC has no way to say {type(value).__name__} ({str(value)[:40]!r})")
        writer(self, value, write)

    def nest(self, value: object) -> None:
        """Count one more level of nesting; a value that holds itself ends here as well."""
        self.depth += 1
        if self.depth > MAX_NESTING:
            kind = type(value).__name__
            raise BadArgument(f"a {kind} is nested deeper than {MAX_NESTING}; send it as one JSON text")


_PROLOG = "<?xml version='1.0'?>"


def encode_call(method: str, params: Sequence[Any]) -> bytes:
    """A call of `method`. BadArgument where a parameter cannot travel."""
    out = [_PROLOG, f"<methodCall><methodName>{_text(method)}</methodName><params>"]
    marshaller, write = Marshaller(), out.append
    for value in params:
        write("<param>")
        marshaller.put(value, write)
        write("</param>")
    write("</params></methodCall>")
    return "".join(out).encode("utf-8")


def encode_reply(value: Any) -> bytes:
    """The answer to a call. BadArgument where the value cannot travel."""
    out = [_PROLOG, "<methodResponse><params><param>"]
    Marshaller().put(value, out.append)
    out.append("</param></params></methodResponse>")
    return "".join(out).encode("utf-8")


def encode_fault(fault: Fault) -> bytes:
    """The refusal of a call. Never fails: characters that XML cannot carry become question marks."""
    out = [_PROLOG, "<methodResponse><fault>"]
    text = _NOT_XML.sub("?", fault.wire_text())
    Marshaller().put({"faultCode": fault.code, "faultString": text}, out.append)
    out.append("</fault></methodResponse>")
    return "".join(out).encode("utf-8")


# --- Reading ---------------------------------------------------------------------------------


def _read_int(text: str) -> int:
    digits = text[1:] if text[:1] in ("-", "+") else text
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 19):
        raise Malformed(f"{text[:40]!r} is not an integer of at most 64 bits")
    value = int(text)
    if not INT64_MIN <= value <= INT64_MAX:
        raise Malformed(f"{text} does not fit into 64 bits")
    return value


def _read_bool(text: str) -> bool:
    if text not in ("0", "1"):
        raise Malformed(f"{text[:40]!r} is not a boolean; write 0 or 1")
    return text == "1"


_DOUBLE = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def _read_double(text: str) -> float:
    value = float(text) if _DOUBLE.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise Malformed(f"{text[:40]!r} is not a finite double")
    return value


def _read_base64(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed(f"bad base64: {error}") from None


def _read_string(text: str) -> str:
    return text


_SCALARS: dict[str, Callable[[str], Any]] = {
    "int": _read_int,
    "i4": _read_int,
    "i8": _read_int,
    "boolean": _read_bool,
    "double": _read_double,
    "string": _read_string,
    "base64": _read_base64,
}

_VALUE = {kind: (kind, "value!") for kind in (*_SCALARS, "array", "struct")}

_GRAMMAR: dict[str, dict[str, tuple[str, str]]] = {
    # In this place, this element may begin; the place inside it, and the place after it.
    "document": {"methodCall": ("call", "end"), "methodResponse": ("reply", "end")},
    "call": {"methodName": ("methodName", "named")},
    "named": {"params": ("params", "params!")},
    "params": {"param": ("param", "params")},
    "param": {"value": ("value", "param!")},
    "reply": {"params": ("answer", "reply!"), "fault": ("fault", "reply!")},
    "answer": {"param": ("param", "answer!")},
    "fault": {"value": ("value", "fault!")},
    "value": _VALUE,
    "array": {"data": ("data", "array!")},
    "data": {"value": ("value", "data")},
    "struct": {"member": ("member", "struct")},
    "member": {"name": ("name", "valued")},
    "valued": {"value": ("value", "member!")},
}
"""Which element may stand where. A name with "!" is a place where all is said and nothing may follow."""

_COMPLETE = {"named", "params", "data", "struct"} | {
    after for places in _GRAMMAR.values() for _, after in places.values() if after.endswith("!")
}
"""The places where the element around may end."""


class _Reader:
    """One message on its way through expat: a place in the grammar, and the values read so far."""

    def __init__(self) -> None:
        self.place = "document"
        self.around: list[str] = []  # the place after each element that is open
        self.marks: list[int] = []  # where the values of each open array or struct begin
        self.values: list[Any] = []
        self.text: list[str] = []
        self.method: str | None = None
        self.is_fault = False

    def start(self, tag: str, _attributes: object) -> None:
        place = self.place
        try:
            inside, after = _GRAMMAR[place][tag]
        except KeyError:
            raise Malformed(f"<{tag[:40]}> may not stand here (in {place.rstrip('!')})") from None
        if self.text:
            self.drop_text()
        if tag == "array" or tag == "struct":
            self.marks.append(len(self.values))
            if len(self.marks) > MAX_NESTING:
                raise Malformed(f"nested deeper than {MAX_NESTING}")
        self.around.append(after)
        self.place = inside

    def end(self, tag: str) -> None:
        place = self.place
        text = self.text
        scalar = _SCALARS.get(place)
        if scalar is not None:
            self.values.append(scalar("".join(text)))
            text.clear()
        elif place == "name" or place == "value":  # a value whose type is not said is a string
            self.values.append("".join(text))
            text.clear()
        elif place == "methodName":
            self.method = "".join(text)
            text.clear()
        else:
            if text:
                self.drop_text()
            if place not in _COMPLETE:
                raise Malformed(f"<{tag}> ends too early")
            if tag == "array":
                mark = self.marks.pop()
                self.values[mark:] = [self.values[mark:]]
            elif tag == "struct":
                self.end_struct()
            elif tag == "fault":
                self.is_fault = True
        self.place = self.around.pop()

    def end_struct(self) -> None:
        mark = self.marks.pop()
        members = self.values[mark:]
        struct = dict(zip(members[::2], members[1::2], strict=True))
        if len(struct) * 2 != len(members):
            raise Malformed("a struct has the same name twice")
        self.values[mark:] = [struct]

    def drop_text(self) -> None:
        """Between elements only white space may stand."""
        text = "".join(self.text)
        if not text.isspace():
            raise Malformed(f"the text {text.strip()[:40]!r} stands between elements")
        self.text.clear()


_UTF_16_STARTS = (b"\xff\xfe", b"\xfe\xff")


def _check_declaration(_version: str, encoding: str | None, _standalone: int) -> None:
    if encoding is not None and encoding.lower() not in ("utf-8", "us-ascii", "ascii"):
        raise Malformed(f"the encoding {encoding[:40]!r} is not taken; send UTF-8")


def _read(body: bytes) -> _Reader:
    """Parse a whole message in time and memory in proportion to its length."""
    if (
        body[:2] in _UTF_16_STARTS or b"\x00" in body[:2]
    ):  # expat would follow it whatever encoding it is told
        raise Malformed("UTF-16 is not taken; send UTF-8")
    if b"<!DOCTYPE" in body:  # before expat sees it: it would go on expanding entities after an error
        raise Malformed("a document type is not taken")
    reader = _Reader()
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.XmlDeclHandler = _check_declaration
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text.append
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        raise Malformed(f"not well-formed XML: {error}") from None
    return reader


def decode_call(body: bytes) -> tuple[str, list[Any]]:
    """The method and parameters of a call. Malformed where the bytes are none."""
    known = shapes.read_call(body.decode("ascii")) if body.isascii() else None
    if known is not None:
        return known
    reader = _read(body)
    if reader.method is None:
        raise Malformed("this is a methodResponse; send a methodCall")
    return reader.method, reader.values


def decode_reply(body: bytes) -> Any:
    """The value that a reply carries. Raises its Fault, or Malformed where the bytes are no reply."""
    known = shapes.read_reply(body.decode("ascii")) if body.isascii() else None
    if known is not None:
        return known
    reader = _read(body)
    if reader.method is not None:
        raise Malformed("this is a methodCall, where a methodResponse is due")
    value = reader.values[0]
    if not reader.is_fault:
        return value
    match value:
        case {"faultCode": int(code), "faultString": str(text)}:
            raise Fault.from_wire(code, text)
    raise Malformed("a fault without faultCode and faultString")
