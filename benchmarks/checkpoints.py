"""What trust costs: checkpoints, averaging and the memory estimate, at whisper-tiny's or the conformer's real shapes.

    python benchmarks/checkpoints.py [--family whisper] [--steps 20] [--batch 8] [--layers N] [--seconds 4]

Weights are random. Prints one JSON line per result: seconds of a step without and with an exponential moving average,
seconds to write and to read a checkpoint and its size, the share of the time that checkpoints take at the recipe's default
interval, and the memory of a step as estimated (asr_analogy.asr.memory) and as measured (asr_analogy.asr.probe).
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import set_seed
from transformers import GenerationConfig, Wav2Vec2ConformerForCTC, WhisperForConditionalGeneration

from asr_analogy.asr import checkpoint
from asr_analogy.asr.averaging import Average
from asr_analogy.asr.family import Recogniser, open_recogniser
from asr_analogy.asr.fitting import fit
from asr_analogy.asr.memory import for_base, published
from asr_analogy.asr.probe import TRIALS, _need
from asr_analogy.recipe import Train, shipped
from asr_analogy.speech.audio import SAMPLE_RATE, encode
from asr_analogy.speech.corpus import Utterance


def base(family: str, layers: int | None, folder: Path) -> Path:
    """A folder of the family's published shapes with random weights; its processor is that of our micro model."""
    config: Any = published("whisper-tiny" if family == "whisper" else "wav2vec2-conformer-large")
    own = shipped(f"data/foundations/{family}-micro")
    if family == "whisper":
        for part in ("encoder", "decoder"):
            setattr(config, f"{part}_layers", layers or getattr(config, f"{part}_layers"))
        generation = GenerationConfig.from_pretrained(own)
        for key in ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"):
            setattr(config, key, getattr(generation, key))
        WhisperForConditionalGeneration(config).save_pretrained(folder)
    else:
        config.num_hidden_layers, config.pad_token_id = layers or config.num_hidden_layers, 0
        Wav2Vec2ConformerForCTC(config).save_pretrained(folder)
    for file in own.iterdir():
        if file.name not in ("config.json", "model.safetensors", "README.md"):
            (folder / file.name).write_bytes(file.read_bytes())
    if family == "whisper":
        path = folder / "processor_config.json"
        settings = json.loads(path.read_text())
        settings["feature_extractor"] |= {"chunk_length": 30, "n_samples": 480_000, "nb_max_frames": 3000}
        path.write_text(json.dumps(settings))
    return folder


def rows(count: int, seconds: float) -> list[Utterance]:
    random = np.random.default_rng(0)
    clips = [encode(0.1 * random.standard_normal(int(seconds * SAMPLE_RATE)).astype(np.float32)) for _ in range(count)]
    text = "the party of the second part"
    return [Utterance(f"{index:07d}", clip, text, text, "s", seconds, "", index) for index, clip in enumerate(clips)]


def say(**result: Any) -> None:
    print(json.dumps(result), flush=True)


def step_seconds(folder: Path, utterances: list[Utterance], options: Train) -> tuple[Recogniser, float]:
    """A trained recogniser, and the seconds of a step after the first."""
    set_seed(1)
    recogniser = open_recogniser(folder, "en")
    batch = list(range(len(utterances)))
    with tempfile.TemporaryDirectory() as out:
        fit("warm", recogniser, utterances, [batch], options.model_copy(update={"steps": 1}), Path(out))
    with tempfile.TemporaryDirectory() as out:
        started = time.perf_counter()
        fit("timed", recogniser, utterances, [batch] * options.steps, options, Path(out))
        return recogniser, (time.perf_counter() - started) / options.steps


def checkpoint_seconds(recogniser: Recogniser) -> tuple[float, float, int]:
    """Seconds to write and to read a checkpoint with moments and means, and its bytes."""
    optimizer = torch.optim.AdamW(recogniser.model.parameters(), fused=True)
    for value in recogniser.model.parameters():
        value.grad = torch.zeros_like(value)
    optimizer.step()
    mean = Average("ema", 1, {})
    mean.update(1, [(name, value.detach()) for name, value in recogniser.model.named_parameters()])
    with tempfile.TemporaryDirectory() as out:
        started = time.perf_counter()
        state = checkpoint.State(1, [], mean.weights)
        checkpoint.write(Path(out), recogniser.model, optimizer, state, [checkpoint.random_states()])
        written = time.perf_counter()
        checkpoint.restore(Path(out), recogniser.model, optimizer)
        size = (Path(out) / checkpoint.CHECKPOINT).stat().st_size
        return written - started, time.perf_counter() - written, size


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--family", choices=("whisper", "conformer"), default="whisper")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--layers", type=int)
    parser.add_argument("--seconds", type=float, default=4.0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = base(chosen.family, chosen.layers, Path(place))
        clips = rows(chosen.batch, chosen.seconds)
        options = Train(steps=chosen.steps, batch=chosen.batch)
        recogniser, plain = step_seconds(folder, clips, options)
        _, averaged = step_seconds(folder, clips, options.model_copy(update={"average": "ema"}))
        say(result="step", family=chosen.family, seconds=round(plain, 4), seconds_with_ema=round(averaged, 4))
        write, read, size = checkpoint_seconds(recogniser)
        share = 100 * write / (60 * options.checkpoint_minutes)
        timing = {"write_seconds": round(write, 2), "read_seconds": round(read, 2), "megabytes": round(size / 1e6)}
        say(result="checkpoint", family=chosen.family, **timing, percent_of_training=round(share, 2))
        del recogniser
        estimate, measured = for_base(folder, options, chosen.seconds), _need(folder, "en", options, clips[0])
        for name, need in (("estimated", estimate), (f"measured at batches {TRIALS}", measured)):
            say(result="memory", kind=name, fixed_gb=round(need.fixed / 1e9, 3), clip_gb=round(need.clip / 1e9, 4))


if __name__ == "__main__":
    main()
