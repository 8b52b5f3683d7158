"""Controls of a page whose state is in its address: what each offers and which value is meant, and the widgets that choose it.

What the visitor asked for is kept as it was asked, in the session and in the address, so that a control that is not drawn just now
keeps its value. A value that is not offered falls back to the usual one and is named. What is usual is not in the address.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import streamlit as st

from dashboard import address, links

ON, OFF = "1", "0"


@dataclass(frozen=True)
class Offer:
    """What a control can be; the usual value is one of them."""

    options: tuple[str, ...]
    usual: str

    @classmethod
    def switch(cls, usual: bool) -> Offer:
        return cls((OFF, ON), ON if usual else OFF)


@dataclass(frozen=True)
class Controls:
    """owner: of this part of the address. values: {name: which of its options is meant}. refused: what was asked for in vain, 'x=speed'."""

    owner: str
    offers: Mapping[str, Offer]
    values: Mapping[str, str]
    refused: tuple[str, ...] = field(default=())

    def __getitem__(self, name: str) -> str:
        return self.values[name]

    def on(self, name: str) -> bool:
        return self.values[name] == ON

    def params(self) -> dict[str, str]:
        """What the address must say so that these values are read back from it."""
        return {name: value for name, value in self.values.items() if value != self.offers[name].usual}

    def select(self, name: str, label: str, text: Callable[[str], str] = str, help: str | None = None) -> None:
        """A list to choose from; one that offers nothing to choose is not drawn."""
        offer = self.offers[name]
        if len(offer.options) > 1:
            st.selectbox(label, offer.options, format_func=text, help=help, key=self._key(name), on_change=_asked, args=(self.owner, name))

    def segments(self, name: str, label: str, text: Callable[[str], str] = str) -> None:
        """Few options beside each other."""
        offer = self.offers[name]
        if len(offer.options) > 1:
            st.segmented_control(label, offer.options, format_func=text, required=True, key=self._key(name), on_change=_asked, args=(self.owner, name))

    def toggle(self, name: str, label: str, help: str | None = None) -> None:
        key = self._key(name)
        st.session_state[key] = self.on(name)
        st.toggle(label, key=key, help=help, on_change=_asked, args=(self.owner, name))

    def tabs(self, name: str, text: Mapping[str, str]) -> Mapping[str, st.delta_generator.DeltaGenerator]:
        """{option: its tab}, of which only the chosen one is to be filled."""
        key, labels = self._key(name), {text[o]: o for o in self.offers[name].options}
        st.session_state[key] = text[self.values[name]]
        drawn = st.tabs(list(labels), key=key, on_change=_asked, args=(self.owner, name, labels))
        return dict(zip(labels.values(), drawn, strict=True))

    def _key(self, name: str) -> str:
        """The widget's state is always what is meant: a value that its new options lack would else stay in it."""
        key = f"{self.owner}_{name}"
        st.session_state[key] = self.values[name]
        return key


def follow_address(owner: str, names: Sequence[str], whole: Sequence[str] = ()) -> dict[str, str]:
    """{name: what is asked for, offered or not}; in the address first. whole: other names of which any makes an address one that says all,
    so that what is not in it is as usual; without, a visitor who comes back to the page finds it as it was left."""
    arrived, said = address.arrival(owner), address.news(owner, names)
    if arrived is not None:
        said = arrived if {*names, *whole} & arrived.keys() else None
    if said is not None:
        st.session_state[_state(owner)] = {name: value for name in names if (value := links.text(said, name)) is not None}
    return asked(owner)


def meant(owner: str, offers: Mapping[str, Offer], wanted: Mapping[str, str]) -> Controls:
    """What these wishes come to."""
    values = {name: wanted[name] if wanted.get(name) in offer.options else offer.usual for name, offer in offers.items()}
    refused = tuple(f"{name}={value}" for name, value in wanted.items() if name in offers and value not in offers[name].options)
    return Controls(owner, offers, values, refused)


def asked(owner: str) -> dict[str, str]:
    """What was asked for in this session, offered or not."""
    return dict(st.session_state.get(_state(owner), {}))


def ask(owner: str, wanted: Mapping[str, str]) -> None:
    """For callbacks: everything as usual but this."""
    st.session_state[_state(owner)] = dict(wanted)


def say(controls: Controls) -> None:
    """At the end of the page: the address says what is shown."""
    address.say(controls.owner, tuple(controls.offers), controls.params())


def _state(owner: str) -> str:
    return f"{owner}_asked"


def _asked(owner: str, name: str, of_label: Mapping[str, str] | None = None) -> None:
    """Callback of every widget."""
    value = st.session_state[f"{owner}_{name}"]
    if isinstance(value, bool):
        value = ON if value else OFF
    st.session_state[_state(owner)] = asked(owner) | {name: of_label[value] if of_label else str(value)}
