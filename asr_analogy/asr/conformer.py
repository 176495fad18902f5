"""Wav2Vec2-Conformer with a CTC head: letter labels, decoding by the likeliest frames or prefixes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import Wav2Vec2ConformerForCTC

from asr_analogy.asr.batching import padded
from asr_analogy.asr.family import load_model, open_config, open_processor
from asr_analogy.asr.prefixes import prefix_search
from asr_analogy.errors import RecipeError
from asr_analogy.speech.audio import SAMPLE_RATE
from asr_analogy.text.spoken import letters


class ConformerRecogniser:
    """Wav2Vec2ConformerForCTC with its processor. Labels are the spoken form in the letters of its vocabulary."""

    window: float | None = None
    positions: int | None = None
    parts = {
        "encoder": "wav2vec2_conformer.",
        "feature_encoder": "wav2vec2_conformer.feature_extractor.",
        "decoder": "lm_head.",
    }

    def __init__(self, folder: Path, weights: bool = True) -> None:
        self.processor: Any = open_processor(folder)
        self.decoding: dict[str, str] = {}
        tokenizer = self.processor.tokenizer
        special = {*tokenizer.all_special_tokens, tokenizer.word_delimiter_token}
        self.alphabet = "".join(token for token in tokenizer.get_vocab() if len(token) == 1 and token not in special)
        self.config = open_config(folder)
        self.model: Any = _load(folder) if weights else None

    def label(self, text: str) -> list[int]:
        return self.processor.tokenizer(letters(text, self.alphabet)).input_ids

    def timed_label(self, parts: Sequence[tuple[str, float, float]]) -> list[int]:
        raise RecipeError("train.timestamps: a CTC base has no tokens for times; leave it out")

    def refusal(self, text: str, seconds: float) -> str | None:
        label = self.label(text)
        if not label:
            return "no letters of the model's vocabulary"
        needed = len(label) + sum(left == right for left, right in zip(label, label[1:], strict=False))
        frames = self._frames(int(seconds * SAMPLE_RATE) - 1)  # less one: durations are rounded
        return f"more letters ({needed}) than frames ({frames})" if needed > frames else None

    def _frames(self, samples: int) -> int:
        """Output frames of the feature encoder (and of the adapter, if there is one) for so many samples."""
        steps = list(zip(self.config.conv_kernel, self.config.conv_stride, strict=True))
        if self.config.add_adapter:
            steps += [(1, self.config.adapter_stride)] * self.config.num_adapter_layers
        for size, stride in steps:
            samples = (samples - size) // stride + 1
        return max(0, samples)

    def batch(self, clips: Sequence[np.ndarray], labels: Sequence[Sequence[int]]) -> dict[str, torch.Tensor]:
        return {**self._inputs(clips), "labels": padded(labels)}

    def _inputs(self, clips: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
        extractor = self.processor.feature_extractor
        inputs = extractor(list(clips), sampling_rate=SAMPLE_RATE, padding=True, return_tensors="pt")
        return {name: inputs[name] for name in ("input_values", "attention_mask") if name in inputs}

    def transcribe(self, clips: Sequence[np.ndarray], beams: int = 1, prompt: Sequence[str] = ()) -> list[str]:
        if prompt:
            raise RecipeError("prompt: a CTC base takes no terms before the sound; leave the prompt out")
        if len(clips) > 1 and not self.processor.feature_extractor.return_attention_mask:
            # Without a mask the model hears the padding: a batch would change what it makes of a clip.
            return [text for clip in clips for text in self.transcribe([clip], beams)]
        with torch.inference_mode():
            inputs = {name: value.to(self.model.device) for name, value in self._inputs(clips).items()}
            logits = self.model(**inputs).logits
            frames = torch.full((len(logits),), logits.shape[1], device=logits.device)
            if "attention_mask" in inputs:
                frames = self.model._get_feat_extract_output_lengths(inputs["attention_mask"].sum(dim=1))
        if beams > 1:
            scores = logits.float().log_softmax(dim=-1).cpu().numpy()
            blank, ends = self.config.pad_token_id, frames.tolist()
            found = [prefix_search(own[:end], blank, beams) for own, end in zip(scores, ends, strict=True)]
            return [text.strip() for text in self.processor.tokenizer.batch_decode(found, group_tokens=False)]
        tokens = logits.argmax(dim=-1)
        behind = torch.arange(tokens.shape[1], device=tokens.device) >= frames[:, None]
        return [
            text.strip() for text in self.processor.batch_decode(tokens.masked_fill(behind, self.config.pad_token_id))
        ]


def _load(folder: Path) -> Any:
    """The model with a loss that means the same at every batch size, and deaf to padding."""
    model = load_model(Wav2Vec2ConformerForCTC, folder)
    # Configs say "sum" by default: then the loss, and with it clipping and the learning rate, grows with the batch and
    # its labels. The mean over an utterance's letters, then over utterances, does not.
    model.config.ctc_loss_reduction = "mean"
    # An utterance that cannot be aligned (prepare drops those) is to end training by name, not to count as 0.
    model.config.ctc_zero_infinity = False
    _hide_padding(model)
    # It would ask for the gradient of the sound itself, which nobody reads: as much work as the longest convolution
    # forward, and where the feature encoder is frozen, all of its backward pass.
    model.wav2vec2_conformer.feature_extractor._requires_grad = False
    return model


def _hide_padding(model: Any) -> None:
    """Zero the padded frames in front of every depthwise convolution, as if each clip ended where it ends.

    transformers masks them in the attention only, so that padding reaches the last frames of a clip through the
    convolutions: its transcript and its gradient then depend on the longest clip of the batch.
    """
    masks: list[torch.Tensor | None] = [None]

    def remember(_: Any, __: tuple, named: Mapping[str, Any]) -> None:
        masks[0] = named.get("attention_mask")

    def hide(_: Any, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor] | None:
        return None if masks[0] is None else (inputs[0] * masks[0][:, None].to(inputs[0].dtype),)

    encoder = model.wav2vec2_conformer.encoder
    encoder.register_forward_pre_hook(remember, with_kwargs=True)
    for layer in encoder.layers:
        layer.conv_module.depthwise_conv.register_forward_pre_hook(hide)
