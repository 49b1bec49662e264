"""The progress bar, where nobody watches and on a terminal."""

import io

from glassraft.evaluation.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_in_a_file_it_is_a_line_at_the_start_and_one_at_the_end():
    out = io.StringIO()
    with Progress("rounds", 4, out) as progress:
        for _ in range(4):
            progress.advance(note="n2 killed")
    lines = out.getvalue().splitlines()
    assert lines[0] == "rounds [..............................] 0/4"
    assert lines[-1] == "rounds [##############################] 4/4 n2 killed"
    assert len(lines) == 2


def test_on_a_terminal_one_line_is_drawn_over():
    out = Terminal()
    with Progress("rounds", 2, out) as progress:
        progress.advance(2)
    assert out.getvalue().count("\n") == 1
    assert out.getvalue().endswith("2/2\n")


def test_nothing_to_do_is_done():
    out = io.StringIO()
    with Progress("rounds", 0, out):
        pass
    assert "0/0" in out.getvalue()
