"""A scheduler that believes to live in another year: python -m tests.faults.processes.skewed_scheduler YEAR LEASE BEAT.

Everything that asks Python for the time of day is told the wrong one; the monotonic clock is the real one, as with a clock that was set wrong.
"""

import datetime
import runpy
import sys
import time

import psycopg  # noqa: F401  first: it keeps tables of the classes that there are

_real_now, _real_time = datetime.datetime.now, time.time
_AHEAD = datetime.datetime(int(sys.argv.pop(1)), 1, 1) - _real_now()


class _Skewed(datetime.datetime):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> "_Skewed":
        return super().now(tz) + _AHEAD


datetime.datetime = _Skewed  # type: ignore[misc]
time.time = lambda: _real_time() + _AHEAD.total_seconds()

runpy.run_module("tests.engine.scheduler_process", run_name="__main__")
