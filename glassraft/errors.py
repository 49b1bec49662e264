"""The one tree of errors that Glassraft raises on purpose.

Every message says what was wrong, with the value, and what to do. Subtrees live beside
what raises them (`rpc.faults`, `jobqueue.client`, ...); what several rooms share is here.
This file imports nothing, so any room may use it.
"""


class GlassraftError(Exception):
    """The root: catch this to catch everything that Glassraft raises on purpose."""


class ConfigError(GlassraftError):
    """config.json, or an option on the command line, cannot be used as it is."""


class StorageError(GlassraftError):
    """A node's files cannot be used: damaged, another's, newer, or the disk refuses."""


class BadArgument(GlassraftError):
    """A caller's argument is of the wrong type, out of range or unknown."""
