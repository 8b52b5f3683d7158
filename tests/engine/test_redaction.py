"""Secrets do not get into what is stored or shown, whatever way they are printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import redaction
from engine.child_output import LOG_BYTES, Output, printable_json

TOKEN = "hf_abcdefghijklmnopqrstuvwxyz"


@pytest.mark.parametrize(("text", "expected"), [
    (f"using {TOKEN}.", "using hf_***."),
    ("key sk-proj-abcdefgh_12345678 here", "key sk-*** here"),
    ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "ghp_***"),
    ("AKIAIOSFODNN7EXAMPLE", "AKIA***"),
    ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
    ("{'authorization': 'Basic dXNlcjpwYXNz'}", "{'authorization': 'Basic ***'}"),
    ("Authorization: rawtoken, next", "Authorization: ***, next"),
    ("bearer 0123456789abcdef", "bearer ***"),
    ("Cookie: _streamlit_user=abc; other=def\nnext", "Cookie: ***\nnext"),
    ("cannot reach postgresql+psycopg://lab:s3cr3t@db.example:5432/lab", "cannot reach postgresql+psycopg://lab:***@db.example:5432/lab"),
    ("postgresql:///lab?user=a&password=hunter22&sslmode=require", "postgresql:///lab?user=a&password=***&sslmode=require"),
    ('{"api_key": "abcd1234", "n": 3}', '{"api_key": "***", "n": 3}'),
    ("client_secret=abcd1234", "client_secret=***"),
    ("password: hunter22", "password: ***"),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abc", "***"),
])  # fmt: skip
@pytest.mark.case("T38")
def test_what_looks_like_a_secret_is_masked(text: str, expected: str) -> None:
    assert redaction.masked(text) == expected == redaction.masked(expected)


@pytest.mark.parametrize("text", [
    "pad_token: <|endoftext|>", "tokens: 4096", "the standard bearer deserves it", "http://127.0.0.1:8501/experiment?id=abc",
    "decode_tokens_per_second=31.5", "ab_sk-l", "https://huggingface.co/org/model@main", "12:30:05 a@b.example", "asking for a password",
    "the tool asks for the password: pg_dump does",
])  # fmt: skip
def test_ordinary_words_stay(text: str) -> None:
    assert redaction.masked(text) == text


def test_the_secrets_of_this_machine_are_masked_whatever_they_look_like(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "no-usual-shape")
    monkeypatch.setenv("DATABASE_URL", "postgresql://lab:p%40ss%2Fword@db/lab")
    assert redaction.masked("a no-usual-shape b p@ss/word c p%40ss%2Fword d") == "a *** b *** c *** d"
    monkeypatch.setenv("DATABASE_URL", "postgresql://lab:lab@db/lab")
    assert redaction.masked("the lab is at postgresql://lab:lab@db/lab") == "the lab is at postgresql://lab:***@db/lab", "too short to be searched for"
    monkeypatch.setenv("DATABASE_URL", "postgresql://[broken")
    assert redaction.masked("fine") == "fine"


def test_names_and_values_of_json_are_masked() -> None:
    assert printable_json({TOKEN: [f"x {TOKEN}", {"a": TOKEN}]}) == {"hf_***": ["x hf_***", {"a": "hf_***"}]}


@pytest.mark.case("T38")
def test_the_log_file_has_no_secret_where_it_comes_in_pieces(tmp_path: Path) -> None:
    output = Output(tmp_path / "log.txt")
    with open(output.pipe, "wb", buffering=0, closefd=False) as child:
        for piece in (b"begin\nAuthorization: Bear", b"er abcdef", b"ghij\nhf_abcde", b"fghijklm\xff\xfe and ", b"no end of line"):
            child.write(piece)
    assert "hf_abc" not in output.tail()
    output.finish()
    assert (tmp_path / "log.txt").read_bytes() == b"begin\nAuthorization: Bearer ***\nhf_***\xff\xfe and no end of line"
    assert output.tail() == "begin\nAuthorization: Bearer ***\nhf_***\ufffd\ufffd and no end of line"


def test_a_line_without_end_is_cut_between_words() -> None:
    words = b" ".join([b"x" * 50, b"Authorization: Bearer abcdefgh", TOKEN.encode()] * 300)
    cut = redaction.whole(words)
    assert 0 < cut < len(words) and TOKEN.encode() not in redaction.masked_bytes(words[:cut]) + redaction.masked_bytes(words[cut:])
    assert b"abcdefgh" not in redaction.masked_bytes(words[:cut]) + redaction.masked_bytes(words[cut:])
    assert redaction.whole(b"y" * 20_000) == 20_000 - 4096, "what has no word in it is no secret"
    assert redaction.whole(b"not yet") == 0


def test_the_end_of_a_long_log_begins_with_a_whole_word(tmp_path: Path) -> None:
    output = Output(tmp_path / "log.txt")
    line = f"{TOKEN} ".encode() * 40 + b"\n"
    with open(output.pipe, "wb", buffering=0, closefd=False) as child:
        for _ in range(2 * LOG_BYTES // len(line)):
            child.write(line)
    output.finish()
    log = (tmp_path / "log.txt").read_text()
    assert "bytes left out]" in log and "abc" not in log and "xyz" not in log
