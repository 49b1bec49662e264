"""Which exit status an error comes to, and what is said of it."""

import sqlite3

import pytest

import node
from glassraft.errors import ConfigError, GlassraftError
from glassraft.raft.assertions import InvariantBroken
from glassraft.replica.digests import QueuesDiffer
from glassraft.rpc.sockets import AddressInUse
from glassraft.storage.identity import DamagedFile, DiskFailed, FileInUse, WrongFile


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (AddressInUse("port 1 is in use"), 3),
        (ConfigError("the folder in use is not one"), 2),
        (WrongFile("another's"), 2),
        (DamagedFile("damaged"), 2),
        (FileInUse("open elsewhere"), 2),
        (DiskFailed("full"), 4),
    ],
)
def test_a_node_that_cannot_start(error: GlassraftError, status: int) -> None:
    assert node.status_of(error) == status


@pytest.mark.parametrize(
    ("error", "status", "has_traceback"),
    [
        (DiskFailed("full"), 4, False),
        (DamagedFile("damaged"), 4, False),
        (sqlite3.OperationalError("disk I/O error"), 4, False),
        (QueuesDiffer("after index 5"), 70, False),
        (InvariantBroken("two leaders"), 70, True),
        (KeyError("a bug"), 70, True),
    ],
)
def test_a_node_that_cannot_go_on(
    error: BaseException, status: int, has_traceback: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    ending = node.Ending()
    broken = node.Node.__new__(node.Node)
    broken.ending = ending
    broken._failed(error)
    assert ending.told.is_set()
    assert ending.status == status
    assert str(error) in ending.reason
    assert (type(error).__name__ in capsys.readouterr().err) == has_traceback


def test_the_first_reason_stands() -> None:
    ending = node.Ending()
    ending.tell(4, "the disk failed")
    ending.tell(0, "stopped by SIGTERM")
    assert (ending.status, ending.reason) == (4, "the disk failed")
