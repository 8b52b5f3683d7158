"""Writes experiments until it is killed, and says of each that it is stored: python -m tests.faults.processes.writer."""

from db.session import connect
from engine.settings import database_url
from tests.db.conftest import enqueue

if __name__ == "__main__":
    db = connect(database_url())
    while True:
        print(enqueue(db, runs=3), flush=True)
