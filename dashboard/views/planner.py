"""What a run would take of a GPU's memory: the question, the predicted peak by component, what fits, and the chapter's table."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import pages, planning, show, store, words
from dashboard.charts import plan
from dashboard.new import draft
from engine import api
from engine.modelspec import NO_MODEL
from engine.planning import gpus
from engine.planning.plan_request import WORKLOADS, PlanRequest, answer

_SAYS = {
    "fits": (st.success, "It fits, with a margin for what the allocator loses between blocks."),
    "may not fit": (st.warning, "The peak fits, the margin for what the allocator loses between blocks does not: it may run out of memory."),
    "does not fit": (st.error, "It does not fit."),
}


_ALSO = {"generation": ["new_tokens"], "training_step": ["accumulation", "gpus"], "encoder_forward": []}


def main() -> None:
    st.title("Planner")
    st.markdown("How much memory would it take? By formula, before anything runs; experiments on GPUs show it beside what was measured.")
    refused = planning.begin(st.query_params)
    if refused:
        st.warning(words.escape(f"The link asked for what is not possible: {', '.join(refused)}"))
    _question()
    try:
        asked = planning.asked()
        pages.into_address(tuple(planning.USUAL), planning.address(asked))
        found = answer(asked)
    except ValueError as error:
        st.error(words.escape(str(error)))
        return
    _answer(asked, found)


def _question() -> None:
    state = st.session_state
    models = [m["name"] for m in api.models() if m["name"] != NO_MODEL]
    left, right = st.columns(2)
    with left:
        st.selectbox("Model", list(dict.fromkeys([*models, state["plan_model"]])), key="plan_model", accept_new_options=True, persist_state="session",
                     help="Or write local:DIRECTORY or hub:ORG/NAME@COMMIT; its config must be on this machine.")  # fmt: skip
    with right:
        st.selectbox("GPU", list(dict.fromkeys([*gpus.known(), state["plan_memory"]])), key="plan_memory", accept_new_options=True,
                     persist_state="session", help="Or write a size: 24GB is 24 x 10^9 bytes, 24GiB is 24 x 2^30.")  # fmt: skip
    names = [t["name"] for t in store.catalogue()["techniques"] if t["slot"] != "parallelism"]
    st.multiselect("Techniques", list(dict.fromkeys([*names, *state["plan_techniques"]])), key="plan_techniques", accept_new_options=True,
                   persist_state="session", help="With options: bnb_4bit(double_quant=False)")  # fmt: skip
    labels = {w["name"]: w["label"] for w in store.catalogue()["workloads"]}
    st.segmented_control("Workload", WORKLOADS, key="plan_workload", format_func=labels.__getitem__, required=True, persist_state="session")
    workload = str(state["plan_workload"])
    numbers = ["batch", "length", *_ALSO[workload]]
    for column, name in zip(st.columns(len(numbers)), numbers, strict=True):
        with column:
            least, most = (next(getattr(m, bound) for m in PlanRequest.model_fields[name].metadata if hasattr(m, bound)) for bound in ("ge", "le"))
            st.number_input(str(PlanRequest.model_fields[name].description), least, most, key=planning.key(name), persist_state="session")
    if workload == "training_step":
        st.segmented_control("Shared by", [planning.ALONE, "ddp", "fsdp"], key="plan_parallelism", required=True, persist_state="session")


def _answer(asked: PlanRequest, found: dict[str, Any]) -> None:
    draw, text = _SAYS[found["verdict"]]
    peak, needed = (words.value_text("peak_memory_bytes", found[name]) for name in ("peak_memory_bytes", "needed_bytes"))
    draw(f"{text} {peak} at the peak, {needed} with the margin.")
    bar = plan.plan_bar(found, dark=show.dark())
    show.chart(bar, plan.describe(found), "plan", lambda: planning.components_table(found), open_twin=True)
    st.markdown(f"**Largest batch** that fits: {found['largest_batch'] or 'none'} · **longest sequence**: "
                f"{found['largest_length'] or 'none'}{' tokens' * bool(found['largest_length'])}, the rest as above.")  # fmt: skip
    if st.button("Measure this", icon=":material/science:", help="Opens the form of a new experiment with this model, stack and workload."):
        models = [m["name"] for m in api.models()]
        draft.begin(store.catalogue()["workloads"], models, planning.experiment(asked, found), overwrite=True)
        pages.go("new_experiment")
    st.header("Weights alone, by precision", divider="gray")
    show.table(planning.scale_table(found), "Bytes of the weights of models from GPT-2 to GPT-4 by precision.", "plan_scale")
    st.caption("The first four columns are parameters times bits. What quantization really stores keeps embeddings and scales in more bits. "
               "Training with AdamW in float32 takes 16 bytes a parameter before any activation. GPT-4's size was never published.")  # fmt: skip


if __name__ == "__main__":
    main()
