"""Claims runs and ends each at once, until there are none: python -m tests.faults.processes.claimer OWNER. Prints what it executed."""

import sys

from db import queue
from db.session import connect
from engine.settings import database_url
from tests.db.conftest import CPU, end

if __name__ == "__main__":
    db = connect(database_url())
    while queue.has_work(db, CPU):
        if (claim := queue.claim(db, sys.argv[1], CPU)) is not None:
            print(claim.run_id, flush=True)
            assert end(db, claim)
    db.dispose()
