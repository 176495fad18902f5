"""Make a micro foundation from nothing: a small Whisper or Wav2Vec2-Conformer for machines without a model hub.

    python recipes/foundations/make.py recipes/foundations/whisper-micro.yaml --corpus runs/foundation-corpus --out runs/whisper-micro

Trains the phases of the YAML one after the other, writes a checkpoint every few minutes (the same command goes on from
it), and ends with a model folder in half precision. Learning rate, curriculum and losses stand in the YAML.
"""

import argparse
import ctypes
import json
import math
import re
import sys
import time
from pathlib import Path

import numpy as np
import torch
import yaml
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn import functional as F
from transformers import (
    GenerationConfig,
    Wav2Vec2ConformerConfig,
    Wav2Vec2ConformerForCTC,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Processor,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperProcessor,
    WhisperTokenizer,
)

from asr_analogy.speech.audio import SAMPLE_RATE
from asr_analogy.speech.rooms import ROOMS

LETTERS = ["<pad>", "|", "'", *"abcdefghijklmnopqrstuvwxyz"]
"""Targets of every CTC head here; <pad> is the blank."""
SPECIAL = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|translate|>", "<|transcribe|>", "<|startoflm|>"]
SPECIAL += ["<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]


def letters(text: str) -> str:
    """The label form of the foundations: lower-case words of letters and apostrophes."""
    return " ".join(re.sub(r"[^a-z' ]", " ", text.lower()).split())


class Corpus:
    """All clips of a corpus folder, memory-mapped, sorted by length into bins of 0.2 s."""

    def __init__(self, folder: Path, tests: bool = False) -> None:
        self.rows: list[dict] = []
        for table in sorted(folder.glob("*.jsonl")):
            if table.stem.startswith("test-") != tests:
                continue
            pcm = np.memmap(table.with_suffix(".pcm"), np.int16, mode="r")
            for line in table.read_text().splitlines():
                row = json.loads(line)
                row["pcm"], row["text"] = pcm, letters(row["text"])
                row["kind"] = "office" if row["room"] else table.stem.split("-")[0].replace("test", "clean")
                if row["text"]:
                    self.rows.append(row)
        self.bins: dict[tuple[str, int], list[dict]] = {}
        for row in self.rows:
            self.bins.setdefault((row["kind"], int(row["count"] / SAMPLE_RATE / 0.2)), []).append(row)

    def batch(self, phase: dict, random: np.random.Generator) -> list[dict]:
        """Rows of about the same length, `phase['seconds']` of audio in all."""
        bins: dict[int, int] = {}
        for (kind, index), rows in self.bins.items():
            if kind in phase["share"] and (index + 1) * 0.2 <= phase["longest"]:
                bins[index] = bins.get(index, 0) + len(rows)
        weights = np.array(list(bins.values()), float)
        index = list(bins)[random.choice(len(bins), p=weights / weights.sum())]
        kinds = [kind for kind in phase["share"] if (kind, index) in self.bins]
        shares = np.array([phase["share"][kind] for kind in kinds], float)
        total = max(4, int(phase["seconds"] / ((index + 1) * 0.2)))
        pools = [self.bins[kind, index] for kind in random.choice(kinds, size=total, p=shares / shares.sum())]
        return [pool[random.integers(len(pool))] for pool in pools]


def waveforms(rows: list[dict], random: np.random.Generator | None, longest: float = 0) -> list[np.ndarray]:
    """Samples of the rows; with `random`, a tempo (and pitch) of the batch's own, rooms for some clips of human or flite voices, new levels.

    No clip gets longer than `longest` seconds by its new tempo.
    """
    clips = []
    tempo = 1.0
    if random is not None:
        tempo = max(random.uniform(0.8, 1.15), max(row["count"] for row in rows) / SAMPLE_RATE / (longest + 0.1))
    for row in rows:
        clip = row["pcm"][row["start"] : row["start"] + row["count"]].astype(np.float32) / 32768
        if random is not None:
            clip = np.interp(np.arange(0, len(clip) - 1, tempo), np.arange(len(clip)), clip).astype(np.float32)
            if row["kind"] in ("human", "flite") and random.random() < 0.3:
                clip = ROOMS["office"].record(clip, random)
            clip = clip * np.float32(10 ** (random.uniform(-8, 4) / 20))
        clips.append(clip)
    return clips


class WhisperLearner(torch.nn.Module):
    """A Whisper with a letter CTC head on its encoder that only helps it start and is dropped afterwards."""

    def __init__(self, settings: dict, texts: list[str]) -> None:
        super().__init__()
        self.processor = whisper_processor(settings, texts)
        tokenizer = self.processor.tokenizer
        end, start = tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|startoftranscript|>"])
        ids = {"pad_token_id": end, "bos_token_id": end, "eos_token_id": end, "decoder_start_token_id": start}
        sizes = {"vocab_size": len(tokenizer), "begin_suppress_tokens": [end], "suppress_tokens": []}
        self.model = WhisperForConditionalGeneration(WhisperConfig(**settings["model"], **ids, **sizes))
        self.model.generation_config = whisper_generation(tokenizer, settings, ids)
        self.head = torch.nn.Linear(settings["model"]["d_model"], len(LETTERS))
        extractor = self.processor.feature_extractor
        self.register_buffer("filters", torch.tensor(extractor.mel_filters, dtype=torch.float32), persistent=False)
        self.window = extractor.nb_max_frames
        self.prompt = tokenizer.convert_tokens_to_ids(
            ["<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>"]
        )
        self.end = end

    def features(self, clips: list[np.ndarray], padded: bool) -> torch.Tensor:
        """Log-mels as WhisperFeatureExtractor computes them, (batch, mels, frames), to the longest clip or the window."""
        frames = self.window if padded else min(self.window, math.ceil(max(map(len, clips)) / 320) * 2)
        wave = torch.zeros(len(clips), frames * 160)
        for index, clip in enumerate(clips):
            wave[index, : len(clip)] = torch.from_numpy(clip[: frames * 160])
        power = torch.stft(wave, 400, 160, window=torch.hann_window(400), return_complex=True)[..., :-1].abs() ** 2
        logs = (self.filters.T @ power).clamp(min=1e-10).log10()
        logs = torch.maximum(logs, logs.amax((1, 2), keepdim=True) - 8.0)
        return (logs + 4.0) / 4.0

    def encode(self, mels: torch.Tensor) -> torch.Tensor:
        """The encoder's forward pass without its demand for a full window."""
        encoder = self.model.model.encoder
        hidden = F.gelu(encoder.conv2(F.gelu(encoder.conv1(mels)))).transpose(1, 2)
        hidden = hidden + encoder.embed_positions.weight[: hidden.shape[1]]
        for layer in encoder.layers:
            hidden = layer(hidden, None)
        return encoder.layer_norm(hidden)

    def loss(self, rows: list[dict], phase: dict, random: np.random.Generator) -> dict[str, torch.Tensor]:
        clips = waveforms(rows, random, phase["longest"])
        mels = self.features(clips, phase.get("padded", False))
        if phase.get("mask"):
            mels = masked(mels, random)
        hidden = self.encode(mels)
        losses = {}
        if phase["ctc"] > 0:
            losses["ctc"] = phase["ctc"] * ctc_loss(self.head(hidden), rows, [len(clip) // 320 for clip in clips])
        if phase["attention"] > 0:
            targets = [
                self.prompt + self.processor.tokenizer(row["text"], add_special_tokens=False).input_ids + [self.end]
                for row in rows
            ]
            tokens = torch.full((len(rows), max(map(len, targets))), self.end)
            labels = torch.full_like(tokens, -100)
            for index, target in enumerate(targets):
                tokens[index, : len(target)] = torch.tensor(target)
                labels[index, 3 : len(target) - 1] = torch.tensor(target[4:])
            states = self.model.model.decoder(input_ids=tokens, encoder_hidden_states=hidden, use_cache=False)
            logits = self.model.proj_out(states.last_hidden_state).float()
            cross = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), label_smoothing=phase.get("smoothing", 0.1))
            losses["attention"] = phase["attention"] * cross
        return losses

    @torch.no_grad()
    def transcribe(self, rows: list[dict], phase: dict) -> list[str]:
        mels = self.features(waveforms(rows, None), padded=True)
        if phase["attention"] == 0:
            return greedy_letters(self.head(self.encode(mels)), [row["count"] // 320 for row in rows])
        if not phase.get("padded"):
            return self.greedy(rows)
        tokens = self.model.generate(mels, language="en", task="transcribe", max_new_tokens=100)
        return self.processor.batch_decode(tokens, skip_special_tokens=True)

    def greedy(self, rows: list[dict]) -> list[str]:
        """Greedy decoding from unpadded windows, for the phases before the model has seen a padded one."""
        hidden = self.encode(self.features(waveforms(rows, None), padded=False))
        tokens = torch.tensor([self.prompt] * len(rows))
        for _ in range(90):
            states = self.model.model.decoder(input_ids=tokens, encoder_hidden_states=hidden, use_cache=False)
            tokens = torch.cat([tokens, self.model.proj_out(states.last_hidden_state[:, -1:]).argmax(-1)], 1)
            if (tokens == self.end).any(1).all():
                break
        texts = []
        for line in tokens[:, 4:].tolist():
            texts.append(self.processor.tokenizer.decode(line[: line.index(self.end)] if self.end in line else line))
        return texts


class ConformerLearner(torch.nn.Module):
    """A Wav2Vec2-Conformer whose first convolution starts as a bank of Gabor filters on the mel scale."""

    def __init__(self, settings: dict, texts: list[str]) -> None:
        super().__init__()
        tokenizer = conformer_tokenizer(Path(settings["scratch"]))
        extractor = Wav2Vec2FeatureExtractor(1, SAMPLE_RATE, 0.0, do_normalize=True, return_attention_mask=True)
        self.processor = Wav2Vec2Processor(feature_extractor=extractor, tokenizer=tokenizer)
        self.model = Wav2Vec2ConformerForCTC(
            Wav2Vec2ConformerConfig(**settings["model"], vocab_size=len(LETTERS), pad_token_id=0)
        )
        gabor(self.model.wav2vec2_conformer.feature_extractor.conv_layers[0].conv)

    def inputs(self, clips: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
        longest = max(map(len, clips))
        wave, mask = torch.zeros(len(clips), longest), torch.zeros(len(clips), longest, dtype=torch.long)
        for index, clip in enumerate(clips):
            wave[index, : len(clip)] = torch.from_numpy((clip - clip.mean()) / (clip.std() + 1e-7))
            mask[index, : len(clip)] = 1
        return wave, mask

    def loss(self, rows: list[dict], phase: dict, random: np.random.Generator) -> dict[str, torch.Tensor]:
        wave, mask = self.inputs(waveforms(rows, random, phase["longest"]))
        self.model.config.apply_spec_augment = bool(phase.get("mask"))
        np.random.seed(int(random.integers(2**31)))  # transformers draws its masks from numpy's global state
        logits = self.model(wave, attention_mask=mask).logits
        counts = self.model._get_feat_extract_output_lengths(mask.sum(1)).tolist()
        return {"ctc": ctc_loss(logits, rows, counts)}

    @torch.no_grad()
    def transcribe(self, rows: list[dict], phase: dict) -> list[str]:
        wave, mask = self.inputs(waveforms(rows, None))
        logits = self.model(wave, attention_mask=mask).logits
        return greedy_letters(logits, self.model._get_feat_extract_output_lengths(mask.sum(1)).tolist())


def gabor(convolution: torch.nn.Conv1d) -> None:
    """Fill a first convolution with windowed cosines and sines of both signs at mel-spaced frequencies."""
    count, size = convolution.weight.shape[0] // 4, convolution.weight.shape[2]
    mel = torch.linspace(2595 * math.log10(1 + 80 / 700), 2595 * math.log10(1 + 7000 / 700), count)
    frequency = 700 * (10 ** (mel / 2595) - 1)
    time_ = (torch.arange(size) - size / 2) / SAMPLE_RATE
    window = torch.hann_window(size) * (frequency[:, None] / 1000) ** 0.6 / size * 4
    phase = 2 * math.pi * frequency[:, None] * time_
    bank = torch.cat([torch.cos(phase), -torch.cos(phase), torch.sin(phase), -torch.sin(phase)]) * window.repeat(4, 1)
    with torch.no_grad():
        convolution.weight.copy_(bank[:, None])
        if convolution.bias is not None:
            convolution.bias.zero_()


def conformer_tokenizer(scratch: Path) -> Wav2Vec2CTCTokenizer:
    scratch.mkdir(parents=True, exist_ok=True)
    (scratch / "vocab.json").write_text(json.dumps({letter: index for index, letter in enumerate(LETTERS)}))
    names = {"pad_token": "<pad>", "unk_token": "<pad>", "bos_token": None, "eos_token": None}
    return Wav2Vec2CTCTokenizer(str(scratch / "vocab.json"), word_delimiter_token="|", **names)


def whisper_processor(settings: dict, texts: list[str]) -> WhisperProcessor:
    """A byte-level BPE trained on the corpus text, with Whisper's special tokens behind it."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer, trained.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trained.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=settings["tokens"], initial_alphabet=alphabet, show_progress=False)
    )
    parts = json.loads(trained.to_str())["model"]
    merges = [tuple(pair) for pair in parts["merges"]]
    names = {"language": "en", "task": "transcribe", "additional_special_tokens": SPECIAL, "label_form": "letters"}
    tokenizer = WhisperTokenizer(vocab=parts["vocab"], merges=merges, **names)
    seconds = settings["model"]["max_source_positions"] // 50
    extractor = WhisperFeatureExtractor(feature_size=settings["model"]["num_mel_bins"], chunk_length=seconds)
    return WhisperProcessor(extractor, tokenizer)


def whisper_generation(tokenizer: WhisperTokenizer, settings: dict, ids: dict) -> GenerationConfig:
    number = tokenizer.convert_tokens_to_ids
    return GenerationConfig(
        **ids,
        is_multilingual=True,
        lang_to_id={"<|en|>": number("<|en|>")},
        task_to_id={"transcribe": number("<|transcribe|>"), "translate": number("<|translate|>")},
        no_timestamps_token_id=number("<|notimestamps|>"),
        prev_sot_token_id=number("<|startofprev|>"),
        begin_suppress_tokens=[ids["eos_token_id"]],
        suppress_tokens=[],
        max_length=settings["model"]["max_target_positions"],
        language="<|en|>",
        task="transcribe",
        return_timestamps=False,
    )


def masked(mels: torch.Tensor, random: np.random.Generator) -> torch.Tensor:
    """SpecAugment (Park et al. 2019): two bands of up to 12 mels and two spans of up to 8 % of the frames, set to the mean."""
    mels = mels.clone()
    for clip in mels:
        fill = clip.mean()
        for _ in range(2):
            width, first = int(random.integers(0, 13)), int(random.integers(0, mels.shape[1] - 12))
            clip[first : first + width] = fill
            width = int(random.integers(0, max(1, int(mels.shape[2] * 0.08))))
            first = int(random.integers(0, mels.shape[2] - width))
            clip[:, first : first + width] = fill
    return mels


def ctc_loss(logits: torch.Tensor, rows: list[dict], counts: list[int]) -> torch.Tensor:
    numbers = {letter: index for index, letter in enumerate(LETTERS)}
    targets = [[numbers[letter] for letter in row["text"].replace(" ", "|")] for row in rows]
    lengths = torch.tensor([len(target) for target in targets])
    flat = torch.tensor([number for target in targets for number in target])
    scores = logits.float().log_softmax(-1).transpose(0, 1)
    counts_ = torch.tensor([min(count, logits.shape[1]) for count in counts])
    return F.ctc_loss(scores, flat, counts_, lengths, zero_infinity=True, reduction="sum") / lengths.sum()


def greedy_letters(logits: torch.Tensor, counts: list[int]) -> list[str]:
    texts = []
    for line, count in zip(logits.argmax(-1).tolist(), counts, strict=True):
        line = line[:count]
        kept = [number for index, number in enumerate(line) if number and (index == 0 or line[index - 1] != number)]
        texts.append("".join(LETTERS[number] for number in kept).replace("|", " "))
    return texts


def word_errors(references: list[str], hypotheses: list[str]) -> float:
    import jiwer

    return 100 * jiwer.wer(references, [text or "*" for text in hypotheses])


def evaluate(learner: torch.nn.Module, phase: dict, tests: dict[str, list[dict]], limit: int) -> dict[str, float]:
    learner.eval()
    scores = {}
    for name, rows in tests.items():
        rows = sorted(rows[:limit], key=lambda row: row["count"])
        texts = []
        with torch.autocast("cpu", torch.bfloat16):
            for index in range(0, len(rows), 32):
                texts += learner.transcribe(rows[index : index + 32], phase)
        scores[name] = round(word_errors([row["text"] for row in rows], [letters(text) for text in texts]), 2)
    learner.train()
    return scores


def phase_at(step: int, phases: list[dict]) -> dict:
    for phase in phases:
        if step < phase["steps"]:
            return phase
        step -= phase["steps"]
    return phases[-1]


def rate_at(step: int, settings: dict) -> float:
    """Linear warm-up, then cosine to a hundredth of the peak at the last step; a phase with a rate has a cosine of its own."""
    start = 0
    for phase in settings["phases"]:
        if "rate" in phase and start <= step < start + phase["steps"]:
            return phase["rate"] * cosine((step - start) / phase["steps"])
        start += phase["steps"]
    return settings["rate"] * min(1.0, (step + 1) / settings["warmup"]) * cosine(step / start)


def cosine(share: float) -> float:
    """From 1 to 0.01 as `share` goes from 0 to 1."""
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def load_tests(corpus: Path, data: Path | None) -> dict[str, list[dict]]:
    held = Corpus(corpus, tests=True).rows
    tests = {kind: [row for row in held if row["kind"] == kind] for kind in ("clean", "office")}
    if data is not None:
        from asr_analogy.speech import audio

        folder = data / "human" / "learner-train"
        entries = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
        unheard = sorted({entry["speaker"] for entry in entries})[-35:]
        for entry in [entry for entry in entries if entry["speaker"] in unheard][::7]:
            pcm = np.round(audio.level(audio.read(folder / entry["audio"])) * 32767).astype(np.int16)
            row = {"text": letters(entry["text"]), "pcm": pcm, "start": 0, "count": len(pcm), "kind": "test"}
            tests.setdefault("unheard-learners", []).append(row)
    return tests


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--data", type=Path, help="folder with human/learner-train, to watch WER on its unheard speakers as well"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--finish", action="store_true", help="write the model folder from the checkpoint and stop")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if (
        sys.platform == "linux"
    ):  # keep freed blocks: mapping fresh pages for every large tensor costs up to half of a step
        ctypes.CDLL("libc.so.6").mallopt(-4, 0)
        ctypes.CDLL("libc.so.6").mallopt(-1, 2**31 - 1)
    settings = yaml.safe_load(options.recipe.read_text())
    settings["scratch"] = str(options.out)
    options.out.mkdir(parents=True, exist_ok=True)
    corpus = Corpus(options.corpus)
    torch.manual_seed(settings["seed"])
    texts = sorted({row["text"] for row in corpus.rows})
    learner = {"whisper": WhisperLearner, "conformer": ConformerLearner}[settings["family"]](settings, texts)
    size = sum(parameter.numel() for parameter in learner.model.parameters())
    print(
        f"{len(corpus.rows)} clips, {sum(r['count'] for r in corpus.rows) / SAMPLE_RATE / 3600:.1f} h, {size / 1e6:.2f} M parameters",
        flush=True,
    )
    learner.model.set_attn_implementation("eager")  # its bfloat16 products beat the fused kernel on a CPU
    train(learner, corpus, settings, options)
    learner.model.half().save_pretrained(options.out / "model")
    learner.processor.save_pretrained(options.out / "model")


def train(learner: torch.nn.Module, corpus: Corpus, settings: dict, options: argparse.Namespace) -> None:
    groups = [
        {"params": [p for p in learner.parameters() if p.requires_grad and p.ndim > 1], "weight_decay": 0.01},
        {"params": [p for p in learner.parameters() if p.requires_grad and p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=settings["rate"], betas=(0.9, 0.98), fused=True)
    checkpoint, step, seconds, heard = options.out / "checkpoint.pt", 0, 0.0, 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        learner.load_state_dict(state["learner"])
        optimizer.load_state_dict(state["optimizer"])
        step, seconds, heard = state["step"], state["seconds"], state["heard"]
    tests = load_tests(options.corpus, options.data)
    total = sum(phase["steps"] for phase in settings["phases"])
    log = (options.out / "log.jsonl").open("a")
    started, saved, sums, count = time.time() - seconds, time.time(), {}, 0
    learner.train()
    while step < total and not options.finish:
        phase = phase_at(step, settings["phases"])
        random = np.random.default_rng((settings["seed"], step))
        rows = corpus.batch(phase, random)
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, settings)
        with torch.autocast("cpu", torch.bfloat16):
            losses = learner.loss(rows, phase, random)
        loss = sum(losses.values())
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        if torch.isfinite(norm):
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step, heard, count = step + 1, heard + len(rows), count + 1
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + value.item()
        if step % 100 == 0:
            line = {"step": step, "phase": phase["name"], "heard": heard, "seconds": round(time.time() - started)}
            line |= {name: round(value / count, 4) for name, value in sums.items()} | {
                "rate": optimizer.param_groups[0]["lr"]
            }
            if step % settings["every"] == 0 or step == total:
                line |= evaluate(learner, phase, tests, 10_000 if step == total else 96)
            print(json.dumps(line), flush=True)
            log.write(json.dumps(line) + "\n")
            log.flush()
            sums, count = {}, 0
        if time.time() - saved > 180 or step == total:
            state = {"learner": learner.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
            torch.save(state | {"seconds": time.time() - started, "heard": heard}, checkpoint.with_suffix(".part"))
            checkpoint.with_suffix(".part").replace(checkpoint)
            saved = time.time()


if __name__ == "__main__":
    main()
