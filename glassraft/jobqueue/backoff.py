"""When a failed job is tried again: whole milliseconds, the same on every node.

The delay grows by a factor from attempt to attempt up to a cap; then comes a jitter of up to a
quarter, so that jobs which failed together do not come back together. The jitter is drawn from
a hash of the job and the attempt, because applying may not draw from anything else.
"""

import hashlib
from typing import Final

DEFAULT_BASE_MS: Final = 2_000
DEFAULT_FACTOR: Final = 3_000
"""In thousandths."""
DEFAULT_CAP_MS: Final = 3_600_000


def backoff_ms(job: int, attempt: int, failures: int, base_ms: int, factor: int, cap_ms: int) -> int:
    """The delay after the `failures`-th attempt that counts failed, 1 the first; `attempt` feeds the jitter.

    min(cap, base * factor^(failures-1)), multiplied step by step and stopped at the cap, and up
    to a quarter more. `factor` is in thousandths.
    """
    delay = min(base_ms, cap_ms)
    for _ in range(failures - 1):
        longer = min(delay * factor // 1_000, cap_ms)
        if longer == delay:
            break
        delay = longer
    drawn = int.from_bytes(hashlib.sha256(b"%d:%d" % (job, attempt)).digest()[:4], "big")
    return delay + delay * drawn // (4 * 2**32)
