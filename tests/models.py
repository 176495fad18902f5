"""Real models of both families, tiny and random, with prepared corpora and recipes around them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import pre_tokenizers
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

from asr_analogy.recipe import Recipe
from asr_analogy.speech.audio import SAMPLE_RATE, encode
from asr_analogy.speech.corpus import Utterance, write_shard
from asr_analogy.workspace import Workspace, write_whole

LETTERS = "abcdefghijklmnopqrstuvwxyz'"
TEXTS = ("abba", "cab dad", "a fee", "bead", "deaf ace", "face", "gag a", "egg bed")
FAMILIES = ("whisper", "conformer")
SPECIAL = ("<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|de|>", "<|translate|>", "<|transcribe|>",
           "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>")  # fmt: skip
ENGLISH_ONLY = tuple(token for token in SPECIAL if token not in ("<|en|>", "<|de|>", "<|translate|>", "<|transcribe|>"))


def sharpen(model: Any, factor: float = 4.0) -> None:
    """Random weights so large that the outputs depend on the input."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(factor)


def whisper(
    folder: Path, *, special: Sequence[str] = SPECIAL, multilingual: bool = True, form: str = "", seed: int = 0,
    dtype: torch.dtype = torch.float32, **settings: Any,
) -> Path:  # fmt: skip
    """A Whisper of one encoder and one decoder layer with a window of 2 s, one token per byte."""
    torch.manual_seed(seed)
    vocabulary = {letter: index for index, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    extra = {"label_form": form} if form else {}
    tokenizer = WhisperTokenizer(vocab=vocabulary, merges=[], additional_special_tokens=list(special), **extra)
    tokenizer.english_spelling_normalizer = {"colour": "color"}
    number = tokenizer.convert_tokens_to_ids
    end, start = number("<|endoftext|>"), number("<|startoftranscript|>")
    ids = {"pad_token_id": end, "bos_token_id": end, "eos_token_id": end, "decoder_start_token_id": start}
    sizes = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2}
    sizes |= {"decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "max_source_positions": 100}
    sizes |= {"max_target_positions": 40, "vocab_size": len(tokenizer), **settings}
    model = WhisperForConditionalGeneration(WhisperConfig(**sizes, **ids, suppress_tokens=[], begin_suppress_tokens=[]))
    sharpen(model)
    languages = {name: number(name) for name in ("<|en|>", "<|de|>") if name in special}
    tasks = {name: number(f"<|{name}|>") for name in ("translate", "transcribe")}
    generation = {"is_multilingual": False}
    if multilingual:
        generation = {"is_multilingual": True, "lang_to_id": languages, "task_to_id": tasks}
    model.generation_config = GenerationConfig(
        **ids, **generation, no_timestamps_token_id=number("<|notimestamps|>"), max_length=40,
        alignment_heads=[[0, 0], [0, 1]], suppress_tokens=[], begin_suppress_tokens=[end], return_timestamps=False,
    )  # fmt: skip
    model.to(dtype).save_pretrained(folder)
    WhisperProcessor(WhisperFeatureExtractor(chunk_length=2), tokenizer).save_pretrained(folder)
    return folder


def conformer(
    folder: Path, *, letters: str = LETTERS, mask: bool = True, seed: int = 0, dtype: torch.dtype = torch.float32,
    **settings: Any,
) -> Path:  # fmt: skip
    """A Wav2Vec2-Conformer of one layer: BatchNorm, rotary positions, 50 frames a second."""
    torch.manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    tokens = ["<pad>", "|", *letters]
    (folder / "vocab.json").write_text(json.dumps({token: index for index, token in enumerate(tokens)}))
    names = {"pad_token": "<pad>", "unk_token": "<pad>", "bos_token": None, "eos_token": None}
    tokenizer = Wav2Vec2CTCTokenizer(str(folder / "vocab.json"), word_delimiter_token="|", **names)
    sizes: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 32, "conv_dim": [16, 16], "conv_kernel": [400, 3], "conv_stride": [160, 2]}
    sizes |= {"feat_extract_norm": "layer", "conv_depthwise_kernel_size": 9, "position_embeddings_type": "rotary"}
    for name in ("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout", "final_dropout"):
        sizes[name] = 0.0
    sizes |= {"layerdrop": 0.0, "conformer_conv_dropout": 0.0, "mask_time_prob": 0.0, "pad_token_id": 0}
    sizes |= {"vocab_size": len(tokens), **settings}
    model = Wav2Vec2ConformerForCTC(Wav2Vec2ConformerConfig(**sizes))
    sharpen(model)
    model.to(dtype).save_pretrained(folder)
    extractor = Wav2Vec2FeatureExtractor(return_attention_mask=mask, do_normalize=True)
    Wav2Vec2Processor(extractor, tokenizer).save_pretrained(folder)
    return folder


def tiny(family: str, folder: Path, **settings: Any) -> Path:
    """A tiny model of `family` whose labels are letters; small steps teach it something."""
    return whisper(folder, form="letters", **settings) if family == "whisper" else conformer(folder, **settings)


def clip(text: str, voice: int = 0, seconds: float = 0.0) -> np.ndarray:
    """0.1 s of tone for every letter, in a little noise; `voice` shifts the pitch."""
    random = np.random.default_rng([voice, *text.encode()])
    time = np.arange(SAMPLE_RATE // 10) / SAMPLE_RATE
    tones = [np.sin(2 * np.pi * (200 + 25 * voice + 90 * (ord(letter) % 32)) * time) for letter in text]
    samples = 0.3 * np.concatenate(tones) + 0.01 * random.standard_normal(len(time) * len(text))
    extra = max(0, int(seconds * SAMPLE_RATE) - len(samples))
    return np.pad(samples, (0, extra)).astype(np.float32)


def utterance(number: int, text: str, samples: np.ndarray, speaker: str = "") -> Utterance:
    duration = round(len(samples) / SAMPLE_RATE, 4)
    return Utterance(
        f"{number:07d}", encode(samples), text, text, speaker or f"s{number % 3}", duration, "test", number
    )


def utterances(texts: Sequence[str] = TEXTS, voice: int = 0, **settings: Any) -> list[Utterance]:
    return [utterance(index, text, clip(text, voice, **settings)) for index, text in enumerate(texts)]


def write_corpus(root: Path, name: str, rows: Sequence[Utterance], dropped: int = 0) -> None:
    """`rows` as prepare would leave them in `root/prepared/name`."""
    place = Workspace(root).folder(f"prepared/{name}", {"corpus": name, "stand_in": name.startswith("general")})
    with place.writing() as out:
        write_shard(out / "00000.parquet", rows)
        write_whole(out / "dropped.jsonl", "")
        summary = {"utterances": len(rows), "hours": 0.01, "dropped": dropped, "stand_in": False}
        write_whole(out / "summary.json", json.dumps(summary))


def prepare(root: Path, texts: Sequence[str] = TEXTS) -> None:
    """Every corpus of a recipe, each in another voice."""
    for voice, name in enumerate(("general-synthetic", "general-real", "domain-synthetic", "domain-test")):
        write_corpus(root, name, utterances(texts, voice))


def recipe(base: Path | str, oracle: bool = False, general_test: bool = False, **settings: Any) -> Recipe:
    """A recipe on prepared corpora; `settings` are the blocks train, merge, evaluate, seed and language."""
    source = {"manifest": "none.jsonl"}
    domain = {"text": "none.txt", "test": source, "real": source if oracle else None}
    general = {"real": source, "test": source if general_test else None}
    train = {"steps": 4, "batch": 2, "warmup": 1, "rate": 0.003, "precision": "fp32", **settings.pop("train", {})}
    evaluation = {"draws": 50, **settings.pop("evaluate", {})}
    content = {"name": "tiny", "base": str(base), "domain": domain, "general": general, "train": train}
    return Recipe.model_validate({**content, "evaluate": evaluation, **settings})
