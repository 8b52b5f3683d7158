"""Who asks: the header of a proxy that is trusted, and of nobody else; the cookie of a sign-in, and no forged one; nobody where neither is set."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from sqlalchemy import Engine
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect
from streamlit.runtime.secrets import secrets_singleton
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value

from dashboard import gate, identity
from dashboard.routes.table import ENDPOINTS, ROUTES
from db import edits
from db.records import import_record
from engine.access import Role
from tests.dashboard.conftest import finished

HEADER = "X-Forwarded-User"
SECRET, ORIGIN = "a secret of forty letters, for tests only", "https://lab.example.org"
ID = "finished-experiment-01"


@contextmanager
def asking(address: str = "127.0.0.1") -> Iterator[TestClient]:
    """A client that connects from this address, through the gate."""
    with TestClient(Starlette(routes=ROUTES, middleware=[Middleware(gate.Gate)]), client=(address, 50000), base_url="http://127.0.0.1:8501") as client:
        yield client


@pytest.fixture
def behind_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_AUTH_HEADER", HEADER)
    monkeypatch.setenv("LAB_ADMINS", "root")


@pytest.fixture
def with_provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """[auth] in a secrets.toml of its own."""
    file = tmp_path / "secrets.toml"
    file.write_text(f'[auth]\nredirect_uri = "{ORIGIN}/oauth2callback"\ncookie_secret = "{SECRET}"\n'
                    'client_id = "lab"\nclient_secret = "s"\nserver_metadata_url = "http://127.0.0.1:9/x"\n')  # fmt: skip
    before = st.get_option("secrets.files")
    st.config.set_option("secrets.files", [str(file)])
    secrets_singleton._reset()
    identity._has_provider.cache_clear()
    yield
    st.config.set_option("secrets.files", before)
    secrets_singleton._reset()
    identity._has_provider.cache_clear()
    identity._signed_in_here.clear()


def cookie(secret: str = SECRET, **claims: Any) -> dict[str, str]:
    content = {"origin": ORIGIN, "is_logged_in": True, "provider": "default", "email": "Ana@example.org", "email_verified": True} | claims
    return {"_streamlit_user": create_signed_value(secret, "_streamlit_user", json.dumps(content)).decode()}


def every_route(client: TestClient, **asked: Any) -> dict[str, int]:
    return {e.path: client.get(e.path.replace("{id}", ID), **asked).status_code for e in ENDPOINTS}


def test_without_any_sign_in_everybody_is_the_user_of_this_installation(experiment: str) -> None:
    with asking("203.0.113.9") as client:
        assert client.get("/api/v1/experiments.json", headers={HEADER: "eve"}).json()["total"] == 1


@pytest.mark.case("T34")
def test_routes_answer_under_their_own_names_only(experiment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = st.get_option("server.allowedHosts")
    st.config.set_option("server.allowedHosts", ["127.0.0.1", "lab.example.org"])
    try:
        with asking() as client:
            asked = {name: client.get("/api/v1/experiments.json", headers={"Host": name}) for name in ("lab.example.org", "evil.example", "")}
    finally:
        st.config.set_option("server.allowedHosts", before)
    assert {name: answer.status_code for name, answer in asked.items()} == {"lab.example.org": 200, "evil.example": 400, "": 400}
    assert "An experiment" not in asked["evil.example"].text


@pytest.mark.usefixtures("behind_proxy")
def test_no_route_but_health_answers_whom_nobody_names(experiment: str) -> None:
    with asking() as client:
        found = every_route(client)
        assert found.pop("/api/v1/health") == 200
        assert len(found) >= 10 and set(found.values()) == {401}
        answer = client.get("/api/v1/experiments.json")
        assert answer.headers["content-type"] == "application/json" and "Sign in" in answer.json()["error"]
        assert client.get("/compare").status_code == 401 and client.get("/_stcore/host-config").status_code == 401
        assert client.get("/api/v1/experiments.json", headers={HEADER: "ana"}).json()["total"] == 1


@pytest.mark.usefixtures("behind_proxy")
@pytest.mark.parametrize("address", ["203.0.113.9", "127.0.0.2", "::2"])
def test_the_header_of_anybody_else_is_not_believed(db: Engine, address: str) -> None:
    with asking(address) as client:
        assert client.get("/api/v1/experiments.json", headers={HEADER: "root"}).status_code == 401
        assert client.get("/api/v1/health", headers={HEADER: "root"}).status_code == 200


@pytest.mark.usefixtures("behind_proxy")
def test_two_names_are_no_name(db: Engine) -> None:
    with asking() as client:
        assert client.get("/api/v1/experiments.json", headers=[(HEADER, "root"), (HEADER, "ana")]).status_code == 401


@pytest.mark.usefixtures("behind_proxy")
def test_the_pages_socket_is_refused_before_it_is_accepted() -> None:
    from starlette.routing import WebSocketRoute

    async def page(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_json(socket.headers.getlist(HEADER))
        await socket.close()

    app = Starlette(routes=[WebSocketRoute("/_stcore/stream", page)], middleware=[Middleware(gate.Gate)])
    with TestClient(app, client=("127.0.0.1", 1)) as client:
        with client.websocket_connect("/_stcore/stream", headers={HEADER: "ana"}) as socket:
            assert socket.receive_json() == ["ana"]
        with pytest.raises(WebSocketDisconnect), client.websocket_connect("/_stcore/stream"):
            pass
    elsewhere = TestClient(app, client=("203.0.113.9", 1))
    with elsewhere, pytest.raises(WebSocketDisconnect), elsewhere.websocket_connect("/_stcore/stream", headers={HEADER: "ana"}):
        pass


@pytest.mark.usefixtures("behind_proxy")
def test_who_has_no_role_is_told_so(db: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_DEFAULT_ROLE", "none")
    with asking() as client:
        answer = client.get("/api/v1/experiments.json", headers={HEADER: "ana"})
        assert answer.status_code == 403 and "ana has signed in" in answer.json()["error"]
        assert client.get("/api/v1/experiments.json", headers={HEADER: "root"}).status_code == 200


@pytest.mark.usefixtures("with_provider")
def test_the_cookie_of_a_sign_in_is_believed_and_no_other(db: Engine) -> None:
    def status(cookies: dict[str, str]) -> int:
        with asking() as client:
            client.cookies.update(cookies)
            return client.get("/api/v1/experiments.json").status_code

    assert status(cookie()) == 200
    refused = {
        "none": {}, "of another secret": cookie(secret="another secret of forty letters, not ours"), "unsigned": {"_streamlit_user": "eyJhIjoxfQ"},
        "of another site": cookie(origin="https://evil.example"), "signed out": cookie(is_logged_in=False),
        "not verified": cookie(email_verified=False), "no name": cookie(email=None),
    }  # fmt: skip
    assert {name: status(found) for name, found in refused.items()} == dict.fromkeys(refused, 401)


@pytest.mark.usefixtures("with_provider")
def test_files_of_pages_are_for_those_who_have_signed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    async def file(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("content")(scope, receive, send)

    monkeypatch.setenv("LAB_VIEWERS", "ana@example.org")
    monkeypatch.setenv("LAB_DEFAULT_ROLE", "none")
    client, found = TestClient(gate.Gate(file)), {}
    for who, cookies in {"nobody": {}, "ana": cookie(), "eve": cookie(email="eve@elsewhere.org")}.items():
        client.cookies.update(cookies)
        asked = (client.get("/media/0a1b.csv"), client.put("/_stcore/upload_file/session/file"), client.get("/"))
        found[who] = [answer.status_code for answer in asked]
    assert found == {"nobody": [401, 401, 200], "ana": [200, 200, 200], "eve": [401, 401, 200]}


@pytest.mark.usefixtures("with_provider")
def test_a_header_says_nothing_where_a_provider_signs_people_in(db: Engine) -> None:
    with asking() as client:
        assert client.get("/api/v1/experiments.json", headers={HEADER: "root"}).status_code == 401


@pytest.mark.usefixtures("with_provider")
def test_two_ways_at_once_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_AUTH_HEADER", HEADER)
    with pytest.raises(ValueError, match="take one of them away"):
        gate.check()


def test_a_file_of_secrets_that_cannot_be_read_lets_nobody_in(with_provider: None, db: Engine) -> None:
    (file,) = st.get_option("secrets.files")
    Path(file).write_text("[auth\nredirect_uri = ")
    secrets_singleton._reset()
    identity._has_provider.cache_clear()
    with pytest.raises(ValueError, match="cannot be read, so nobody knows"):
        gate.check()
    with asking() as client, pytest.raises(ValueError, match="cannot be read"):
        client.get("/api/v1/experiments.json")


@pytest.mark.usefixtures("with_provider")
def test_a_path_in_front_would_hide_which_addresses_hand_out_files() -> None:
    st.config.set_option("server.baseUrlPath", "lab")
    try:
        with pytest.raises(ValueError, match=r"server.baseUrlPath: with signing in"):
            gate.check()
    finally:
        st.config.set_option("server.baseUrlPath", "")
    gate.check()


@pytest.mark.parametrize("content", ["", "[Auth]\nredirect_uri = 'x'\n"])
def test_a_file_that_is_emptied_meanwhile_lets_nobody_in(with_provider: None, db: Engine, content: str) -> None:
    gate.check()
    (file,) = st.get_option("secrets.files")
    Path(file).write_text(content)
    secrets_singleton._reset()
    identity._has_provider.cache_clear()
    with asking() as client, pytest.raises(ValueError, match="is gone from secrets.toml while the pages run"):
        client.get("/api/v1/experiments.json")


@pytest.mark.usefixtures("behind_proxy")
def test_pages_that_could_not_tell_who_connects_do_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORWARDED_ALLOW_IPS", raising=False)
    with pytest.raises(ValueError, match="FORWARDED_ALLOW_IPS"):
        gate.check()
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "")
    gate.check()


def bodies(client: TestClient, name: str | None) -> dict[str, tuple[int, bytes]]:
    """What every route answers somebody, asked for all or for that experiment."""
    asked: dict[str, Any] = {"headers": {HEADER: name}} if name else {}
    found = {}
    for endpoint in ENDPOINTS:
        query = f"?variants={ID}.0" if "compare" in endpoint.path else ""
        answer = client.get(endpoint.path.replace("{id}", ID) + query, **asked)
        found[endpoint.path] = (answer.status_code, answer.content)
    return found


@pytest.mark.case("T40")
@pytest.mark.usefixtures("behind_proxy")
@pytest.mark.case("T40")
def test_a_private_experiment_is_like_a_missing_one_in_every_route(db: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    import_record(db, finished("Another", "another-experiment-001"), "imported")
    with asking() as client:
        missing = {name: bodies(client, name) for name in ("ben", None)}
        import_record(db, finished("A secret"), "imported")
        with db.begin() as connection:
            connection.exec_driver_sql(f"UPDATE experiments SET owner = 'ana', private = 1 WHERE id = '{ID}'")
        assert {name: bodies(client, name) for name in ("ben", None)} == missing
        seen = bodies(client, "ana")
        assert {path for path in seen if seen[path] == missing["ben"][path]} == {"/api/v1/openapi.json"}
        assert client.get("/api/v1/experiments.json", headers={HEADER: "root"}).json()["total"] == 2
        edits.change(db, [ID], {"private": False})
        assert client.get("/api/v1/experiments.json", headers={HEADER: "ben"}).json()["total"] == 2


def test_who_asked_a_route_is_forgotten_when_it_has_answered(behind_proxy: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with identity.asking(identity.Identity("ana", Role.VIEWER)):
        assert identity.current().name == "ana"
    monkeypatch.delenv("LAB_AUTH_HEADER")
    monkeypatch.setenv("LAB_USER", "me")
    assert identity.current() == identity.Identity("me", Role.ADMIN)
