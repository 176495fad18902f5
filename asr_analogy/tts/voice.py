"""What the stages ask of a voice, the cards that describe one, and the one door through which a voice is opened.

A card is a YAML file in tts/: the backend, its voices and their settings. A recipe names a card. The cards of the
backends that ship stand here, so that a card is checked without loading a model library. Other packages bring a backend
by an entry point of the group `asr_analogy.tts`: its name is the `backend` of the card, and it loads to a callable
(card, workers) -> Voice. A callable with an attribute `card`, a subclass of Card, has its cards checked by that class,
else they may hold `voices` and `settings`.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Protocol, Self, cast

import numpy as np
from pydantic import Field, ValidationError, field_validator, model_validator

from asr_analogy.errors import MissingError, RecipeError
from asr_analogy.recipe import Options, faults, read_yaml, shipped
from asr_analogy.speech import audio
from asr_analogy.workspace import digest

GROUP = "asr_analogy.tts"
"""Entry points of this group are the backends of other packages."""

Pace = Annotated[int, Field(ge=80, le=450)]
Percent = Annotated[int, Field(ge=0, le=99)]
Tempo = Annotated[float, Field(ge=0.5, le=2.0)]
Voices = Annotated[list[str], Field(min_length=1, description="the backend's names of the voices")]
Precision = Annotated[
    Literal["auto", "fp32", "bf16", "fp16"], Field(description="auto takes fp16 on a GPU and fp32 on a CPU")
]


def _ascending(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] > value[1]:
        raise ValueError(f"write the smaller number first (got {value[0]}, {value[1]})")
    return value


class Card(Options):
    """What every voice card says."""

    drawn: ClassVar[bool] = True
    """Whether the speech is sampled from a model, which may lose its text; screened by a recogniser then."""
    shard: ClassVar[int] = 64
    """Utterances that are written together; a killed run loses at most these."""
    paths: ClassVar[tuple[str, ...]] = ()
    """The keys whose values may be files or folders of this machine."""

    backend: str
    licence: str = Field(description="what may be done with speech made by these voices")

    def local(self) -> dict[str, str]:
        """The content hashes of the files and folders that the card names, by name: weights, speaker vectors, prompts."""
        found = [getattr(self, key) for key in self.paths]
        names = [name for value in found for name in (value if isinstance(value, list) else [value])]
        places = {name: shipped(name) for name in names if isinstance(name, str)}
        return {name: digest(place) for name, place in places.items() if place.exists()}


class EspeakCard(Card):
    """espeak-ng: how fast and how high."""

    drawn: ClassVar[bool] = False
    shard: ClassVar[int] = 256

    backend: Literal["espeak"]
    voices: Voices
    rate: tuple[Pace, Pace] = Field((150, 180), description="words per minute, drawn per utterance from this range")
    pitch: tuple[Percent, Percent] = Field((40, 60), description="base pitch 0-99, drawn per utterance")
    range: tuple[Percent, Percent] = Field((40, 60), description="pitch range 0-99, drawn per utterance")

    _order = field_validator("rate", "pitch", "range")(_ascending)


class BarkCard(Card):
    """BARK: presets or random voices, and how its tokens are drawn (0 is greedy)."""

    paths: ClassVar[tuple[str, ...]] = ("model", "voices")

    backend: Literal["bark"]
    model: str = Field(description="hub id or folder")
    revision: str = Field("main", description="hub: branch, tag or commit")
    voices: list[str | None] = Field(
        min_length=1, description="presets of the model, .npz files with the three prompts, or null for a random voice"
    )
    batch: int = Field(16, gt=0, le=512, description="chunks spoken together; part of what a clip depends on")
    chunk: float = Field(12.0, ge=2, le=14, description="seconds; longer text is split at clause ends")
    precision: Precision = "auto"
    temperature: float = Field(0.7, ge=0, le=2, description="of the semantic and the coarse tokens")
    fine_temperature: float = Field(0.5, ge=0, lt=1, description="of the fine tokens")
    top_k: int | None = Field(50, gt=0, description="draw among so many likeliest tokens; null among all")
    min_eos_p: float | None = Field(0.2, gt=0, lt=1, description="stop where the end is likelier than this")

    @field_validator("voices")
    @classmethod
    def _one_random(cls, value: list[str | None]) -> list[str | None]:
        if value.count(None) > 1:
            raise ValueError("write null once: it already is another voice for every sentence")
        return value


class SpeechT5Card(Card):
    """SpeechT5 with HiFi-GAN: one speaker vector a voice."""

    paths: ClassVar[tuple[str, ...]] = ("model", "vocoder", "speakers")

    backend: Literal["speecht5"]
    model: str = Field(description="hub id or folder")
    revision: str = Field("main", description="hub: branch, tag or commit")
    vocoder: str = Field("microsoft/speecht5_hifigan", description="hub id or folder")
    vocoder_revision: str = Field("main", description="hub: branch, tag or commit")
    speakers: str = Field(
        description="where the speaker vectors come from: .npz, .npy, .parquet (column xvector), a folder of recordings, "
        "a hub data set with a column xvector, or random (for tests)"
    )
    voices: Voices
    tokens: int = Field(300, ge=20, description="longer text is split at clause ends; the model's own limit holds too")


class VitsCard(Card):
    """VITS, as in MMS-TTS: characters in, waveform out."""

    paths: ClassVar[tuple[str, ...]] = ("model",)

    backend: Literal["vits"]
    model: str = Field(description="hub id or folder")
    revision: str = Field("main", description="hub: branch, tag or commit")
    voices: Voices = Field(description="the name of the only voice, or numbers of the model's speakers")
    rate: tuple[Tempo, Tempo] = Field(
        (0.9, 1.1), description="speaking rate, drawn per utterance; 1 is the model's own"
    )
    noise: float = Field(0.667, ge=0, le=2, description="variation of the sound")
    noise_duration: float = Field(0.8, ge=0, le=2, description="variation of the rhythm")

    _order = field_validator("rate")(_ascending)


class PluginCard(Card):
    """A card for the backend of another package that brings no card class."""

    voices: Voices
    settings: dict[str, Any] = Field({}, description="for the backend alone")

    @model_validator(mode="after")
    def _not_ours(self) -> Self:
        if self.backend in BUILT_IN:
            raise ValueError(f"backend: {self.backend} has a card class of its own")
        return self


BUILT_IN: dict[str, type[Card]] = {"espeak": EspeakCard, "bark": BarkCard, "speecht5": SpeechT5Card, "vits": VitsCard}
"""The backends that ship, by the `backend` of their cards."""


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


Opener = Callable[[Any, int], Voice]
"""What an entry point loads to: (card, workers) -> Voice."""


def load_card(name: str) -> Card:
    """Read the card `name`: a path, or the name of a shipped card. Raises MissingError or RecipeError."""
    path = shipped(name) if name.endswith(".yaml") else shipped(f"tts/{name}.yaml")
    if not path.is_file():
        known = sorted(card.stem for card in shipped("tts").glob("*.yaml"))
        raise MissingError(
            f"voices: {name}: no such voice card; known: {', '.join(known)}, or give the path of a .yaml"
        )
    content = read_yaml(path)
    kind = _card_class(path, content.get("backend"))
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise RecipeError(f"{path}: not a voice card ({faults(error, kind)})") from error


def open_voice(card: Card, workers: int) -> Voice:
    """Start the backend of a card.

    `workers` (0: one per core) is the number of processes of a backend that has them; the neural ones compute in this
    process, on the GPU if there is one. Raises MissingError for a model or package that is not here, DataError for
    weights or speaker vectors that cannot be used.
    """
    match card:
        case EspeakCard():
            from asr_analogy.tts.espeak import EspeakVoice

            return EspeakVoice(card, workers)
        case BarkCard():
            from asr_analogy.tts.bark import BarkVoice

            return BarkVoice(card)
        case SpeechT5Card():
            from asr_analogy.tts.speecht5 import SpeechT5Voice

            return SpeechT5Voice(card)
        case VitsCard():
            from asr_analogy.tts.vits import VitsVoice

            return VitsVoice(card)
    return _opener(card.backend)(card, workers)


def _card_class(path: Path, backend: Any) -> type[Card]:
    """The class that checks cards of `backend`; Card itself, which then says so, if the key is missing or no name."""
    if not isinstance(backend, str):
        return Card
    if backend in BUILT_IN:
        return BUILT_IN[backend]
    if not _entries(backend):
        known = ", ".join(sorted({*BUILT_IN, *(entry.name for entry in entry_points(group=GROUP))}))
        raise RecipeError(
            f"{path}: backend: no such backend {backend!r}; known: {known}; other packages bring one by an entry point "
            f"of the group {GROUP}: install the package, or correct the name"
        )
    found = getattr(_opener(backend), "card", PluginCard)
    if not (isinstance(found, type) and issubclass(found, Card)):
        raise MissingError(
            f"{path}: backend: {backend}: its attribute `card` is no subclass of Card; mend that package"
        )
    return found


def _entries(backend: str) -> list[EntryPoint]:
    return list(entry_points(group=GROUP, name=backend))


def _opener(backend: str) -> Opener:
    """The callable behind an entry point. Raises MissingError if it cannot be loaded or two packages claim the name."""
    entries = _entries(backend)
    if len({entry.value for entry in entries}) != 1:
        claims = ", ".join(entry.value for entry in entries) or "no package"
        raise MissingError(f"backend: {backend}: brought by {claims}; install exactly one package that has it")
    try:
        opener = entries[0].load()
    except Exception as error:  # whatever the other package does wrong
        raise MissingError(
            f"backend: {backend}: {entries[0].value} does not load ({type(error).__name__}: {error}); install that "
            "package again"
        ) from error
    if not callable(opener):
        raise MissingError(f"backend: {backend}: {entries[0].value} is not callable; mend that package")
    return cast(Opener, opener)


def finished(samples: np.ndarray, rate: int) -> np.ndarray | str:
    """What an engine said (mono, `rate` Hz) at SAMPLE_RATE, trimmed, at -26 dBFS; or why it is no speech."""
    if len(samples) and not np.isfinite(samples).all():
        return "the voice made samples that are no numbers"
    if len(samples) < rate * audio.SHORTEST or np.abs(samples).max() < audio.SILENCE:
        return "the voice said nothing"
    return audio.level(audio.trim(audio.resample(samples, rate)))


def seed_of(*parts: object) -> int:
    """A 63-bit seed that depends on the parts alone, equal on every machine."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
