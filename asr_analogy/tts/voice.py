"""What the stages ask of a voice, and the cards that describe one.

A card is a YAML file in tts/: the backend, its voices and their settings. A recipe names a card.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

import numpy as np
from pydantic import Field, ValidationError, field_validator

from asr_analogy.errors import MissingError, RecipeError
from asr_analogy.recipe import Options, faults, read_yaml, shipped

Pace = Annotated[int, Field(ge=80, le=450)]
Percent = Annotated[int, Field(ge=0, le=99)]


class Card(Options):
    """A voice card: which backend speaks, with which voices, how fast and how high."""

    backend: Literal["espeak"]
    licence: str = Field(description="what may be done with speech made by these voices")
    voices: list[str] = Field(min_length=1, description="the backend's names of the voices")
    rate: tuple[Pace, Pace] = Field((150, 180), description="words per minute, drawn per utterance from this range")
    pitch: tuple[Percent, Percent] = Field((40, 60), description="base pitch 0-99, drawn per utterance")
    range: tuple[Percent, Percent] = Field((40, 60), description="pitch range 0-99, drawn per utterance")

    @field_validator("rate", "pitch", "range")
    @classmethod
    def _ascending(cls, value: tuple[int, int]) -> tuple[int, int]:
        if value[0] > value[1]:
            raise ValueError(f"write the smaller number first (got {value[0]}, {value[1]})")
        return value


@dataclass(frozen=True)
class Line:
    """One sentence to speak: the spoken form, which voice of the card (by number), and the seed of all that is drawn."""

    text: str
    voice: int
    seed: int


class Voice(Protocol):
    """A TTS backend. Deterministic per (text, voice, seed), whatever the batch or the order."""

    names: list[str]

    def speak(self, lines: Iterable[Line]) -> Iterator[np.ndarray | str]:
        """For each line, in order: samples (float32 mono at SAMPLE_RATE), or the reason why it could not be spoken."""
        ...


def load_card(name: str) -> Card:
    """Read the card `name`: a path, or the name of a shipped card. Raises MissingError or RecipeError."""
    path = shipped(name) if name.endswith(".yaml") else shipped(f"tts/{name}.yaml")
    if not path.is_file():
        known = sorted(card.stem for card in shipped("tts").glob("*.yaml"))
        raise MissingError(
            f"voices: {name}: no such voice card; known: {', '.join(known)}, or give the path of a .yaml"
        )
    try:
        return Card.model_validate(read_yaml(path))
    except ValidationError as error:
        raise RecipeError(f"{path}: not a voice card ({faults(error, Card)})") from error


def open_voice(card: Card, workers: int) -> Voice:
    """Start the backend of a card with so many processes (0: one per core)."""
    from asr_analogy.tts.espeak import EspeakVoice

    return EspeakVoice(card, workers)


def seed_of(*parts: object) -> int:
    """A 63-bit seed that depends on the parts alone, equal on every machine."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
