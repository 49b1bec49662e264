"""The processes of a cluster on this machine: spawn, watch, kill, pause, restart and stop them.

child.py is one run of one process, with its pipes; process.py one that can be started again, with
its status; supervisor.py all nodes and the worker; leaders.py asks the nodes who leads. Used by
cluster.py and by tests alike.
"""

from glassraft.supervisor.leaders import Leader, LeaderWatch, Picture, ask_state, find_leader, wait_for_leader
from glassraft.supervisor.process import Exit, ManagedProcess, Status, SupervisorError
from glassraft.supervisor.stop_signals import StopSignals
from glassraft.supervisor.supervisor import Action, Possible, Supervisor

__all__ = [
    "Action",
    "Exit",
    "Leader",
    "LeaderWatch",
    "ManagedProcess",
    "Picture",
    "Possible",
    "Status",
    "StopSignals",
    "Supervisor",
    "SupervisorError",
    "ask_state",
    "find_leader",
    "wait_for_leader",
]
