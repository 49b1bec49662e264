"""The queue in one process, without servers: the same machine and the same methods on one SQLite file.

`JobQueue.embedded` and `JobQueue.inline` come here, and nothing else does. Begin at calls.py, what a client
calls; driver.py applies what arrives, and lets time pass.
"""
