"""What operating systems do differently about TCP sockets, told apart here once.

Opening either side, and looking at a socket without waiting. No bytes of a protocol are known
here. Next: server.py and client.py, who own the sockets.
"""

import contextlib
import errno
import os
import select
import socket

from glassraft.errors import ConfigError

SEND_BUFFER_BYTES = 256 * 1024
"""What the system is asked to buffer, so that a sender with less than that unanswered never blocks."""

_BACKLOG = 128
_WINDOWS = os.name == "nt"
_DONT_WAIT = getattr(socket, "MSG_DONTWAIT", 0)


class AddressInUse(ConfigError):
    """Another program listens there."""


def listen(host: str, port: int) -> socket.socket:
    """A listening, non-blocking socket. ConfigError where the address cannot be had."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        if _WINDOWS:  # there, SO_REUSEADDR would let a second server take the port over
            exclusive: int = getattr(socket, "SO_EXCLUSIVEADDRUSE", ~socket.SO_REUSEADDR)
            listener.setsockopt(socket.SOL_SOCKET, exclusive, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise _why_not_bound(host, port, error) from error
    except OverflowError:
        listener.close()
        raise ConfigError(f"{port} is not a port; choose one from 1 to 65535") from None
    return listener


def _why_not_bound(host: str, port: int, error: OSError) -> ConfigError:
    if error.errno == errno.EADDRINUSE:
        return AddressInUse(
            f"port {port} on {host} is in use: stop the program that has it, or choose another port"
        )
    if error.errno == errno.EACCES:
        return ConfigError(
            f"port {port} on {host} may not be used by this user: choose another one, above 1023"
        )
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return ConfigError(f"{host} is not an address of this machine ({error.strerror}): correct the host")
    return ConfigError(f"cannot listen at {host}:{port}: {error.strerror or error}")


def connect(host: str, port: int, timeout_s: float) -> socket.socket:
    """An open, blocking socket with Nagle's algorithm off. OSError within about `timeout_s` seconds."""
    opened = socket.create_connection((host, port), timeout=timeout_s)
    try:
        if opened.getsockname() == opened.getpeername():  # a free local port can be connected to itself
            raise ConnectionRefusedError(errno.ECONNREFUSED, "connection refused")
        without_delay(opened)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        opened.settimeout(None)
    except OSError:
        opened.close()
        raise
    return opened


def without_delay(opened: socket.socket) -> None:
    """Turn Nagle's algorithm off: with it, a call can take 44 ms."""
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def shut(opened: socket.socket) -> None:
    """End a connection that another thread uses; that thread wakes from its read or write, and closes it."""
    with contextlib.suppress(OSError):
        opened.shutdown(socket.SHUT_RDWR)
    if _WINDOWS:  # shutdown alone does not wake a blocked read there
        opened.close()


def is_readable(opened: socket.socket) -> bool:
    """Whether a read would return at once: bytes are here, or the other side has closed."""
    if hasattr(select, "poll"):  # select itself takes no descriptor above 1023
        poll = select.poll()
        poll.register(opened, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([opened], [], [], 0)[0])


def has_ended(opened: socket.socket) -> bool:
    """Whether the other side has closed, as far as is known; its unread bytes come first."""
    try:
        return is_readable(opened) and not opened.recv(1, socket.MSG_PEEK)
    except (OSError, ValueError):
        return True


def send_at_once(opened: socket.socket, message: bytes) -> int:
    """How many bytes a blocking socket's buffer took without waiting; none where the connection is gone."""
    try:
        if not _DONT_WAIT and not select.select([], [opened], [], 0)[1]:
            return 0
        return opened.send(message, _DONT_WAIT)
    except (OSError, ValueError):
        return 0
