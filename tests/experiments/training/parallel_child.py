"""Two real processes that train the tiny model by DDP and by FSDP, and write down what they got, for test_parallelism.

Usage: python -m tests.experiments.training.parallel_child MODELS OUT. Starts itself again as the ranks, as a worker does.
"""

from engine.child_process import tie_to_parent

tie_to_parent()

import math  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import torch  # noqa: E402

from engine.devices import find_device  # noqa: E402
from engine.environments import CORE  # noqa: E402
from engine.measurement import Status  # noqa: E402
from engine.modelspec import ModelSpec  # noqa: E402
from engine.ranks import folder, join, launch, leave, this_rank  # noqa: E402
from engine.registry import discover  # noqa: E402
from engine.technique import Ranks, Session, Slot, Technique, processes_of, unsupported_stack  # noqa: E402

CPU = find_device("cpu")
MODEL = ModelSpec(source="local", name="tiny")
WORKLOAD = discover().workload("training_step", {"learning_rate": 1e-2})
RANKS = 2
STEPS = [
    [torch.randint(2, 300, (4, 16), generator=torch.Generator().manual_seed(10 * step + part)) for part in range(2)] for step in range(2)
] * 3
"""The global batches: two micro-batches of four sequences in each step, and every other step the same."""


def load(root: Path, *stack: Technique) -> Session:
    from engine.loading import load_session  # not by the process that only starts the others

    return load_session(MODEL, stack, CPU, 0, root, root, root, WORKLOAD)


def train(session: Session, optimizer: Any, steps: int) -> list[float]:
    """Losses of the global batches. With no optimizer, gradients are left where they are."""
    training, ranks = session.training, session.ranks
    assert training is not None
    if optimizer is None:
        training._update = lambda: None  # type: ignore[method-assign]
    else:
        training.make_optimizer = optimizer
    training.start()
    session.model.train()
    own = [float(training.step([ids[ranks.rank :: ranks.count] for ids in parts])) for parts in STEPS[:steps]]
    return [sum(of_all) / len(of_all) for of_all in zip(*ranks.gather(own), strict=True)]


def whole(tensor: Any) -> torch.Tensor:
    """All of a tensor, wherever its parts are."""
    found: torch.Tensor = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    return found.detach().clone()


def sgd(parameters: list[Any], rate: float) -> Any:
    return torch.optim.SGD(parameters, lr=rate)


def gradients(root: Path, *stack: Technique) -> dict[str, torch.Tensor]:
    """Of one step, by name."""
    session = load(root, *stack)
    train(session, None, 1)
    return {name: whole(p.grad) for name, p in session.model.named_parameters()}


def numbers(root: Path, *stack: Technique) -> dict[str, Any]:
    """Gradients of one step, parameters after three of SGD (both by name), losses of AdamW, bytes of one process."""
    from engine.memory import storage_bytes

    after_sgd = load(root, *stack)
    train(after_sgd, sgd, 3)
    by_adam = load(root, *stack)
    losses = train(by_adam, torch.optim.AdamW, 6)
    assert by_adam.training is not None
    return {
        "gradients": gradients(root, *stack),
        "parameters": {name: whole(p) for name, p in after_sgd.model.named_parameters()},
        "losses": losses,
        "weight_bytes": storage_bytes(by_adam.model),
        "sharded": by_adam.training.sharded(),
        "state_bytes": storage_bytes(*by_adam.training.state_tensors()),
    }


def followed(session: Session, parts: list[torch.Tensor]) -> dict[str, int]:
    """What holds the memory in a step on these micro-batches."""
    from engine.memory_split import split_peak

    training, ranks = session.training, session.ranks
    assert training is not None
    own = [ids[ranks.rank :: ranks.count] for ids in parts]
    return split_peak(session.model, training.optimizer, "cpu", lambda marks: training.step(own, marks))


def watched(root: Path, *stack: Technique) -> dict[str, Any]:
    """Three steps of SGD, in the second of which it is followed what holds the memory: the split, and the parameters after all."""
    session = load(root, *stack)
    training, ranks = session.training, session.ranks
    assert training is not None
    training.make_optimizer = sgd
    training.start()
    session.model.train()
    found: dict[str, Any] = {}
    for number, parts in enumerate(STEPS[:3]):
        if number == 1:
            found["split"] = followed(session, parts)
        else:
            training.step([ids[ranks.rank :: ranks.count] for ids in parts])
    return found | {"parameters": {name: whole(p) for name, p in session.model.named_parameters()}}


def beside_others(root: Path, technique: Technique) -> dict[str, Any]:
    """Every other technique that acts in training together with this one: losses, or the reason why it is refused."""
    from engine.loading import collect_evidence

    found: dict[str, Any] = {}
    for cls in discover().techniques.values():
        other = cls()
        alone = unsupported_stack([other], CPU, MODEL, WORKLOAD)
        if alone or cls.environment != CORE or cls.slot is Slot.RUNTIME or processes_of([other], CPU) is not None:
            continue
        refused = unsupported_stack([other, technique], CPU, MODEL, WORKLOAD)
        if refused is None:
            session = load(root, other, technique)
            collect_evidence(session, [other, technique])
            assert session.training is not None
            losses = train(session, session.training.make_optimizer, 3)
            assert sum(followed(session, STEPS[0]).values()), cls.name
            found[cls.name] = losses if all(map(math.isfinite, losses)) else "its losses are not finite"
        else:
            found[cls.name] = refused
    return found


def problem_of(root: Path, technique: Technique, **replaced: Any) -> str:
    """What the evidence of a technique says whose methods have been replaced."""
    from engine.loading import NotAppliedError, collect_evidence

    sabotaged = type("Sabotaged", (type(technique),), replaced)
    sabotaged.__module__ = __name__
    try:
        collect_evidence(load(root, sabotaged()), [sabotaged()])
    except NotAppliedError as error:
        return str(error)
    return "nothing"


def cut_off(technique: Technique, session: Session) -> None:
    """Applied, but gradients are never exchanged."""
    technique.apply(session)
    assert session.training is not None
    if technique.name == "ddp":
        session.training.forward.require_backward_grad_sync = False
    else:
        session.model.set_requires_gradient_sync(False)


def share(root: Path, out: Path, ranks: Ranks) -> None:
    from engine.loading import collect_evidence
    from engine.meter import write_json

    join("cpu")
    torch.set_num_threads(1)
    for name in ("ddp", "fsdp"):
        technique = discover().technique(name)
        session = load(root, technique)
        facts: dict[str, Any] = {"evidence": collect_evidence(session, [technique])[name]["facts"]}
        found = numbers(root, technique)
        found["checkpointed"] = gradients(root, discover().technique("gradient_checkpointing"), technique)
        found["watched"] = watched(root, technique)
        facts["unapplied"] = problem_of(root, technique, apply=lambda self, session: None)
        facts["unsynchronized"] = problem_of(root, technique, apply=lambda self, session, real=technique: cut_off(real, session))
        facts["beside"] = beside_others(root, technique)
        facts["of_all"] = ranks.gather({key: found[key] for key in ("losses", "weight_bytes", "state_bytes")})
        if ranks.rank == 0:
            torch.save(found, out / f"{name}.pt")
            write_json(out / f"{name}.json", facts)
    write_json(folder(out, ranks.rank) / "result.json", {"status": Status.SUCCEEDED})
    leave(True)


def main(root: Path, out: Path) -> None:
    if (ranks := this_rank()) is not None:
        share(root, out, ranks)
        return
    result = launch(out, RANKS, 1)
    sys.exit(None if result.status is Status.SUCCEEDED else result.reason)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
