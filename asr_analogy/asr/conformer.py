"""Wav2Vec2-Conformer with a CTC head: letter labels and frame-wise greedy decoding."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, Wav2Vec2ConformerForCTC, Wav2Vec2Processor

from asr_analogy.asr.family import load_model
from asr_analogy.errors import DataError
from asr_analogy.speech.audio import SAMPLE_RATE
from asr_analogy.text.spoken import letters


class ConformerRecogniser:
    """Wav2Vec2ConformerForCTC with its processor. Labels are the spoken form in the letters of its vocabulary."""

    window: float | None = None

    def __init__(self, folder: Path, language: str, weights: bool = True) -> None:
        try:
            self.processor: Any = Wav2Vec2Processor.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"{folder}: no usable Wav2Vec2 processor ({str(error).splitlines()[0]})") from error
        tokenizer = self.processor.tokenizer
        special = {*tokenizer.all_special_tokens, tokenizer.word_delimiter_token}
        self.alphabet = "".join(token for token in tokenizer.get_vocab() if len(token) == 1 and token not in special)
        self.config = AutoConfig.from_pretrained(folder, local_files_only=True)
        self.model: Any = load_model(Wav2Vec2ConformerForCTC, folder) if weights else None

    def label(self, text: str) -> list[int]:
        return self.processor.tokenizer(letters(text, self.alphabet)).input_ids

    def refusal(self, text: str, seconds: float) -> str | None:
        label = self.label(text)
        if not label:
            return "no letters of the model's vocabulary"
        needed = len(label) + sum(left == right for left, right in zip(label, label[1:], strict=False))
        frames = self._frames(int(seconds * SAMPLE_RATE))
        return f"more letters ({needed}) than frames ({frames})" if needed > frames else None

    def _frames(self, samples: int) -> int:
        """Output frames of the convolutional feature encoder for so many samples."""
        for size, stride in zip(self.config.conv_kernel, self.config.conv_stride, strict=True):
            samples = (samples - size) // stride + 1
        return samples

    def batch(self, clips: Sequence[np.ndarray], labels: Sequence[Sequence[int]]) -> dict[str, torch.Tensor]:
        padded = torch.full((len(labels), max(map(len, labels))), -100)
        for index, label in enumerate(labels):
            padded[index, : len(label)] = torch.tensor(label)
        return {**self._inputs(clips), "labels": padded}

    def _inputs(self, clips: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
        extractor = self.processor.feature_extractor
        inputs = extractor(list(clips), sampling_rate=SAMPLE_RATE, padding=True, return_tensors="pt")
        return {name: inputs[name] for name in ("input_values", "attention_mask") if name in inputs}

    def transcribe(self, clips: Sequence[np.ndarray]) -> list[str]:
        with torch.inference_mode():
            inputs = {name: value.to(self.model.device) for name, value in self._inputs(clips).items()}
            tokens = self.model(**inputs).logits.argmax(dim=-1)
            if "attention_mask" in inputs:
                frames = self.model._get_feat_extract_output_lengths(inputs["attention_mask"].sum(dim=1))
                tokens = tokens.masked_fill(
                    torch.arange(tokens.shape[1], device=tokens.device) >= frames[:, None], self.config.pad_token_id
                )
        return [text.strip() for text in self.processor.batch_decode(tokens)]
