"""Databases and disks that are not what they should be: one line that says so, and nothing is made worse."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import event, inspect

from db import queries, queue
from db.session import connect, migrate
from engine.child_output import TAIL_CHARACTERS, Output
from engine.executor import LocalExecutor
from engine.settings import REPOSITORY
from tests.command_line import engine
from tests.db.conftest import CPU, enqueue, rows
from tests.db.conftest import end as end_run
from tests.engine.processes import CPU as DEVICE
from tests.engine.processes import local_executor, run_spec_for, wait_for

HEADER = 100
"""Bytes at the begin of a SQLite file."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A whole database with some pages."""
    path = tmp_path / "lab.db"
    db = connect(f"sqlite:///{path}")
    migrate(db)
    for _ in range(20):
        enqueue(db, runs=20)
    db.dispose()  # the last one to leave moves everything into the file
    return path


def spoilt(data: bytes, how: str) -> bytes:
    if how == "text":
        return b"my diary " * 1000
    if how == "no header":
        return bytes(HEADER) + data[HEADER:]
    if how == "cut off":
        return data[: len(data) // 2 // 4096 * 4096 + 100]
    middle = len(data) // 2 // 4096 * 4096
    return data[:middle] + bytes(range(256)) * 64 + data[middle + 256 * 64 :]


@pytest.mark.case("T23")
@pytest.mark.parametrize("how", ["text", "no header", "cut off", "noise"])
def test_a_damaged_database_is_refused_with_the_way_out_and_not_touched(file: Path, how: str) -> None:
    file.write_bytes(data := spoilt(file.read_bytes(), how))
    db = connect(f"sqlite:///{file}")
    with pytest.raises(ValueError, match=r"lab\.db (is damaged|cannot be used).*restore a backup or move the file away") as refused:
        migrate(db)
    db.dispose()
    assert "\n" not in str(refused.value)
    assert hashlib.sha256(file.read_bytes()).digest() == hashlib.sha256(data).digest()


@pytest.mark.case("T24")
def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    (tmp_path / "lab.db").touch()
    db = connect(f"sqlite:///{tmp_path / 'lab.db'}")
    migrate(db)
    assert queries.count_experiments(db) == 0 and "runs" in inspect(db).get_table_names()
    db.dispose()


@pytest.mark.case("T24")
@pytest.mark.parametrize(("place", "message"), [
    ("/proc/lab.db", "unable to open database file"),  # nobody can make a file there, root neither
    ("/proc/no/lab.db", "cannot make the folder"), ("{tmp}", "is a folder"),
])  # fmt: skip
def test_a_place_that_cannot_hold_one_is_one_line_and_exit_code_2(place: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{place.format(tmp=tmp_path)}")
    out = engine("cancel", "anything")
    assert out.returncode == 2 and out.stdout == ""
    assert message in " ".join(out.stderr.split()) and "Traceback" not in out.stderr


@pytest.mark.case("T18")
def test_a_full_database_keeps_what_it_has_and_takes_the_result_when_there_is_room(file: Path) -> None:
    db = connect(f"sqlite:///{file}")
    before = len(rows(db))
    claim = queue.claim(db, "me", CPU)
    assert claim is not None
    db.dispose()
    pages = "SELECT page_count FROM pragma_page_count"

    def full(connection: object, _: object) -> None:
        (count,) = connection.execute(pages).fetchone()  # type: ignore[attr-defined]
        connection.execute(f"PRAGMA max_page_count = {count}")  # type: ignore[attr-defined]

    event.listen(db, "connect", full)
    long = {"k": "x" * 10**6}
    with pytest.raises(Exception, match="database or disk is full"):
        end_run(db, claim, details=long)
    assert [r.status for r in rows(db)] == ["running"] + ["queued"] * (before - 1), "nothing half written, and it can be read"
    event.remove(db, "connect", full)
    db.dispose()
    assert end_run(db, claim, details=long)
    with db.begin() as connection:
        assert connection.exec_driver_sql("PRAGMA integrity_check").all() == [("ok",)]
    db.dispose()


@pytest.mark.case("T18")
def test_a_child_that_cannot_write_its_result_says_so(tmp_path: Path) -> None:
    executor: LocalExecutor = local_executor()
    handle = executor.start(run_spec_for("full"), tmp_path / "runs" / "1.1", device=DEVICE)
    result = wait_for(lambda: executor.poll(handle))
    assert result.status == "failed" and "No space left on device" in result.reason
    assert len(result.measurements) == 1, "what it had handed in before is kept"


@pytest.mark.case("T18")
def test_a_log_that_cannot_be_written_neither_blocks_the_child_nor_is_lost_to_the_page() -> None:
    output = Output(Path("/dev/full"))
    with open(output.pipe, "wb", closefd=False) as pipe:
        pipe.write(b"x" * 10**6 + b"the end")
    output.finish()
    assert output.tail().endswith("the end") and len(output.tail()) == TAIL_CHARACTERS


@pytest.mark.case("T26")
@pytest.mark.faults
@pytest.mark.parametrize("times", range(4))
def test_eight_processes_make_the_schema_at_once(database: str, times: int) -> None:
    code = "from db.session import connect, migrate; from engine.settings import database_url; migrate(connect(database_url()))"
    processes = [subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY, stderr=subprocess.PIPE, text=True) for _ in range(8)]
    assert [p.communicate(timeout=300)[1] for p in processes] == [""] * 8
    assert [p.returncode for p in processes] == [0] * 8
    db = connect(database)
    assert "runs" in inspect(db).get_table_names()
    db.dispose()


