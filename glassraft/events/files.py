"""One node's event file on disk: where it is, appending, cutting a torn end, rotating.

Bytes and names only; lines are made in writer.py and read in reader.py.
"""

import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from glassraft.errors import StorageError

_CHUNK_BYTES = 64 * 1024
_NAME = re.compile(r"node-(\d+)(?:\.(\d+))?\.jsonl")


class LastEvent(NamedTuple):
    """The numbers with which a log goes on: those of the last whole line."""

    seq: int
    clock: int


def rotated(path: Path, age: int) -> Path:
    """The name of a node's file after `age` rotations: node-3.jsonl, node-3.1.jsonl, node-3.2.jsonl, ..."""
    return path if age == 0 else path.with_name(f"{path.stem}.{age}{path.suffix}")


def log_files(folder: Path) -> dict[int, list[tuple[int, Path]]]:
    """The event files in a folder by node: (age, path), the newest (age 0) first. Other files are ignored."""
    found: dict[int, list[tuple[int, Path]]] = {}
    for path in folder.iterdir():
        name = _NAME.fullmatch(path.name)
        if name:
            found.setdefault(int(name[1]), []).append((int(name[2] or 0), path))
    return {node: sorted(files) for node, files in sorted(found.items())}


class EventFile:
    """An event file opened for appending, ended by a whole line. Raises StorageError if that cannot be."""

    def __init__(self, path: Path, keep: int) -> None:
        self.path = path
        self.size = 0
        self.last_event: LastEvent | None = None
        self._keep = max(keep, 0)
        self._descriptor: int | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._open()
            self.last_event = self._cut_torn_end() or _last_of_rotated(path)
        except OSError as error:
            raise StorageError(
                f"cannot write the event log {path}: {error.strerror or error}; "
                "make its folder writable or set another in config.json (folders.logs)"
            ) from error

    def append(self, data: bytes) -> None:
        """Write all of it with one system call. On an OSError nothing of it stays in the file."""
        if self._descriptor is None:
            self._open()
        descriptor = self._descriptor
        assert descriptor is not None
        try:
            written = os.write(descriptor, data)
            while written < len(data):  # a disk that is nearly full takes a part
                written += os.write(descriptor, data[written:])
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, self.size)
            raise
        self.size += len(data)

    def rotate(self) -> None:
        """Rename the file and those before it one up, drop the oldest, and open a new one."""
        self.close()
        if self._keep == 0:
            self.path.unlink()
        age = 0
        while age < self._keep and rotated(self.path, age).exists():
            age += 1
        for younger in range(age - 1, -1, -1):
            os.replace(rotated(self.path, younger), rotated(self.path, younger + 1))
        self._open()

    def close(self) -> None:
        """Close the file; what was appended is the operating system's."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        self._descriptor = os.open(self.path, flags, 0o644)
        self.size = os.fstat(self._descriptor).st_size

    def _cut_torn_end(self) -> LastEvent | None:
        """Cut off what a kill or a power failure left behind the last whole line; return its numbers."""
        descriptor = self._descriptor
        assert descriptor is not None
        end, last = _last_whole_line(self.path)
        if end < self.size:
            os.ftruncate(descriptor, end)
            self.size = end
        return last


def _last_of_rotated(path: Path) -> LastEvent | None:
    """Where the newest file has no line yet, its predecessor tells the numbers."""
    before = rotated(path, 1)
    return _last_whole_line(before)[1] if before.exists() else None


def _last_whole_line(path: Path) -> tuple[int, LastEvent | None]:
    """The offset behind the last line that is a whole event, and its numbers; (0, None) if there is none."""
    for end, line in _lines_backwards(path):
        try:
            event = json.loads(line)
            return end, LastEvent(int(event["seq"]), int(event["clock"]))
        except (ValueError, TypeError, KeyError):
            continue
    return 0, None


def _lines_backwards(path: Path) -> Iterator[tuple[int, bytes]]:
    """Each line that ends in a newline, from the last to the first, with the offset behind its newline."""
    with path.open("rb") as file:
        position = file.seek(0, os.SEEK_END)
        tail = b""  # bytes from `position` on, up to and with the last newline not yet handed out
        whole = False
        while position > 0:
            step = min(_CHUNK_BYTES, position)
            position = file.seek(position - step)
            tail = file.read(step) + tail
            if not whole:
                cut = tail.rfind(b"\n") + 1
                whole, tail = cut > 0, tail[:cut]
            while whole and (start := tail.rfind(b"\n", 0, len(tail) - 1) + 1) > 0:
                yield position + len(tail), tail[start:]
                tail = tail[:start]
        if tail:
            yield len(tail), tail
