"""Seeds on the machines of an existing Dask cluster: `--executor dask://host:port`.

Its workers must be able to import glassraft in this version. Dask is no part of Glassraft: it is
asked for only here, and only when somebody names a cluster.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from glassraft.errors import GlassraftError
from glassraft.simulation.explore import Pool

SCHEME: Final = "dask://"
CONNECT_S: Final = 10


class NoDask(GlassraftError):
    """The Dask cluster cannot be used: the message says why, and what to do."""


@contextmanager
def dask_cluster(address: str) -> Iterator[Pool]:
    """The workers of the cluster whose scheduler is at `address`, dask://host:port. Raises NoDask."""
    if not address.startswith(SCHEME):
        raise NoDask(f"{address!r} names no executor: write {SCHEME}host:port")
    try:
        from distributed import Client
    except ImportError as error:
        raise NoDask("Dask is not installed here: pip install 'dask[distributed]'") from error
    try:
        client = Client(f"tcp://{address.removeprefix(SCHEME)}", timeout=CONNECT_S)
    except (OSError, ValueError) as error:
        raise NoDask(f"no Dask scheduler answers at {address}: {error}") from error
    with client:
        width = sum(client.nthreads().values())
        if not width:
            raise NoDask(f"the Dask cluster at {address} has no workers")
        with client.get_executor(pure=False) as executor:
            yield Pool(executor, width)
