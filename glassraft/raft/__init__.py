"""The Raft algorithm, pure: no socket, thread, clock, disk, print or global random.

Read in this order, with the paper open: messages.py (the RPCs), rules.py (Figure 2's
conditions), server.py (the state and what may happen to it), election.py (§5.2, §5.4.1),
replication.py (§5.3, §5.4.2), reads.py (dissertation §6.4), configuration.py (dissertation §4), log.py.
"""
