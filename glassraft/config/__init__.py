"""config.json: what is known before a node starts. `load` reads one, `Config` is what it says.

model.py has the values and the names of files, reader.py the checks and their messages; what
each setting means to a user is in docs/config.md.
"""

from glassraft.config.model import Config, Folders, Limits, NodeAddress, Timings, WorkerSettings
from glassraft.config.reader import DEFAULT_PATH, load, parse

__all__ = [
    "DEFAULT_PATH",
    "Config",
    "Folders",
    "Limits",
    "NodeAddress",
    "Timings",
    "WorkerSettings",
    "load",
    "parse",
]
