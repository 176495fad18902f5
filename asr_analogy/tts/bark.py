"""BARK (Suno, 2023) through transformers: presets or random voices, chunks of at most 12 s, spoken in batches.

A clip depends on text, voice and seed alone, whatever else is in its batch:
- every chunk draws its tokens from uniform numbers of its own seed, by inverting a cumulative sum of whole numbers
  (a sum of floats may depend on the order in which a GPU adds);
- the sequence models always see batches of `card.batch` rows, the last one filled up, and prompts of one length, so a row
  meets the same matrix products in every batch; they hold no padding that depends on other rows;
- the fine model and the codec, which look ahead and so would see other rows' padding, take one chunk at a time.
What is left is the promise of the matrix library that a row's place in a batch does not change its rounding. Another
`batch`, precision or device is another rounding, and a flipped token another clip.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import BarkModel, BarkProcessor
from transformers.models.bark.generation_configuration_bark import (
    BarkCoarseGenerationConfig,
    BarkFineGenerationConfig,
    BarkSemanticGenerationConfig,
)

from asr_analogy.errors import DataError, MissingError
from asr_analogy.recipe import shipped
from asr_analogy.tts.chunks import join, split
from asr_analogy.tts.pretrained import device, load_file, load_model, load_reader, precision, seeded
from asr_analogy.tts.voice import BarkCard, Line, finished, seed_of

CHARACTERS_PER_SECOND, SLOWEST, SLACK = 15, 6, 2.0
"""How fast BARK reads; characters per second (and seconds more) after which a chunk that has not ended has derailed."""

AHEAD = 16
"""Batches of lines in hand: enough to fill batches with chunks of like length, few enough to hold in memory."""

PROMPTS = {"semantic_prompt": 1, "coarse_prompt": 2, "fine_prompt": 2}
"""The arrays of a voice and their dimensions."""

RESOLUTION = 2.0**40
"""Steps of a probability of 1 when one is drawn."""


@dataclass(frozen=True)
class Prompt:
    """What a voice said before: tokens semantic (n,), coarse (2, m) and fine (8, m), all int64."""

    semantic: np.ndarray
    coarse: np.ndarray
    fine: np.ndarray


@dataclass(frozen=True)
class Chunk:
    """A part of a line: its text, its seed and the voice that goes on; None is a voice yet unheard."""

    text: str
    seed: int
    prompt: Prompt | None


@dataclass(frozen=True)
class Said:
    """A spoken chunk: finished samples, and its own tokens, with which the same voice goes on."""

    samples: np.ndarray
    prompt: Prompt


class BarkVoice:
    """The backend behind cards with `backend: bark`; the random voice is named "random"."""

    def __init__(self, card: BarkCard) -> None:
        self.card = card
        self.device = device()
        reader = load_reader(BarkProcessor, card.model, card.revision)
        self.tokenizer = reader.tokenizer
        presets = reader.speaker_embeddings or {}
        self.prompts = [None if name is None else self._prompt(name, presets) for name in card.voices]
        self.names = [name or "random" for name in card.voices]
        dtype = precision(card.precision, self.device)
        self.model = load_model(BarkModel, card.model, card.revision, dtype, self.device)
        self.model.codec_model.float()
        settings = self.model.generation_config
        self.semantic = BarkSemanticGenerationConfig(**settings.semantic_config)
        self.coarse = BarkCoarseGenerationConfig(**settings.coarse_acoustics_config)
        self.fine = BarkFineGenerationConfig(**settings.fine_acoustics_config)
        self.codebook, self.rate = int(settings.codebook_size), int(settings.sample_rate)
        self.ratio = self.coarse.coarse_rate_hz / self.semantic.semantic_rate_hz * self.coarse.n_coarse_codebooks

    def speak(self, lines: Iterable[Line]) -> Iterator[np.ndarray | str]:
        """For each line: samples (float32 mono at SAMPLE_RATE, level -26 dBFS), or why it could not be spoken."""
        coming = iter(lines)
        while window := list(islice(coming, AHEAD * self.card.batch)):
            yield from self._speak(window)

    def _speak(self, lines: Sequence[Line]) -> list[np.ndarray | str]:
        """A random voice first speaks the beginning of a line, and then goes on as the voice that it turned out to be."""
        longest = min(int(self.card.chunk * CHARACTERS_PER_SECOND), self.semantic.max_input_semantic_length)
        parts = [split(line.text, longest) for line in lines]  # a character is one token at most, so none is cut off
        prompts = [self.prompts[line.voice % len(self.prompts)] for line in lines]
        places = [(number, part) for number, texts in enumerate(parts) for part in range(len(texts))]
        said: dict[tuple[int, int], Said | str] = {}
        rounds = [[place for place in places if prompts[place[0]] is not None or place[1] == 0]]
        rounds.append([place for place in places if place not in set(rounds[0])])
        for wanted in rounds:
            chunks = {}
            for number, part in wanted:
                first = said.get((number, 0))
                prompt = prompts[number] or (first.prompt if isinstance(first, Said) else None)
                if part == 0 or prompt is not None:
                    chunks[number, part] = Chunk(parts[number][part], seed_of(lines[number].seed, part), prompt)
            said |= dict(zip(chunks, self._say(list(chunks.values())), strict=True))
        whole = [[said[number, part] for part in range(len(parts[number])) if (number, part) in said]
                 for number in range(len(lines))]  # fmt: skip
        return [_joined(pieces) for pieces in whole]

    def _say(self, chunks: Sequence[Chunk]) -> list[Said | str]:
        """Speak chunks in batches of one prompt length and like text length."""
        order = sorted(
            range(len(chunks)), key=lambda number: (self._lengths(chunks[number]), -len(chunks[number].text))
        )
        found: dict[int, Said | str] = {}
        while order:
            lengths = self._lengths(chunks[order[0]])
            batch = [number for number in order[: self.card.batch] if self._lengths(chunks[number]) == lengths]
            order = order[len(batch) :]
            found |= dict(zip(batch, self._batch([chunks[number] for number in batch]), strict=True))
        return [found[number] for number in range(len(chunks))]

    @torch.inference_mode()
    def _batch(self, chunks: Sequence[Chunk]) -> list[Said | str]:
        rows = [*chunks, *[chunks[-1]] * (self.card.batch - len(chunks))]
        tokens, late = self._semantic_tokens(rows)
        spoken = (tokens != self.semantic.eos_token_id).sum(1)
        lengths = torch.floor(spoken * self.ratio / self.coarse.n_coarse_codebooks).long()
        codes = self._coarse_tokens(rows, tokens, int(lengths.max()) * self.coarse.n_coarse_codebooks)
        found: list[Said | str] = []
        for row, chunk in enumerate(chunks):
            if bool(late[row]):
                found.append("the voice did not come to an end")
            elif not lengths[row]:
                found.append("the voice said nothing")
            else:
                found.append(self._sound(chunk, tokens[row, : spoken[row]], codes[row, : 2 * int(lengths[row])]))
        return found

    def _semantic_tokens(self, rows: Sequence[Chunk]) -> tuple[Tensor, Tensor]:
        """(rows, n) semantic tokens, the end token after the end, and which rows did not end in time."""
        settings, model = self.semantic, self.model.semantic
        end, width = settings.eos_token_id, settings.max_input_semantic_length
        encoded = self.tokenizer([row.text for row in rows], padding="max_length", max_length=width, truncation=True,
                                 add_special_tokens=False, return_tensors="pt")  # fmt: skip
        text = encoded["input_ids"] + settings.text_encoding_offset
        text = text.masked_fill(encoded["attention_mask"] == 0, settings.text_pad_token)
        before = torch.full((len(rows), width), settings.semantic_pad_token)
        for number, row in enumerate(rows):
            recent = row.prompt.semantic[-width:] if row.prompt else np.zeros(0, np.int64)
            before[number, : len(recent)] = torch.from_numpy(recent)
        embed = model.input_embeds_layer
        infer = torch.full((len(rows), 1), settings.semantic_infer_token, device=self.device)
        prompt = torch.cat([embed(text.to(self.device)) + embed(before.to(self.device)), embed(infer)], 1)
        seconds = torch.tensor([SLACK + len(row.text) / SLOWEST for row in rows], device=self.device)
        limits = (seconds * settings.semantic_rate_hz).long().clamp(max=settings.max_new_tokens)
        chances = self._chances(rows, 0, int(limits.max()))
        ended = torch.zeros(len(rows), dtype=torch.bool, device=self.device)
        late = ended.clone()

        def choose(logits: Tensor, step: int) -> Tensor | None:
            nonlocal ended, late
            late = late | (~ended & (step >= limits))
            ended = ended | late
            if bool(ended.all()):
                return None
            logits[:, settings.semantic_vocab_size : end] = -torch.inf
            logits[:, end + 1 :] = -torch.inf
            token = draw(logits, chances[:, step], self.card.temperature, self.card.top_k)
            if self.card.min_eos_p is not None:
                token = torch.where(logits.softmax(-1)[:, end] > self.card.min_eos_p, end, token)
            token = torch.where(ended, end, token)
            ended = ended | (token == end)
            return token

        found = _sample(model, prompt, int(limits.max()), choose)
        return found, late | ~ended

    def _coarse_tokens(self, rows: Sequence[Chunk], tokens: Tensor, longest: int) -> Tensor:
        """(rows, longest) coarse tokens, the codebooks in turn, in windows that slide over the semantic tokens."""
        settings, model, vocabulary = self.coarse, self.model.coarse_acoustics, self.semantic.semantic_vocab_size
        width, pad = settings.max_coarse_input_length, settings.coarse_semantic_pad_token
        histories = [self._history(row.prompt) for row in rows]
        before, spoken = (torch.stack(part).to(self.device) for part in zip(*histories, strict=True))
        known, start = before.shape[1], spoken.shape[1]
        semantic = torch.cat([before, tokens.masked_fill(tokens == self.semantic.eos_token_id, pad)], 1)
        infer = torch.full((len(rows), 1), settings.coarse_infer_token, device=self.device)
        chances = self._chances(rows, 1, longest)
        for done in range(0, longest, settings.sliding_window_len):
            first = max(0, known + round(done / self.ratio) - int(settings.max_coarse_history / self.ratio))
            window = semantic[:, first : first + width]
            window = torch.nn.functional.pad(window, (0, width - window.shape[1]), value=pad)
            prompt = torch.cat([window, infer, spoken[:, -settings.max_coarse_history :]], 1)

            def choose(logits: Tensor, step: int, done: int = done) -> Tensor:
                low = vocabulary + self.codebook * (step % settings.n_coarse_codebooks)
                allowed = logits[:, low : low + self.codebook]
                return draw(allowed, chances[:, done + step], self.card.temperature, self.card.top_k) + low

            steps = min(settings.sliding_window_len, longest - done)
            spoken = torch.cat([spoken, _sample(model, model.input_embeds_layer(prompt), steps, choose)], 1)
        return spoken[:, start:]

    def _sound(self, chunk: Chunk, semantic: Tensor, coarse: Tensor) -> Said | str:
        """Fine tokens and samples of one chunk."""
        history = None
        if chunk.prompt is not None:
            history = {"fine_prompt": torch.from_numpy(chunk.prompt.fine).to(self.device)}
        with seeded(seed_of(chunk.seed, "fine"), self.device):
            codes = self.model.fine_acoustics.generate(
                coarse[None], semantic_generation_config=self.semantic, coarse_generation_config=self.coarse,
                fine_generation_config=self.fine, codebook_size=self.codebook, history_prompt=history,
                temperature=self.card.fine_temperature or None,
            )  # fmt: skip
        samples = finished(self.model.codec_decode(codes).reshape(-1).float().cpu().numpy(), self.rate)
        if isinstance(samples, str):
            return samples
        fine = codes[0].long().cpu().numpy()
        return Said(samples, Prompt(semantic.cpu().numpy(), fine[: self.coarse.n_coarse_codebooks], fine))

    def _chances(self, rows: Sequence[Chunk], stage: int, count: int) -> Tensor:
        """(rows, count) uniform numbers; those of a row depend on its seed and the stage alone."""
        drawn = [np.random.default_rng((row.seed, stage)).random(count) for row in rows]
        return torch.from_numpy(np.stack(drawn)).to(self.device)

    def _lengths(self, chunk: Chunk) -> tuple[int, int]:
        """Semantic and coarse tokens of a chunk's voice that the coarse model is shown."""
        if chunk.prompt is None:
            return 0, 0
        semantic, coarse = len(chunk.prompt.semantic), chunk.prompt.coarse.size
        most = int(self.coarse.max_coarse_history / self.ratio)
        count = min(most, semantic - semantic % 2, int(coarse / self.ratio))
        return count, max(0, min(round(count * self.ratio), coarse) - 2)  # two less: they line up better so

    def _history(self, prompt: Prompt | None) -> tuple[Tensor, Tensor]:
        """The tokens that _lengths counts: semantic, and coarse as the coarse model numbers them."""
        if prompt is None:
            return torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long)
        count, spoken = self._lengths(Chunk("", 0, prompt))
        offsets = self.semantic.semantic_vocab_size + self.codebook * np.arange(len(prompt.coarse))[:, None]
        coarse = (prompt.coarse + offsets).T.reshape(-1)
        semantic = prompt.semantic[len(prompt.semantic) - count :]
        last = len(coarse) - 2 if spoken else 0
        return torch.from_numpy(semantic), torch.from_numpy(coarse[last - spoken : last].copy())

    def _prompt(self, name: str, presets: dict[str, Any]) -> Prompt:
        """Read a preset of the model, or an .npz with the same three arrays."""
        source, revision = self.card.model, self.card.revision
        try:
            if name.endswith(".npz"):
                with np.load(shipped(name), allow_pickle=False) as file:
                    arrays = {key: file[key] for key in PROMPTS}
            elif isinstance(presets.get(name), dict):
                files = {key: load_file(source, presets[name][key], revision) for key in PROMPTS}
                arrays = {key: np.load(file, allow_pickle=False) for key, file in files.items()}
            else:
                known = ", ".join(sorted(set(presets) - {"repo_or_path"})[:12]) or "none"
                raise MissingError(f"voices: {name}: {source} has no such preset; it has: {known}; or give null")
        except FileNotFoundError as error:
            raise MissingError(f"voices: {name}: no such file; correct the voice card") from error
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"voices: {name}: not a BARK voice ({error}); make or download it again") from error
        wrong = [key for key, array in arrays.items() if array.ndim != PROMPTS[key] or array.dtype.kind not in "iu"]
        if wrong or not all(array.size for array in arrays.values()):
            raise DataError(
                f"voices: {name}: not a BARK voice ({', '.join(wrong) or 'empty'}); make or download it again"
            )
        return Prompt(*(arrays[key].astype(np.int64) for key in PROMPTS))


def draw(logits: Tensor, chance: Tensor, temperature: float, top_k: int | None) -> Tensor:
    """One token a row from logits (rows, vocabulary) by uniform numbers (rows,) in [0, 1); the likeliest at temperature 0.

    Inverts the cumulative distribution, in whole numbers, whose sums are the same in any order.
    """
    if temperature == 0:
        return logits.argmax(-1)
    if top_k is not None and top_k < logits.shape[-1]:
        logits = logits.masked_fill(logits < logits.topk(top_k).values[:, -1:], -torch.inf)
    bounds = ((logits / temperature).softmax(-1).double() * RESOLUTION).long().cumsum(-1)
    total = bounds[:, -1:]
    place = (chance[:, None] * total).long().minimum(total - 1)
    return (bounds <= place).sum(-1)


def _sample(model: Any, prompt: Tensor, steps: int, choose: Callable[[Tensor, int], Tensor | None]) -> Tensor:
    """(rows, at most steps) tokens that `choose` takes from the logits of each step; None from it ends."""
    output = model(inputs_embeds=prompt, use_cache=True)
    tokens: list[Tensor] = []
    for step in range(steps):
        token = choose(output.logits[:, -1].float(), step)
        if token is None:
            break
        tokens.append(token)
        if step + 1 < steps:
            output = model(input_ids=token[:, None], past_key_values=output.past_key_values, use_cache=True)
    return torch.stack(tokens, 1)


def _joined(pieces: Sequence[Said | str]) -> np.ndarray | str:
    """The chunks of a line as one clip, or the first reason why there is none."""
    heard = []
    for piece in pieces:
        if isinstance(piece, str):
            return piece
        heard.append(piece.samples)
    return join(heard)
