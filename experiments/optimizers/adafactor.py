"""Adafactor by transformers: a row and a column of second moments for each matrix."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from pydantic import Field

from experiments.optimizers.base import Optimizer


class Adafactor(Optimizer):
    """Adafactor: second moments kept as one row and one column of each matrix, no first moment."""

    name: ClassVar[str] = "adafactor"
    label: ClassVar[str] = "Adafactor"
    reference: ClassVar[str] = "https://arxiv.org/abs/1804.04235"
    costs: ClassVar[str] = "Other updates than Adam's: it wants a learning rate of its own, and may converge more slowly."

    learning_rate: float | None = Field(None, gt=0, le=10, description="Its own learning rate, 1e-3 for example; the workload's if empty")
    scale_parameter: bool = Field(True, description="Scale the learning rate by each parameter's root mean square")

    def make(self, parameters: list[Any], learning_rate: float) -> Any:
        from transformers import Adafactor as TransformersAdafactor

        rate = self.learning_rate if self.learning_rate is not None and learning_rate else learning_rate
        return TransformersAdafactor(
            parameters, lr=rate, scale_parameter=self.scale_parameter, relative_step=False, warmup_init=False
        )

    def state_bytes(self, shape: tuple[int, ...], itemsize: int) -> int:
        """In float32 whatever the parameter is: a row and a column of each matrix, or one number for each of a vector, and a mean."""
        elements = math.prod(shape)
        return 4 * (elements // shape[-1] + elements // shape[-2] if len(shape) > 1 else elements) + 4

    def update_bytes(self, total: int, largest: int) -> int:
        """One parameter after the other: its squared gradient or its update, and what they are made from."""
        return 2 * largest

    def problem(self, optimizer: Any, state: dict[str, Any]) -> str | None:
        if type(optimizer).__name__ != "Adafactor":
            return f"the optimizer is {type(optimizer).__name__}, not Adafactor"
        factored = {"exp_avg_sq_row", "exp_avg_sq_col"} <= set(state)
        return None if factored else f"its state is not factored: {', '.join(sorted(state))}"
