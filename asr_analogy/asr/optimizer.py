"""The optimiser of every fine-tune: AdamW, on a GPU with moments of 8 bits if the recipe asks for them."""

from collections.abc import Sequence

import torch

from asr_analogy.errors import MissingError, RecipeError
from asr_analogy.recipe import Train

BETAS = (0.9, 0.98)


def adamw(parameters: Sequence[torch.nn.Parameter], options: Train) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter, ICLR 2019), fused; `adamw_8bit`: Dettmers et al., ICLR 2022, algorithm of section 2.

    Raises RecipeError for 8 bits without a GPU, MissingError without their library.
    """
    if options.optimizer == "adamw":
        return torch.optim.AdamW(
            parameters, lr=options.rate, weight_decay=options.weight_decay, betas=BETAS, fused=True
        )
    if not torch.cuda.is_available():
        raise RecipeError("train.optimizer: adamw_8bit needs a GPU, and there is none; take adamw")
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError as error:
        raise MissingError("train.optimizer: adamw_8bit needs bitsandbytes: pip install bitsandbytes") from error
    return AdamW8bit(parameters, lr=options.rate, weight_decay=options.weight_decay, betas=BETAS)
