"""Our training against transformers' Trainer, side by side: utterances per second, memory, where the factor comes from.

    python benchmarks/training.py                        # all parts, some 8 minutes on 2 idle cores
    python benchmarks/training.py whisper ctc            # some of: whisper ctc roofline checkpoint
    python benchmarks/training.py --steps 1 --batch 8    # a quick look

Real shapes, random weights, noise of 2 to 6 s with real sentences. whisper-tiny: 39 M parameters, 80 mels, 1,500
positions, 51,865 tokens (a byte-level BPE learnt from data/text, so that a sentence has about as many tokens as with
Whisper's own). Wav2Vec2-Conformer: wav2vec2's feature encoder (7 layers of 512 channels, frozen, as the script freezes it)
under 12 layers of width 256, 4 heads, rotary positions.

The Trainer does what transformers' example scripts do: features made beforehand and read from Arrow, padded to 30 s
(DataCollatorSpeechSeq2SeqWithPadding), AdamW fused; CTC grouped by length. Both take the same number of utterances in an
optimiser step: the Trainer in two forward passes (the example's 16 x 2), ours in one. Every line comes from a process of
its own, the first step is not timed, and `per_cpu_second` counts the seconds of all cores, for a machine that is not idle.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
WORDS = 2.6
"""Words per second of speech."""

WAYS = {
    "whisper": ("trainer fp32", "trainer bf16", "ours fp32", "ours bf16", "ours bf16 packed", "ours bf16 packed mels"),
    "ctc": ("trainer fp32", "trainer bf16", "ours fp32", "ours bf16"),
}


class Clock:
    """Wall and CPU seconds of the steps after the first."""

    def __init__(self, forwards: int) -> None:
        self.forwards, self.seen, self.ticks = forwards, 0, list[tuple[float, float]]()

    def tick(self, *_: Any) -> None:
        """A forward pass begins."""
        if self.seen % self.forwards == 0:
            self.ticks.append((time.perf_counter(), time.process_time()))
        self.seen += 1

    def report(self, utterances: int) -> dict[str, float]:
        """Of steps with so many utterances; the last has no end and is not counted."""
        steps = len(self.ticks) - 2
        wall, cpu = (self.ticks[-1][side] - self.ticks[1][side] for side in (0, 1))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {
            "utterances_per_second": round(steps * utterances / wall, 2),
            "per_cpu_second": round(steps * utterances / cpu, 2),
            "step_seconds": round(wall / steps, 2),
            "peak_mib": round(peak),
        }


def make(place: Path, count: int) -> None:
    """Bases, a prepared corpus and the Trainer's features in `place`."""
    import numpy as np
    import torch

    from asr_analogy.speech.audio import SAMPLE_RATE, encode
    from asr_analogy.speech.corpus import Utterance, write_shard

    torch.manual_seed(0)
    random = np.random.default_rng(0)
    words = (ROOT / "data/text/general.train.txt").read_text().split()
    rows = []
    for number in range(count):
        seconds = round(float(random.uniform(2, 6)), 2)
        start = int(random.integers(len(words) - 20))
        text = " ".join(words[start : start + int(WORDS * seconds)])
        samples = random.standard_normal(int(seconds * SAMPLE_RATE)).astype(np.float32) * 0.05
        rows.append(Utterance(f"{number:07d}", encode(samples), text, text, "", seconds, "", 0))
    (place / "corpus").mkdir()
    write_shard(place / "corpus/00000.parquet", rows)
    whisper(place / "whisper")
    conformer(place / "ctc")
    for family in WAYS:
        features(place, family)


def whisper(folder: Path) -> None:
    """whisper-tiny's shape."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperProcessor,
        WhisperTokenizer,
    )

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    files = [str(path) for path in sorted((ROOT / "data/text").glob("*.txt"))]
    raw.train(files, trainers.BpeTrainer(vocab_size=8_000, initial_alphabet=alphabet, show_progress=False))
    learnt = json.loads(raw.to_str())["model"]
    special = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>"]
    merges = [tuple(pair) for pair in learnt["merges"]]
    tokenizer = WhisperTokenizer(
        vocab=learnt["vocab"], merges=merges, additional_special_tokens=special, pad_token="<|endoftext|>"
    )
    end, start, language, _, plain = tokenizer.convert_tokens_to_ids(special)
    ids = {"pad_token_id": end, "bos_token_id": end, "eos_token_id": end, "decoder_start_token_id": start}
    config = WhisperConfig(  # what the class has by default is whisper-tiny; said here because it matters
        vocab_size=51_865, num_mel_bins=80, d_model=384, encoder_layers=4, decoder_layers=4, encoder_attention_heads=6,
        decoder_attention_heads=6, encoder_ffn_dim=1536, decoder_ffn_dim=1536, max_source_positions=1500,
        max_target_positions=448, **ids,
    )  # fmt: skip
    model = WhisperForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        **ids, is_multilingual=True, lang_to_id={"<|en|>": language}, no_timestamps_token_id=plain
    )
    model.save_pretrained(folder)
    WhisperProcessor(WhisperFeatureExtractor(), tokenizer).save_pretrained(folder)


def conformer(folder: Path) -> None:
    """12 layers of width 256; dropouts as the CTC script sets them."""
    from transformers import (
        Wav2Vec2ConformerConfig,
        Wav2Vec2ConformerForCTC,
        Wav2Vec2CTCTokenizer,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2Processor,
    )

    folder.mkdir()
    tokens = ["<pad>", "|", *"abcdefghijklmnopqrstuvwxyz'"]
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    names = {"pad_token": "<pad>", "unk_token": "<pad>", "bos_token": None, "eos_token": None}
    tokenizer = Wav2Vec2CTCTokenizer(str(folder / "vocab.json"), word_delimiter_token="|", **names)
    config = Wav2Vec2ConformerConfig(
        vocab_size=len(tokens), hidden_size=256, num_hidden_layers=12, num_attention_heads=4, intermediate_size=1024,
        feat_extract_norm="layer", conv_bias=True, do_stable_layer_norm=True, position_embeddings_type="rotary",
        hidden_dropout=0.0, attention_dropout=0.0, activation_dropout=0.0, feat_proj_dropout=0.0, final_dropout=0.0,
        layerdrop=0.0, mask_time_prob=0.05, pad_token_id=0, ctc_loss_reduction="mean",
    )  # fmt: skip
    Wav2Vec2ConformerForCTC(config).save_pretrained(folder)
    Wav2Vec2Processor(Wav2Vec2FeatureExtractor(return_attention_mask=True), tokenizer).save_pretrained(folder)


def features(place: Path, family: str) -> None:
    """What the scripts' `prepare_dataset` leaves on disk."""
    import datasets

    from asr_analogy.asr.family import open_recogniser
    from asr_analogy.speech.audio import SAMPLE_RATE
    from asr_analogy.speech.corpus import Corpus

    recogniser = open_recogniser(place / family, "en", weights=False)
    extractor = recogniser.processor.feature_extractor
    name = extractor.model_input_names[0]

    def rows() -> Any:
        for row in Corpus(place / "corpus"):
            samples = row.samples()
            label = recogniser.label(row.text)
            if family == "whisper":  # the tokenizer puts the start token in front, the collator takes it off again
                label = [recogniser.processor.tokenizer.convert_tokens_to_ids("<|startoftranscript|>"), *label]
            yield {
                name: extractor(samples, sampling_rate=SAMPLE_RATE)[name][0],
                "input_length": len(samples),
                "labels": label,
            }

    datasets.Dataset.from_generator(rows, cache_dir=str(place / "cache")).save_to_disk(
        str(place / f"{family}-features")
    )


def collator(processor: Any, start: int | None) -> Callable[[list[dict]], Any]:
    """As the scripts collate: pad inputs and labels apart, mark padding as ignored, cut off a start token."""

    def collate(rows: list[dict]) -> Any:
        name = processor.feature_extractor.model_input_names[0]
        batch = processor.feature_extractor.pad([{name: row[name]} for row in rows], return_tensors="pt")
        labels = processor.tokenizer.pad([{"input_ids": row["labels"]} for row in rows], return_tensors="pt")
        ids = labels["input_ids"].masked_fill(labels.attention_mask.ne(1), -100)
        batch["labels"] = ids[:, 1:] if start is not None and (ids[:, 0] == start).all() else ids
        return batch

    return collate


def trainer(place: Path, family: str, way: str, options: argparse.Namespace) -> dict[str, float]:
    import datasets
    import torch
    from transformers import (
        Seq2SeqTrainer,
        Seq2SeqTrainingArguments,
        Trainer,
        TrainingArguments,
        Wav2Vec2ConformerForCTC,
        WhisperForConditionalGeneration,
    )

    from asr_analogy.asr.family import open_processor

    is_whisper = family == "whisper"
    kind: Any = WhisperForConditionalGeneration if is_whisper else Wav2Vec2ConformerForCTC
    model = kind.from_pretrained(place / family)
    settings: dict[str, Any] = {}
    if not is_whisper:
        model.freeze_feature_encoder()
        settings = {"train_sampling_strategy": "group_by_length", "length_column_name": "input_length"}
        settings["remove_unused_columns"] = False  # the lengths are needed, and the collator takes what it knows
    arguments = (Seq2SeqTrainingArguments if is_whisper else TrainingArguments)(
        output_dir=str(place / "trainer"), per_device_train_batch_size=options.batch // 2, gradient_accumulation_steps=2,
        learning_rate=1e-5, max_steps=options.steps + 2, bf16="bf16" in way, use_cpu=not torch.cuda.is_available(),
        save_strategy="no", report_to=[], disable_tqdm=True, **settings,
    )  # fmt: skip
    clock = Clock(2)
    model.register_forward_pre_hook(clock.tick)
    start = model.config.decoder_start_token_id if is_whisper else None
    (Seq2SeqTrainer if is_whisper else Trainer)(
        model=model,
        args=arguments,
        data_collator=collator(open_processor(place / family), start),
        train_dataset=datasets.load_from_disk(str(place / f"{family}-features")),
    ).train()
    return clock.report(options.batch)


def ours(place: Path, family: str, way: str, options: argparse.Namespace) -> dict[str, float]:
    import torch

    from asr_analogy.asr.family import open_recogniser
    from asr_analogy.asr.fitting import fit
    from asr_analogy.asr.packing import planned
    from asr_analogy.asr.whisper import WhisperRecogniser
    from asr_analogy.recipe import Train
    from asr_analogy.speech.corpus import Corpus

    def extracted(self: WhisperRecogniser, clips: Any) -> torch.Tensor:
        return self.processor.feature_extractor(list(clips), sampling_rate=16_000, return_tensors="pt").input_features

    if "mels" not in way:
        WhisperRecogniser._features = extracted  # type: ignore[method-assign]
    torch.manual_seed(0)
    corpus, recogniser = Corpus(place / "corpus"), open_recogniser(place / family, "en")
    frozen = [] if family == "whisper" else ["wav2vec2_conformer.feature_extractor"]
    train = Train(
        steps=options.steps + 2, batch=options.batch, pack="packed" in way, freeze=frozen,
        precision="bf16" if "bf16" in way else "fp32",
    )  # fmt: skip
    texts, durations = [row.text for row in corpus.rows], [row.duration for row in corpus.rows]
    heard, batches = planned(recogniser, corpus, texts, durations, train, 0)
    clock = Clock(1)
    recogniser.model.register_forward_pre_hook(clock.tick)
    with tempfile.TemporaryDirectory() as out:
        fit(way, recogniser, heard, batches, train, Path(out))
    windows = sum(map(len, batches)) / len(batches)
    return {**clock.report(options.batch), "windows_per_step": round(windows, 1)}


def roofline(place: Path, family: str, _: str, options: argparse.Namespace) -> dict[str, float]:
    """Time of a packed step's matrix products as plain bf16 products, over the time of the step."""
    import torch
    from matrices import products, seconds

    from asr_analogy.asr.family import open_recogniser
    from asr_analogy.asr.feeding import feed
    from asr_analogy.asr.packing import planned
    from asr_analogy.recipe import Train
    from asr_analogy.speech.corpus import Corpus

    corpus, recogniser = Corpus(place / "corpus"), open_recogniser(place / family, "en")
    texts, durations = [row.text for row in corpus.rows], [row.duration for row in corpus.rows]
    plan = planned(recogniser, corpus, texts, durations, Train(steps=1, batch=options.batch, pack=True), 0)
    _, batch = next(feed(recogniser, *plan))
    with products() as found, torch.autocast("cpu", torch.bfloat16):
        recogniser.model.train()
        recogniser.model(**batch).loss.backward()
    flops = sum(2 * m * k * n * b * times for (b, m, k, n), times in found.items())
    plain = sum(times * seconds(shape) for shape, times in found.items())
    measured = ours(place, family, "ours bf16 packed mels", options)["step_seconds"]
    return {
        "tflop_per_step": round(flops / 1e12, 3),
        "step_gflops": round(flops / measured / 1e9, 1),
        "plain_gflops": round(flops / plain / 1e9, 1),
        "share": round(plain / measured, 3),
    }


def checkpoint(place: Path, family: str, _: str, options: argparse.Namespace) -> dict[str, float]:
    """Seconds of writing a checkpoint, over the interval at which it is written."""
    import torch

    from asr_analogy.asr import checkpoint
    from asr_analogy.asr.family import open_recogniser
    from asr_analogy.recipe import Train

    model = open_recogniser(place / family, "en").model
    optimizer = torch.optim.AdamW(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    started = time.perf_counter()
    for _ in range(options.steps):
        checkpoint.write(place, model, optimizer, checkpoint.State(), [checkpoint.random_states()])
    spent = (time.perf_counter() - started) / options.steps
    interval = 60 * Train().checkpoint_minutes
    return {"seconds": round(spent, 2), "overhead_percent": round(100 * spent / (interval + spent), 2)}


def measured(arguments: list[str]) -> dict[str, Any]:
    """The line of a process of its own."""
    quiet = {
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", **quiet}
    run = subprocess.run([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True, env=environment)
    if run.returncode:
        raise SystemExit(f"{arguments}: exit {run.returncode}")
    return json.loads(run.stdout.splitlines()[-1]) if run.stdout.strip() else {}


def compare(lines: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Ours over the Trainer's, and what each part of it brings."""
    rate = {way: line["utterances_per_second"] for way, line in lines.items()}
    cpu = {way: line["per_cpu_second"] for way, line in lines.items()}
    best = list(lines)[-1]
    order = ["trainer fp32", *[way for way in lines if way.startswith("ours")]]
    steps = {f"{new} over {old}": round(rate[new] / rate[old], 2) for old, new in zip(order, order[1:], strict=False)}
    return {
        "same_precision": round(rate[best] / rate["trainer bf16"], 2),
        "same_precision_per_cpu_second": round(cpu[best] / cpu["trainer bf16"], 2),
        "against_fp32": round(rate[best] / rate["trainer fp32"], 2),
        "against_fp32_per_cpu_second": round(cpu[best] / cpu["trainer fp32"], 2),
        "memory": round(lines[best]["peak_mib"] / lines["trainer bf16"]["peak_mib"], 2),
        "steps": steps,
    }


def one(name: str, place: Path, options: argparse.Namespace) -> None:
    """What a child process does: `make`, or a measurement whose line it prints."""
    if name == "make":
        return make(place, 8 * options.batch)
    part, _, way = name.partition(":")
    family = part if part in WAYS else "whisper"
    kind = (
        {"trainer": trainer, "ours": ours}[way.split()[0]]
        if way
        else {"roofline": roofline, "checkpoint": checkpoint}[part]
    )
    print(json.dumps(kind(place, family, way, options)), flush=True)
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", default=["whisper", "ctc", "roofline", "checkpoint"])
    parser.add_argument("--steps", type=int, default=3, help="timed optimiser steps")
    parser.add_argument("--batch", type=int, default=32, help="utterances of an optimiser step")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--place", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        return one(options.one, options.place, options)
    sizes = ["--steps", str(options.steps), "--batch", str(options.batch)]
    with tempfile.TemporaryDirectory() as place:
        measured(["--one", "make", "--place", place, *sizes])
        for part in options.parts:
            lines: dict[str, dict[str, Any]] = {}
            for way in WAYS.get(part, ("",)):
                name = f"{part}:{way}" if way else part
                lines[way] = measured(["--one", name, "--place", place, *sizes])
                print(json.dumps({"part": part, "way": way, **lines[way]}), flush=True)
            if part in WAYS:
                print(json.dumps({"part": part, "cores": os.cpu_count(), **compare(lines)}), flush=True)
    return None


if __name__ == "__main__":
    main()
