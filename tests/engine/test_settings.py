"""What links begin with: an address that can be opened, whatever HOST says."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import pytest

from engine import settings


@pytest.mark.parametrize(("host", "url"), [
    ("", "http://127.0.0.1:8501"), ("lab.example", "http://lab.example:8501"), ("::1", "http://[::1]:8501"),
])  # fmt: skip
def test_a_host_with_a_name_is_what_links_begin_with(monkeypatch: pytest.MonkeyPatch, host: str, url: str) -> None:
    monkeypatch.setenv("HOST", host)
    assert settings.public_base_url() == url and not settings.serves_everywhere()
    assert settings.experiment_link("x") == f"{url}/experiment?id=x"


@pytest.mark.parametrize(("host", "family"), [("0.0.0.0", socket.AF_INET), ("::", socket.AF_INET6)])
def test_on_all_networks_links_begin_with_an_address_that_is_ours(
    monkeypatch: pytest.MonkeyPatch, host: str, family: socket.AddressFamily
) -> None:
    monkeypatch.setenv("HOST", host)
    name = urlsplit(settings.public_base_url()).hostname
    assert settings.serves_everywhere() and name not in (None, host)
    if name == "::1":  # no network of version 6 here
        return
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((name, 0))  # refused for an address that is not this machine's


@pytest.mark.parametrize(("host", "url"), [("0.0.0.0", "http://127.0.0.1:8501"), ("::", "http://[::1]:8501")])
def test_without_a_network_they_begin_with_the_machine_itself(monkeypatch: pytest.MonkeyPatch, host: str, url: str) -> None:
    class Unreachable(socket.socket):
        def connect(self, address: object) -> None:
            raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket, "socket", Unreachable)
    monkeypatch.setenv("HOST", host)
    assert settings.public_base_url() == url


def test_the_public_name_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST", "0.0.0.0")
    monkeypatch.setenv("PUBLIC_BASE_URL", "https://lab.example/x/")
    assert settings.public_base_url() == "https://lab.example/x" and not settings.serves_everywhere()
