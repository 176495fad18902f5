"""Whisper's attention for training on a CPU: head by head, so that the scores of one stay in the cache.

transformers' eager way makes five passes over the scores of all heads in main memory (one of them multiplies by 1), and
torch's fused CPU kernel multiplies at half the speed of a plain product; at 1,500 positions they take 1.3 and 2 times as
long for a step (benchmarks/training.py measures it).
"""

from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask
from transformers.models.whisper.modeling_whisper import eager_attention_forward

NAME = "by_head"
LONG = 1_000
"""Positions from which on it pays: at 500 (our micro Whisper) a step takes 28 % longer than transformers' eager way."""


class _ByHead(torch.autograd.Function):
    """softmax(q k') v for q, k, v of shape (batch * heads, positions, width); one type, no mask."""

    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        weights = query.new_empty(len(query), query.shape[1], key.shape[1])
        out = torch.empty_like(query)
        for q, k, v, w, o in zip(query, key, value, weights, out, strict=True):
            torch.mm(q, k.T, out=w)
            torch.softmax(w, -1, out=w)
            torch.mm(w, v, out=o)
        ctx.save_for_backward(query, key, value, weights)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, ...]:
        query, key, value, weights = ctx.saved_tensors
        found = tuple(torch.empty_like(tensor) for tensor in (query, key, value))
        scores = torch.empty_like(weights[0])
        for q, k, v, w, g, dq, dk, dv in zip(
            query, key, value, weights, gradients[0].contiguous(), *found, strict=True
        ):
            # A product with the transposed scores is slow; one whose narrow side is transposed is not.
            dv.copy_(torch.mm(g.T.contiguous(), w).T)
            torch.mm(g, v.T, out=scores)
            torch.ops.aten._softmax_backward_data.out(scores, w, -1, w.dtype, grad_input=scores)
            torch.mm(scores, k, out=dq)
            dk.copy_(torch.mm(q.T.contiguous(), scores).T)
        return found


def by_head(
    module: torch.nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: Any,
    scaling: float = 1.0, dropout: float = 0.0, **named: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:  # fmt: skip
    """An attention function as transformers calls it: (batch, heads, positions, width) in, positions before heads out.

    What it does not do (masks, dropout, mixed types: all of them on short rows) transformers' own does.
    """
    plain = attention_mask is None and not (dropout and module.training) and query.dtype == key.dtype == value.dtype
    if not plain or scaling != 1.0 or query.device.type != "cpu":
        return eager_attention_forward(module, query, key, value, attention_mask, scaling, dropout, **named)
    heads = query.shape[:2]
    with torch.autocast("cpu", enabled=False):
        rows = [tensor.reshape(-1, *tensor.shape[2:]) for tensor in (query, key, value)]
        out = _ByHead.apply(*rows)
    return out.view(*heads, *out.shape[1:]).transpose(1, 2).contiguous(), None


def kernel(positions: int) -> str | None:
    """Its name, for transformers, where it is the fastest way on a CPU to train over so many positions; else None."""
    if positions < LONG:
        return None
    AttentionInterface.register(NAME, by_head)
    AttentionMaskInterface.register(NAME, eager_mask)
    return NAME
