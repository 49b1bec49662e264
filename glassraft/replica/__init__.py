"""One node without its process: the turn, its driver, its peers.

turn.py is the heart: step all, persist, then send, apply, release, on a disk, a network and
a clock that are given to it. driver.py says which thread runs it, peers.py carries its
messages, cluster_clock.py makes its stamps, recorder.py writes down what happened.
"""
