"""The configurations in a node's files: kept with their entries, gone with them, and back after a restart."""

import pytest

from glassraft.raft.configuration import Configuration, configuration_text
from glassraft.raft.messages import Entry
from glassraft.storage.identity import Identity, WrongFile, read_identity, read_newest_members
from tests.storage.conftest import Place
from tests.storage.samples import IDENTITY, but, save, submission

THREE = Configuration((1, 2, 3))
FOUR = Configuration((1, 2, 3), (4,))
ADDRESSES = {1: ("127.0.0.1", 7401), 2: ("127.0.0.1", 7402), 3: ("127.0.0.1", 7403)}
WITH_FOURTH = {**ADDRESSES, 4: ("10.0.0.4", 7404)}
OTHER = but(members={1: "127.0.0.1:7401"})


def change(index: int, term: int = 1) -> Entry:
    """n4 becomes a learner."""
    return Entry(index, term, "configuration", configuration_text(FOUR, WITH_FOURTH, 17))


def test_a_new_cluster_has_the_configuration_that_it_is_made_of(made: Place) -> None:
    store = made.open_raft()
    assert store.load_history() == [(0, THREE)]
    assert store.load_addresses() == ADDRESSES


def test_a_configuration_is_there_again_after_a_restart(made: Place) -> None:
    store = made.open_raft()
    save(store, [submission(1), change(2), submission(3)])
    store.close()
    again = made.open_raft()
    assert again.load_history() == [(0, THREE), (2, FOUR)]
    assert again.load_addresses() == WITH_FOURTH
    again.close()
    assert read_newest_members(made.raft) == (2, WITH_FOURTH)


def test_a_configuration_goes_with_its_entry(made: Place) -> None:
    store = made.open_raft()
    save(store, [submission(1), change(2)])
    save(store, [submission(2, term=2)], truncate_from=2)
    assert store.load_history() == [(0, THREE)]


def test_once_the_members_have_changed_the_configured_list_has_no_say(made: Place) -> None:
    store = made.open_raft()
    save(store, [change(1)])
    store.close()
    made.open_raft(OTHER).close()
    assert read_identity(made.raft) == but(members={})


def test_before_that_it_has(made: Place) -> None:
    with pytest.raises(WrongFile, match=r"cluster\.py add and remove"):
        made.open_raft(OTHER)


def test_a_server_that_joins_has_no_members_until_it_is_told(made: Place) -> None:
    identity = Identity(IDENTITY.cluster_id, IDENTITY.cluster, 1, {})
    made.raft.unlink()
    made.create(identity)
    store = made.open_raft()
    assert store.load_history() == [(0, Configuration(()))]
    assert store.load_addresses() == {}


def test_the_queue_knows_the_configuration_as_of_what_it_applied(made: Place) -> None:
    files = made.open()
    query = "SELECT configuration FROM applied"
    assert files.queue.connection.execute(query).fetchone()[0] == IDENTITY.configuration_text()
    files.queue.apply([submission(1), change(2)])
    assert files.queue.connection.execute(query).fetchone()[0] == change(2).command
    assert files.queue.machine.now_ms >= 17
