"""Fixtures for all tests: an own data directory, own locks, a tiny random model."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from db.session import connect, migrate
from engine.environments import ENVIRONMENTS, LayeredEnvironment
from engine.settings import REPOSITORY, data_dir, database_url
from tests.databases import PostgresServer, database_of


def pytest_configure(config: pytest.Config) -> None:
    """Test processes side by side share the CPUs out: torch's threads wait for each other actively, so that two runs of as many
    threads as there are CPUs take several times as long as one after the other."""
    worker, count = os.environ.get("PYTEST_XDIST_WORKER", ""), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
    cpus = sorted(os.sched_getaffinity(0))
    if worker and len(cpus) >= count > 1:
        os.sched_setaffinity(0, cpus[int(worker.removeprefix("gw")) :: count])


_USERS_DATA = data_dir()  # read before any test moves it: the bundled models are fetched there once


@pytest.fixture(scope="session")
def tiny_model_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds one local model, `tiny`."""
    root = tmp_path_factory.mktemp("models")
    make_tiny(root / "tiny", "llama")
    return root


def make_tiny(folder: Path, model_type: str) -> None:
    """Made in a child so that the tests' own process stays free of torch; at once where the file of this test has imported it."""
    if "torch" in sys.modules:
        from tests.tiny_model import make

        make(folder, model_type)
    else:
        subprocess.run([sys.executable, "-m", "tests.tiny_model", str(folder), model_type], check=True, cwd=REPOSITORY, capture_output=True)


@pytest.fixture(scope="session")
def onnx_environment() -> LayeredEnvironment:
    return _made("onnx")


@pytest.fixture(scope="session")
def hqq_environment() -> LayeredEnvironment:
    return _made("hqq")


def _made(name: str) -> LayeredEnvironment:
    """The real one: made where it is not there, else a look at its stamp."""
    command = [sys.executable, "-m", "engine.environments", name]
    subprocess.run(command, check=True, cwd=REPOSITORY, capture_output=True)
    assert ENVIRONMENTS[name].installed()
    return ENVIRONMENTS[name]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The PostgreSQL server of this process, for all tests that want databases there."""
    server = PostgresServer()
    yield server
    server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, own_data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a database of each kind, empty, or migrated where a test asks for `db`."""
    yield from database_of(request, own_data, monkeypatch)


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Every test has its own data directory, database and device locks; the user's are never touched."""
    data = tmp_path / "data"
    monkeypatch.setenv("LAB_DATA", str(data))
    monkeypatch.setenv("LAB_LOCKS", str(tmp_path / "locks"))
    for variable in ("DATABASE_URL", "LAB_MODELS", "LAB_USER", "HOST", "PORT", "PUBLIC_BASE_URL", "LAB_READ_ONLY", "LAB_LOG_FORMAT"):
        monkeypatch.delenv(variable, raising=False)
    yield data


@pytest.fixture
def db(own_data: Path) -> Iterator[Engine]:
    """This test's database, SQLite and migrated; folders that try both kinds have their own."""
    engine = connect(database_url())
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def bundled(own_data: Path) -> Path:
    """The bundled model and texts, in this test's own data directory."""
    command = [sys.executable, "-m", "engine.bundled"]
    subprocess.run(command, check=True, cwd=REPOSITORY, env=os.environ | {"LAB_DATA": str(_USERS_DATA)})
    own_data.mkdir(parents=True, exist_ok=True)
    for name in ("models", "texts"):
        (own_data / name).symlink_to(_USERS_DATA / name)
    return own_data
