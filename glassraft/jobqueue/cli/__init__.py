"""The command line of the queue, the same as `python jobs.py ...` and as the installed `glassraft ...`.

program.py is where it begins and ends. Each group of commands is a file: submitting.py (and
from_file.py), asking.py, watching.py, by_hand.py, queues.py, schedules.py, running.py, completion.py.
What they share: options.py (arguments, and which cluster is meant), calls.py (a task with its
arguments), output.py (answers and progress), statuses.py (how a command ends).
"""

from glassraft.jobqueue.cli.program import main

__all__ = ["main"]
