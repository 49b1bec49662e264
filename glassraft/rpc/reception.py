"""One thread that reads the short calls of many connections, while their own threads rest.

Sixteen clients of a busy server are sixteen threads that wake for each call, and every wake is
a hand-over of the interpreter. A connection that makes short calls rests here instead: what
comes in is read for all of them at once. Anything else that comes (a long call, a large or a
malformed one, the connection's end) wakes the connection's own thread, which goes on with it.
Next: server.py, whose connections these are.
"""

import contextlib
import selectors
import socket
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

Gathering = Callable[[], AbstractContextManager[None]]
"""Entered around the calls that were there at once, so that whoever takes them can take them together."""


class Guest(Protocol):
    """A connection, as it is seen here."""

    socket: socket.socket

    def serve_short_call(self) -> bool:
        """Something came in: serve it without waiting for anything. False where that cannot be."""

    def go_on(self) -> None:
        """Wake the connection's own thread; it is no guest here any longer."""


class Reception:
    """The thread and its guests. `stop` sends all of them back to their own threads."""

    def __init__(self, name: str, gathering: Gathering) -> None:
        self._gathering = gathering
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._stopping = False
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._selector.register(self._wake_reader, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._receive, name=f"{name}-reception", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; every guest goes on by itself, and none is taken any more."""
        with self._lock:
            self._stopping = True
        self._wake()
        if self._thread.is_alive():
            self._thread.join()
        for key in list(self._selector.get_map().values()):
            if key.data is not None:
                self._send_back(key.data)
        self._selector.close()
        self._wake_reader.close()
        self._wake_writer.close()

    @property
    def guest_count(self) -> int:
        """How many connections rest here."""
        with self._lock:
            return len(self._selector.get_map()) - 1

    def take_in(self, guest: Guest) -> bool:
        """Read for this connection from now on. False where it must go on by itself."""
        with self._lock:
            if self._stopping:
                return False
            try:
                self._selector.register(guest.socket, selectors.EVENT_READ, guest)
            except (OSError, ValueError):  # the connection is gone
                return False
        self._wake()  # a selector that is waiting need not see what was registered meanwhile
        return True

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            self._wake_writer.send(b"!")

    def _receive(self) -> None:
        while not self._stopping:
            ready = self._selector.select()
            with self._gathering():
                for key, _ in ready:
                    if key.data is None:
                        with contextlib.suppress(OSError):
                            self._wake_reader.recv(4096)
                    elif not key.data.serve_short_call():
                        self._send_back(key.data)

    def _send_back(self, guest: Guest) -> None:
        with self._lock, contextlib.suppress(OSError, KeyError, ValueError):
            self._selector.unregister(guest.socket)
        guest.go_on()
