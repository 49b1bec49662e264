"""node-N.raft.db: Figure 2's persistent state, synced once a batch.

One transaction holds everything that a Ready wants durable. The file is locked for its node
alone. Next: queue_store.py, for what is applied; raft/server.py, for who decides.
"""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from glassraft.raft.configuration import Address, Configuration, addresses_in, parse_configuration
from glassraft.raft.log import TAIL_BYTES, TAIL_ENTRIES, Log
from glassraft.raft.messages import Entry, LogPosition
from glassraft.raft.ready import HardState, Installation, Persisted
from glassraft.storage.creation import new_database
from glassraft.storage.identity import (
    WHAT_TO_DO_WITH_DAMAGE,
    DamagedFile,
    Identity,
    WrongFile,
    check_header,
    check_soundness,
    connect,
    load_identity,
    the_row,
    translated_errors,
)

SCHEMA = (
    "CREATE TABLE identity (id INTEGER PRIMARY KEY CHECK (id = 1), cluster_id TEXT NOT NULL,"
    " cluster TEXT NOT NULL, node_id INTEGER NOT NULL, members TEXT NOT NULL) STRICT",
    "CREATE TABLE hard_state (id INTEGER PRIMARY KEY CHECK (id = 1), term INTEGER NOT NULL,"
    " voted_for INTEGER) STRICT",
    "CREATE TABLE log (idx INTEGER PRIMARY KEY, term INTEGER NOT NULL, kind TEXT NOT NULL,"
    " command TEXT NOT NULL) STRICT",
    # Where each term begins in the log: so a start needs not read it all.
    "CREATE TABLE terms (term INTEGER PRIMARY KEY, first_idx INTEGER NOT NULL) STRICT",
    "CREATE TABLE membership (idx INTEGER PRIMARY KEY, term INTEGER NOT NULL, configuration TEXT NOT NULL) STRICT",
    "CREATE TABLE snapshot (id INTEGER PRIMARY KEY CHECK (id = 1), idx INTEGER NOT NULL, term INTEGER NOT NULL,"
    " queue_file TEXT NOT NULL) STRICT",
)

CHECKPOINT_PAGES = 2_000
"""How long SQLite's write-ahead log gets before it is copied into the file and begun anew."""

PAGE_BYTES = 4_096

READ_BYTES = 4 * 1024 * 1024
"""How much is read back at a time, for a follower or a queue far behind: more than a message or a batch takes."""

CHECK_SIZE_LIMIT = 64 * 1024 * 1024
"""A start checks a file's whole structure only up to this size, so that it stays a matter of a second.

A larger file's damage is found when its pages are read, and stops the node then.
"""


class RaftStore:
    """The open raft file of one node. Only one thread may use it at a time."""

    def __init__(self, path: Path, identity: Identity) -> None:
        """Open an existing file; `identity` is what this node is configured to be.

        Raises WrongFile, DamagedFile or DiskFailed, each saying what to do.
        """
        self.path = path
        self.connection = connect(path)
        try:
            with translated_errors(path):
                self.connection.execute("PRAGMA locking_mode = EXCLUSIVE")
                check_header(self.connection, path)
                self._set_up()
                if path.stat().st_size <= CHECK_SIZE_LIMIT:
                    check_soundness(self.connection, path)
                self.identity = load_identity(self.connection, path)
                identity.check(self.identity, path)
                hard_state = the_row(self.connection, path, "SELECT term, voted_for FROM hard_state")
                self.hard_state = HardState(*hard_state)
                self.queue_file = str(the_row(self.connection, path, "SELECT queue_file FROM snapshot")[0])
                self.check_beginning()
            self._lengthen_wal()
        except BaseException:
            self.connection.close()
            raise

    def _set_up(self) -> None:
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = FULL")
        self.connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        # Takes the lock now, so that a second process learns at once whose file it is.
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.execute("COMMIT")

    def _lengthen_wal(self) -> None:
        """Give the write-ahead log its full length once, so that saves write over it in place.

        Syncing a file that grows also writes the file system's journal; one that does not takes
        half the time (measured). Where there is no room for it, saves are slower and as safe.
        """
        wal = self.path.with_name(self.path.name + "-wal")
        if wal.exists() and wal.stat().st_size >= CHECKPOINT_PAGES * PAGE_BYTES:
            return
        execute = self.connection.execute
        with suppress(sqlite3.OperationalError):
            execute("BEGIN IMMEDIATE")
            execute("CREATE TABLE filler (bytes BLOB)")
            for _ in range(CHECKPOINT_PAGES // 100):
                execute("INSERT INTO filler VALUES (zeroblob(?))", (100 * PAGE_BYTES,))
            execute("DROP TABLE filler")
            execute("COMMIT")
            execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
        if self.connection.in_transaction:
            execute("ROLLBACK")

    @classmethod
    def create(cls, path: Path, identity: Identity, queue_file: str) -> None:
        """Make a new node's file, synced together with its folder."""
        if path.exists():
            raise WrongFile(
                f"{path} exists: a new node must not write over it. Move it away, or start without --new"
            )
        with new_database(path) as connection:
            for statement in SCHEMA:
                connection.execute(statement)
            connection.execute(
                "INSERT INTO identity VALUES (1, ?, ?, ?, ?)",
                (identity.cluster_id, identity.cluster, identity.node_id, identity.members_text()),
            )
            connection.execute("INSERT INTO hard_state VALUES (1, 0, NULL)")
            connection.execute("INSERT INTO membership VALUES (0, 0, ?)", (identity.configuration_text(),))
            connection.execute("INSERT INTO snapshot VALUES (1, 0, 0, ?)", (queue_file,))

    # Reading

    @property
    def base(self) -> LogPosition:
        """The last entry that the queue's file stands for alone: the log begins after it (§7)."""
        return LogPosition(*the_row(self.connection, self.path, "SELECT term, idx FROM snapshot"))

    def check_beginning(self) -> None:
        """The log must go on from its base. Raises DamagedFile."""
        first = self.connection.execute("SELECT min(idx) FROM log").fetchone()[0]
        base = self.base.index
        if first is not None and first != base + 1:
            raise DamagedFile(
                f"{self.path} is damaged (its log begins at {first}, after {base} was compacted): "
                f"{WHAT_TO_DO_WITH_DAMAGE}"
            )

    def load_log(self) -> Log:
        """The log as `Server` wants it: every term's run, the newest entries, and a reader for the rest."""
        with translated_errors(self.path):
            base = self.base
            last_index = self.connection.execute("SELECT max(idx) FROM log").fetchone()[0] or base.index
            terms = self.connection.execute("SELECT term, first_idx FROM terms ORDER BY term").fetchall()
        return Log(
            base=base, terms=terms, tail=self._tail(last_index), last_index=last_index, read=self.read_some
        )

    def load_history(self) -> list[tuple[int, Configuration]]:
        """The configurations that the log stands under, oldest first, each with its entry's index."""
        return [(index, parse_configuration(text)) for index, text in self._membership()]

    def load_addresses(self) -> dict[int, Address]:
        """Where each server is that the log ever named, by the newest configuration that did."""
        addresses: dict[int, Address] = {}
        for _, text in self._membership():
            addresses.update(addresses_in(text))
        return addresses

    def _membership(self) -> list[tuple[int, str]]:
        with translated_errors(self.path):
            return self.connection.execute(
                "SELECT idx, configuration FROM membership ORDER BY idx"
            ).fetchall()

    def _tail(self, last_index: int) -> list[Entry]:
        size, first = 0, last_index + 1
        with translated_errors(self.path):
            rows = self.connection.execute("SELECT idx, length(command) FROM log ORDER BY idx DESC")
            for index, length in rows:
                size += length
                if last_index - index >= TAIL_ENTRIES or size > TAIL_BYTES:
                    break
                first = index
            rows.close()
        return self.read(first, last_index)

    def read(self, first: int, last: int) -> list[Entry]:
        """The entries first..last, both included."""
        with translated_errors(self.path):
            return [Entry(*row) for row in self._rows(first, last)]

    def read_some(self, first: int, last: int) -> list[Entry]:
        """The entries from `first` on, up to `last` or to READ_BYTES, but at least one."""
        entries: list[Entry] = []
        size = 0
        with translated_errors(self.path):
            rows = self._rows(first, last)
            for row in rows:
                entries.append(Entry(*row))
                size += len(entries[-1].command)
                if size >= READ_BYTES:
                    break
            rows.close()
        return entries

    def _rows(self, first: int, last: int) -> sqlite3.Cursor:
        query = "SELECT idx, term, kind, command FROM log WHERE idx BETWEEN ? AND ? ORDER BY idx"
        return self.connection.execute(query, (first, last))

    # Writing

    def save(self, hard_state: HardState | None, truncate_from: int | None, entries: Sequence[Entry]) -> None:
        """Make all of it durable, in one transaction and one sync. Raises DiskFailed; then nothing was written."""

        def write() -> None:
            self._write_state(hard_state, truncate_from)
            self._insert(entries)

        self._durably(write)
        if hard_state is not None:
            self.hard_state = hard_state

    def install(
        self,
        hard_state: HardState | None,
        truncate_from: int | None,
        entries: Sequence[Entry],
        installation: Installation,
        queue_file: str,
        configuration: str,
    ) -> None:
        """save(), and in the same transaction a snapshot, `queue_file`, takes the log's place (§7).

        Either all of it is durable, the file's name with it, or nothing. Raises DiskFailed.
        """
        snapshot = installation.snapshot

        def write() -> None:
            execute = self.connection.execute
            self._write_state(hard_state, truncate_from)
            if not installation.keeps_log:
                for table in ("log", "terms", "membership"):
                    execute(f"DELETE FROM {table}")
            self._cut_below(snapshot.last)
            execute("DELETE FROM membership WHERE idx <= ?", (snapshot.last.index,))
            execute("INSERT INTO membership VALUES (?, 0, ?)", (snapshot.configuration_index, configuration))
            execute("UPDATE snapshot SET queue_file = ?", (queue_file,))
            self._insert(entries)

        self._durably(write)
        if hard_state is not None:
            self.hard_state = hard_state
        self.queue_file = queue_file

    def _write_state(self, hard_state: HardState | None, truncate_from: int | None) -> None:
        execute = self.connection.execute
        if hard_state is not None:
            execute("UPDATE hard_state SET term = ?, voted_for = ?", hard_state)
        if truncate_from is not None:
            execute("DELETE FROM log WHERE idx >= ?", (truncate_from,))
            execute("DELETE FROM terms WHERE first_idx >= ?", (truncate_from,))
            execute("DELETE FROM membership WHERE idx >= ?", (truncate_from,))

    def _durably(self, write: Callable[[], None]) -> None:
        """All that `write` does becomes durable together, or nothing of it."""
        with translated_errors(self.path):
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                write()
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise

    def _insert(self, entries: Sequence[Entry]) -> None:
        previous_term = 0
        for entry in entries:
            if entry.term != previous_term:
                self.connection.execute(
                    "INSERT OR IGNORE INTO terms VALUES (?, ?)", (entry.term, entry.index)
                )
                previous_term = entry.term
        self.connection.executemany(
            "INSERT INTO log VALUES (?, ?, ?, ?)",
            [(entry.index, entry.term, entry.kind, entry.command) for entry in entries],
        )
        for entry in entries:
            if entry.kind == "configuration":
                self.connection.execute(
                    "INSERT INTO membership VALUES (?, ?, ?)", (entry.index, entry.term, entry.command)
                )

    def compact(self, base: LogPosition) -> None:
        """Let the entries up to `base` go, in one transaction (§7). The queue's file must hold them on disk.

        Raises DiskFailed; then nothing was written.
        """
        self._durably(lambda: self._cut_below(base))

    def _cut_below(self, base: LogPosition) -> None:
        execute = self.connection.execute
        execute("UPDATE snapshot SET idx = ?, term = ?", (base.index, base.term))
        execute("DELETE FROM log WHERE idx <= ?", (base.index,))
        # The term that goes on above the base begins there now; those before it are gone.
        execute(
            "DELETE FROM terms WHERE first_idx <= ?1"
            " AND term IS NOT (SELECT term FROM log WHERE idx = ?1 + 1)",
            (base.index,),
        )
        execute("UPDATE terms SET first_idx = ?1 + 1 WHERE first_idx <= ?1", (base.index,))
        # A configuration counts until the next: the last one up to the base is the base's.
        execute(
            "DELETE FROM membership WHERE idx < (SELECT max(idx) FROM membership WHERE idx <= ?)",
            (base.index,),
        )

    def persisted(self, last_log: LogPosition) -> Persisted:
        """What `Server` is told once save() has returned."""
        return Persisted(self.hard_state, last_log)

    def close(self) -> None:
        """Close the file; what save() returned for is on disk already."""
        with translated_errors(self.path):
            self.connection.close()
