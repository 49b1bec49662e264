"""A server's log: which term wrote which index, and the newest entries in memory.

The terms of the whole log are kept as runs (term, first index), of which there are as many
as there were leaders, so any index's term is known without the disk. The entries themselves
are kept as a bounded tail; older ones come through a reader that is passed in. What a snapshot
stands for is gone: of it the log knows where it ended, its `base` (§7). Nothing is written here:
`Server.ready` says what the disk must do.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence

from glassraft.raft.messages import EMPTY_LOG, Entry, LogPosition

TAIL_ENTRIES = 10_000
TAIL_BYTES = 16 * 1024 * 1024

EntryReader = Callable[[int, int], Sequence[Entry]]
"""Reads entries from `first` on, up to `last` (included), from the disk, in order; at least one, maybe not all."""


def _no_older_entries(first: int, last: int) -> Sequence[Entry]:
    raise LookupError(
        f"entries {first} to {last} are not in memory, and this log has no reader for older ones"
    )


class Log:
    """Indexes start at 1. `terms` are (term, first index) of each run above `base`, in order.

    `base` is the last entry that the log no longer holds: the "last included" one of §7.
    """

    def __init__(
        self,
        *,
        base: LogPosition = EMPTY_LOG,
        terms: Iterable[tuple[int, int]] = (),
        tail: Iterable[Entry] = (),
        last_index: int | None = None,
        read: EntryReader = _no_older_entries,
        tail_entries: int = TAIL_ENTRIES,
        tail_bytes: int = TAIL_BYTES,
    ) -> None:
        self.base = base
        runs = list(terms)
        self._run_terms = [term for term, _ in runs]
        self._run_starts = [first for _, first in runs]
        self._tail = list(tail)
        tail_end = self._tail[-1].index if self._tail else base.index
        self.last_index = tail_end if last_index is None else last_index
        self._tail_first = self._tail[0].index if self._tail else self.last_index + 1
        self._tail_size = sum(len(entry.command) for entry in self._tail)
        self._read = read
        self._max_entries = tail_entries
        self._max_bytes = tail_bytes

    @property
    def first_index(self) -> int:
        """The oldest index that the log holds; where it holds none, the next one's."""
        return self.base.index + 1

    @property
    def last(self) -> LogPosition:
        """Where the log ends; its base when it holds no entry."""
        if not self._run_terms:
            return self.base
        return LogPosition(self._run_terms[-1], self.last_index)

    @property
    def terms(self) -> list[tuple[int, int, int]]:
        """All that the log holds as runs (first index, last index, term)."""
        if not self._run_starts:
            return []
        ends = [start - 1 for start in self._run_starts[1:]] + [self.last_index]
        return list(zip(self._run_starts, ends, self._run_terms, strict=True))

    def term_at(self, index: int) -> int:
        """The term of the entry at `index`, the base's too; 0 for an index that the log does not know."""
        if index == self.base.index:
            return self.base.term
        if not self.base.index < index <= self.last_index:
            return 0
        return self._run_terms[bisect_right(self._run_starts, index) - 1]

    def position(self, index: int) -> LogPosition:
        """The entry at `index`, which the log must know, as a position; index 0 is the empty log's end."""
        return LogPosition(self.term_at(index), index)

    def matches(self, position: LogPosition) -> bool:
        """Whether the log knows an entry of this term at this index (§5.3); the empty log's end matches."""
        return position.index == 0 or (
            self.base.index <= position.index <= self.last_index
            and self.term_at(position.index) == position.term
        )

    def first_of_run(self, index: int) -> int:
        """The first index held of the term that the entry at `index` is of; the base's own is its index."""
        run = bisect_right(self._run_starts, index) - 1
        return self._run_starts[run] if run >= 0 else self.base.index

    def last_index_of_term(self, term: int) -> int:
        """The last index known to hold an entry of `term`, the base's too; 0 when there is none."""
        for number in range(len(self._run_terms) - 1, -1, -1):
            if self._run_terms[number] == term:
                later = number + 1
                return self._run_starts[later] - 1 if later < len(self._run_starts) else self.last_index
            if self._run_terms[number] < term:
                break
        return self.base.index if term == self.base.term else 0

    def append(self, entry: Entry) -> None:
        """Put `entry` at the end. Its index must be the next one."""
        if entry.index != self.last_index + 1:
            raise ValueError(f"entry {entry.index} cannot follow entry {self.last_index}")
        if not self._run_terms or self._run_terms[-1] != entry.term:
            self._run_terms.append(entry.term)
            self._run_starts.append(entry.index)
        self._tail.append(entry)
        self._tail_size += len(entry.command)
        self.last_index = entry.index

    def truncate(self, first: int) -> None:
        """Remove the entry at `first` and all that follow it (§5.3)."""
        while self._run_starts and self._run_starts[-1] >= first:
            self._run_starts.pop()
            self._run_terms.pop()
        keep = max(0, first - self._tail_first)
        for entry in self._tail[keep:]:
            self._tail_size -= len(entry.command)
        del self._tail[keep:]
        self.last_index = first - 1
        self._tail_first = min(self._tail_first, first)

    def compact(self, index: int) -> None:
        """Forget the entries up to `index`, which the log must hold: it becomes the base (§7)."""
        self.base = self.position(index)
        covered = bisect_right(self._run_starts, index)
        if covered:
            # The last of the runs that begin at or below the base may go on above it.
            end = self._run_starts[covered] - 1 if covered < len(self._run_starts) else self.last_index
            kept = covered - 1 if end > index else covered
            del self._run_starts[:kept], self._run_terms[:kept]
            if end > index:
                self._run_starts[0] = index + 1
        drop = max(0, min(len(self._tail), index - self._tail_first + 1))
        self._tail_size -= sum(len(entry.command) for entry in self._tail[:drop])
        del self._tail[:drop]
        self._tail_first = max(self._tail_first, index + 1)

    def reset(self, base: LogPosition) -> None:
        """Forget every entry: a snapshot that ends at `base` takes the log's place (§7)."""
        self.base = base
        self.last_index = base.index
        self._run_starts.clear()
        self._run_terms.clear()
        self._tail.clear()
        self._tail_size = 0
        self._tail_first = base.index + 1

    def slice(self, first: int, *, max_entries: int, max_bytes: int) -> tuple[Entry, ...]:
        """Entries from `first` on, within both bounds, but at least one where there is one.

        LookupError where `first` was compacted.
        """
        if first <= self.base.index:
            raise LookupError(f"entry {first} is gone from the log, which begins at {self.first_index}")
        last = min(self.last_index, first + max_entries - 1)
        if first > last:
            return ()
        if first >= self._tail_first:
            start = first - self._tail_first
            entries: Sequence[Entry] = self._tail[start : start + last - first + 1]
        else:
            entries = self._read(first, min(last, self._tail_first - 1))
        size = 0
        for count, entry in enumerate(entries):
            size += len(entry.command)
            if size > max_bytes and count:
                return tuple(entries[:count])
        return tuple(entries)

    def release(self, durable_index: int) -> None:
        """Drop from memory what is on disk and over the tail's bounds.

        Works in strides of a quarter of the tail, so that it costs nothing an entry.
        """
        if len(self._tail) <= self._max_entries * 5 // 4 and self._tail_size <= self._max_bytes * 5 // 4:
            return
        drop = 0
        size = self._tail_size
        may_drop = max(0, min(len(self._tail), durable_index - self._tail_first + 1))
        while drop < may_drop and (len(self._tail) - drop > self._max_entries or size > self._max_bytes):
            size -= len(self._tail[drop].command)
            drop += 1
        del self._tail[:drop]
        self._tail_first += drop
        self._tail_size = size
