"""The tests: a folder for each room of glassraft/, and cluster/ for real processes. Run `python -m tests`."""
