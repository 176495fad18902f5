"""Where a task vector acts: parts of a model, each with a factor on the vector's scale, by the names of the tensors."""

import re
from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase

from asr_analogy.errors import RecipeError

PARTS = ("all", "encoder", "decoder", "attention")
"""Parts that go by a word; any other key is a pattern such as *.layers.3.* for the whole name of a tensor."""
FIRST = ("conv", "embed", "feature_", "masked_spec", "pos_", "wte", "wpe")
"""Beginnings of the names of modules that stand before a stack of layers."""

Factor = float | tuple[float, float]
"""One number, or a ramp: the factors of a stack's first and last layer."""


class Where:
    """Which factor a vector has on each of the tensors `names`. No parts: 1 everywhere.

    `parts` maps a part to its factor. Of the parts that hold a tensor the last one counts; a tensor that none holds
    stays where it is: its factor is 0. A ramp goes through each stack of numbered layers (Whisper's encoder and decoder
    have one each) from first to last in equal steps, up or down (LiNeS, Wang et al. 2025, arXiv 2410.17146, equation 4);
    tensors that stand before the layers take the first number, those behind them the last.

    Raises RecipeError for a part that no tensor belongs to, naming the parts that there are.
    """

    def __init__(self, parts: Mapping[str, Factor], names: Collection[str]) -> None:
        self._parts = dict(parts)
        self._depth: dict[str, int] = {}
        for name in names:
            stack, number = _layer(name)
            self._depth[stack] = max(self._depth.get(stack, 0), number)
        for part in parts:
            if not any(_holds(part, name) for name in names):
                here = ", ".join(word for word in PARTS if any(_holds(word, name) for name in names))
                example = min(names, key=len, default="")
                raise RecipeError(
                    f"merge.where.{part}: no tensor of this model belongs to it; here there are {here}, "
                    f"or patterns with * for names such as {example}"
                )

    def factor(self, name: str) -> float:
        """The factor on tensor `name`."""
        value: Factor = 0.0 if self._parts else 1.0
        for part, given in self._parts.items():
            if _holds(part, name):
                value = given
        if isinstance(value, tuple):
            first, last = value
            return first + (last - first) * self._height(name)
        return float(value)

    def _height(self, name: str) -> float:
        """How far up its stack a tensor stands, 0 to 1."""
        stack, number = _layer(name)
        if any(word.startswith(FIRST) for word in (stack or name).split(".")):
            return 0.0
        if number < 0:
            return 1.0
        return number / self._depth[stack] if self._depth[stack] else 0.0


def _holds(part: str, name: str) -> bool:
    """Whether tensor `name` belongs to `part`."""
    words = name.split(".")
    if part == "all":
        return True
    if part in ("encoder", "decoder"):
        return part in words
    if part == "attention":
        return any(("attn" in word or "attention" in word) and "norm" not in word for word in words)
    return fnmatchcase(name, part)


def _layer(name: str) -> tuple[str, int]:
    """(the stack, the number) of the layer that tensor `name` is part of; ("", -1) outside of numbered layers."""
    found = re.match(r"(.*?)\.(\d+)\.", name)
    return (found[1], int(found[2])) if found else ("", -1)
