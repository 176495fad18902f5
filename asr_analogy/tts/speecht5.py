"""SpeechT5 (Ao et al., 2022) with HiFi-GAN through transformers: one speaker vector a voice.

Its decoder prenet keeps its dropout when it speaks and draws one mask for all rows of a batch, so utterances are spoken
one by one, each from its own seed: a clip depends on text, voice and seed alone.
"""

from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import SpeechT5ForTextToSpeech, SpeechT5HifiGan, SpeechT5Tokenizer

from asr_analogy.errors import DataError, MissingError
from asr_analogy.recipe import shipped
from asr_analogy.speech import audio
from asr_analogy.tts.chunks import join, split, unreadable
from asr_analogy.tts.pretrained import device, load_model, load_reader, seeded
from asr_analogy.tts.voice import Line, SpeechT5Card, finished, seed_of

FRAMES_PER_TOKEN = 20.0
"""Spectrogram frames after which a text that has not ended has derailed, per token."""

ENCODER = "speechbrain/spkrec-xvect-voxceleb"
"""What takes speaker vectors from recordings."""

SOUNDS = (".wav", ".flac", ".ogg", ".mp3")
NAMES = ("filename", "id", "name", "speaker", "speaker_id")
"""Columns by which a table names its vectors; a voice may also be the number of a row."""


class SpeechT5Voice:
    """The backend behind cards with `backend: speecht5`."""

    def __init__(self, card: SpeechT5Card) -> None:
        self.card, self.names = card, list(card.voices)
        self.device = device()
        self.tokenizer = load_reader(SpeechT5Tokenizer, card.model, card.revision)
        self.model = load_model(SpeechT5ForTextToSpeech, card.model, card.revision, torch.float32, self.device)
        self.vocoder = load_model(SpeechT5HifiGan, card.vocoder, card.vocoder_revision, torch.float32, self.device)
        self.known = set(self.tokenizer.get_vocab())
        config = self.model.config
        self.longest = min(card.tokens, config.max_text_positions)
        vectors = speaker_vectors(card.speakers, card.voices, config.speaker_embedding_dim)
        self.vectors = torch.from_numpy(vectors).to(self.device)

    def speak(self, lines: Iterable[Line]) -> Iterator[np.ndarray | str]:
        """For each line: samples (float32 mono at SAMPLE_RATE, level -26 dBFS), or why it could not be spoken."""
        for line in lines:
            yield self._speak(line)

    def _speak(self, line: Line) -> np.ndarray | str:
        digits = "".join(sorted({letter for letter in line.text if letter.isdigit()}))
        if digits:
            return f"digits in the spoken form, which the voice would skip: {digits}"
        lost = unreadable(line.text, self.known)
        if lost:
            return f"characters the voice cannot read: {lost}"
        text = " ".join("".join(letter if letter in self.known else " " for letter in line.text).split())
        if not any(letter.isalpha() for letter in text):
            return "no letter to read"
        heard = []
        for number, part in enumerate(self._parts(text)):
            sound = self._part(part, self.vectors[line.voice % len(self.names)], seed_of(line.seed, number))
            if isinstance(sound, str):
                return sound
            heard.append(sound)
        return join(heard)

    def _parts(self, text: str) -> list[str]:
        return split(text, self.longest, lambda part: len(self.tokenizer(part)["input_ids"]))

    @torch.inference_mode()
    def _part(self, text: str, vector: Tensor, seed: int) -> np.ndarray | str:
        config = self.model.config
        tokens = self.tokenizer(text, return_tensors="pt")["input_ids"].to(self.device)
        room = config.max_speech_positions * config.reduction_factor / tokens.shape[1]  # beyond, the prenet breaks
        ratio = min(FRAMES_PER_TOKEN, room)
        with seeded(seed, self.device):
            frames = self.model.generate_speech(tokens, vector[None], maxlenratio=ratio)
        most = int(tokens.shape[1] * ratio / config.reduction_factor) * config.reduction_factor
        if len(frames) >= most:
            return "the voice did not come to an end"
        return finished(self.vocoder(frames).float().cpu().numpy(), int(self.vocoder.config.sampling_rate))


def speaker_vectors(source: str, voices: Sequence[str], size: int) -> np.ndarray:
    """The vector of every voice, float32, shape (voices, size).

    `source` is "random" (seeded unit vectors), .npz (a vector per name, or an array `xvector`), .npy (a vector per row),
    .parquet or a hub data set with a column xvector, or a folder of recordings. Raises MissingError or DataError.
    """
    if source == "random":
        drawn = np.stack([np.random.default_rng(seed_of(voice)).standard_normal(size) for voice in voices])
        return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    table = _table(source)
    missing = [voice for voice in voices if voice not in table]
    if missing:
        known = ", ".join([name for name in table if not name.isdigit()][:8]) or f"0 to {len(table) - 1}"
        raise MissingError(f"voices: {', '.join(missing)}: not in {source}, which has {known}; correct the voice card")
    try:
        vectors = np.stack([np.asarray(table[voice], np.float32).reshape(-1) for voice in voices])
    except ValueError as error:
        raise DataError(f"{source}: its speaker vectors differ in length or are no numbers; give one length") from error
    if vectors.shape[1] != size or not np.isfinite(vectors).all():
        raise DataError(f"{source}: speaker vectors of {vectors.shape[1]} numbers; the model takes {size} finite ones")
    return vectors


def _table(source: str) -> "dict[str, Any] | Recordings":
    """Vectors by name and by row number."""
    path = shipped(source)
    if path.is_dir():
        return Recordings(path)
    if path.suffix not in (".npz", ".npy", ".parquet"):
        return _hub_table(source)
    if not path.is_file():
        raise MissingError(f"speakers: {source}: no such file; correct the voice card")
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet

            columns = pyarrow.parquet.read_table(path).to_pydict()
            return _rows(columns["xvector"], columns)
        loaded = np.load(path, allow_pickle=False)
        if path.suffix == ".npy":
            return _rows(np.atleast_2d(loaded), {})
        arrays = dict(loaded)
        return _rows(arrays["xvector"], arrays) if "xvector" in arrays else arrays
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"speakers: {source}: no speaker vectors in it ({error}); give a column xvector") from error


def _rows(vectors: Any, columns: dict[str, Any]) -> dict[str, Any]:
    found = {str(number): vector for number, vector in enumerate(vectors)}
    for name in NAMES:
        found |= {str(key): vector for key, vector in zip(columns.get(name, ()), vectors, strict=False)}
    return found


def _hub_table(source: str) -> dict[str, Any]:
    from datasets import load_dataset

    try:
        table = load_dataset(source, split="validation")
        return _rows(table["xvector"], {name: table[name] for name in NAMES if name in table.column_names})
    except Exception as error:  # the library raises its own, the hub's and the file system's errors
        why = " ".join(str(error).split())[:120]
        raise MissingError(
            f"speakers: {source}: not on this machine and not reachable on the hub ({why}); type: hf download --repo-type "
            f"dataset {source}, or give a .npz, .npy, .parquet or a folder of recordings"
        ) from error


class Recordings:
    """A folder with one recording, or one folder of recordings, a voice; vectors are taken when they are asked for."""

    def __init__(self, folder: Path) -> None:
        self.files = {
            entry.stem if entry.is_file() else entry.name: [entry] if entry.is_file() else sorted(entry.iterdir())
            for entry in sorted(folder.iterdir())
            if entry.is_dir() or entry.suffix in SOUNDS
        }
        self.encoder: Any = None

    def __iter__(self) -> Iterator[str]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)

    def __contains__(self, voice: str) -> bool:
        return voice in self.files

    def __getitem__(self, voice: str) -> np.ndarray:
        """The mean x-vector (Snyder et al., 2018) of a voice's recordings, by ENCODER."""
        sounds = [audio.read(file) for file in self.files[voice] if file.suffix in SOUNDS]
        if not sounds:
            raise DataError(f"voices: {voice}: a folder without recordings ({', '.join(SOUNDS)})")
        self.encoder = self.encoder or _encoder()
        with torch.inference_mode():
            found = [self.encoder.encode_batch(torch.from_numpy(sound)[None]).reshape(-1) for sound in sounds]
        mean = torch.stack([torch.nn.functional.normalize(vector, dim=0) for vector in found]).mean(0)
        return mean.cpu().numpy()


def _encoder() -> Any:
    try:
        speaker = import_module("speechbrain.inference.speaker")
    except ImportError as error:
        raise MissingError("speakers: a folder of recordings needs its encoder: pip install speechbrain") from error
    try:
        return speaker.EncoderClassifier.from_hparams(ENCODER)
    except Exception as error:  # the library raises its own, the hub's and the file system's errors
        why = " ".join(str(error).split())[:120]
        raise MissingError(
            f"speakers: the encoder of recordings, {ENCODER}, is not on this machine and not reachable on the hub ({why}); "
            f"type: hf download {ENCODER}, or give a .npz with the vectors"
        ) from error
