"""Who may do what, as the environment says it; what cannot be read protects."""

from __future__ import annotations

import pytest

from engine import access
from engine.access import Role


def test_the_highest_list_decides_and_everybody_else_has_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_ADMINS", "Root@Example.org, ops")
    monkeypatch.setenv("LAB_RUNNERS", "*@example.org")
    monkeypatch.setenv("LAB_VIEWERS", "ops, guest@elsewhere.org")
    monkeypatch.setenv("LAB_DEFAULT_ROLE", "none")
    roles = {n: access.role_of(n) for n in ("root@example.org", "ops", "ana@example.org", "guest@elsewhere.org", "eve@elsewhere.org", "Ops")}
    assert roles == {
        "root@example.org": Role.ADMIN, "ops": Role.ADMIN, "ana@example.org": Role.RUNNER, "guest@elsewhere.org": Role.VIEWER,
        "eve@elsewhere.org": Role.NONE, "Ops": Role.NONE,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["eve@example.org.evil.net", "eve@evil.net@example.org", "example.org", "@example.org.evil"])
def test_a_domain_is_not_what_only_looks_like_it(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("LAB_ADMINS", "*@example.org")
    assert access.role_of(name) is Role.VIEWER


def test_nobody_is_named_by_an_empty_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_ADMINS", " , ")
    assert access.role_of("") is Role.VIEWER and access.role_of("ana") is Role.VIEWER


@pytest.mark.parametrize(("said", "name"), [
    ("Ana@Example.ORG", "ana@example.org"), (" ana ", "ana"), ("Ana", "Ana"), ("", None), ("  ", None), (None, None), (7, None),
    ("a\nb", None), ("a\x00b", None), ("x" * 120, "x" * 120), ("x" * 121, None),
])  # fmt: skip
def test_a_name_is_taken_whole_or_not_at_all(said: object, name: str | None) -> None:
    assert access.person(said) == name


@pytest.mark.parametrize(("proxies", "trusted", "not_trusted"), [
    ("", ["127.0.0.1", "::1", "::ffff:127.0.0.1"], ["127.0.0.2", "10.0.0.1", "", None, "localhost", "testclient"]),
    ("10.0.0.0/8, fd00::1", ["10.1.2.3", "fd00::1"], ["127.0.0.1", "11.0.0.1", "fd00::2"]),
])  # fmt: skip
def test_which_connections_may_say_who_somebody_is(
    monkeypatch: pytest.MonkeyPatch, proxies: str, trusted: list[str], not_trusted: list[str | None]
) -> None:
    monkeypatch.setenv("LAB_TRUSTED_PROXIES", proxies)
    assert all(access.trusts(a) for a in trusted) and not any(access.trusts(a) for a in not_trusted)


@pytest.mark.parametrize(("variable", "value"), [
    ("LAB_AUTH_HEADER", "X Forwarded"), ("LAB_TRUSTED_PROXIES", "nginx"), ("LAB_TRUSTED_PROXIES", "10.0.0.1/8"), ("LAB_DEFAULT_ROLE", "boss"),
])  # fmt: skip
def test_a_setting_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValueError, match=f"^{variable}: "):
        access.check()
