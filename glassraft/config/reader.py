"""From the text of a config.json to a checked `Config`: each thing that can be wrong has its one line.

Only parsing and checking belongs here; what the values are for is in model.py. A message
names the file, the setting by its path (`nodes[2].port`), its value, and what to write instead.
"""

import difflib
import ipaddress
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from glassraft.config.model import (
    MAX_PORT,
    Config,
    Folders,
    Limits,
    NodeAddress,
    RaftOptions,
    Timings,
    WorkerSettings,
    warnings_for,
)
from glassraft.errors import ConfigError

DEFAULT_PATH = Path(__file__).resolve().parents[2] / "config.json"
"""The checkout's own config.json, which the programs beside it use when none is named."""

MAX_NODE_ID = 999
MAX_NAME = 100
MAX_MS = 3_600_000
MAX_LIMIT = 2**40
MAX_SLOTS = 256

HEARTBEATS_A_TIMEOUT = 3
"""A follower must be able to miss a heartbeat or two before it starts an election (§5.6)."""

BATCH_SHARE = 2
"""A batch of entries grows when it is written as JSON within XML, so a body must hold it this often."""

LIKENESS = 0.7
"""How alike two keys must be (difflib's ratio) for "did you mean": a slip, not another word."""

_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")
_REQUIRED = object()

Check = Callable[["Section", str, Any], Any]


def load(path: Path | str | None = None) -> Config:
    """Read and check a config.json; without `path`, the checkout's own.

    Raises ConfigError, in one line, for the first thing that is wrong with it.
    """
    file = Path(path) if path is not None else DEFAULT_PATH
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ConfigError(f"{file}: there is no such file; name another with --config FILE") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: is not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror or error}") from error
    return parse(text, file.resolve())


def parse(text: str, path: Path) -> Config:
    """Check the text of a config.json. Relative folders are taken from `path`'s folder.

    Raises ConfigError for the first thing that is wrong.
    """
    top = Section(path, "", _decode(text, path))
    cluster = top.take("cluster", _name, "glassraft")
    nodes = _nodes(top)
    timings = _timings(top.section("timings"))
    raft = top.section("raft")
    lease_reads = raft.take("lease_reads", _boolean, RaftOptions().lease_reads)
    raft.done()
    limits = _limits(top.section("limits"))
    folders = _folders(top.section("folders"), path.parent)
    worker = top.section("worker")
    slots = worker.take("slots", _whole(1, MAX_SLOTS), WorkerSettings().slots)
    worker.done()
    log_events = top.take("log_events", _boolean, True)
    top.done()
    return Config(
        cluster=cluster,
        nodes=nodes,
        timings=timings,
        raft=RaftOptions(lease_reads),
        limits=limits,
        folders=folders,
        worker=WorkerSettings(slots),
        log_events=log_events,
        path=path,
        warnings=warnings_for(nodes),
    )


class Section:
    """One object of the file: gives its settings out one by one and, at the end, refuses those left."""

    def __init__(self, path: Path, where: str, value: object) -> None:
        self.path = path
        self.where = where
        if not isinstance(value, dict):
            self.refuse(f"{where or 'the file'} is {_shown(value)}; write an object, {{...}}")
        self._values: dict[str, Any] = dict(value)
        self._known: list[str] = []

    def take(self, key: str, check: Check, default: object = _REQUIRED) -> Any:
        """The checked value under `key`, or the default where the file has none."""
        self._known.append(key)
        if key not in self._values:
            if default is _REQUIRED:
                self.done(keep_unknown=True)
                self.refuse(f"{self.name(key)} is missing")
            return default
        return check(self, self.name(key), self._values.pop(key))

    def section(self, key: str) -> "Section":
        """The object under `key`; an empty one where the file has none."""
        self._known.append(key)
        return Section(self.path, self.name(key), self._values.pop(key, {}))

    def done(self, keep_unknown: bool = False) -> None:
        """Refuse what nobody took: a misspelt setting must not be silently without effect.

        With `keep_unknown`, only a key that looks like a misspelling of a known one is refused.
        """
        for key in self._values:
            close = difflib.get_close_matches(key, self._known, n=1, cutoff=LIKENESS)
            if close:
                self.refuse(f"unknown key {_shown(key)}{self._place()}; did you mean {_shown(close[0])}?")
            if not keep_unknown:
                known = ", ".join(sorted(self._known))
                self.refuse(f"unknown key {_shown(key)}{self._place()}; known here are {known}")

    def refuse(self, problem: str) -> NoReturn:
        """Raise ConfigError with the file's name before the problem."""
        raise ConfigError(f"{self.path}: {problem}")

    def name(self, key: str) -> str:
        """The path of a setting within the file, such as limits.max_body_bytes."""
        return f"{self.where}.{key}" if self.where else key

    def _place(self) -> str:
        return f" in {self.where}" if self.where else ""


def _decode(text: str, path: Path) -> object:
    def pairs(items: list[tuple[str, object]]) -> dict[str, object]:
        found: dict[str, object] = {}
        for key, value in items:
            if key in found:
                raise ConfigError(f"{path}: the key {_shown(key)} is there twice in one object; keep one")
            found[key] = value
        return found

    try:
        return json.loads(text, object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        reason = error.msg[:1].lower() + error.msg[1:]
        raise ConfigError(
            f"{path}: not JSON at line {error.lineno}, column {error.colno}: {reason}"
        ) from error
    except RecursionError as error:
        raise ConfigError(f"{path}: not a configuration: nested too deeply") from error


def _nodes(top: Section) -> tuple[NodeAddress, ...]:
    values = top.take("nodes", _list)
    if not values:
        top.refuse('nodes is empty; list at least one, such as {"id": 1, "host": "127.0.0.1", "port": 7401}')
    nodes: list[NodeAddress] = []
    for position, value in enumerate(values):
        section = Section(top.path, f"nodes[{position}]", value)
        node = NodeAddress(
            id=section.take("id", _whole(1, MAX_NODE_ID)),
            host=section.take("host", _host),
            port=section.take("port", _whole(1, MAX_PORT)),
        )
        section.done()
        for earlier in nodes:
            if earlier.id == node.id:
                section.refuse(f"the id {node.id} is there twice in nodes; give each node its own")
            if (earlier.host.lower(), earlier.port) == (node.host.lower(), node.port):
                section.refuse(
                    f"nodes {earlier.id} and {node.id} both have the address {node}; give each its own"
                )
        nodes.append(node)
    return tuple(nodes)


def _timings(section: Section) -> Timings:
    default = Timings()
    heartbeat = section.take("heartbeat_ms", _whole(1, MAX_MS), default.heartbeat_ms)
    low, high = section.take("election_timeout_ms", _range, default.election_timeout_ms)
    section.done()
    if low < heartbeat * HEARTBEATS_A_TIMEOUT:
        section.refuse(
            f"timings.election_timeout_ms begins at {low}, too close to heartbeat_ms {heartbeat}: a late "
            f"heartbeat would start an election; begin at {heartbeat * HEARTBEATS_A_TIMEOUT} or more"
        )
    return Timings(heartbeat, (low, high))


def _limits(section: Section) -> Limits:
    default = Limits()
    limits = Limits(
        *(section.take(name, _whole(1, MAX_LIMIT), getattr(default, name)) for name in Limits.__slots__)
    )
    section.done()
    if limits.max_batch_bytes * BATCH_SHARE > limits.max_body_bytes:
        section.refuse(
            f"limits.max_batch_bytes is {limits.max_batch_bytes}, more than half of max_body_bytes "
            f"{limits.max_body_bytes}: a batch grows when it is written as XML; lower it, or raise that"
        )
    return limits


def _folders(section: Section, base: Path) -> Folders:
    data = section.take("data", _text, "data")
    logs = section.take("logs", _text, "logs")
    section.done()
    return Folders(base / Path(data).expanduser(), base / Path(logs).expanduser())


def _whole(low: int, high: int) -> Check:
    def check(section: Section, name: str, value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            section.refuse(f"{name} is {_shown(value)}; write a whole number from {low} to {high}")
        return value

    return check


def _range(section: Section, name: str, value: Any) -> tuple[int, int]:
    if not isinstance(value, list) or len(value) != 2:
        section.refuse(f"{name} is {_shown(value)}; write two numbers, such as [600, 1200]")
    whole = _whole(1, MAX_MS)
    low, high = whole(section, f"{name}[0]", value[0]), whole(section, f"{name}[1]", value[1])
    if low >= high:
        section.refuse(
            f"{name} is [{low}, {high}]; the first must be below the second, or nodes that time out "
            "together split the vote again and again (§5.2)"
        )
    return low, high


def _host(section: Section, name: str, value: Any) -> str:
    host = _text(section, name, value)
    try:
        wildcard = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        wildcard = False
        numeric = re.fullmatch(r"[\d.]+", host) is not None
        if numeric or len(host) > 253 or not _HOST_NAME.fullmatch(host):
            hint = ', and the port under "port"' if ":" in host else ""
            section.refuse(
                f"{name} is {_shown(value)}, which is no address; write an IP address or a host's name{hint}"
            )
    if wildcard:
        section.refuse(
            f"{name} is {_shown(value)}, to which no other node can connect; "
            "write the address by which the others reach it"
        )
    return host


def _name(section: Section, name: str, value: Any) -> str:
    text = _text(section, name, value)
    if len(text) > MAX_NAME or not text.isprintable():
        section.refuse(f"{name} is {_shown(text)}; write 1 to {MAX_NAME} printable characters")
    return text


def _text(section: Section, name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        section.refuse(f"{name} is {_shown(value)}; write a text that is not empty")
    return value


def _boolean(section: Section, name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        section.refuse(f"{name} is {_shown(value)}; write true or false")
    return value


def _list(section: Section, name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        section.refuse(f"{name} is {_shown(value)}; write a list, [...]")
    return value


def _shown(value: object) -> str:
    """A value as it stands in the file, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
