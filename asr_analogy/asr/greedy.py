"""Greedy decoding of Whisper: the tokens that generate() finds with one beam, in less time.

generate() prepares every step for whatever a model may be; here a step is the decoder's own arithmetic and nothing else.
Keys and values are written into place instead of being copied at every step, and clips that have ended leave the batch.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

CROWD = 0.75
"""Share of the clips of a batch still being written below which those that have ended are taken out."""


class Decoder:
    """Whisper's decoder in front of encoded sound, (clips, frames, width); it remembers what it has been given."""

    def __init__(self, model: Any, sound: torch.Tensor, positions: int) -> None:
        self.decoder, self.head = model.model.decoder, model.proj_out
        listening = [layer.encoder_attn for layer in self.decoder.layers]
        self.sound = [(_heads(each, each.k_proj(sound)), _heads(each, each.v_proj(sound))) for each in listening]
        shape = (len(sound), listening[0].num_heads, positions, listening[0].head_dim)
        self.past = [(sound.new_empty(shape), sound.new_empty(shape)) for _ in listening]
        self.length = 0

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits of what follows the new `tokens`, (clips, new): (clips, vocabulary)."""
        start, end = self.length, self.length + tokens.shape[1]
        hidden = self.decoder.embed_tokens(tokens) + self.decoder.embed_positions.weight[start:end]
        for layer, past, sound in zip(self.decoder.layers, self.past, self.sound, strict=True):
            normed, own = layer.self_attn_layer_norm(hidden), layer.self_attn
            for kept, new in zip(past, (own.k_proj(normed), own.v_proj(normed)), strict=True):
                kept[:, :, start:end] = _heads(own, new)
            hidden = hidden + _attend(own, normed, past[0][:, :, :end], past[1][:, :, :end], tokens.shape[1] > 1)
            asked = layer.encoder_attn_layer_norm(hidden).view(len(sound[0]), -1, hidden.shape[-1])
            hidden = hidden + _attend(layer.encoder_attn, asked, *sound).view_as(hidden)
            hidden = hidden + layer.fc2(layer.activation_fn(layer.fc1(layer.final_layer_norm(hidden))))
        self.length = end
        return self.head(self.decoder.layer_norm(hidden[:, -1]))

    def keep(self, clips: torch.Tensor) -> None:
        """Forget all clips but those with these numbers."""
        beams = len(self.past[0][0]) // len(self.sound[0][0])
        rows = (clips[:, None] * beams + torch.arange(beams, device=clips.device)).flatten()
        self.sound = [(keys[clips], values[clips]) for keys, values in self.sound]
        self.past = [(keys[rows], values[rows]) for keys, values in self.past]

    def widen(self, beams: int) -> None:
        """Go on with so many rows of tokens for every clip; they hear the same sound."""
        self.past = [
            (keys.repeat_interleave(beams, 0), values.repeat_interleave(beams, 0)) for keys, values in self.past
        ]

    def follow(self, rows: torch.Tensor) -> None:
        """Put what the rows with these numbers remember in the place of what each row remembered."""
        for kept in (tensor for pair in self.past for tensor in pair):
            kept[:, :, : self.length] = kept[rows, :, : self.length]


def _heads(attention: Any, states: torch.Tensor) -> torch.Tensor:
    """(clips, positions, width) as (clips, heads, positions, width of a head)."""
    return states.view(*states.shape[:2], attention.num_heads, attention.head_dim).transpose(1, 2).contiguous()


def _attend(
    attention: Any, states: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, causal: bool = False
) -> torch.Tensor:
    query = _heads(attention, attention.q_proj(states) * attention.scaling)
    found = scaled_dot_product_attention(query, keys, values, is_causal=causal, scale=1.0)
    return attention.out_proj(found.transpose(1, 2).reshape(states.shape))


def encoded(model: Any, features: torch.Tensor) -> torch.Tensor:
    """The encoder's view of log-mels, (clips, frames, width). A CPU hears clip by clip: that stays in its caches."""
    encoder = model.model.encoder
    if features.device.type != "cpu":
        return encoder(features).last_hidden_state
    return torch.cat([encoder(clip[None]).last_hidden_state for clip in features])


def rules(model: Any, features: torch.Tensor) -> tuple[list[int], torch.Tensor, torch.Tensor]:
    """From generation_config: tokens that end a clip, and what is added to the scores of the first token and of others."""
    settings = model.generation_config
    ends = settings.eos_token_id if isinstance(settings.eos_token_id, list) else [settings.eos_token_id]
    never = features.new_zeros(model.config.vocab_size)
    never[settings.suppress_tokens or []] = -torch.inf
    not_first = never.clone()
    not_first[settings.begin_suppress_tokens or []] = -torch.inf
    return ends, not_first, never


def greedy(model: Any, features: torch.Tensor, start: Sequence[int], limits: Sequence[int]) -> list[list[int]]:
    """The likeliest token after the likeliest token, for every clip until its end or its own limit; without the end.

    `start` stands before the first token of every clip. Tokens that generation_config suppresses are never written.
    Every limit is 1 or more.
    """
    ends, not_first, never = rules(model, features)
    decoder = Decoder(model, encoded(model, features), len(start) + max(limits))
    found: list[list[int]] = [[] for _ in limits]
    clips = list(range(len(limits)))
    unfinished = set(clips)
    tokens = torch.tensor(start, device=features.device).expand(len(limits), -1)
    for step in range(max(limits)):
        tokens = (decoder.step(tokens) + (never if step else not_first)).argmax(dim=-1, keepdim=True)
        for clip, token in zip(clips, tokens[:, 0].tolist(), strict=True):
            if clip in unfinished and token not in ends:
                found[clip].append(token)
            if token in ends or len(found[clip]) >= limits[clip]:
                unfinished.discard(clip)
        if not unfinished:
            break
        if len(unfinished) <= CROWD * len(clips):
            kept = torch.tensor(
                [place for place, clip in enumerate(clips) if clip in unfinished], device=features.device
            )
            decoder.keep(kept)
            tokens, clips = tokens[kept], [clip for clip in clips if clip in unfinished]
    return found
