"""What trains, and how fast: frozen parts, a factor on the rate of a part, the rate over the steps."""

from collections.abc import Iterable
from typing import Any

from asr_analogy.asr.family import Recogniser
from asr_analogy.errors import RecipeError
from asr_analogy.recipe import Train


def rate_at(step: int, options: Train) -> float:
    """Learning rate of the step with this number (from 0): linear warm-up to the peak, then linear to zero."""
    if step < options.warmup:
        return options.rate * (step + 1) / options.warmup
    return options.rate * (options.steps - step) / max(1, options.steps - min(options.warmup, options.steps - 1))


def freeze(recogniser: Recogniser, parts: Iterable[str]) -> None:
    """Freeze parameters by part or name prefix. Raises RecipeError for one of none, or if nothing is left to train."""
    prefixes = tuple(_prefix(recogniser, "train.freeze", part) for part in parts)
    for name, parameter in recogniser.model.named_parameters():
        if name.startswith(prefixes):
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in recogniser.model.parameters()):
        raise RecipeError("train.freeze: freezes every parameter, so there is nothing to train; freeze fewer parts")


def groups(recogniser: Recogniser, factors: dict[str, float]) -> list[dict[str, Any]]:
    """The parameters that train as AdamW's groups, one per `factor` on the rate; the longest prefix of a name decides.

    Raises RecipeError for a part or prefix that no parameter has.
    """
    known = {_prefix(recogniser, "train.rates", part): factor for part, factor in factors.items()}
    found: dict[float, list[Any]] = {}
    for name, parameter in recogniser.model.named_parameters():
        if parameter.requires_grad:
            fitting = [prefix for prefix in known if name.startswith(prefix)]
            found.setdefault(known[max(fitting, key=len)] if fitting else 1.0, []).append(parameter)
    return [{"params": parameters, "factor": factor} for factor, parameters in found.items()]


def _prefix(recogniser: Recogniser, key: str, part: str) -> str:
    prefix = recogniser.parts.get(part, part)
    names = [name for name, _ in recogniser.model.named_parameters()]
    if not any(name.startswith(prefix) for name in names):
        known = ", ".join([*recogniser.parts, *sorted({".".join(name.split(".")[:2]) for name in names})])
        raise RecipeError(f"{key}: {part}: no parameter begins so; parts of this base: {known}")
    return prefix
