"""Files of scenarios: what is done, and what came of it, so that a run can be compared whole.

A file is a row of blocks: lines of a scenario, `---`, what came of them, an empty line. All blocks
of a file act on one cluster, until a line makes another one.
"""

from dataclasses import dataclass, field

from glassraft.simulation.scenario.scenario import Scenario
from glassraft.simulation.scenario.vocabulary import ScenarioError

OUTCOME = "---"


@dataclass
class Block:
    """Lines as written, with comments and empty ones, and what came of them."""

    lines: list[str] = field(default_factory=list)
    outcome: list[str] = field(default_factory=list)

    def written(self) -> str:
        """As it stands in the file."""
        return "".join(line + "\n" for line in [*self.lines, OUTCOME, *self.outcome])


def play(text: str) -> str:
    """Play a transcript's lines; the same text with what came of them now."""
    return "\n".join(block.written() for block in played(text))


def played(text: str, scenario: Scenario | None = None) -> list[Block]:
    """The blocks of a transcript, with what came of their lines now.

    Raises ScenarioError at the first line that cannot be carried out, with its number.
    """
    scenario = scenario or Scenario()
    blocks = parse(text)
    number = 0
    try:
        for block in blocks:
            for line in block.lines:
                number += 1
                scenario.run(line)
            number += len(block.outcome) + 2
            block.outcome, scenario.lines = scenario.lines, []
    except ScenarioError as error:
        raise ScenarioError(f"line {number}: {error}") from None
    finally:
        scenario.close()
    return blocks


def parse(text: str) -> list[Block]:
    """The blocks of a transcript, as written."""
    blocks = [Block()]
    in_outcome = False
    for line in text.splitlines():
        if in_outcome and line:
            blocks[-1].outcome.append(line)
        elif in_outcome:
            blocks.append(Block())
            in_outcome = False
        elif line == OUTCOME:
            in_outcome = True
        else:
            blocks[-1].lines.append(line)
    if not in_outcome and not blocks[-1].lines:
        blocks.pop()
    return blocks
