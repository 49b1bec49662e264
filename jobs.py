"""The jobs this cluster can run, and their command line. A template for your own.

    python jobs.py submit primes 1 200000 --wait        submit a job and wait for its result
    python jobs.py list                                 what became of the latest jobs
    python jobs.py worker                               run jobs here (cluster.py starts one worker itself)
    python jobs.py --help                               everything else

A job is a call of a function that is marked with @task: its arguments and its result are JSON,
and it runs in a process of its own, on any machine where a worker runs this file. It may run more
than once (a worker can die after the work and before the report), so it should do no harm then.
The command line itself is in glassraft/jobqueue/cli/.
"""

import math
import random
import struct
import sys
import tempfile
import time
import zlib
from collections import Counter
from pathlib import Path

from glassraft.jobqueue.cli import main
from glassraft.jobqueue.tasks import task


@task
def primes(start: int, stop: int) -> int:
    """How many primes there are from `start` to `stop`, both included."""
    small = _primes_below(math.isqrt(max(stop, 0)) + 1)
    count = 0
    step = 1 << 18  # sieve a piece at a time: the memory stays small however large the range
    for low in range(max(start, 2), stop + 1, step):
        high = min(low + step, stop + 1)
        is_prime = bytearray(b"\1") * (high - low)
        for prime in small:
            first = max(prime * prime, -(-low // prime) * prime) - low
            is_prime[first::prime] = bytes(len(range(first, high - low, prime)))
        count += sum(is_prime)
    return count


def _primes_below(limit: int) -> list[int]:
    is_prime = bytearray(b"\1") * limit
    for number in range(2, math.isqrt(limit) + 1):
        if is_prime[number]:
            is_prime[number * number :: number] = bytes(len(range(number * number, limit, number)))
    return [number for number in range(2, limit) if is_prime[number]]


@task
def word_count(file: str, top: int = 5) -> dict[str, object]:
    """How many lines and words a text file has, and its `top` most frequent words."""
    lines = 0
    words: Counter[str] = Counter()
    with open(file, encoding="utf-8", errors="replace") as text:
        for line in text:
            lines += 1
            words.update(word.strip(".,;:!?\"'()[]*`_").lower() for word in line.split())
    del words[""]
    return {"lines": lines, "words": words.total(), "most_common": words.most_common(top)}


@task
def pi(samples: int, seed: int = 0) -> float:
    """Pi, from throwing `samples` darts at a square and counting those that hit the circle."""
    throw = random.Random(seed).random
    hits = sum(throw() ** 2 + throw() ** 2 <= 1.0 for _ in range(samples))
    return 4 * hits / samples


@task
def mandelbrot(path: str = "", width: int = 640, height: int = 480, depth: int = 80) -> dict[str, object]:
    """Paints the Mandelbrot set into a PNG file, by default in the folder for temporary files."""
    colours = [_colour(step / depth) for step in range(depth)] + [b"\0\0\0"]
    rows = bytearray()
    for y in range(height):
        imaginary = 2.4 * y / height - 1.2
        rows += b"\0"  # PNG: this row is stored as it is
        for x in range(width):
            rows += colours[_escape(complex(3.2 * x / width - 2.3, imaginary), depth)]
    file = Path(path) if path else Path(tempfile.gettempdir()) / "glassraft-mandelbrot.png"
    size = file.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + _chunk(b"IDAT", zlib.compress(bytes(rows)))
        + _chunk(b"IEND", b"")
    )
    return {"path": str(file.resolve()), "bytes": size}


def _escape(point: complex, depth: int) -> int:
    """After how many steps of z*z + point it is clear that z grows for ever; `depth` if it is not."""
    z = 0j
    for step in range(depth):
        z = z * z + point
        if z.real * z.real + z.imag * z.imag > 4.0:
            return step
    return depth


def _colour(part: float) -> bytes:
    """From night blue over teal to pale yellow."""
    glow = math.sqrt(part)
    return bytes((int(250 * glow**2), int(40 + 205 * glow), int(80 + 60 * math.sin(math.pi * glow))))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@task
def collatz(limit: int) -> dict[str, int]:
    """Which number below `limit` takes the most steps of "halve it, or triple it and add one" to reach 1."""
    steps = [0] * max(limit, 2)
    steps[1] = 1
    for number in range(2, limit):
        value, count = number, 0
        while value >= number:
            value = value // 2 if value % 2 == 0 else 3 * value + 1
            count += 1
        steps[number] = count + steps[value]
    longest = max(range(len(steps)), key=steps.__getitem__)
    return {"number": longest, "steps": steps[longest] - 1}


@task
def sorting_race(size: int = 2_000, seed: int = 0) -> dict[str, float]:
    """Sorts the same shuffled numbers in four ways; the milliseconds that each took, the fastest first."""
    numbers = random.Random(seed).sample(range(size), size)
    times = {}
    for racer in (_bubble, _insertion, _merge, sorted):
        began = time.perf_counter()
        assert racer(numbers) == list(range(size))
        times[racer.__name__.strip("_")] = round((time.perf_counter() - began) * 1000, 2)
    return dict(sorted(times.items(), key=lambda item: item[1]))


def _bubble(numbers: list[int]) -> list[int]:
    numbers = numbers.copy()
    for end in range(len(numbers) - 1, 0, -1):
        for i in range(end):
            if numbers[i] > numbers[i + 1]:
                numbers[i], numbers[i + 1] = numbers[i + 1], numbers[i]
    return numbers


def _insertion(numbers: list[int]) -> list[int]:
    placed: list[int] = []
    for number in numbers:
        at = len(placed)
        while at and placed[at - 1] > number:
            at -= 1
        placed.insert(at, number)
    return placed


def _merge(numbers: list[int]) -> list[int]:
    if len(numbers) < 2:
        return numbers
    left, right = _merge(numbers[: len(numbers) // 2]), _merge(numbers[len(numbers) // 2 :])
    merged = []
    while left and right:
        merged.append((left if left[0] <= right[0] else right).pop(0))
    return merged + left + right


@task
def flaky(probability: float = 0.5) -> str:
    """Fails with this probability: watch it being tried again, later and later."""
    if random.random() < probability:
        raise RuntimeError(f"bad luck: this happens with a probability of {probability:g}")
    return "good luck"


@task
def nap(seconds: float = 1.0) -> float:
    """Sleeps; pleasant to watch while nodes and workers are killed."""
    time.sleep(seconds)
    return seconds


if __name__ == "__main__":
    sys.exit(main())
