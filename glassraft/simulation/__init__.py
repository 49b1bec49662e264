"""The whole cluster in one thread on one seed: network, disks, crashes, clocks, clients, and what must hold.

The same `Server`, turn and queue machine as a real node's, in a world that delays, loses, cuts and
crashes as a schedule drawn from the seed says. Read in this order: run.py (one seed from beginning
to end), schedule.py (the faults), world.py (the event loop), node.py (one machine), then its parts:
clock.py, disks.py, network.py, clients.py, workers.py; and what is watched: checks.py (Raft's
properties), queue_checks.py (the queue's), coverage.py. `python -m glassraft.simulation` plays seeds.
"""
