"""What people may say of an experiment: tidied, limited, and refused with the field's name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from db.edits import current as stored
from db.records import import_record
from db.session import connect, migrate
from engine import edits, settings
from tests.records import build_record

ID = "test-experiment-000001"


@pytest.fixture
def db() -> Iterator[Engine]:
    engine = connect(settings.database_url())
    migrate(engine)
    import_record(engine, build_record({"base": {"ttft_seconds": [1.0]}}), "imported")
    yield engine
    engine.dispose()


def test_text_is_tidied(db: Engine) -> None:
    edits.rename(db, ID, "  A   better name ")
    edits.set_note(db, ID, "first\r\n\tsecond\n")
    assert edits.add_tags(db, [ID], ["Release  7", "release 7", "ä"]) == 1
    assert edits.set_archived(db, [ID], True) == 1
    found = stored(db, ID)
    assert found is not None
    assert (found["title"], found["note"], found["tags"], found["archived"]) == ("A better name", "first\n\tsecond", ["release 7", "ä"], True)
    edits.remove_tags(db, [ID], ["RELEASE 7"])
    edits.set_note(db, ID, " ")
    found = stored(db, ID)
    assert found is not None and (found["note"], found["tags"]) == ("", ["ä"])


@pytest.mark.parametrize(("text", "message"), [
    ("  ", "title: it is empty"), ("x" * 201, "title: it has 201 characters; shorten it to 200"),
    ("a\x00b", "title: .* control characters"), ("a\nb", "title: .* control characters"), ("\ud800", "title: .* control characters"),
])  # fmt: skip
@pytest.mark.case("T37", "T45")
def test_bad_titles_are_refused_and_change_nothing(db: Engine, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        edits.rename(db, ID, text)
    found = stored(db, ID)
    assert found is not None and (found["title"], found["edits"]) == ("An experiment", 0)


@pytest.mark.case("T37")
def test_bad_notes_and_tags_are_refused(db: Engine) -> None:
    with pytest.raises(ValueError, match=r"note: it has 20,001 characters; shorten it to 20,000"):
        edits.set_note(db, ID, "x" * 20_001)
    with pytest.raises(ValueError, match=r"note: .* control characters"):
        edits.set_note(db, ID, "bell\x07")
    with pytest.raises(ValueError, match=r"tags: it has 41 characters; shorten it to 40"):
        edits.add_tags(db, [ID], ["good", "x" * 41])
    with pytest.raises(ValueError, match=r"tags: 21 are given; give 1 to 20"):
        edits.add_tags(db, [ID], [f"t{i}" for i in range(21)])
    with pytest.raises(ValueError, match=r"tags: 0 are given"):
        edits.add_tags(db, [ID], [])
    found = stored(db, ID)
    assert found is not None and found["edits"] == 0 and found["tags"] == []


def test_what_is_not_there_is_named(db: Engine) -> None:
    with pytest.raises(ValueError, match="id: there is no such experiment"):
        edits.rename(db, "gone", "A name")
    with pytest.raises(ValueError, match="id: there is no such experiment"):
        edits.set_note(db, "gone", "n")


def test_the_owner_is_named_by_the_environment_or_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_USER", " Ada\x1b Lovelace ")
    assert settings.user() == "Ada Lovelace"
    monkeypatch.delenv("LAB_USER")
    monkeypatch.setenv("LOGNAME", "grace")
    assert settings.user() == "grace"

    def nobody() -> str:
        raise OSError("no such user")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert settings.user() is None
