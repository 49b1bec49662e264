"""What a server offers: methods with their signatures, and the check of a call against them.

A method is a function, its parameters' XML-RPC types and a sentence of help; the three
`system.` methods that let any client discover the rest are here too. No socket lives here.
Next: server.py, which reads calls and sends answers.
"""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from glassraft.errors import BadArgument
from glassraft.rpc.faults import Fault


class Later(Enum):
    """What a method returns instead of a value when its answer comes afterwards."""

    LATER = "later"


LATER = Later.LATER


class Call:
    """The call under way: who asks, whether they still wait, and a way to answer from another thread."""

    __slots__ = ("_respond", "connection_alive", "method", "peer")

    def __init__(
        self,
        method: str,
        peer: str,
        connection_alive: Callable[[], bool],
        respond: "Callable[[Call, Any], None]",
    ) -> None:
        self.method = method
        self.peer = peer
        self.connection_alive = connection_alive
        self._respond = respond

    def respond(self, value: Any) -> None:
        """Send the answer, a value or a Fault, now and from whichever thread knows it.

        The method may still run: what it returns is then not sent. Or it has returned LATER, and
        its thread reads on already. For small answers: what the socket does not take at once is
        sent when the method returns; after LATER, a client that does not read is cut off. Never
        blocks or raises, and does nothing where the call is answered already.
        """
        self._respond(self, value)


@dataclass(frozen=True, slots=True)
class Method:
    """One method as it is served.

    `signature` is the result's type and then the parameters', in XML-RPC's names: int, double,
    boolean, string, base64, array, struct. The first `required` parameters must be given.
    `function` is called as `function(call, *params)`. It is `short` when it never waits: it may be
    run by a thread that serves other connections too. It is `vital` when it is served even where
    there is no room for clients any more.
    """

    function: Callable[..., Any]
    signature: tuple[str, ...]
    required: int
    help: str
    short: bool = False
    vital: bool = False

    @classmethod
    def of(
        cls,
        function: Callable[..., Any],
        signature: tuple[str, ...],
        required: int,
        *,
        short: bool = False,
        vital: bool = False,
    ) -> "Method":
        """A method whose help is its docstring."""
        return cls(function, signature, required, (function.__doc__ or "").strip(), short, vital)


def _take_int(value: Any) -> int | None:
    """Integers can pass 2^31, where a stock client must send a double or a decimal string instead."""
    if type(value) is float and value.is_integer() and abs(value) <= 2**53:
        return int(value)
    if type(value) is str and re.fullmatch(r"-?[0-9]{1,19}", value):
        number = int(value)
        return number if -(2**63) <= number < 2**63 else None
    return None


def _take_double(value: Any) -> float | None:
    return float(value) if type(value) is int else None


def _take_nothing_else(_value: Any) -> None:
    return None


@dataclass(frozen=True, slots=True)
class _Kind:
    python: type
    convert: Callable[[Any], Any]
    words: str


_KINDS: Mapping[str, _Kind] = {
    "int": _Kind(int, _take_int, "an int (or a whole double, or a string of decimal digits)"),
    "double": _Kind(float, _take_double, "a double"),
    "boolean": _Kind(bool, _take_nothing_else, "a boolean"),
    "string": _Kind(str, _take_nothing_else, "a string"),
    "base64": _Kind(bytes, _take_nothing_else, "base64"),
    "array": _Kind(list, _take_nothing_else, "an array"),
    "struct": _Kind(dict, _take_nothing_else, "a struct"),
}

_XMLRPC_NAMES = {kind.python: name for name, kind in _KINDS.items()}


class BoundMethod:
    """A method made ready for being called: its types looked up once, its parameters' names known."""

    def __init__(self, name: str, method: Method) -> None:
        self.name = name
        self.method = method
        self.kinds = tuple(_KINDS[kind] for kind in method.signature[1:])
        self.types = [kind.python for kind in self.kinds]
        self.parameters = _parameter_names(method)

    def __call__(self, call: Call, params: Sequence[Any]) -> Any:
        """Check the parameters, then run the function. Raises Fault bad_argument naming what is wrong."""
        if [type(value) for value in params] != self.types:
            params = self._coerced(params)
        return self.method.function(call, *params)

    def signatures(self) -> list[list[str]]:
        """As system.methodSignature answers: one signature for each number of parameters that is taken."""
        whole = list(self.method.signature)
        return [whole[: count + 1] for count in range(self.method.required, len(whole))]

    def _coerced(self, params: Sequence[Any]) -> list[Any]:
        if not self.method.required <= len(params) <= len(self.kinds):
            raise Fault.named("bad_argument", f"{self.spoken()} was called with {len(params)} parameters")
        return [self._coerce(position, value) for position, value in enumerate(params)]

    def _coerce(self, position: int, value: Any) -> Any:
        kind = self.kinds[position]
        taken = value if type(value) is kind.python else kind.convert(value)
        if taken is None:
            given = _XMLRPC_NAMES.get(type(value), type(value).__name__)
            raise Fault.named(
                "bad_argument",
                f"{self.name}: the parameter {self.parameters[position]} must be {kind.words}, "
                f"not the {given} {str(value)[:60]!r}",
            )
        return taken

    def spoken(self) -> str:
        """How the method is called, as people write it: parameters' types and names, [optional] ones too."""
        said = [
            f"{kind} {name}" for kind, name in zip(self.method.signature[1:], self.parameters, strict=True)
        ]
        optional = [f"[{one}]" for one in said[self.method.required :]]
        return f"{self.name}({', '.join(said[: self.method.required] + optional)})"


def _parameter_names(method: Method) -> list[str]:
    """The function's own names for its parameters, after the call; numbered where it takes any."""
    named = [
        parameter.name
        for parameter in inspect.signature(method.function).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ][1:]
    count = len(method.signature) - 1
    return [named[i] if i < len(named) else str(i + 1) for i in range(count)]


_NAMED = re.compile(rb"[^>]{0,60}>\s*<methodCall>\s*<methodName>(\w{1,40})</methodName>").match


class MethodTable:
    """All methods of one server, the `system.` ones included."""

    def __init__(self, methods: Mapping[str, Method]) -> None:
        system = {
            "system.listMethods": Method(self._list, ("array",), 0, "The names of all methods."),
            "system.methodHelp": Method(self._help, ("string", "string"), 1, "What a method does."),
            "system.methodSignature": Method(
                self._signature,
                ("array", "string"),
                1,
                "A method's signatures, one for each number of parameters: the result's type, then theirs.",
            ),
        }
        self._bound = {name: BoundMethod(name, method) for name, method in {**methods, **system}.items()}

    def call(self, call: Call, params: Sequence[Any]) -> Any:
        """Run a call's method. Raises Fault unknown_method or bad_argument, and what the method raises."""
        return self._find(call.method)(call, params)

    def is_short(self, body: bytes) -> bool:
        """Whether the call, of which only the head is looked at, is for a method that never waits."""
        bound = self._called(body)
        return bound is not None and bound.method.short

    def is_vital(self, body: bytes) -> bool:
        """Whether it is for a method without which the server's peers cannot do."""
        bound = self._called(body)
        return bound is not None and bound.method.vital

    def _called(self, body: bytes) -> BoundMethod | None:
        named = _NAMED(body)
        return self._bound.get(named[1].decode()) if named else None

    def _find(self, name: str) -> BoundMethod:
        bound = self._bound.get(name)
        if bound is None:
            raise Fault.named("unknown_method", f"no method {name[:80]!r}; system.listMethods lists them")
        return bound

    def _list(self, _call: Call) -> list[str]:
        return sorted(self._bound)

    def _help(self, _call: Call, name: str) -> str:
        return self._find(name).method.help

    def _signature(self, _call: Call, name: str) -> list[list[str]]:
        return self._find(name).signatures()


def as_fault(method: str, error: Exception) -> Fault:
    """What a caller is told of the exception that a method ended with."""
    if isinstance(error, Fault):
        return error
    if isinstance(error, BadArgument):
        return Fault.named("bad_argument", str(error))
    return Fault.named("internal", f"{method} failed: {type(error).__name__}: {error}")
