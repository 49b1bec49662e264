"""config.json: what is read, what is refused and with which line, and what is derived from it."""

import json
from pathlib import Path
from typing import Any

import pytest

from glassraft.config import DEFAULT_PATH, Config, load, parse
from glassraft.errors import ConfigError


def three_nodes() -> dict[str, Any]:
    return {"nodes": [{"id": i, "host": "127.0.0.1", "port": 7400 + i} for i in (1, 2, 3)]}


def read(value: object, folder: Path = Path("/srv/glassraft")) -> Config:
    return parse(json.dumps(value), folder / "config.json")


def refusal(value: object) -> str:
    with pytest.raises(ConfigError) as caught:
        read(value)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_the_files_own_config_makes_five_nodes_and_says_only_defaults() -> None:
    config = load()
    assert config.path == DEFAULT_PATH
    assert config.members() == (1, 2, 3, 4, 5)
    assert config.warnings == ()
    bare = read({"nodes": three_nodes()["nodes"]})
    assert (config.timings, config.limits, config.worker) == (bare.timings, bare.limits, bare.worker)
    assert config.log_events is True
    assert config.raft == bare.raft
    assert config.raft.lease_reads is False


def test_everything_but_the_nodes_has_a_default() -> None:
    config = read(three_nodes())
    assert config.cluster == "glassraft"
    assert config.timings.heartbeat_s == pytest.approx(0.1)
    assert config.timings.election_timeout_s == pytest.approx((0.6, 1.2))
    assert config.limits.max_body_bytes == 8 * 1024 * 1024
    assert config.folders.data == Path("/srv/glassraft/data")


def test_files_are_named_in_one_place(tmp_path: Path) -> None:
    config = read(three_nodes(), tmp_path)
    assert config.raft_file(2) == tmp_path / "data" / "node-2.raft.db"
    assert config.queue_file(2) == tmp_path / "data" / "node-2.queue.db"
    assert config.log_file(2) == tmp_path / "logs" / "node-2.jsonl"
    assert config.nodes_with_files() == ()
    config.make_folders()
    config.raft_file(2).touch()
    assert config.nodes_with_files() == (2,)


def test_written_files_are_those_of_any_node_and_no_others(tmp_path: Path) -> None:
    config = read(three_nodes(), tmp_path)
    assert config.written_files() == []
    config.make_folders()
    ours = [
        *(config.folders.data / f"node-1.raft.db{end}" for end in ("", "-shm", "-wal")),
        config.folders.data / "node-5.queue.1200.db",
        config.folders.data / "node-5.snapshot.db",
        config.folders.data / "node-5.incoming.3.db-journal",
        config.folders.logs / "node-1.2.jsonl",
        config.log_file(1),
    ]
    others = [
        config.folders.data / "node-1.raft.db.bak",
        config.folders.data / "notes.txt",
        config.folders.logs / "README.md",
        config.folders.logs / "node-x.jsonl",
    ]
    for path in (*ours, *others):
        path.touch()
    assert sorted(config.written_files()) == sorted(ours)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"nodes": []}, "nodes is empty"),
        ({"nodes": 5}, "nodes is 5; write a list"),
        ({"nodes": ["n1"]}, 'nodes[0] is "n1"; write an object'),
        ({"claster": "x"}, 'unknown key "claster"; did you mean "cluster"?'),
        ({"colour": "red"}, 'unknown key "colour"; known here are cluster, folders,'),
        ({"timings": {"hartbeat_ms": 5}}, '"hartbeat_ms" in timings; did you mean "heartbeat_ms"?'),
        ({"timings": {"heartbeat_ms": 300}}, "too close to heartbeat_ms 300"),
        ({"timings": {"heartbeat_ms": 0}}, "timings.heartbeat_ms is 0; write a whole number from 1"),
        ({"timings": {"heartbeat_ms": True}}, "timings.heartbeat_ms is true"),
        ({"timings": {"election_timeout_ms": [900, 900]}}, "the first must be below the second"),
        ({"timings": {"election_timeout_ms": [900]}}, "write two numbers"),
        ({"limits": {"max_batch_entries": 0}}, "limits.max_batch_entries is 0"),
        ({"limits": {"max_connections": -1}}, "limits.max_connections is -1"),
        ({"limits": {"max_body_bytes": 1.5}}, "limits.max_body_bytes is 1.5"),
        ({"limits": {"max_body_bytes": 1024}}, "limits.max_batch_bytes is 1048576, more than half"),
        ({"limits": []}, "limits is []; write an object"),
        ({"folders": {"data": ""}}, 'folders.data is ""; write a text'),
        ({"worker": {"slots": 0}}, "worker.slots is 0"),
        ({"log_events": 1}, "log_events is 1; write true or false"),
        ({"raft": {"lease_reads": "yes"}}, 'raft.lease_reads is "yes"; write true or false'),
        ({"cluster": "a\nb"}, "printable"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(change: dict[str, Any], said: str) -> None:
    message = refusal({**three_nodes(), **change})
    assert said in message
    assert message.startswith(str(Path("/srv/glassraft/config.json")))


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ({"id": 1, "host": "127.0.0.1", "port": 7409}, "the id 1 is there twice"),
        ({"id": 4, "host": "127.0.0.1", "port": 7402}, "nodes 2 and 4 both have the address 127.0.0.1:7402"),
        ({"id": 4, "host": "127.0.0.1", "port": 70000}, "is 70000; write a whole number from 1 to 65535"),
        ({"id": 4, "host": "127.0.0.1", "port": "7404"}, 'nodes[3].port is "7404"'),
        ({"id": 0, "host": "127.0.0.1", "port": 7404}, "nodes[3].id is 0"),
        ({"id": 4, "host": "127.0.0.1"}, "nodes[3].port is missing"),
        ({"id": 4, "host": "127.0.0.1", "prot": 7404}, '"prot" in nodes[3]; did you mean "port"?'),
        ({"id": 4, "host": "127.0.0.300", "port": 7404}, "which is no address"),
        ({"id": 4, "host": "http://there", "port": 7404}, "which is no address"),
        ({"id": 4, "host": "127.0.0.1:7404", "port": 7404}, 'and the port under "port"'),
        ({"id": 4, "host": "two words", "port": 7404}, "which is no address"),
        ({"id": 4, "host": "0.0.0.0", "port": 7404}, "to which no other node can connect"),
    ],
)
def test_a_wrong_node_is_named(node: dict[str, Any], said: str) -> None:
    value = three_nodes()
    value["nodes"].append(node)
    assert said in refusal(value)


@pytest.mark.parametrize("host", ["::1", "localhost", "db-1.example.org", "10.0.0.7"])
def test_addresses_of_every_kind_are_taken(host: str) -> None:
    config = read({"nodes": [{"id": 1, "host": host, "port": 7401}]})
    assert config.node(1).host == host


def test_text_that_is_no_json_is_told_by_line_and_column() -> None:
    with pytest.raises(ConfigError, match=r"not JSON at line 2, column 12: expecting"):
        parse('{\n  "nodes": }', Path("config.json"))


def test_a_key_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match='the key "nodes" is there twice'):
        parse('{"nodes": [], "nodes": []}', Path("config.json"))


def test_a_file_that_is_missing_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        load(tmp_path / "none.json")
    (tmp_path / "latin.json").write_bytes(b'{"cluster": "caf\xe9"}')
    with pytest.raises(ConfigError, match="is not UTF-8"):
        load(tmp_path / "latin.json")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path)


def test_a_byte_order_mark_is_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(three_nodes()), encoding="utf-8-sig")
    assert load(file).members() == (1, 2, 3)


def test_an_even_number_of_nodes_is_warned_about_with_the_reason() -> None:
    config = read(three_nodes()).with_nodes(4)
    assert config.warnings == (
        "4 nodes tolerate no more failures than 3 (1), because a majority of 4 is 3: use 3 or 5.",
    )
    assert config.with_nodes(5).warnings == ()


def test_an_address_beyond_this_machine_is_warned_about() -> None:
    config = read({"nodes": [{"id": 1, "host": "10.0.0.7", "port": 7401}]})
    assert "n1 (10.0.0.7:7401) can be reached from other machines" in config.warnings[0]


def test_fewer_nodes_are_the_first_of_the_list() -> None:
    assert load().with_nodes(3).members() == (1, 2, 3)
    with pytest.raises(ConfigError, match="a cluster of 0 nodes"):
        load().with_nodes(0)


def test_more_nodes_count_ports_upward_and_skip_those_in_use() -> None:
    value = three_nodes()
    value["nodes"] = [value["nodes"][2], {"id": 9, "host": "127.0.0.1", "port": 7402}]
    grown = read(value).with_nodes(4)
    assert [(node.id, node.port) for node in grown.nodes] == [(3, 7403), (9, 7402), (10, 7404), (11, 7405)]
    value["nodes"] = [{"id": 1, "host": "127.0.0.1", "port": 65535}]
    with pytest.raises(ConfigError, match=r"no port above 127\.0\.0\.1:65535"):
        read(value).with_nodes(2)


def test_a_derived_configuration_reads_back_as_itself_from_another_folder(tmp_path: Path) -> None:
    settings = {"log_events": False, "raft": {"lease_reads": True}}
    derived = read({**three_nodes(), **settings}, tmp_path).with_nodes(7)
    file = tmp_path / "elsewhere" / "cluster.json"
    file.parent.mkdir()
    file.write_text(derived.to_json(), encoding="utf-8")
    again = load(file)
    assert again.path == file
    assert again.to_json() == derived.to_json()
    assert again.folders == derived.folders


def test_an_unknown_node_is_refused_with_those_known() -> None:
    with pytest.raises(ConfigError, match="no node with id 8; the ids are 1, 2, 3"):
        read(three_nodes()).node(8)


def test_a_folder_that_cannot_be_made_is_refused_with_its_key(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    config = read({**three_nodes(), "folders": {"data": "file"}}, tmp_path)
    with pytest.raises(ConfigError, match=r"cannot write in the folder .*file.*folders\.data"):
        config.make_folders()
