"""The tray: what is chosen survives pages, reloads and fast clicks, and an address that names nonsense is told so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from dashboard.tray import Tray
from db.records import import_record
from engine.variant_ref import MOST, VariantRef
from tests.dashboard.conftest import finished, texts

Open = Callable[..., Any]


def refs(experiment: str, *positions: int) -> tuple[VariantRef, ...]:
    return tuple(VariantRef(experiment, p) for p in positions)


def address(page: AppTest, name: str) -> str | None:
    found = page.query_params.get(name)
    return found[0] if isinstance(found, list) else found


def keys(page: AppTest) -> list[str]:
    return [b.key for b in page.button if b.key]


def test_chosen_on_one_page_it_is_on_the_others_and_in_their_address(experiment: str, open_page: Open) -> None:
    page = open_page("experiment", id=experiment)
    assert "tray_clear" not in keys(page), "an empty tray takes no room"
    page.button(key=f"tray_offer_{experiment}.1").click().run()
    page.button(key=f"tray_offer_{experiment}.0").click().run()
    assert address(page, "variants") == f"{experiment}.1,{experiment}.0"
    for view in ("overview", "experiments", "compare"):  # in between a page without the tray
        for name in list(page.query_params):  # as a browser does on the way to another page
            del page.query_params[name]
        page.switch_page(f"views/{view}.py").run()
        assert not page.exception
        assert ("tray_clear" in keys(page)) is (view != "overview")
    assert address(page, "variants") == f"{experiment}.1,{experiment}.0"


def test_a_reload_brings_it_back_with_its_baseline(experiment: str, open_page: Open) -> None:
    page = open_page("experiments", variants=f"{experiment}.0,{experiment}.1", base=f"{experiment}.1")
    assert [b.label for b in page.button if b.key and b.key.startswith("tray_bar_")] == ["float32", "★ small"]
    page.button(key=f"tray_star_{experiment}.0").click().run()
    assert address(page, "base") == f"{experiment}.0"
    page.button(key=f"tray_star_{experiment}.0").click().run()
    assert address(page, "base") is None, "the star taken off again: the natural baseline"


def test_what_is_removed_takes_its_star_with_it(experiment: str, open_page: Open) -> None:
    page = open_page("compare", variants=f"{experiment}.0,{experiment}.1", base=f"{experiment}.1")
    page.button(key=f"tray_bar_{experiment}.1").click().run()
    assert (address(page, "variants"), address(page, "base")) == (f"{experiment}.0", None)
    page.button(key="tray_clear").click().run()
    assert address(page, "variants") is None and "tray_clear" not in keys(page)
    page.run()
    assert "tray_clear" not in keys(page), "cleared means cleared"


def test_an_address_that_is_one_click_old_does_not_take_a_choice_back(experiment: str, open_page: Open) -> None:
    page = open_page("experiment", id=experiment)
    page.button(key=f"tray_offer_{experiment}.0").click().run()
    old = address(page, "variants")
    page.button(key=f"tray_offer_{experiment}.1").click().run()
    page.query_params["variants"] = old  # what the browser sends with a click that was faster than the answer to the last
    page.button(key=f"tray_offer_{experiment}.2").click().run()
    assert page.session_state["tray"] == Tray(refs(experiment, 0, 1, 2))
    assert address(page, "variants") == f"{experiment}.0,{experiment}.1,{experiment}.2"


def test_a_new_address_on_the_same_page_wins(experiment: str, open_page: Open) -> None:
    page = open_page("compare", variants=f"{experiment}.0")
    page.query_params["variants"] = f"{experiment}.2"
    page.run()
    assert page.session_state["tray"] == Tray(refs(experiment, 2))


def test_what_an_address_asks_in_vain_is_named_until_the_choice_changes(experiment: str, open_page: Open) -> None:
    many = ",".join(f"{experiment}.{i}" for i in range(MOST + 2))
    page = open_page("compare", variants=f"<b>,{many}", base="no-position")
    for _ in range(2):
        said = texts(page)
        assert "<b> cannot name a variant" in said and f"2 variants are left out, for at most {MOST} can be chosen" in said
        assert "base=no-position cannot name a variant" in said
        page.run()
    page.button(key=f"tray_bar_{experiment}.0").click().run()
    assert "cannot name a variant" not in texts(page)


def test_variants_that_are_gone_are_named_and_the_rest_stays(db: Engine, experiment: str, open_page: Open) -> None:
    page = open_page("compare", variants=f"{experiment}.1,deleted-experiment.0,{experiment}.77")
    assert f"2 of 3 variants are not here, they may have been deleted: deleted-experiment.0, {experiment}.77" in texts(page)
    labels = [b.label.replace("\\", "") for b in page.button if b.key and b.key.startswith("tray_bar_")]
    assert labels[0] == "small" and labels[1].startswith("missing: delet")


def test_two_variants_of_one_name_are_not_taken_for_each_other(db: Engine, experiment: str, open_page: Open) -> None:
    other = import_record(db, finished("Another", "another-experiment-001"), "imported")
    page = open_page("compare", variants=f"{experiment}.1,{other}.1")
    page.button(key=f"tray_bar_{other}.1").click().run()
    assert page.session_state["tray"] == Tray(refs(experiment, 1))


def test_a_full_tray_says_what_it_did_not_take(experiment: str, open_page: Open) -> None:
    page = open_page("experiment", id=experiment, variants=",".join(f"x.{i}" for i in range(MOST - 1)))
    page.button(key="tray_all").click().run()
    assert "2 more than the 24 variants that the tray can hold" in texts(page)
    assert len(page.session_state["tray"].refs) == MOST


@pytest.mark.parametrize("base", [None, VariantRef("a", 1)])
def test_a_tray_survives_its_parameters(base: VariantRef | None) -> None:
    tray = Tray(refs("a", 0, 1), base)
    assert tray.params() == {"variants": "a.0,a.1"} | ({"base": "a.1"} if base else {})
    assert Tray().params() == {} == Tray((), VariantRef("a", 1)).params()
