"""Who may do what on a server, as the environment says it; read at call time. Knows no page and no request: dashboard/identity.py does.

| variable | meaning | default |
|---|---|---|
| LAB_AUTH_HEADER | the header in which a proxy says who has signed in | none: no proxy is asked |
| LAB_TRUSTED_PROXIES | the addresses and networks from which that header is believed, with commas | 127.0.0.1, ::1 |
| LAB_AUTH_CLAIM | the claim of an OIDC provider that is a person's name here | email |
| LAB_ADMINS, LAB_RUNNERS, LAB_VIEWERS | names with commas; `*@example.org` is everybody of that domain | nobody |
| LAB_DEFAULT_ROLE | of everybody else who has signed in: viewer, runner, admin, or none | viewer |
"""

from __future__ import annotations

import ipaddress
import os
import re
from enum import IntEnum

NAME_CHARACTERS = 120
_HEADER = re.compile(r"[A-Za-z0-9-]{1,80}")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Role(IntEnum):
    """Each may do what those before it may."""

    NONE = 0
    """Nothing, not even read."""
    VIEWER = 1
    """Read and download."""
    RUNNER = 2
    """Start and import experiments, share, and change what is one's own."""
    ADMIN = 3
    """Everything, with what is private or another's, and the trail of who did what."""

    @property
    def word(self) -> str:
        return self.name.lower()


_LISTS = {Role.ADMIN: "LAB_ADMINS", Role.RUNNER: "LAB_RUNNERS", Role.VIEWER: "LAB_VIEWERS"}


def check() -> None:
    """Raises ValueError, naming the variable and the fix, for what cannot be read: what was meant to protect must not be misread."""
    auth_header()
    trusted_proxies()
    default_role()


def auth_header() -> str | None:
    name = os.environ.get("LAB_AUTH_HEADER", "").strip()
    if name and not _HEADER.fullmatch(name):
        raise ValueError(f"LAB_AUTH_HEADER: {name!r} is not a header's name; write one like X-Forwarded-User")
    return name.lower() or None


def trusted_proxies() -> tuple[Network, ...]:
    value = os.environ.get("LAB_TRUSTED_PROXIES", "").strip() or "127.0.0.1, ::1"
    try:
        return tuple(ipaddress.ip_network(word.strip()) for word in value.split(","))
    except ValueError as error:
        raise ValueError(f"LAB_TRUSTED_PROXIES: {error}; write addresses or networks with commas, 10.0.0.5, 192.168.1.0/24") from None


def trusts(address: str | None) -> bool:
    """Whether a connection from there may say who somebody is."""
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return any((mapped or found) in network for network in trusted_proxies())


def auth_claim() -> str:
    return os.environ.get("LAB_AUTH_CLAIM", "").strip() or "email"


def default_role() -> Role:
    value = os.environ.get("LAB_DEFAULT_ROLE", "").strip().lower() or "viewer"
    words = {role.word: role for role in Role}
    if value not in words:
        raise ValueError(f"LAB_DEFAULT_ROLE: {value!r} is not one of {', '.join(words)}")
    return words[value]


def role_of(name: str) -> Role:
    """The highest that a list gives, else the default."""
    for role, variable in _LISTS.items():
        if any(_names(word.strip(), name) for word in os.environ.get(variable, "").split(",")):
            return role
    return default_role()


def person(said: object) -> str | None:
    """What a proxy or provider says, as a name that owns things here; None where it cannot be one. Mail addresses in small letters.

    Refused, never shortened: two people must not become one.
    """
    if not isinstance(said, str) or not said.isprintable():
        return None
    name = said.strip()
    if not 0 < len(name) <= NAME_CHARACTERS:
        return None
    return name.lower() if "@" in name else name


def _names(word: str, name: str) -> bool:
    if word.startswith("*@"):
        return name.count("@") == 1 and name.endswith(word[1:].lower())
    return bool(word) and person(word) == name
