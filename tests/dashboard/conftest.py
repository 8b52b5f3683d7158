"""A database with a finished experiment, and pages opened without a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import streamlit as st
from sqlalchemy import Engine
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from dashboard.routes.table import ROUTES
from db.records import import_record
from engine.measurement import Status
from engine.settings import REPOSITORY
from tests.records import build_record

HOSTILE = "<img src=x onerror=alert(1)> ![](http://evil.example/x.png) **bold** $x$ :material/home: [a](javascript:1)"


@pytest.fixture
def client() -> Iterator[TestClient]:
    """Asks the routes beside the pages."""
    with TestClient(Starlette(routes=ROUTES)) as client:
        yield client


@pytest.fixture(autouse=True)
def fresh_caches() -> Iterator[None]:
    """Pages cache by database and token; another test's catalogue must not be seen."""
    yield
    st.cache_data.clear()
    st.cache_resource.clear()


def finished(title: str = "An experiment", experiment_id: str = "finished-experiment-01") -> dict[str, Any]:
    """Three variants: the baseline, one that trades quality for memory, one that did not fit at all."""
    rounds = [1.0, 1.01, 0.99, 1.0, 1.02]
    record = build_record(
        {
            "float32": {
                "weight_bytes": [4e8] * 5, "decode_tokens_per_second": [30 * r for r in rounds],
                "decode_tokens_per_second@4": [90 * r for r in rounds], "ttft_seconds": [0.2 * r for r in rounds],
            },
            "small": {
                "weight_bytes": [1e8] * 5, "decode_tokens_per_second": [60 * r for r in rounds],
                "decode_tokens_per_second@4": [Status.OUT_OF_MEMORY] * 5, "ttft_seconds": [0.1 * r for r in rounds],
            },
            "huge": {},
        },
        quality={
            "float32": {"perplexity": [20.0 + i for i in range(16)]},
            "small": {"perplexity": [25.0 + i for i in range(16)], "kl_divergence": [0.25] * 16, "top1_agreement": [0.75] * 16},
        },
        runs={("huge", r): {"status": "out_of_memory", "reason": "cuda: tried to allocate 20 GiB"} for r in range(5)},
        quality_runs={"huge": {"status": "failed", "reason": "signal 11"}},
        title=title, experiment_id=experiment_id,
    )  # fmt: skip
    return record


def classified() -> dict[str, Any]:
    """A classifier in fp32 and int8: 60 examples, 48 right in fp32; int8 loses 9 of them and gains 1."""
    right, of_int8 = [1.0] * 48 + [0.0] * 12, [1.0] * 39 + [0.0] * 9 + [1.0] + [0.0] * 11
    speeds = {"fp32": [100.0, 101.0, 99.0], "int8": [150.0, 151.0, 149.0]}
    record = build_record(
        {name: {"weight_bytes": [9e7, 9e7, 9e7], "examples_per_second": speed, "seconds_per_example": [1 / s for s in speed]}
         for name, speed in speeds.items()},
        quality={
            "fp32": {"accuracy": right, "f1": [0.8]},
            "int8": {"accuracy": of_int8, "f1": [0.7], "prediction_agreement": [float(a == b) for a, b in zip(right, of_int8, strict=True)]},
        },
        title="A classifier", experiment_id="classifier-experiment1",
    )  # fmt: skip
    record["experiment"]["spec"]["workload"] = {"name": "classification", "options": {"examples": 60}}
    return record


@pytest.fixture
def experiment(db: Engine) -> str:
    """The id of a finished experiment in the database."""
    return import_record(db, finished(), "imported")


@pytest.fixture
def open_page() -> Callable[..., AppTest]:
    """Opens a page as a visitor with these query parameters, and fails on any exception in it."""

    def opened(view: str = "overview", **params: str) -> AppTest:
        page = AppTest.from_file(str(REPOSITORY / "dashboard" / "main.py"), default_timeout=60)
        for name, value in params.items():
            page.query_params[name] = value
        if view == "new_experiment":  # a page whose address is not its file's name is known after a run only
            page.run()
        if view != "overview":
            page.switch_page(f"views/{view}.py")
        page.run()
        assert not page.exception, page.exception[0].value
        return page

    return opened


def texts(page: AppTest) -> str:
    """Everything in words on the page."""
    kinds = ("title", "header", "subheader", "markdown", "caption", "info", "warning", "error", "success")
    return "\n".join(str(e.value) for kind in kinds for e in getattr(page, kind)).replace("\\", "")
