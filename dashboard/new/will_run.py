"""The end of the form: which runs it makes, what each variant is predicted to hold, the same as a file and a command, and Run."""

from __future__ import annotations

import streamlit as st

from dashboard import identity, pages, past_seconds, permissions, store, words
from dashboard.new import attempt, draft
from engine import api
from engine.devices import Device
from engine.planning import guard
from engine.presets import to_yaml
from engine.specs import ExperimentSpec

_FITS = {True: "✔ fits", False: "⊘ predicted not to fit", None: ""}


def section(made: attempt.Attempt, devices: list[Device], key: str) -> None:
    spec = made.spec
    _variants(guard.predicted(spec, devices) if spec is not None else [])
    for field, text in made.problems.items():
        st.error(words.escape(f"{field.replace('.', ': ')}: {text}" if field else text))
    if spec is None or made.problems:
        st.button("Run", type="primary", icon=":material/play_arrow:", key="new_run", shortcut="Ctrl+Enter", **permissions.control(disabled=True))
    else:
        for text in guard.warnings(spec, devices):
            st.warning(words.escape(text), icon=":material/memory:")
        _count(spec)
        _run(spec, devices, key)
    if spec is not None:
        _twin(spec)


def _variants(predicted: list[guard.Predicted]) -> None:
    """One line per variant with its prediction and a way to take it out; the baseline that was not asked for cannot be."""
    known = {p.variant: p for p in predicted}
    listed = [v["name"] for v in st.session_state["new_variants"]]
    for name in dict.fromkeys([*known, *listed]):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{words.escape(name)}**", width="content")
            st.caption(words.escape(_memory(known[name]) if name in known else ""), width="stretch")
            if name in listed:
                st.button("Remove", key=f"new_remove_{name}", icon=":material/close:", type="tertiary", on_click=draft.remove_variant, args=(name,))
            else:
                st.caption("is always measured", width="content")
    if not listed:
        st.caption("Nothing but the model as it is stored: add variants above, or there is nothing to compare.")


def _memory(found: guard.Predicted) -> str:
    """'≈ 2.1 GiB, peak at batch 8; H200 has 139 GiB for it: ✔ fits'."""
    if found.bytes_ is None:
        return f"no prediction: {found.text}"
    fits = _FITS[found.fits]
    return f"≈ {words.value_text('peak_memory_bytes', found.bytes_)}, {found.text}" + (f": {fits}" if fits else "")


def _count(spec: ExperimentSpec) -> None:
    plan = attempt.plan(spec, past_seconds.by_kind(draft.model_name(), spec.device))
    took = "no estimate yet: nothing like it was measured before" if plan.seconds is None else f"about {words.seconds_text(plan.seconds)}"
    once = " and ".join(f"{plan.runs[kind]} for {kind}" for kind in plan.runs if kind != "speed")
    rounds = f"{plan.variants} variants x {plan.rounds} rounds for speed and memory"
    at_most = "At most " if spec.stop_early else ""
    ahead = len(store.queue())
    waits = f" {ahead} run{'s are' if ahead != 1 else ' is'} before it in the queue." if ahead else ""
    st.markdown(f"{at_most}**{sum(plan.runs.values())} runs**: {rounds}{', and ' if once else ''}{once}; {took}.{waits}")


def _run(spec: ExperimentSpec, devices: list[Device], key: str) -> None:
    private = _private()
    if st.button("Run", type="primary", icon=":material/play_arrow:", key="new_run", shortcut="Ctrl+Enter", **permissions.control()):
        try:
            experiment_id = api.submit(permissions.database(), spec, request_key=key, devices=devices, owner=identity.current().name,
                                       private=private)  # fmt: skip
        except ValueError as error:
            st.error(words.escape(str(error)))
            return
        pages.go("experiment", {"id": experiment_id})


def _private() -> bool:
    """Asked only where there is somebody from whom it could be hidden. A clone of a private experiment begins as private."""
    if not identity.required():
        return False
    origin = draft.origin()
    from_private = origin is not None and origin.experiment_id is not None and store.private([origin.experiment_id])
    key = f"new_private_{origin.experiment_id if origin else None}"
    st.session_state.setdefault(key, from_private)
    return bool(st.toggle("Private", key=key, **permissions.control(
        "Only you and admins see it: to all others it looks as if it did not exist.")))  # fmt: skip


def _twin(spec: ExperimentSpec) -> None:
    """The same experiment without this page."""
    twin = st.expander("The same as a file and a command", key="new_twin", on_change="rerun")
    if twin.open:
        with twin:
            st.caption("Save it as `experiment.yaml`; `submit` queues it for the running scheduler, `run` measures it in the foreground.")
            st.code(to_yaml(spec), language="yaml")
            st.code(".venv/bin/python -m engine submit experiment.yaml\n.venv/bin/python -m engine run experiment.yaml", language="bash")
