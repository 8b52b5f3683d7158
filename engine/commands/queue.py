"""What is done with the queue: submit an experiment, serve it, cancel one."""

from __future__ import annotations

import json

from engine.terminal import AsJson, Control, Profile, StopEarly, app, database, given


@app.command()
def submit(
    experiment: str, rounds: int | None = None, model: str | None = None, device: str | None = None, profile: Profile = False,
    control: Control = False, stop_early: StopEarly = False, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Queue an experiment for a running scheduler and print its link."""
    from db import queries
    from engine import api, settings
    from engine.devices import local_devices, offered
    from engine.presets import load_spec

    overrides = given(rounds=rounds, model=model, device=device, profile=profile or None, control=control or None, stop_early=stop_early or None)
    spec = load_spec(experiment, overrides)
    db = database()
    experiment_id = api.submit(db, spec, devices=offered(queries.schedulers(db), local_devices()))
    link = settings.experiment_link(experiment_id)
    print(json.dumps({"id": experiment_id, "title": spec.title, "link": link}) if as_json else link)


@app.command()
def scheduler(as_json: AsJson = False) -> None:
    """Run queued experiments on this machine's devices until stopped."""
    from engine.scheduler import serve

    serve(database())
    if as_json:
        print(json.dumps({"stopped": True}))


@app.command()
def cancel(experiment: str, as_json: AsJson = False) -> None:
    """Cancel an experiment: queued runs at once, the running one within seconds."""
    from db import queries, queue

    db = database()
    if queries.record(db, experiment, samples="none") is None:
        raise ValueError(f"experiment: there is no {experiment!r}; it may have been deleted")
    count = queue.cancel_experiment(db, experiment)
    print(json.dumps({"id": experiment, "cancelled_runs": count}) if as_json else f"{count} runs cancelled")
