"""What a newcomer does first: `python cluster.py --headless`, then a job from another terminal.

On ports and in a folder of its own. Exit status 0 when the job's result is right, cluster.py
stopped cleanly, and none of its processes is left.
"""

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.cluster.program import Program, is_running  # noqa: E402 - the checkout's own, found by the line above
from tests.live import Ports, write_config  # noqa: E402

NODES = 5
TIMEOUT_S = 120
PRIMES = "17984"
"""How many primes there are up to 200,000."""


def main() -> int:
    """Run it; 0 when all went well."""
    ports = Ports()
    with tempfile.TemporaryDirectory() as folder:
        config = write_config(Path(folder), ports.take(NODES))
        program = Program(config, "--headless")
        try:
            leader = program.leader()
            print(f"n{leader} leads", flush=True)
            submit = [sys.executable, str(ROOT / "jobs.py"), "submit", "--config", str(config.path)]
            done = subprocess.run(
                [*submit, "primes", "1", "200000", "--wait"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
            )
            print((done.stdout + done.stderr).strip(), flush=True)
            started = program.descendants()
            program.signal(signal.SIGTERM)
            status = program.end()
            left = [pid for pid in started if is_running(pid)]
        finally:
            program.close()
            ports.close()
    print(f"cluster.py ended with {status}; {len(started)} processes were started, {len(left)} are left")
    return 0 if (done.returncode, status, left) == (0, 0, []) and PRIMES in done.stdout else 1


if __name__ == "__main__":
    sys.exit(main())
