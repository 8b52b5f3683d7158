"""The page Reports: the list of what was saved, who may change it, and the builder of reports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine

from db import saved
from db.records import import_record
from engine import settings
from tests.dashboard.conftest import classified, texts
from tests.db.test_saved import FROZEN

Open = Callable[..., Any]
ME = settings.user()
"""Who looks at a page in these tests."""


def keep(db: Engine, number: int = 1, owner: str | None = ME) -> None:
    for n in range(number):
        saved.save_view(db, f"view-{n}", name=f"View {n}", page="experiments", params={}, variants=2, owner=owner)


def keys(page: Any, start: str) -> list[str]:
    return [b.key for b in page.button if b.key and b.key.startswith(start)]


def test_everything_saved_is_listed_with_its_facts_and_link(db: Engine, open_page: Open) -> None:
    keep(db)
    saved.keep_snapshot(db, FROZEN)
    page = open_page("reports")
    said = texts(page)
    assert f"saved view, results may change · experiments · 2 variants · by {ME}" in said
    assert "frozen snapshot, will not change · experiment · 3 variants · by ada · 2026-01-02 03:04 UTC" in said
    assert {c.value for c in page.code} == {f"http://127.0.0.1:8501/view?id={i}" for i in ("view-0", "snap-1")}
    assert keys(page, "delete_now") == ["delete_now_view-0"], "what is ada's stays"


def test_a_view_of_ones_own_is_renamed_and_deleted(db: Engine, open_page: Open) -> None:
    keep(db)
    page = open_page("reports")
    page.text_input(key="name_view-0").input("int8 or nf4").run()
    page.button(key="rename_now_view-0").click().run()
    assert [(v["id"], v["name"]) for v in saved.listed(db, 10)[0]] == [("view-0", "int8 or nf4")]
    assert "It is named int8 or nf4 now; its link stays." in texts(page)
    page.button(key="delete_now_view-0").click().run()
    assert saved.listed(db, 10) == ([], 0) and "Nothing is saved yet" in texts(page)


def test_what_another_deleted_meanwhile_is_said(db: Engine, open_page: Open) -> None:
    keep(db)
    page = open_page("reports")
    saved.delete_view(db, "view-0", ME)
    page.button(key="delete_now_view-0").click().run()
    assert "there is none of yours with this id" in texts(page)


def test_a_long_list_comes_by_pages_and_kinds(db: Engine, open_page: Open) -> None:
    keep(db, 12)
    saved.keep_snapshot(db, FROZEN)
    assert "1 to 10 of 13" in texts(open_page("reports"))
    page = open_page("reports", page="2")
    assert "11 to 13 of 13" in texts(page)
    page.segmented_control(key="library_kind").set_value("Frozen snapshots").run()
    assert "1 to 1 of 1" in texts(page)


def test_without_experiments_there_is_a_way_on(db: Engine, open_page: Open) -> None:
    assert "There is no experiment to report on yet." in texts(open_page("reports"))


def test_a_report_of_what_the_link_names_with_counts_on_the_buttons(db: Engine, experiment: str, open_page: Open) -> None:
    page = open_page("reports", **{"from": f"{experiment},gone"})
    assert "1 of 2 experiments in this link no longer exist: gone" in texts(page)
    labels = {b.proto.id.rpartition("-")[2]: b.label for b in page.get("download_button")}
    assert labels == {
        "report_html": "Report (HTML)", "report_markdown": "Report (Markdown)", "report_zip": "Everything (ZIP)",
        "report_csv": "Results (CSV) · 19 rows", "report_variants": "Variants (CSV) · 3 variants", "report_samples": "Samples (CSV) · 145 samples",
        "report_parquet": "Results (Parquet) · 19 rows", "report_json": "Results (JSON) · 19 rows", "report_bundle": "Bundle (JSON)",
    }  # fmt: skip


def test_several_experiments_have_one_report(db: Engine, experiment: str, open_page: Open) -> None:
    other = import_record(db, classified(), "imported")
    page = open_page("reports", **{"from": experiment})
    page.multiselect(key="report_of").select(other).run()
    assert page.query_params["from"] in (f"{experiment},{other}", [f"{experiment},{other}"])
    assert "Variants (CSV) · 5 variants" in [b.label for b in page.get("download_button")]
    page.pills(key="report_sections").set_value([]).run()
    assert "Tick at least one section." in texts(page) and not page.get("download_button")


@pytest.mark.parametrize("asked", ["../..,<b>", ",".join(f"x{i}" for i in range(500))])
def test_links_that_name_nothing_real_are_harmless(db: Engine, experiment: str, open_page: Open, asked: str) -> None:
    assert "Choose one or several experiments." in texts(open_page("reports", **{"from": asked}))
