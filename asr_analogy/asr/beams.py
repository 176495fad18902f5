"""Beam search for Whisper: the texts that transformers' generate() finds with `num_beams`, in less time.

All beams of a clip hear it through one copy of its keys and values, and a clip that cannot get better leaves the batch.
The search is the one that generate() makes with early_stopping=False.
"""

from collections.abc import Sequence
from typing import Any

import torch

from asr_analogy.asr.greedy import CROWD, Decoder, encoded, rules

NO_SCORE = -1e9
"""Of a beam that is not there."""


class _Beams:
    """The texts of some clips: those being written and the best that have ended, each (clips, beams, tokens)."""

    def __init__(self, clips: int, beams: int, limits: torch.Tensor, ends: Sequence[int]) -> None:
        self.limits, self.ends = limits, torch.tensor(ends, device=limits.device)
        self.written = torch.full((clips, beams, int(limits.max())), ends[0], device=limits.device)
        self.ended = self.written.clone()
        self.scores = torch.full((clips, beams), NO_SCORE, device=limits.device)
        self.ended_scores = self.scores.clone()
        self.scores[:, 0] = 0.0

    def grow(self, scores: torch.Tensor, step: int, penalty: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Take the best next tokens, by their log probabilities (clips, beams, vocabulary).

        Returns the new tokens (clips, beams), which beams they follow, and which clips are done.
        """
        clips, beams, size = scores.shape
        best, place = (scores + self.scores[..., None]).view(clips, -1).topk((1 + len(self.ends)) * beams)
        came, token = place // size, place % size
        texts = _chosen(self.written, came)
        texts[:, :, step] = token
        last = (self.limits == step + 1)[:, None]
        over = torch.isin(token, self.ends) | last
        self.scores, going = torch.where(over, best + NO_SCORE, best).topk(beams)
        self.written = _chosen(texts, going)
        # Only what is among the best as it ends counts as a text; the others are there so that enough can go on.
        counted = over & (torch.arange(best.shape[1], device=best.device) < beams)
        final = torch.where(counted, best / (step + 1) ** penalty, NO_SCORE)
        self.ended_scores, kept = torch.cat([self.ended_scores, final], dim=1).topk(beams)
        self.ended = _chosen(torch.cat([self.ended, texts], dim=1), kept)
        hope = self.scores[:, :1] / (step + 1) ** penalty
        return token.gather(1, going), came.gather(1, going), ((hope <= self.ended_scores[:, -1:]) | last)[:, 0]

    def keep(self, clips: torch.Tensor) -> None:
        self.limits, self.written, self.ended = self.limits[clips], self.written[clips], self.ended[clips]
        self.scores, self.ended_scores = self.scores[clips], self.ended_scores[clips]


def _chosen(texts: torch.Tensor, beams: torch.Tensor) -> torch.Tensor:
    """The texts (clips, beams, tokens) of the beams with these numbers, (clips, chosen)."""
    return texts.gather(1, beams[..., None].expand(-1, -1, texts.shape[2]))


def beam_search(
    model: Any, features: torch.Tensor, start: Sequence[int], limits: Sequence[int], beams: int
) -> list[list[int]]:
    """The likeliest text per token of every clip among `beams` that are followed, up to its own limit; without the end.

    Otherwise as `greedy`; a text's log probability is divided by its length to the power of generation_config's
    length_penalty.
    """
    ends, not_first, never = rules(model, features)
    penalty = getattr(model.generation_config, "length_penalty", None)
    penalty = 1.0 if penalty is None else penalty
    decoder = Decoder(model, encoded(model, features), len(start) + max(limits))
    texts = _Beams(len(limits), beams, torch.tensor(limits, device=features.device), ends)
    logits = decoder.step(torch.tensor(start, device=features.device).expand(len(limits), -1))
    logits = logits.repeat_interleave(beams, 0)
    decoder.widen(beams)
    found: list[list[int]] = [[] for _ in limits]
    clips, unfinished = list(range(len(limits))), set(range(len(limits)))
    for step in range(max(limits)):
        scores = logits.float().log_softmax(dim=-1) + (never if step else not_first)
        tokens, came, done = texts.grow(scores.view(len(clips), beams, -1), step, penalty)
        for place, over in enumerate(done.tolist()):
            if over and clips[place] in unfinished:
                unfinished.discard(clips[place])
                found[clips[place]] = _until(texts.ended[place, 0, : limits[clips[place]]].tolist(), ends)
        if not unfinished:
            break
        decoder.follow((came + beams * torch.arange(len(clips), device=came.device)[:, None]).flatten())
        if len(unfinished) <= CROWD * len(clips):
            kept = torch.tensor([place for place, clip in enumerate(clips) if clip in unfinished], device=came.device)
            decoder.keep(kept)
            texts.keep(kept)
            tokens, clips = tokens[kept], [clip for clip in clips if clip in unfinished]
        logits = decoder.step(tokens.view(-1, 1))
    return found


def _until(tokens: Sequence[int], ends: Sequence[int]) -> list[int]:
    """The tokens before the first end."""
    return list(tokens[: next((place for place, token in enumerate(tokens) if token in ends), len(tokens))])
