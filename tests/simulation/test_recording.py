"""What a simulated node writes is what a real one would: it fits the schema, and folds to the node's own state."""

from pathlib import Path

import pytest

from glassraft.events import Fold, problems, read_all
from glassraft.simulation import world as worlds
from glassraft.simulation.run import simulate


@pytest.mark.parametrize("seed", [5, 11])
def test_event_files_fit_the_schema_and_fold_to_the_state(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: dict[int, tuple[int, int, int, str]] = {}

    def settled(world: worlds.World, node: worlds.Node) -> None:
        server = node.server
        ends[node.id] = (server.current_term, server.commit_index, server.log.last_index, server.role)

    monkeypatch.setattr(worlds.World, "node_settled", settled)
    simulate(seed, record=tmp_path)
    fold = Fold()
    for event in read_all(tmp_path):
        assert problems(event) == []
        fold.apply(event)
    folded = {
        id: (node.term, node.commit_index, node.last_index, node.role) for id, node in fold.nodes.items()
    }
    assert folded == ends


def test_a_transcript_names_every_fault_and_election() -> None:
    lines: list[str] = []
    result = simulate(5, listener=lambda at, text: lines.append(text))
    assert sum(line.startswith("fault: ") for line in lines) == sum(
        len(storm.faults) for storm in result.schedule
    )
    assert sum(" leads term " in line for line in lines) == result.coverage["elections"]
