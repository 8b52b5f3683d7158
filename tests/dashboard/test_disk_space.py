"""The disk on the page: sizes, clearing with a second look, refused where nothing may be changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from dashboard import disk_space
from dashboard.identity import Identity
from engine.access import Role
from tests.dashboard.conftest import texts

Open = Callable[..., AppTest]


@pytest.fixture
def export(db: Engine, own_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    file = own_data / "artifacts" / "onnx" / "abc" / "model.onnx"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x" * 3_000_000)
    return file


def opened(open_page: Open) -> AppTest:
    """The section is closed at first; its widget's state opens it."""
    page = open_page("start")
    page.session_state["disk_space"] = True
    return page.run()


def test_it_is_not_looked_at_unless_asked(export: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.caches.caches", lambda: pytest.fail("every file of the disk was looked at"))
    assert "beside the data directory" not in texts(open_page("start"))


def test_sizes_are_shown_and_a_cache_is_cleared(export: Path, open_page: Open) -> None:
    page = opened(open_page)
    table = next(t.value for t in page.dataframe if "Entries" in t.value.columns)
    assert table.set_index("What").loc["ONNX files and baselines' outputs", "Size"] == "2.86 MiB"
    assert not [b for b in page.button if b.key in ("clear_runs", "clear_hub")], "what does not come back, and what is empty, has no button"
    page.button(key="clear_exports").click().run()
    assert not page.exception and not export.exists()
    assert "2.86 MiB freed" in texts(page)


def test_nothing_is_cleared_where_nothing_may_be_changed(export: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_READ_ONLY", "1")
    page = opened(open_page)
    assert page.button(key="clear_exports").disabled
    disk_space._clear("exports")
    assert export.exists()


def test_on_a_server_the_disk_is_for_admins(export: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.identity.of_page", lambda: Identity("ann", Role.RUNNER))
    assert "Disk: what can be cleared" not in [e.label for e in open_page("start").expander]
    disk_space._clear("exports")
    assert export.exists()
