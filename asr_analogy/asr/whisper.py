"""Whisper of any size: labels, windows, decoding and its prompt."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import WhisperForConditionalGeneration

from asr_analogy.asr.attention import kernel
from asr_analogy.asr.batching import padded
from asr_analogy.asr.beams import beam_search
from asr_analogy.asr.family import load_model, open_config, open_processor
from asr_analogy.asr.greedy import greedy
from asr_analogy.asr.hub import read_json
from asr_analogy.asr.mels import log_mels
from asr_analogy.errors import DataError, RecipeError
from asr_analogy.speech.audio import SAMPLE_RATE
from asr_analogy.text.spoken import letters

log = logging.getLogger("asr_analogy")

LETTERS = "abcdefghijklmnopqrstuvwxyz'"
TOKENS_PER_SECOND = 14
"""Decoding stops after this many tokens per second of audio (fast speech stays below 8): the guard against loops."""

SPARE_TOKENS = 10
"""Tokens that even the shortest clip may have."""


class WhisperRecogniser:
    """WhisperForConditionalGeneration with its processor, for one language."""

    parts = {"encoder": "model.encoder.", "feature_encoder": "model.encoder.conv", "decoder": "model.decoder."}

    def __init__(self, folder: Path, language: str, weights: bool = True) -> None:
        self.processor: Any = open_processor(folder)
        self.decoding = _decoding(folder, language, self.processor.tokenizer.get_vocab())
        named = [f"<|{language}|>", "<|transcribe|>"] if self.decoding else []
        self.prompt: list[int] = self.processor.tokenizer.convert_tokens_to_ids([*named, "<|notimestamps|>"])
        self.prompts: dict[tuple[str, ...], list[int]] = {}
        self.written = self.processor.tokenizer.init_kwargs.get("label_form") != "letters"
        self.window: float | None = self.processor.feature_extractor.chunk_length
        config = open_config(folder)
        self.positions: int | None = config.max_target_positions
        attention = kernel(config.max_source_positions)
        self.model: Any = load_model(WhisperForConditionalGeneration, folder, attention) if weights else None
        if weights:
            _keep_no_keys(self.model)

    def label(self, text: str) -> list[int]:
        """Prompt (without the start token, which the model prepends), text, end. Written form, with Whisper's leading
        space; a base whose tokenizer says `label_form: letters` gets lower-case letters."""
        return [*self.prompt, *self._body(text), self.processor.tokenizer.eos_token_id]

    def _body(self, text: str) -> list[int]:
        body = (" " + text.strip()).rstrip() if self.written else letters(text, LETTERS)
        return self.processor.tokenizer(body, add_special_tokens=False).input_ids

    def timed_label(self, parts: Sequence[tuple[str, float, float]]) -> list[int]:
        """Prompt without <|notimestamps|>, then every part between its start and its end in steps of 20 ms."""
        tokenizer = self.processor.tokenizer
        vocabulary = tokenizer.get_vocab()
        if "<|0.00|>" not in vocabulary or f"<|{self.window:.2f}|>" not in vocabulary:
            raise RecipeError("train.timestamps: the base's tokenizer has no tokens for times (<|0.00|>); leave it out")
        found = self.prompt[:-1]
        for text, *span in parts:
            start, end = (vocabulary[f"<|{min(round(50 * time) / 50, self.window or 0.0):.2f}|>"] for time in span)
            found += [start, *self._body(text), end]
        return [*found, tokenizer.eos_token_id]

    def refusal(self, text: str, seconds: float) -> str | None:
        if self.window is not None and seconds > self.window:
            return f"longer than the base's window ({self.window:g} s)"
        if self.positions is not None and len(self.label(text)) > self.positions:
            return "more tokens than the decoder has positions"
        return None if self.written or letters(text, LETTERS) else "no letters to learn"

    def batch(self, clips: Sequence[np.ndarray], labels: Sequence[Sequence[int]]) -> dict[str, torch.Tensor]:
        return {"input_features": self._features(clips), "labels": padded(labels)}

    def _features(self, clips: Sequence[np.ndarray]) -> torch.Tensor:
        """Log-mels padded to the base's own window, (batch, mels, frames)."""
        return log_mels(clips, self.processor.feature_extractor)

    def transcribe(self, clips: Sequence[np.ndarray], beams: int = 1, prompt: Sequence[str] = ()) -> list[str]:
        assert self.window is not None and self.positions is not None
        if max(map(len, clips)) > self.window * SAMPLE_RATE:
            raise ValueError("a clip is longer than the window: listening.py cuts those")
        before = self._before(prompt)
        start = [*before, self.model.generation_config.decoder_start_token_id, *self.prompt]
        room = self.positions - len(start)
        # Each clip has its own limit, so that a transcript does not depend on what it is decoded with.
        limits = [min(room, SPARE_TOKENS + TOKENS_PER_SECOND * len(clip) // SAMPLE_RATE) for clip in clips]
        with torch.inference_mode():
            features = self._features(clips).to(self.model.device, self.model.dtype)
            if beams == 1:
                tokens = greedy(self.model, features, start, limits)
            else:
                tokens = beam_search(self.model, features, start, limits, beams)
        return [text.strip() for text in self.processor.batch_decode(tokens, skip_special_tokens=True)]

    def _before(self, terms: Sequence[str]) -> list[int]:
        """What stands before the start token so that these terms seem to have been written just before: as many of the
        first as fill half of the decoder's positions, as Whisper does with the text before. Empty without terms.

        Raises RecipeError where the tokenizer lacks the token for it.
        """
        if not terms or tuple(terms) in self.prompts:
            return self.prompts.get(tuple(terms), [])
        tokenizer = self.processor.tokenizer
        mark = tokenizer.get_vocab().get("<|startofprev|>")
        if mark is None:
            raise RecipeError("prompt: the base's tokenizer has no <|startofprev|>; leave the prompt out")
        most, found, used = (self.positions or 0) // 2 - 1, [mark], 0
        while used < len(terms):
            more = self._body(", ".join(terms[: used + 1]))
            if len(more) + 1 > most:
                break
            found, used = [mark, *more], used + 1
        if used < len(terms):
            log.info("  prompt: the first %d of %d terms have room in it", used, len(terms))
        self.prompts[tuple(terms)] = found if used else []
        return self.prompts[tuple(terms)]


def _keep_no_keys(model: Any) -> None:
    """Spare training the copies of keys and values that the decoder makes for generating."""

    def spare(decoder: Any, given: tuple, named: dict[str, Any]) -> tuple[tuple, dict[str, Any]] | None:
        return (given, {**named, "use_cache": False}) if decoder.training else None

    model.model.decoder.register_forward_pre_hook(spare, with_kwargs=True)


def _decoding(folder: Path, language: str, vocabulary: dict[str, int]) -> dict[str, str]:
    """Language and task for generation_config.json; empty for English-only bases, which take neither.

    The vocabulary does not tell: English-only checkpoints carry the language tokens too, untrained.
    """
    path = folder / "generation_config.json"
    settings = read_json(path) or {}
    if "no_timestamps_token_id" not in settings:
        raise DataError(f"{path}: missing or without no_timestamps_token_id; copy it from the original Whisper")
    token = f"<|{language}|>"
    if not settings.get("is_multilingual", token in vocabulary and "<|transcribe|>" in vocabulary):
        if language != "en":
            raise RecipeError(f"language: {language}: {folder} knows English only; take a multilingual base")
        return {}
    if token not in settings.get("lang_to_id", {}):
        known = ", ".join(name.strip("<|>") for name in settings.get("lang_to_id", {})) or "none in lang_to_id"
        raise RecipeError(f"language: {language}: not a language of {path}; known: {known}")
    return {"language": language, "task": "transcribe"}
