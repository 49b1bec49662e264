"""The measured scenarios: real clusters under load, and what their event logs say of it.

`python -m glassraft.evaluation` runs the two comparisons (many messages, large payloads) and
writes a CSV and plots; `.latency` prints what a submission costs beside its floor; `.endurance`
kills nodes for a hundred rounds and counts. scenarios.py runs, analysis.py turns events into
numbers, plots.py draws them.
"""
