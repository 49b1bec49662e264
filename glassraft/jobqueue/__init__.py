"""The job queue: what the log replicates, and the user's side of it.

What is replicated is pure: commands.py (what a command may say), machine.py (what it does) with
its parts, schema.py (the tables). reader.py reads them. The user's side: client.py, tasks.py,
worker.py, cli/. What it all means is in docs/queue.md.
"""
