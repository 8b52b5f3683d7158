"""The tray: the variants that a visitor chose to compare, and the baseline among them. On the pages of PAGES, at the bottom.

It lives in the session, so that it survives a walk over all pages, and in the address of those pages as `variants` and `base`,
so that it survives a reload and a link carries it. What an address newly says wins. References are kept, never names or rows of a table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from dashboard import address, links, pages, store, words
from engine import variant_ref
from engine.variant_ref import MOST, VariantRef

PAGES = ("experiments", "experiment", "compare")
"""Addresses of the pages that show the tray."""
PARAMETERS = ("variants", "base")
_STATE, _FULL, _PROBLEMS = "tray", "tray_full", "tray_problems"
_SHOWN = 3


@dataclass(frozen=True)
class Tray:
    """Chosen variants in order. base: the one that all are compared with; None for the natural one (engine/answers/comparison.py)."""

    refs: tuple[VariantRef, ...] = ()
    base: VariantRef | None = None

    def params(self) -> dict[str, str]:
        """What the address must say so that this tray is read back from it."""
        said = {"variants": variant_ref.write(self.refs)} if self.refs else {}
        return said | ({"base": str(self.base)} if self.refs and self.base is not None else {})


def chosen() -> Tray:
    found = st.session_state.get(_STATE)
    return found if isinstance(found, Tray) else Tray()


def add(*refs: VariantRef) -> None:
    """Put variants into the tray, those beyond MOST excepted. This and the next four are for callbacks, never for a page's body."""
    all_of_them = tuple(dict.fromkeys((*chosen().refs, *refs)))
    if len(all_of_them) > MOST:
        st.session_state[_FULL] = len(all_of_them) - MOST
    _set(replace(chosen(), refs=all_of_them[:MOST]))


def remove(*refs: VariantRef) -> None:
    before = chosen()
    _set(Tray(tuple(r for r in before.refs if r not in refs), None if before.base in refs else before.base))


def clear() -> None:
    _set(Tray())


def choose(refs: tuple[VariantRef, ...], base: VariantRef | None = None) -> None:
    """These instead of what was there."""
    _set(Tray(tuple(dict.fromkeys(refs))[:MOST], base))


def compare_with(base: VariantRef | None) -> None:
    """Make a variant the baseline of the comparison; None for the natural one."""
    _set(replace(chosen(), base=base))


def toggle(ref: VariantRef, name: str, key: str) -> None:
    """A small button that puts one variant into the tray or takes it out; for the pages that list variants."""
    inside = ref in chosen().refs
    st.button("In the tray" if inside else "Compare", key=key, icon=":material/check:" if inside else ":material/add:", type="tertiary",
              help=words.escape(f"{'Take' if inside else 'Put'} {name} {'out of' if inside else 'into'} the comparison"),
              on_click=remove if inside else add, args=(ref,))  # fmt: skip


def offer(experiment_id: str, names: Sequence[str]) -> None:
    """All variants of an experiment, in the order of their positions, to put into the tray or take out of it."""
    refs = [VariantRef(experiment_id, position) for position in range(len(names))]
    with st.popover("Compare", icon=":material/compare_arrows:"):
        with st.container(horizontal=True):
            st.button("All", key="tray_all", on_click=add, args=refs)
            st.button("None", key="tray_none", on_click=remove, args=refs)
        for ref, name in zip(refs, names, strict=True):
            with st.container(horizontal=True, vertical_alignment="center"):
                toggle(ref, name, f"tray_offer_{ref}")
                st.markdown(words.escape(name))


def show(page: str) -> None:
    """Before the page at this address draws itself: reads or writes its address, says what that named in vain, draws the bar."""
    if page not in PAGES:
        return
    _follow_address()
    for problem in st.session_state.get(_PROBLEMS, ()):
        st.warning(words.escape(f"The link is not all here: {problem}."))
    if (left_out := st.session_state.pop(_FULL, None)) is not None:
        st.warning(f"{left_out} more than the {MOST} variants that the tray can hold; remove some first.")
    if (tray := chosen()).refs:
        with st.bottom, st.container(horizontal=True, vertical_alignment="center", key="tray"):
            _bar(tray, store.variant_names(tray.refs))


def problems(params: Mapping[str, str]) -> list[str]:
    """What an address asks of the tray that cannot be, in words."""
    found = links.variants(params)
    said = [f"{', '.join(found.malformed)} cannot name a variant"] if found.malformed else []
    if found.beyond:
        said.append(f"{found.beyond} variants are left out, for at most {MOST} can be chosen")
    if params.get("base") and links.variant(params) is None:
        said.append(f"base={(links.text(params, 'base') or '')[:40]} cannot name a variant")
    return said


def _set(tray: Tray) -> None:
    """State and address at once; where the page of the click has no tray, the next one that has writes the address."""
    st.session_state[_STATE] = tray
    st.session_state.pop(_PROBLEMS, None)
    if address.here() in PAGES:
        address.say(_STATE, PARAMETERS, tray.params())


def _follow_address() -> None:
    arrived = address.arrival(_STATE)
    said = address.news(_STATE, PARAMETERS) if arrived is None else arrived
    if said and said.get("variants"):
        st.session_state[_STATE] = Tray(links.variants(said).refs, links.variant(said))
        st.session_state[_PROBLEMS] = problems(said)
    address.say(_STATE, PARAMETERS, chosen().params())


def _bar(tray: Tray, names: Mapping[VariantRef, dict[str, Any]]) -> None:
    for ref in tray.refs[:_SHOWN]:
        _chip(ref, tray, names, "bar")
    rest = len(tray.refs) - _SHOWN
    with st.popover(f"+ {rest} more" if rest > 0 else "Baseline", icon=":material/tune:"):
        st.caption("All of these are compared with the starred one; where none is, with the baseline of the first one's experiment.")
        for ref in tray.refs:
            with st.container(horizontal=True, vertical_alignment="center"):
                starred = ref == tray.base
                st.button("Baseline" if starred else "Make it the baseline", key=f"tray_star_{ref}", type="tertiary",
                          icon=":material/star:" if starred else ":material/star_border:",
                          on_click=compare_with, args=(None if starred else ref,))  # fmt: skip
                _chip(ref, tray, names, "list")
    st.button("Clear", icon=":material/delete_sweep:", on_click=clear, key="tray_clear", type="tertiary")
    pages.link("compare", f"Compare ({len(tray.refs)})", tray.params())


def _chip(ref: VariantRef, tray: Tray, names: Mapping[VariantRef, dict[str, Any]], where: str) -> None:
    found = names.get(ref)
    name = found["name"] if found else f"missing: {ref}"
    full = f"{found['name']}, of {found['title']}" if found else "It may have been deleted"
    st.button(f"{'★ ' * (ref == tray.base)}{words.escape(_short(name))}", key=f"tray_{where}_{ref}", icon=":material/close:", icon_position="right",
              help=words.escape(f"{full}. Remove it from the tray."), on_click=remove, args=(ref,))  # fmt: skip


def _short(name: str, longest: int = 28) -> str:
    return name if len(name) <= longest else f"{name[: longest // 2]}…{name[-(longest // 2 - 1) :]}"
