"""A scheduler in a process of its own whose children are misbehaving_child: python -m tests.engine.scheduler_process LEASE BEAT."""

import sys

from db.session import connect
from engine.child_process import adopt_orphans
from engine.scheduler import Scheduler, stop_signals
from engine.settings import database_url
from tests.engine.processes import CPU, local_executor

if __name__ == "__main__":
    adopt_orphans()
    lease, beat = map(float, sys.argv[1:])
    with stop_signals() as stopped:
        Scheduler(connect(database_url()), local_executor(), [CPU], lease=lease, beat=beat, pause=0.05).run_forever(stopped)
