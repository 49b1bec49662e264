"""What a server shows to a plain GET, for those who watch it: monitoring, load balancers, a browser.

Pages stand beside the calls: they are served on their connection's own thread, never by the
reception. Next: server.py, which serves them; replica/pages.py, a node's.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from glassraft.rpc.http import REASONS

PLAIN_TEXT = "text/plain; charset=utf-8"


class Page(NamedTuple):
    """An HTTP status, a text and its media type."""

    status: int
    text: str
    kind: str = PLAIN_TEXT


Pages = Mapping[str, Callable[[], Page]]
"""By path. Each is made when it is asked for."""


def page_bytes(page: Page, keep_alive: bool) -> bytes:
    """The answer to a GET, ready to be sent in one piece."""
    body = page.text.encode()
    connection = "keep-alive" if keep_alive else "close"
    head = (
        f"HTTP/1.1 {page.status} {REASONS[page.status]}\r\nContent-Type: {page.kind}\r\n"
        f"Content-Length: {len(body)}\r\nCache-Control: no-store\r\nConnection: {connection}\r\n\r\n"
    )
    return head.encode("latin-1") + body
