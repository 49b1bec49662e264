"""Writes one node's events: a line of JSON each, numbered, into a file that rotates and a ring in memory.

What belongs here is how a line is made and kept; what the lines say is types.py. The file's
own rules: its first line is the node's whole state, a torn last line is cut off when it is
opened again, and no trouble with the disk ever stops the node. Next: reader.py reads it back.
"""

import json.encoder
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from glassraft.events.files import EventFile
from glassraft.json_encoder import make_encoder

DISK_RETRY_S = 1.0
"""After a write failed, how long events are only counted before the disk is tried again."""

_Buffered = tuple[int, int, float, float, str, int, str, dict[str, object] | str]
"""An event without its line yet: number, Lamport clock, wall and monotonic clock, name, term, why, fields."""


class EventWriter:
    """The event log of one node. All methods may be called from any thread.

    `write` numbers an event, raises the Lamport clock and buffers the line; `flush` writes what
    is buffered with one system call, without an fsync: a killed process loses only what it had
    not flushed, a power failure a little more. `whole_state` gives the fields of a `state` event
    and `term`; it is called by the first `write`, after `write("start", ...)` and by `flush`, on
    the caller's thread, so flush belongs to the thread that owns the state. Nobody else needs to
    write `state`. With `path` None events go to the ring alone.

    `max_bytes` is the size at which the file rotates, `keep` how many rotated files stay,
    `ring` how many lines `since` can look back. Raises StorageError where the file cannot be
    opened; errors of the disk later are counted in `dropped` and reported once on stderr.
    """

    def __init__(
        self,
        node: int,
        path: Path | None,
        *,
        max_bytes: int,
        keep: int,
        ring: int,
        whole_state: Callable[[], dict[str, object]],
        now: Callable[[], float] = time.time,
        mono: Callable[[], float] = time.monotonic,
    ) -> None:
        self._node_text = f',"node":{node},"seq":'
        self._max_bytes = max_bytes
        self._whole_state = whole_state
        self._now = now
        self._mono = mono
        self._lock = threading.Lock()  # numbering, buffer and ring
        self._io_lock = threading.Lock()  # the file; taken before _lock, never after
        self._file = EventFile(path, keep) if path is not None else None
        last = self._file.last_event if self._file else None
        self._seq = last.seq if last else 0
        self._clock = last.clock if last else 0
        self._shown = self._seq
        self._first_seq = self._seq + 1
        self._state_seq = 0
        self._state_due = self._file is None or self._file.size == 0
        self._buffer: list[_Buffered] = []
        self._ring: list[str] = [""] * max(ring, 2)
        self._rotate_at = max_bytes
        self._retry_at: float | None = None
        self._complained = False
        self.dropped = 0

    @property
    def clock(self) -> int:
        """The Lamport clock: that of the last event written, or higher if a higher one was heard."""
        return self._clock

    @property
    def seq(self) -> int:
        """The number of the last event written."""
        return self._seq

    def heard(self, clock: int) -> None:
        """A message with this Lamport clock came in: every event written from now on is above it."""
        if clock > self._clock:
            with self._lock:
                self._clock = max(self._clock, clock)

    def write(self, event: str, term: int, /, why: str = "", **fields: object) -> None:
        """Number and buffer one event. `event` is a name of types.EVENTS, the fields are its own.

        The line is made by the flush, when nobody waits for an answer any more: what the fields hold
        must not change until then.
        """
        if self._state_due:
            self._write_state()
        with self._lock:
            self._add(event, term, why, fields)
        if event == "start":
            self._write_state()

    def flush(self) -> None:
        """Write what is buffered and show it to `since`; rotate the file when it is over its size."""
        with self._io_lock:
            if self._seq - self._state_seq >= len(self._ring) // 2:
                self._write_state()
            if self._file is None:
                self._take()
            elif self._retry_at is not None:
                self._try_disk_again(self._file)
            elif self._file.size >= self._rotate_at:
                self._rotate(self._file)
            else:
                self._put(self._file, self._take())

    def since(self, seq: int, limit: int) -> tuple[list[str], int]:
        """Up to `limit` flushed lines after number `seq`, and the number to ask with next time.

        Where the ring does not reach back that far (or `seq` is of a longer life than this log's),
        the answer begins at the latest `state` line instead, which is never older than half a ring.
        """
        size = len(self._ring)
        with self._lock:
            oldest = max(self._first_seq, self._seq - size + 1)
            first = seq + 1
            if not oldest <= first <= self._shown + 1:
                first = self._state_seq
                if not oldest <= first <= self._shown:
                    return [], seq
            end = min(first + max(limit, 0), self._shown + 1)
            return [self._ring[number % size] for number in range(first, end)], end - 1

    def close(self) -> None:
        """Flush and close the file. Writing afterwards goes to the ring alone."""
        self.flush()
        with self._io_lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _add(self, event: str, term: int, why: str, fields: dict[str, object] | str) -> None:
        """Number, stamp and buffer one event; the caller holds the lock."""
        self._seq += 1
        self._clock += 1
        self._buffer.append((self._seq, self._clock, self._now(), self._mono(), event, term, why, fields))

    def _add_state(self, fields: dict[str, object]) -> None:
        term = fields.pop("term", 0)
        # The state goes on changing, so it is put into words at once.
        self._add("state", int(term) if isinstance(term, int) else 0, "", _encode(fields))
        self._state_seq = self._seq

    def _line(self, event: _Buffered) -> str:
        """Make an event's line and remember it; the caller holds the lock."""
        seq, clock, ts, mono, name, term, why, fields = event
        text = fields if isinstance(fields, str) else _encode(fields)
        reason = f',"why":{_quote(why)}' if why else ""
        rest = "}" if text == "{}" else "," + text[1:]
        line = (
            f'{{"ts":{ts:.6f},"mono":{mono:.6f},"clock":{clock}{self._node_text}{seq}'
            f',"event":"{name}","term":{term}{reason}{rest}'
        )
        self._ring[seq % len(self._ring)] = line
        return line

    def _write_state(self) -> None:
        self._state_due = False
        fields = dict(self._whole_state())
        with self._lock:
            self._add_state(fields)

    def _take(self) -> list[str]:
        """The buffered lines, which count as shown from now on."""
        with self._lock:
            lines = [self._line(event) for event in self._buffer]
            self._buffer.clear()
            self._shown = self._seq
        return lines

    def _take_before_state(self) -> tuple[list[str], str]:
        """The buffered lines, and a new `state` line that comes right after them."""
        fields = dict(self._whole_state())
        with self._lock:
            self._add_state(fields)
            *lines, state = [self._line(event) for event in self._buffer]
            self._buffer.clear()
            self._shown = self._seq
        return lines, state

    def _rotate(self, file: EventFile) -> None:
        lines, state = self._take_before_state()
        if not self._put(file, lines):
            return
        try:
            file.rotate()
            self._rotate_at = self._max_bytes
        except OSError as error:  # Windows, while somebody reads the file: go on in it for a while
            self._rotate_at = file.size + self._max_bytes // 4
            self._complain(error, file, "it grows beyond its size until it can be rotated")
        self._put(file, [state])

    def _try_disk_again(self, file: EventFile) -> None:
        """Once a retry is due, begin again with a whole state, since lines before it are missing."""
        if self._retry_at is None or self._mono() < self._retry_at:
            self.dropped += len(self._take())
            return
        lines, state = self._take_before_state()
        self.dropped += len(lines)
        self._retry_at = None
        self._put(file, [state])

    def _put(self, file: EventFile, lines: list[str]) -> bool:
        if not lines:
            return True
        try:
            file.append(("\n".join(lines) + "\n").encode("ascii"))
        except OSError as error:
            self._complain(error, file, "the log has a gap until the disk takes it again")
            self._give_up(len(lines))
            return False
        return True

    def _give_up(self, lines: int) -> None:
        self.dropped += lines
        self._retry_at = self._mono() + DISK_RETRY_S

    def _complain(self, error: OSError, file: EventFile, so: str) -> None:
        if not self._complained:
            self._complained = True
            print(
                f"events: {error.strerror or error} ({file.path}); the node goes on, and {so}",
                file=sys.stderr,
            )


_encode_strict = make_encoder(default=str)
_quote: Callable[[str], str] = json.encoder.encode_basestring_ascii


def _encode(fields: dict[str, object]) -> str:
    """The fields as a JSON object; a number that JSON has no word for (inf, nan) as its text."""
    try:
        return _encode_strict(fields)
    except ValueError:
        return _encode_strict({name: _speakable(value) for name, value in fields.items()})


def _speakable(value: object) -> object:
    try:
        _encode_strict({"value": value})
    except ValueError:
        return repr(value)
    return value
