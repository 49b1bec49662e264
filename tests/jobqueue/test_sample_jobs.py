"""The sample jobs of jobs.py compute what they say."""

import json
import struct
import zlib
from pathlib import Path

import pytest

import jobs
from glassraft.jobqueue.tasks import TASKS


def slow_primes(start: int, stop: int) -> int:
    return sum(
        number > 1 and all(number % divisor for divisor in range(2, number))
        for number in range(start, stop + 1)
    )


def test_primes_up_to_200000() -> None:
    assert jobs.primes(1, 200_000) == 17_984


@pytest.mark.parametrize(
    ("start", "stop"), [(1, 1), (2, 2), (2, 3), (3, 2), (-7, 30), (0, 0), (4, 4), (9, 25), (90, 200)]
)
def test_primes_of_small_ranges(start: int, stop: int) -> None:
    assert jobs.primes(start, stop) == slow_primes(start, stop)


def test_primes_over_the_edge_of_a_piece() -> None:
    edge = 1 << 18
    whole = jobs.primes(1, 2 * edge)
    assert jobs.primes(1, edge - 1) + jobs.primes(edge, 2 * edge) == whole == 43_390


def test_words_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_text("One fish, two fish.\nRed fish -- blue (fish)!\n", encoding="utf-8")
    assert jobs.word_count(str(file), 2) == {"lines": 2, "words": 9, "most_common": [("fish", 4), ("one", 1)]}


def test_pi_comes_near() -> None:
    assert jobs.pi(20_000, seed=1) == jobs.pi(20_000, seed=1)
    assert abs(jobs.pi(20_000, seed=1) - 3.14159) < 0.05


def test_the_mandelbrot_set_is_a_png(tmp_path: Path) -> None:
    file = tmp_path / "m.png"
    told = jobs.mandelbrot(str(file), 64, 48, 20)
    data = file.read_bytes()
    assert told == {"path": str(file), "bytes": len(data)}
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    chunks = {}
    at = 8
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        assert struct.unpack(">I", data[at + 8 + size : at + 12 + size]) == (zlib.crc32(kind + body),)
        chunks[kind] = body
        at += 12 + size
    assert struct.unpack(">II", chunks[b"IHDR"][:8]) == (64, 48)
    pixels = zlib.decompress(chunks[b"IDAT"])
    assert len(pixels) == 48 * (1 + 3 * 64)
    inside = 24 * (1 + 3 * 64) + 1 + 3 * 46  # the point 0 belongs to the set
    assert pixels[inside : inside + 3] == b"\0\0\0"
    assert pixels[1:4] != b"\0\0\0"


def test_the_longest_collatz_chain() -> None:
    assert jobs.collatz(10) == {"number": 9, "steps": 19}
    assert jobs.collatz(10_000) == {"number": 6_171, "steps": 261}


def test_all_racers_sort() -> None:
    assert set(jobs.sorting_race(200)) == {"bubble", "insertion", "merge", "sorted"}


def test_luck() -> None:
    assert jobs.flaky(0) == "good luck"
    with pytest.raises(RuntimeError, match="bad luck"):
        jobs.flaky(1)


def test_every_sample_job_says_what_it_does_and_returns_json() -> None:
    samples = [each for each in TASKS.values() if each.function.__module__ == "jobs"]
    assert len(samples) >= 6
    assert all(each.summary.endswith(".") for each in samples)
    json.dumps(jobs.nap(0.0))
