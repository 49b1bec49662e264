"""A node's two SQLite files: what Raft must not forget, and the queue that follows from it.

raft_store.py is node-N.raft.db (term, vote, log, membership; synced once a batch);
queue_store.py is node-N.queue.db (what was applied; never waited for); identity.py says
whose files they are and refuses those of another node, cluster or version.
"""
