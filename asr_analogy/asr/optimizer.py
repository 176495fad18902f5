"""The optimiser of every fine-tune: AdamW, on a GPU with moments of 8 bits if the recipe asks for them.

What else saves memory stands here too: forgetting activations.
"""

from collections.abc import Sequence
from typing import Any

import torch

from asr_analogy.errors import MissingError, RecipeError
from asr_analogy.recipe import Train

BETAS = (0.9, 0.98)


def adamw(groups: Sequence[dict[str, Any]], options: Train) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter, ICLR 2019), fused, over groups of parameters as rates.groups makes them.

    `adamw_8bit`: Dettmers et al., ICLR 2022, algorithm of section 2.

    Raises RecipeError for 8 bits without a GPU, MissingError without their library.
    """
    if options.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=options.rate, weight_decay=options.weight_decay, betas=BETAS, fused=True)
    if not torch.cuda.is_available():
        raise RecipeError("train.optimizer: adamw_8bit needs a GPU, and there is none; take adamw")
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError as error:
        raise MissingError("train.optimizer: adamw_8bit needs bitsandbytes: pip install bitsandbytes") from error
    return AdamW8bit(groups, lr=options.rate, weight_decay=options.weight_decay, betas=BETAS)


def forget_activations(model: Any) -> None:
    """Have the layers of `model` compute their activations again in the backward pass instead of keeping them.

    Source: Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016. Newer transformers name it otherwise.
    """
    settings = {"use_reentrant": False}
    if hasattr(model, "activation_checkpointing_enable"):
        model.activation_checkpointing_enable(activation_checkpointing_kwargs=settings)
    else:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=settings)
