"""Low-rank adapters (Hu et al. 2021, LoRA): W + alpha / rank * B A, with only A and B trained.

They are merged into the weights before anything is saved or averaged, so that every arm is a full model.
"""

from collections.abc import Iterator
from typing import Any

import torch

from asr_analogy.errors import MissingError
from asr_analogy.recipe import Lora


def add(model: Any, options: Lora) -> Any:
    """Put an adapter into every linear layer of `model` (but its tied output), in place, and freeze all else.

    Returns peft's handle on them, for `merge`. Raises MissingError without peft.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise MissingError("train.lora: needs peft; pip install 'asr-analogy[lora]'") from error
    settings = LoraConfig(
        r=options.rank, lora_alpha=options.alpha, lora_dropout=options.dropout, target_modules="all-linear"
    )
    return get_peft_model(model, settings)


def merge(adapters: Any) -> None:
    """Add the adapters to the weights of their layers, in place, and take them out of the model."""
    adapters.merge_and_unload()


def merged_weights(model: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """(name, weight) of what trains, as the model will have it once its adapters, if there are any, are merged."""
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and ".lora_" not in name:
            yield name, parameter.detach()
    for name, layer in model.named_modules():
        if hasattr(layer, "get_delta_weight") and any(weight.requires_grad for weight in layer.parameters()):
            yield f"{name}.weight", layer.base_layer.weight.detach() + layer.get_delta_weight("default").detach()
