"""Secrets in text, masked: tokens, passwords and headers that carry them. The one place that knows what a secret looks like.

Everything that is stored, logged or shown and was not written by us passes through here: what a child prints, reasons, errors.
Standard library only: the worker imports it too.
"""

from __future__ import annotations

import functools
import os
import re
from urllib.parse import unquote, urlsplit

_TOKEN_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_URL_VARIABLES = ("DATABASE_URL",)
_SHORTEST = 6
"""A shorter secret of this machine is masked only where it stands as one: masking each 'lab' would spoil what is not secret."""

_SHAPES = tuple(
    (re.compile(pattern, re.IGNORECASE if flags else 0), masked)
    for pattern, flags, masked in (
        (r"hf_[A-Za-z0-9]{5,}", 0, "hf_***"),
        (r"\bsk-[A-Za-z0-9_-]{16,}", 0, "sk-***"),
        (r"\b(gh[pousr]_|github_pat_|glpat-|xox[abprs]-)[A-Za-z0-9_-]{16,}", 0, r"\1***"),
        (r"\bAKIA[0-9A-Z]{16}\b", 0, "AKIA***"),
        (r"\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*", 0, "***"),
        (r"\b((?:proxy-)?authorization[\"']?\s*[:=]\s*[\"']?(?:(?:basic|bearer|digest|token)\s+)?+)(?!\*)[^\s\"',;*]+", 1, r"\1***"),
        (r"\b(bearer\s+)(?:(?=[^\s\"']*\d)[\w.~+/=-]{8,}|[\w.~+/=-]{24,})", 1, r"\1***"),
        (r"\b((?:set-)?cookie[\"']?\s*[:=]\s*[\"']?)[^\s\"']+=[^\n\"']*", 1, r"\1***"),
        (r"(\b[a-z][a-z0-9+.-]{1,30}://[^\s/:@\"']{0,100}:)[^\s/@\"']+@", 1, r"\1***@"),
        (r"((?:\b|_)(?:password|passwd|passphrase|secret|api[_-]?key|secret[_-]?key|(?:access|auth|api|hub|refresh)[_-]?token)"
         r"[\"']?\s*(?:=\s*[\"']?|:\s*[\"']|:(?=\S)|:\s+(?=\S*\d)))(?!\*)[^\s\"'&,;*]{4,}", 1, r"\1***"),
    )
)  # fmt: skip
_SEPARATOR = re.compile(rb"(?<![:=])(?<!bearer)(?<!basic)(?<!digest)[\s,;]", re.IGNORECASE)
_LONGEST_LINE = 8192


def masked(text: str) -> str:
    """The text with every secret that is known here or looks like one masked, `hf_***`. Masked twice it is the same."""
    known = _of_this_machine(tuple(os.environ.get(name, "") for name in (*_TOKEN_VARIABLES, *_URL_VARIABLES)))
    if known is not None:
        text = known.sub(lambda found: "hf_***" if found[0].startswith("hf_") else "***", text)
    for shape, instead in _SHAPES:
        text = shape.sub(instead, text)
    return text


def masked_bytes(data: bytes) -> bytes:
    """The same of a log, whatever its encoding; bytes that are no secret stay as they are."""
    return masked(data.decode("latin-1")).encode("latin-1")


def whole(data: bytes | bytearray) -> int:
    """How many bytes from the front can be masked now: no secret stands across the cut, for it ends with a line, or, where a line is very
    long, between two words."""
    end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
    if end or len(data) <= _LONGEST_LINE:
        return end
    separators = list(_SEPARATOR.finditer(data, len(data) - _LONGEST_LINE, len(data) - _LONGEST_LINE // 2))
    return separators[-1].end() if separators else len(data) - _LONGEST_LINE // 2


def first_whole(data: bytes | bytearray) -> int:
    """Where the first whole word begins in what was cut off at its front."""
    found = _SEPARATOR.search(data, 0, _LONGEST_LINE)
    return found.end() if found else 0


@functools.lru_cache(maxsize=4)
def _of_this_machine(values: tuple[str, ...]) -> re.Pattern[str] | None:
    """Matches the secrets that this process was started with, as they are and as they stand in a URL."""
    tokens, urls = values[: len(_TOKEN_VARIABLES)], values[len(_TOKEN_VARIABLES) :]
    secrets = {token.strip() for token in tokens}
    for url in urls:
        try:
            password = urlsplit(url).password or ""
        except ValueError:
            continue
        secrets |= {password, unquote(password)}
    known = sorted((s for s in secrets if len(s) >= _SHORTEST), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, known))) if known else None
