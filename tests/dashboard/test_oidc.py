"""Signing in with an OIDC provider that really signs its tokens: the routes answer whom it names, and nobody whose token is not right."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import streamlit as st
from joserfc.jwk import RSAKey
from sqlalchemy import Engine
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.testclient import TestClient
from streamlit.auth_util import encode_provider_token
from streamlit.runtime.secrets import secrets_singleton
from streamlit.web.server.starlette.starlette_auth_routes import create_auth_routes

from dashboard import identity
from dashboard.routes.table import ROUTES
from tests.dashboard.oidc_provider import CLIENT, CLIENT_SECRET, Provider, Serving

ASKED = "/api/v1/experiments.json"


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Serving(Provider()) as running:
        yield running


@pytest.fixture
def lab(db: Engine, provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """A browser in front of the pages' own sign-in and the routes."""
    file = tmp_path / "secrets.toml"
    file.write_text(f'[auth]\nredirect_uri = "http://testserver/oauth2callback"\ncookie_secret = "forty letters that sign the cookie, for tests"\n'
                    f'client_id = "{CLIENT}"\nclient_secret = "{CLIENT_SECRET}"\n'
                    f'server_metadata_url = "{provider.url}/.well-known/openid-configuration"\n')  # fmt: skip
    before = st.get_option("secrets.files")
    st.config.set_option("secrets.files", [str(file)])
    secrets_singleton._reset()
    identity._has_provider.cache_clear()
    monkeypatch.setattr(provider, "claims", {"email": "ana@example.org", "email_verified": True})
    monkeypatch.setattr(provider, "key", None)
    monkeypatch.setenv("LAB_DEFAULT_ROLE", "none")
    monkeypatch.setenv("LAB_RUNNERS", "*@example.org")
    app = Starlette(routes=[*create_auth_routes(""), *ROUTES], middleware=[Middleware(SessionMiddleware, secret_key="x" * 40)])
    with TestClient(app, follow_redirects=False) as client:
        yield client
    st.config.set_option("secrets.files", before)
    secrets_singleton._reset()
    identity._has_provider.cache_clear()
    identity._signed_in_here.clear()


def sign_in(lab: TestClient) -> None:
    """As a browser does it: from the page to the provider, from there back."""
    to_provider = lab.get(f"/auth/login?provider={encode_provider_token('default')}")
    there = urlsplit(to_provider.headers["location"])
    connection = http.client.HTTPConnection(there.netloc, timeout=60)
    connection.request("GET", f"{there.path}?{there.query}")
    answer = connection.getresponse()
    connection.close()
    back = urlsplit(str(answer.getheader("location")))
    assert back.netloc == "testserver"
    assert lab.get(f"{back.path}?{back.query}").status_code == 302


def test_whom_the_provider_names_is_answered(lab: TestClient) -> None:
    assert lab.get(ASKED).status_code == 401
    sign_in(lab)
    assert lab.get(ASKED).status_code == 200
    lab.get("/auth/logout")
    assert lab.get(ASKED).status_code == 401


def test_whom_no_list_names_is_known_and_refused(lab: TestClient, provider: Provider) -> None:
    provider.claims["email"] = "eve@elsewhere.org"
    sign_in(lab)
    answer = lab.get(ASKED)
    assert answer.status_code == 403 and "eve@elsewhere.org has signed in" in answer.json()["error"]


@pytest.mark.parametrize("wrong", [{"aud": "another client"}, {"nonce": "of another sign-in"}, {"exp": 1}, {"iss": "http://127.0.0.1:9"},
                                   {"email_verified": False}])  # fmt: skip
def test_a_token_that_is_not_right_signs_nobody_in(lab: TestClient, provider: Provider, wrong: dict[str, Any]) -> None:
    provider.claims |= wrong
    sign_in(lab)
    assert lab.get(ASKED).status_code == 401


def test_a_token_that_another_key_signed_signs_nobody_in(lab: TestClient, provider: Provider) -> None:
    provider.key = RSAKey.generate_key(2048, {"kid": "one"})
    sign_in(lab)
    assert lab.get(ASKED).status_code == 401


def test_a_code_is_good_once_and_in_the_browser_that_asked(lab: TestClient, provider: Provider) -> None:
    assert lab.get("/oauth2callback?code=guessed&state=guessed").status_code == 302
    assert lab.get(ASKED).status_code == 401
