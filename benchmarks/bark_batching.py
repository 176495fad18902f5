"""BARK in batches against one chunk at a time, on this machine's device, at equal output length.

    python benchmarks/bark_batching.py [--model FOLDER_OR_ID] [--batch 16] [--lines 16] [--width 64] [--layers 4]

Without --model a random model is made, of BARK's architecture and few tokens. Every clip is made to run to the limit of
its text (random weights end at random), and all texts are of one length. Three ways: the backend in batches, the backend
with batches of one, and BarkModel.generate line by line. Prints seconds of computing (on a CPU: CPU seconds, so that other
work on the machine does not count) for a second of audio.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from asr_analogy.tts.bark import BarkVoice, Chunk
from asr_analogy.tts.voice import BarkCard, Line

TOKENS = 200
"""Semantic tokens of every clip: four seconds."""


def clock() -> float:
    """Seconds: of this process on a CPU, of the wall on a GPU."""
    return time.perf_counter() if torch.cuda.is_available() else time.process_time()


class Unending(BarkVoice):
    """A voice whose every clip is TOKENS long."""

    def __init__(self, card: BarkCard) -> None:
        super().__init__(card)
        self.semantic.max_new_tokens = TOKENS
        self.model.generation_config.semantic_config["max_new_tokens"] = TOKENS
        with torch.no_grad():  # a constant input of the last layer, which pushes the end down
            self.model.semantic.layernorm_final.bias[0] = 20.0
            self.model.semantic.lm_head.weight[self.semantic.eos_token_id] = 0.0
            self.model.semantic.lm_head.weight[self.semantic.eos_token_id, 0] = -20.0

    def _semantic_tokens(self, rows: Sequence[Chunk]) -> tuple[torch.Tensor, torch.Tensor]:
        tokens, late = super()._semantic_tokens(rows)
        return tokens, torch.zeros_like(late)


def opened(model: str, batch: int) -> Unending:
    voice = {"voices": ["v2/en_speaker_0"], "min_eos_p": None, "batch": batch}
    return Unending(BarkCard.model_validate({"backend": "bark", "licence": "", "model": model, **voice}))


def backend(voice: BarkVoice, lines: list[Line]) -> tuple[float, list[int]]:
    """Seconds, and samples of every line."""
    start = clock()
    clips = list(voice.speak(lines))
    assert not any(isinstance(clip, str) for clip in clips), clips
    return clock() - start, [len(clip) for clip in clips]


def generate(voice: BarkVoice, lines: list[Line]) -> tuple[float, float]:
    """Seconds, and seconds of audio, of transformers' own generate, line by line."""
    prompt, width = voice.prompts[0], voice.semantic.max_input_semantic_length
    assert prompt is not None
    arrays = {"semantic_prompt": prompt.semantic, "coarse_prompt": prompt.coarse, "fine_prompt": prompt.fine}
    history = {key: torch.from_numpy(array).to(voice.device) for key, array in arrays.items()}
    samples, start = 0, clock()
    for line in lines:
        encoded = voice.tokenizer(
            line.text, padding="max_length", max_length=width, add_special_tokens=False, return_tensors="pt"
        ).to(voice.device)
        samples += voice.model.generate(
            encoded["input_ids"], attention_mask=encoded["attention_mask"], history_prompt=history,
            do_sample=True, temperature=0.7, fine_temperature=0.5,
        ).numel()  # fmt: skip
    return clock() - start, samples / voice.rate


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="")
    for name, value in {"batch": 16, "lines": 16, "width": 64, "layers": 4}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    given = parser.parse_args()
    random = np.random.default_rng(0)
    lines = [Line("".join(random.choice(list("abcdefgh"), 36)), 0, seed) for seed in range(given.lines)]
    with tempfile.TemporaryDirectory() as place:
        if not given.model:
            sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
            import tiny_voices

            tiny_voices.bark(Path(place) / "bark", width=given.width, layers=given.layers, presets=1, window=256)
        model = given.model or str(Path(place) / "bark")
        together, lengths = backend(opened(model, given.batch), lines)
        alone, lengths_alone = backend(opened(model, 1), lines)
        theirs, audio = generate(opened(model, 1), lines[:2])
    equal = sum(one == other for one, other in zip(lengths, lengths_alone, strict=True))
    rates = {
        "batched": together / sum(lengths) * 16_000,
        "one_by_one": alone / sum(lengths_alone) * 16_000,
        "generate": theirs / audio,
    }
    report = {f"{key}_s_per_s": round(value, 3) for key, value in rates.items()}
    report |= {"times": round(alone / together, 2), "times_generate": round(rates["generate"] / rates["batched"], 2)}
    report |= {"equally_long": f"{equal}/{len(lines)}", "audio_s": round(sum(lengths) / 16_000, 1)}
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"cpu, {torch.get_num_threads()} threads"
    print(json.dumps({**report, "device": device}))


if __name__ == "__main__":
    main()
