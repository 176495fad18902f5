"""A studio: sentences in, clips out, spoken by the voices of one card and played into a room if it has one."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from asr_analogy.speech.rooms import Room
from asr_analogy.text.spoken import spoken, unspeakable
from asr_analogy.tts.voice import Card, Line, open_voice, seed_of

BABBLE = 16
"""Clean clips of the studio's own voices that make the babble of its room."""


@dataclass(frozen=True)
class Take:
    """One sentence to speak, in its written form, and the how-manieth time it is spoken (from 0)."""

    text: str
    number: int = 0


@dataclass(frozen=True)
class Clip:
    """A spoken take: float32 mono at SAMPLE_RATE, the text the voice was given, the voice, and the seed of it all."""

    samples: np.ndarray
    tts_text: str
    voice: str
    seed: int


class Studio:
    """Speaks takes with the voices of `card`; every draw depends on `seed`, `name`, the text and the take alone.

    The first BABBLE of `takes` are the other people in a room with babble.
    """

    def __init__(
        self, name: str, seed: int, card: Card, workers: int, room: Room | None = None, takes: Sequence[Take] = ()
    ) -> None:
        self.name, self.seed, self.room = name, seed, room
        self.voice = open_voice(card, workers)
        self.others: list[np.ndarray] = []
        if room is not None and room.babble is not None:
            clips = self.voice.speak(map(self._line, takes[:BABBLE]))
            self.others = [clip for clip in clips if not isinstance(clip, str)]

    def speak(self, takes: Iterable[Take]) -> Iterator[Clip | str]:
        """For each take, in order: the clip, or why it could not be spoken."""
        takes = list(takes)
        reasons = [unspeakable(take.text) for take in takes]
        lines = [self._line(take) for take in takes]
        sounds = self.voice.speak(line for line, reason in zip(lines, reasons, strict=True) if reason is None)
        for line, reason in zip(lines, reasons, strict=True):
            sound = reason or next(sounds)
            if isinstance(sound, str):
                yield sound
                continue
            if self.room is not None:
                sound = self.room.record(sound, np.random.default_rng((line.seed, 1)), self.others)
            yield Clip(sound, line.text, self.voice.names[line.voice], line.seed)

    def _line(self, take: Take) -> Line:
        """The voice depends on the sentence and the take, the seed on name and seed of the studio too."""
        voice = (seed_of(take.text) + take.number) % len(self.voice.names)
        return Line(spoken(take.text), voice, seed_of(self.seed, self.name, take.text, take.number))
