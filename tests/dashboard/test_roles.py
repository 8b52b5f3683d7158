"""What a role may do on the pages, what is only its owner's, and what a private experiment is for others: nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from dashboard import identity
from db import audit, edits, liveness, queries, saved
from db.visitor import Visitor, acting
from engine import api
from engine.presets import parse_spec
from tests.dashboard.conftest import texts

Open = Callable[..., AppTest]
SignIn = Callable[[str | None], None]
SPEC: dict[str, Any] = {"title": "mine", "model": "tiny-llama", "rounds": 3, "variants": ["bfloat16"]}


@pytest.fixture
def sign_in(monkeypatch: pytest.MonkeyPatch) -> SignIn:
    """Whom the proxy names from here on. vi looks, ana and ben run, root administers, and eve may nothing."""
    monkeypatch.setenv("LAB_AUTH_HEADER", "X-Forwarded-User")
    monkeypatch.setenv("LAB_RUNNERS", "ana,ben")
    monkeypatch.setenv("LAB_ADMINS", "root")
    monkeypatch.setenv("LAB_VIEWERS", "vi")
    monkeypatch.setenv("LAB_DEFAULT_ROLE", "none")

    def named(name: str | None) -> None:
        monkeypatch.setattr(identity, "_of_connection", lambda header: [name] if name else [])

    return named


@pytest.fixture
def queued(db: Engine) -> str:
    """Ana's, which waits."""
    liveness.announce(db, "s", machine="here", pid=1, devices=[], availability={})
    return api.submit(db, parse_spec(SPEC), owner="ana")


def errors(page: AppTest) -> str:
    return "".join(e.value for e in page.error).replace("\\", "")


def test_who_has_not_signed_in_sees_nothing(queued: str, open_page: Open, sign_in: SignIn) -> None:
    for name, said in ((None, "whom the proxy in front of it"), ("eve", "You are signed in as eve, and have no access here")):
        sign_in(name)
        page = open_page("experiment", id=queued)
        assert said in errors(page) and "mine" not in texts(page) and not page.button


@pytest.mark.parametrize(("view", "keys"), [
    ("new_experiment", {"new_run"}), ("queue", {"cancel_{}"}), ("experiment", {"cancel_followed", "archive", "delete"}),
])  # fmt: skip
def test_a_viewer_finds_controls_that_write_disabled_with_the_reason(queued: str, open_page: Open, sign_in: SignIn, view: str, keys: set[str]) -> None:
    sign_in("vi")
    page = open_page(view, id=queued)
    assert "vi · viewer" in [t.value for t in page.text]
    for key in keys:
        button = page.button(key=key.format(queued))
        assert button.disabled and "Your role here is viewer" in button.help


@pytest.mark.case("T40")
def test_a_forged_click_of_a_viewer_changes_nothing(db: Engine, queued: str, open_page: Open, sign_in: SignIn) -> None:
    sign_in("ana")
    page = open_page("new_experiment")
    page.selectbox(key="new_model").select("tiny-llama").run()
    sign_in("vi")  # the button of the page that is open is enabled still, as one that a visitor tampered with
    page.button(key="new_run").click().run()
    assert not page.exception and queries.count_experiments(db) == 1


def test_a_runner_changes_what_is_their_own_only(db: Engine, queued: str, open_page: Open, sign_in: SignIn) -> None:
    sign_in("ben")
    page = open_page("experiment", id=queued)
    assert page.button(key="archive").disabled and "It belongs to ana" in page.button(key="archive").help
    for key in ("archive", "delete", "cancel_followed"):
        sign_in("ana")
        page = open_page("experiment", id=queued)
        sign_in("ben")  # what he sends from here on are clicks that his own page does not offer
        page.button(key=key).click().run()
        assert not page.exception and "It belongs to ana" in errors(page)
    said, record = edits.current(db, queued), queries.record(db, queued)
    assert said is not None and not said["archived"]
    assert record is not None and {r["status"] for r in record["runs"]} == {"queued"}
    assert audit.acts(db, 10) == ([], 0)


def test_an_admin_changes_what_is_anothers_and_it_is_kept_who_did(db: Engine, queued: str, open_page: Open, sign_in: SignIn) -> None:
    sign_in("root")
    open_page("queue").button(key=f"cancel_{queued}").click().run()
    page = open_page("experiment", id=queued)
    page.button(key="archive").click().run()
    assert [(a["who"], a["action"], a["subject_id"]) for a in audit.acts(db, 10)[0]] == [("root", "archived", queued), ("root", "cancelled", queued)]


def test_whoever_starts_an_experiment_owns_it(db: Engine, queued: str, open_page: Open, sign_in: SignIn) -> None:
    sign_in("ben")
    page = open_page("new_experiment")
    page.selectbox(key="new_model").select("tiny-llama").run()
    page.toggle(key="new_private_None").set_value(True).run()
    page.button(key="new_run").click().run()
    assert not page.exception
    (started,) = (a for a in audit.acts(db, 10)[0] if a["action"] == "started")
    said = edits.current(db, started["subject_id"])
    assert said is not None and (said["owner"], said["private"], started["who"]) == ("ben", True, "ben")


def test_the_trail_is_for_admins(db: Engine, queued: str, open_page: Open, sign_in: SignIn) -> None:
    edits.change(acting(db, Visitor("ana", False)), [queued], {"archived": True})
    sign_in("ana")
    page = open_page("audit")
    assert "This page is for admins" in errors(page) and not page.dataframe
    sign_in("root")
    (table,) = open_page("audit").dataframe
    assert list(table.value.iloc[0])[1:] == ["ana", "archived", "mine", queued]


VIEWS = ["overview", "new_experiment", "queue", "experiments", "compare", "reports", "experiment"]


def said_on(page: AppTest) -> list[Any]:
    """Everything that a page says, the tables included."""
    boxes = [[str(getattr(b, "label", "")), str(getattr(b, "options", ""))] for kind in ("button", "selectbox", "multiselect") for b in page.get(kind)]
    return [texts(page), errors(page), boxes, [d.value.to_dict("records") for d in page.dataframe]]


@pytest.mark.case("T40")
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.case("T40")
def test_a_private_experiment_is_like_a_missing_one_on_every_page(
    db: Engine, experiment: str, open_page: Open, sign_in: SignIn, view: str
) -> None:
    address = {"experiment": {"id": experiment}, "compare": {"variants": f"{experiment}.0,{experiment}.1"}, "new_experiment": {"from": experiment},
               "reports": {"from": experiment}, "experiments": {"q": "experiment", "archived": "all"}}.get(view, {})  # fmt: skip
    edits.change(db, [experiment], {"title": "A secret"})
    with db.begin() as connection:
        connection.exec_driver_sql("UPDATE experiments SET owner = 'ana', private = 1, source = 'local'")
    sign_in("ana")  # first, so that all caches are warm
    own = said_on(open_page(view, **address))
    sign_in("ben")
    hidden = said_on(open_page(view, **address))
    assert "secret" not in str(hidden)
    with db.begin() as connection:
        connection.exec_driver_sql("DELETE FROM experiments")
    missing = said_on(open_page(view, **address))
    assert hidden == missing
    if view != "queue":
        assert own != missing, "its owner sees it here"


def test_what_is_private_is_not_shared_with_everybody(db: Engine, experiment: str, open_page: Open, sign_in: SignIn) -> None:
    with db.begin() as connection:
        connection.exec_driver_sql("UPDATE experiments SET owner = 'ana'")
    sign_in("ana")
    for key in ("share_freeze", "share_save"):
        edits.change(db, [experiment], {"private": False})
        page = open_page("experiment", id=experiment)
        page.session_state["share"] = True
        page.run()
        edits.change(db, [experiment], {"private": True})  # in another tab
        page.button(key=key).click().run()
        assert "make it visible first" in errors(page) and page.button(key=key).disabled
    assert saved.listed(db, 10) == ([], 0)
