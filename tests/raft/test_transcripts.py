"""Each file in transcripts/, and in tests/simulation/lessons/, is a run of the protocol, compared whole.

`pytest --update-transcripts` rewrites the files; a reviewer reads the difference.
"""

from pathlib import Path

import pytest

from glassraft.simulation.scenario import play

TESTS = Path(__file__).parent.parent
FOLDERS = (TESTS / "raft" / "transcripts", TESTS / "simulation" / "lessons")
FILES = [path for folder in FOLDERS for path in sorted(folder.glob("*.txt"))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_transcript(path: Path, request: pytest.FixtureRequest) -> None:
    written = path.read_text(encoding="utf-8")
    now = play(written)
    if request.config.getoption("--update-transcripts"):
        path.write_text(now, encoding="utf-8", newline="\n")
        return
    assert now.splitlines() == written.splitlines(), "if this is meant, run pytest --update-transcripts"
