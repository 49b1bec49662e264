"""Glassraft: a durable job queue replicated by Raft over XML-RPC, that you can watch, break and rewind."""

__version__ = "0.1.0"
