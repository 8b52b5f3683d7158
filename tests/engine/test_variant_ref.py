"""References of variants: what was written is read back, and nothing in a list of them does harm."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine import variant_ref
from engine.variant_ref import MOST, VariantRef

REFS = st.builds(VariantRef, st.from_regex(r"[A-Za-z0-9_-]{1,32}", fullmatch=True), st.integers(0, 9999))


@given(st.lists(REFS, max_size=MOST, unique=True))
def test_a_list_survives_being_written(refs: list[VariantRef]) -> None:
    found = variant_ref.read(variant_ref.write(refs))
    assert (found.refs, found.malformed, found.beyond) == (tuple(refs), (), 0)


@given(st.text())
def test_any_text_gives_references_that_can_be(text: str) -> None:
    found = variant_ref.read(text)
    assert len(found.refs) <= MOST and len(set(found.refs)) == len(found.refs)
    assert all(variant_ref.parse(str(ref)) == ref for ref in found.refs)
    assert all(len(piece) <= 40 and piece.isprintable() for piece in found.malformed)


def test_duplicates_count_once_and_keep_their_place() -> None:
    assert variant_ref.read("b.1, a.0,b.01,,a.0").refs == (VariantRef("b", 1), VariantRef("a", 0))


def test_what_cannot_be_a_reference_is_named() -> None:
    found = variant_ref.read("good-id_1.3,noposition,a.-1,a.b,<script>.1,a.1.2,a.²," + "x" * 33 + ".0," + ".5")
    assert found.refs == (VariantRef("good-id_1", 3),)
    assert found.malformed == ("noposition", "a.-1", "a.b", "<script>.1", "a.1.2"), "the first ones; a list of thousands is not repeated"


def test_a_list_has_an_end() -> None:
    found = variant_ref.read(",".join(f"a.{i}" for i in range(MOST + 3)))
    assert len(found.refs) == MOST and found.beyond == 3
