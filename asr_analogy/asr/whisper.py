"""Whisper of any size: labels, windows and greedy decoding."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import WhisperConfig, WhisperForConditionalGeneration, WhisperProcessor

from asr_analogy.asr.batching import pieces
from asr_analogy.asr.family import load_model
from asr_analogy.errors import DataError, RecipeError
from asr_analogy.speech.audio import SAMPLE_RATE
from asr_analogy.text.spoken import letters

LETTERS = "abcdefghijklmnopqrstuvwxyz'"
TOKENS_PER_SECOND = 14
"""Decoding stops after this many tokens per second of audio (fast speech stays below 8): the guard against loops."""


class WhisperRecogniser:
    """WhisperForConditionalGeneration with its processor, for one language."""

    def __init__(self, folder: Path, language: str, weights: bool = True) -> None:
        try:
            self.processor: Any = WhisperProcessor.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"{folder}: no usable Whisper processor ({str(error).splitlines()[0]})") from error
        tokenizer = self.processor.tokenizer
        self.multilingual = f"<|{language}|>" in tokenizer.get_vocab() and "<|transcribe|>" in tokenizer.get_vocab()
        if not self.multilingual and language != "en":
            raise RecipeError(f"language: {language}: not a language of {folder}")
        self.decoding = {"language": language, "task": "transcribe"} if self.multilingual else {}
        tokenizer.set_prefix_tokens(**self.decoding, predict_timestamps=False)
        self.written = tokenizer.init_kwargs.get("label_form") != "letters"
        self.window: float | None = self.processor.feature_extractor.chunk_length
        self.model: Any = load_model(WhisperForConditionalGeneration, folder) if weights else None
        self.positions = WhisperConfig.from_pretrained(folder, local_files_only=True).max_target_positions

    def label(self, text: str) -> list[int]:
        """Prompt (without the start token, which the model prepends), text, end. Written form, with Whisper's leading
        space; a base whose tokenizer says `label_form: letters` gets lower-case letters."""
        tokenizer = self.processor.tokenizer
        start, *prompt = tokenizer.prefix_tokens
        body = tokenizer(
            " " + text.strip() if self.written else letters(text, LETTERS), add_special_tokens=False
        ).input_ids
        return [*prompt, *body, tokenizer.eos_token_id]

    def refusal(self, text: str, seconds: float) -> str | None:
        if self.window is not None and seconds > self.window:
            return f"longer than the base's window ({self.window:g} s)"
        if len(self.label(text)) >= self.positions:
            return "more tokens than the decoder has positions"
        return None if self.written or letters(text, LETTERS) else "no letters to learn"

    def batch(self, clips: Sequence[np.ndarray], labels: Sequence[Sequence[int]]) -> dict[str, torch.Tensor]:
        padded = torch.full((len(labels), max(map(len, labels))), -100)
        for index, label in enumerate(labels):
            padded[index, : len(label)] = torch.tensor(label)
        return {"input_features": self._features(clips), "labels": padded}

    def _features(self, clips: Sequence[np.ndarray]) -> torch.Tensor:
        """Log-mels padded to the base's own window, (batch, mels, frames)."""
        extractor = self.processor.feature_extractor
        return extractor(list(clips), sampling_rate=SAMPLE_RATE, return_tensors="pt").input_features

    def transcribe(self, clips: Sequence[np.ndarray]) -> list[str]:
        assert self.window is not None
        parts = [pieces(clip, self.window) for clip in clips]
        flat = [piece for clip in parts for piece in clip]
        seconds = max(len(piece) for piece in flat) / SAMPLE_RATE
        room = self.positions - 5
        with torch.inference_mode():
            features = self._features(flat).to(self.model.device, self.model.dtype)
            tokens = self.model.generate(
                features,
                **self.decoding,
                num_beams=1,
                do_sample=False,
                max_new_tokens=min(room, 10 + int(TOKENS_PER_SECOND * seconds)),
            )
        texts = iter(self.processor.batch_decode(tokens, skip_special_tokens=True))
        return [" ".join(next(texts).strip() for _ in clip).strip() for clip in parts]
