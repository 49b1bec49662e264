"""A node started by hand: its lines, its end, and calls to it."""

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from glassraft.config import Config
from glassraft.rpc.client import Connection
from glassraft.supervisor import ask_state
from tests.live import eventually

ROOT = Path(__file__).parents[2]
START_S = 30.0
CALL_S = 20.0


class Hand:
    """One run of `python node.py --id ID`. Close it at the end."""

    def __init__(
        self, config: Config, *options: str, id: int = 1, preexec_fn: Callable[[], None] | None = None
    ) -> None:
        self.config = config
        self.id = id
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "node.py"), "--id", str(id), "--config", str(config.path), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            preexec_fn=preexec_fn,
        )
        self.errors = ""
        self._reads_errors = threading.Thread(target=self._read_errors, name="errors")
        self._reads_errors.start()

    def serves(self) -> "Hand":
        """Wait until it says that it serves."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith(f"n{self.id} serves"), line or self.end_with_errors()
        return self

    def leads(self) -> "Hand":
        """Wait until it leads."""
        self.serves()
        eventually(lambda: self.state()["role"] == "leader")
        return self

    def state(self) -> dict[str, Any]:
        """Its State."""
        return ask_state(self.config, self.id, timeout_s=CALL_S)

    def call(self, method: str, *params: Any) -> Any:
        """Call it on a connection of its own."""
        address = self.config.node(self.id)
        connection = Connection(address.host, address.port)
        try:
            return connection.call(method, *params, timeout_s=CALL_S)
        finally:
            connection.close()

    def submit(self, **job: Any) -> str:
        """The id of a new job."""
        return str(self.call("Submit", "", 1, 1, json.dumps({"task": "nothing", **job}))["job"])

    def open_socket(self) -> socket.socket:
        """A bare connection."""
        address = self.config.node(self.id)
        return socket.create_connection((address.host, address.port), timeout=CALL_S)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self, timeout_s: float = START_S) -> int:
        """Wait for its end; its exit status. What it said is in `errors`."""
        status = self.process.wait(timeout_s)
        self._reads_errors.join(timeout_s)
        return status

    def end_with_errors(self) -> tuple[int, str]:
        """Its exit status and all of its error output."""
        return self.end(), self.errors

    def events(self) -> list[dict[str, Any]]:
        """What it wrote down."""
        text = self.config.log_file(self.id).read_text(encoding="ascii")
        return [json.loads(line) for line in text.splitlines()]

    def stop(self) -> int:
        """SIGTERM (on Windows: the end of its standard input), and its exit status."""
        if sys.platform == "win32":
            self.end_of_input()
        else:
            self.signal(signal.SIGTERM)
        return self.end()

    def end_of_input(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def close(self) -> None:
        """End it, whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
        self.end()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        with suppress(ValueError, OSError):
            self.errors = self.process.stderr.read()
