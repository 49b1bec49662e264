"""Dissertation §4.1: a server uses the newest configuration in its log, committed or not."""

import pytest

from glassraft.raft.configuration import (
    Configuration,
    ConfigurationHistory,
    addresses_in,
    configuration_text,
    parse_configuration,
)
from glassraft.raft.messages import Entry
from tests.raft.single import Single, append_entries, entry, leader

THREE = Configuration((1, 2, 3))
FOUR = THREE.with_learner(4)


def configuration_entry(index: int, term: int, configuration: Configuration) -> Entry:
    return Entry(index, term, "configuration", configuration_text(configuration, {}, 0))


def test_a_configuration_counts_as_soon_as_its_entry_is_appended() -> None:
    follower = Single()
    follower.step(append_entries(entries=[configuration_entry(1, 1, FOUR)]))
    assert follower.server.commit_index == 0
    assert follower.server.configuration == FOUR
    assert follower.server.members == (1, 2, 3, 4)
    assert follower.server.peers == (2, 3, 4)


def test_the_configuration_before_counts_again_when_its_entry_is_removed() -> None:
    follower = Single()
    follower.step(append_entries(entries=[configuration_entry(1, 1, FOUR)]))
    done = follower.step(append_entries(sender=3, term=2, entries=[entry(1, 2)]))
    assert follower.server.configuration == THREE
    (note,) = (note for note in done.notes if note.event == "membership")
    assert note.fields == {"members": [1, 2, 3], "learners": [], "index": 0}


def test_the_configuration_at_an_index_is_the_last_one_up_to_there() -> None:
    follower = Single()
    follower.step(append_entries(entries=[entry(1, 1), configuration_entry(2, 1, FOUR), entry(3, 1)]))
    at = follower.server.configuration_at
    assert [at(index) for index in range(4)] == [(0, THREE), (0, THREE), (2, FOUR), (2, FOUR)]


def test_a_learner_gets_entries_and_does_not_count() -> None:
    follower = Single()
    follower.step(append_entries(entries=[configuration_entry(1, 1, FOUR)]))
    follower.lead()
    assert set(follower.server.progress) == {2, 3, 4}
    assert follower.server.rules.is_majority([1, 4], follower.server.configuration.voters) is False


def test_a_leader_looks_after_a_new_member_at_once() -> None:
    single = leader()
    single.server.append(configuration_entry(2, 1, FOUR))
    done = single.carry_out()
    assert [type(message).__name__ for message in done.to(4)] == ["AppendEntries"]


def test_history_can_be_compacted_and_reset() -> None:
    history = ConfigurationHistory([(0, THREE)])
    history.append(5, FOUR)
    history.compact(4)
    assert history.at(4) == (0, THREE)
    history.compact(5)
    assert history.at(5) == (5, FOUR)
    assert history.at(3) == (5, FOUR)  # nothing older is known
    assert not history.truncate(5)  # the last one stays: what is compacted is committed
    history.reset(9, THREE)
    assert (history.newest_index, history.newest) == (9, THREE)


def test_a_configuration_is_written_alike_everywhere_and_read_back() -> None:
    addresses = {4: ("b", 2), 1: ("127.0.0.1", 7401), 2: ("a", 1), 3: ("c", 3), 9: ("no member", 9)}
    text = configuration_text(FOUR, addresses, 17)
    assert text == (
        '{"addresses":{"1":["127.0.0.1",7401],"2":["a",1],"3":["c",3],"4":["b",2]},'
        '"learners":[4],"t":17,"voters":[1,2,3]}'
    )
    assert parse_configuration(text) == FOUR
    assert addresses_in(text) == {id: addresses[id] for id in (1, 2, 3, 4)}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"learners":[],"voters":[2,1]}',
        '{"learners":[],"voters":["1"]}',
        '{"learners":[],"voters":[0]}',
        '{"learners":[1],"voters":[1]}',
        '{"learners":null,"voters":[1]}',
    ],
)
def test_what_is_no_configuration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_configuration(text)


@pytest.mark.parametrize("rows", ["[]", '{"x":["h",1]}', '{"1":["h","1"]}', '{"1":["h"]}', "null"])
def test_what_are_no_addresses_is_refused(rows: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        addresses_in(f'{{"addresses":{rows}}}')
