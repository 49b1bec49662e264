"""Who belongs to the cluster: the configuration, its entry in the log, and the history of both (diss. §4).

A server uses the newest configuration in its log from the moment that the entry is appended,
committed or not (diss. §4.1); when the entry is truncated, the one before it counts again. The
entry's text also carries the members' addresses: they are the replica's, and nothing here reads
them but `addresses_in`. Next: membership.py, which decides when there is a new one.
"""

import json
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Address = tuple[str, int]
"""Host and port."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """The voters, whose majority elects and commits, and the learners, who only get entries. Both sorted."""

    voters: tuple[int, ...]
    learners: tuple[int, ...] = ()

    @property
    def members(self) -> tuple[int, ...]:
        """Everybody who is sent entries, sorted."""
        return tuple(sorted(self.voters + self.learners))

    def with_learner(self, server: int) -> "Configuration":
        """This server is sent the log, and neither votes nor counts (diss. §4.2.1)."""
        return Configuration(self.voters, tuple(sorted({*self.learners, server})))

    def with_voter(self, server: int) -> "Configuration":
        """This server votes and counts from now on."""
        learners = tuple(learner for learner in self.learners if learner != server)
        return Configuration(tuple(sorted({*self.voters, server})), learners)

    def without(self, server: int) -> "Configuration":
        """This server is no member any more."""
        return Configuration(
            tuple(voter for voter in self.voters if voter != server),
            tuple(learner for learner in self.learners if learner != server),
        )


NOBODY = Configuration(voters=())
"""What a server knows that has yet to be told whose member it is."""


class ConfigurationHistory:
    """The configurations that a log holds, oldest first, each with its entry's index.

    The oldest may be of no entry: index 0 is what the cluster was made of, a higher one is a
    snapshot's.
    """

    def __init__(self, rows: Iterable[tuple[int, Configuration]]) -> None:
        self._rows = list(rows)

    @property
    def newest(self) -> Configuration:
        """The one in use (diss. §4.1)."""
        return self._rows[-1][1]

    @property
    def newest_index(self) -> int:
        """The index of its entry."""
        return self._rows[-1][0]

    def at(self, index: int) -> tuple[int, Configuration]:
        """The configuration under which the entry at `index` stands, and the index of its own entry."""
        later = bisect_right(self._rows, index, key=lambda row: row[0])
        return self._rows[max(0, later - 1)]

    def append(self, index: int, configuration: Configuration) -> None:
        """Its entry was put at the log's end."""
        self._rows.append((index, configuration))

    def truncate(self, first: int) -> bool:
        """The log lost its entries from `first` on. True when another configuration counts now."""
        before = len(self._rows)
        while len(self._rows) > 1 and self._rows[-1][0] >= first:
            self._rows.pop()
        return len(self._rows) < before

    def compact(self, index: int) -> None:
        """Forget what only entries before `index` stood under."""
        later = bisect_right(self._rows, index, key=lambda row: row[0])
        del self._rows[: max(0, later - 1)]

    def reset(self, index: int, configuration: Configuration) -> None:
        """A snapshot took the log's place: its configuration is the only one known (§7)."""
        self._rows = [(index, configuration)]


def configuration_text(configuration: Configuration, addresses: Mapping[int, Address], stamp_ms: int) -> str:
    """The command of a configuration's entry: canonical JSON, alike on every node."""
    document = {
        "addresses": {str(id): [*addresses[id]] for id in configuration.members if id in addresses},
        "learners": [*configuration.learners],
        "t": stamp_ms,
        "voters": [*configuration.voters],
    }
    return json.dumps(document, separators=(",", ":"), sort_keys=True)


def parse_configuration(text: str) -> Configuration:
    """The voters and learners of `configuration_text`. ValueError where it is none."""
    document = _document(text)
    voters, learners = _ids(document, "voters"), _ids(document, "learners")
    if set(voters) & set(learners):
        raise ValueError(f"a configuration in which n{min(set(voters) & set(learners))} votes and does not")
    return Configuration(voters, learners)


def addresses_in(text: str) -> dict[int, Address]:
    """The members' addresses that `configuration_text` carries. ValueError where it is none."""
    rows = _document(text).get("addresses")
    if type(rows) is not dict:
        raise ValueError("a configuration without addresses")
    addresses = {}
    for id, row in rows.items():
        match row:
            case [str(host), int(port)] if id.isdecimal():
                addresses[int(id)] = (host, port)
            case _:
                raise ValueError(f"a configuration with the address {str(row)[:60]!r} of {id[:20]!r}")
    return addresses


def _document(text: str) -> dict[str, object]:
    document = json.loads(text)
    if type(document) is not dict:
        raise ValueError(f"a configuration that is no JSON object: {text[:60]!r}")
    return document


def _ids(document: dict[str, object], name: str) -> tuple[int, ...]:
    ids = document.get(name)
    if type(ids) is not list or not all(type(id) is int and id > 0 for id in ids):
        raise ValueError(f"a configuration whose {name} are {str(ids)[:60]!r}, not a list of ids")
    if ids != sorted(set(ids)):
        raise ValueError(f"a configuration whose {name} are {ids}, which are not sorted")
    return tuple(ids)
