"""XML-RPC on kept-alive HTTP/1.1 connections: everything between a socket and a method.

From the bytes up: http.py frames messages, codec.py (with shapes.py's short cuts) reads and writes
XML-RPC, methods.py checks a call against its signature, server.py serves and client.py calls.
leader.py finds the node that leads; raft_calls.py carries the paper's messages; faults.py is the
table of refusals. docs/wire.md describes it for other languages.
"""
