"""VITS (Kim et al., 2021) and the MMS-TTS voices (Pratap et al., 2023) through transformers.

Its noise comes from torch's generators in shapes that depend on the batch, so utterances are spoken one by one, each
from its own seed: a clip depends on text, voice and seed alone.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from transformers import VitsModel, VitsTokenizer

from asr_analogy.errors import MissingError, RecipeError
from asr_analogy.tts.chunks import unreadable
from asr_analogy.tts.pretrained import device, load_model, load_reader, seeded
from asr_analogy.tts.voice import Line, VitsCard, finished


class VitsVoice:
    """The backend behind cards with `backend: vits`."""

    def __init__(self, card: VitsCard) -> None:
        self.card, self.names = card, list(card.voices)
        self.device = device()
        self.tokenizer = load_reader(VitsTokenizer, card.model, card.revision)
        if self.tokenizer.is_uroman:
            raise MissingError(
                f"{card.model}: reads text romanised by uroman only, which is not done here; take a voice whose "
                "tokenizer has is_uroman: false (facebook/mms-tts-eng), or another backend"
            )
        if self.tokenizer.phonemize:
            raise MissingError(
                f"{card.model}: reads phonemes, which are not made here; take a voice that reads characters, "
                "such as facebook/mms-tts-eng"
            )
        self.model = load_model(VitsModel, card.model, card.revision, torch.float32, self.device)
        self.model.noise_scale, self.model.noise_scale_duration = card.noise, card.noise_duration
        self.rate = int(self.model.config.sampling_rate)
        self.speakers = self._speakers()

    def _speakers(self) -> list[int | None]:
        """The model's number of each voice; None where the model has one speaker."""
        count = self.model.config.num_speakers
        if count < 2:
            if len(self.names) > 1:
                raise RecipeError(f"voices: {self.card.model} has one voice; name one (got {', '.join(self.names)})")
            return [None]
        known = {str(number): number for number in range(count)}
        wrong = [name for name in self.names if name not in known]
        if wrong:
            raise MissingError(f"voices: {', '.join(wrong)}: {self.card.model} has the speakers 0 to {count - 1}")
        return [known[name] for name in self.names]

    def speak(self, lines: Iterable[Line]) -> Iterator[np.ndarray | str]:
        """For each line: samples (float32 mono at SAMPLE_RATE, level -26 dBFS), or why it could not be spoken."""
        for line in lines:
            yield self._speak(line)

    @torch.inference_mode()
    def _speak(self, line: Line) -> np.ndarray | str:
        text = self.tokenizer.normalize_text(line.text)
        lost = unreadable(text, {letter for letter in self.tokenizer.encoder if not letter.isdigit()})
        if lost:
            return f"characters the voice cannot read: {lost}"
        if not any(letter.isalnum() for letter in text):
            return "no letter to read"
        encoded = self.tokenizer(line.text, return_tensors="pt").to(self.device)
        tempo = float(np.random.default_rng(line.seed).uniform(*self.card.rate)) * self.model.config.speaking_rate
        speaker = self.speakers[line.voice % len(self.speakers)]
        with seeded(line.seed, self.device):
            output = self.model(**encoded, speaker_id=speaker, speaking_rate=tempo)
        samples = output.waveform[0, : int(output.sequence_lengths[0])]
        return finished(samples.float().cpu().numpy(), self.rate)
