"""Makes the data directory ready: schema, bundled models and texts, a first experiment where there is none,
and the project's reference results.

Runs to its end before the lab starts (engine/launch.py) and is quick where nothing is to do. Usage: python -m engine.prepare
"""

from __future__ import annotations

import os
import signal
import sys

from db.session import connect, migrate
from engine import bundled, settings


def prepare() -> None:
    """Raises ValueError or OSError naming what went wrong and the fix. A faulty database is found before anything is fetched."""
    settings.data_dir().mkdir(parents=True, exist_ok=True)
    db = connect(settings.database_url())
    migrate(db)
    bundled.fetch_all()

    from db import queries  # below, because they bring much that a refusal above does not need
    from engine import api, references
    from engine.presets import load_spec

    if queries.count_experiments(db) == 0:
        api.submit(db, load_spec("quickstart"), request_key="quickstart")
    for problem in references.import_references(db):
        print(f"reference results left out: {problem}", file=sys.stderr)


def main() -> int:
    """Exit code 0, or 2 with one line on stderr. SIGTERM ends pip and the conversion too."""
    if os.getpgrp() == os.getpid():
        signal.signal(signal.SIGTERM, lambda number, frame: os.killpg(0, signal.SIGKILL))
    try:
        prepare()
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
