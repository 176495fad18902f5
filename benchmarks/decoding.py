"""Utterances per second of our decoding, of transformers' pipeline and of CTranslate2 on one model and one test set.

    python benchmarks/decoding.py runs/quickstart/models/merged runs/quickstart/prepared/domain-test
    python benchmarks/decoding.py runs/quickstart-ctc/models/merged runs/quickstart-ctc/prepared/domain-test --limit 60

All take the same decoded clips in this process on the same threads, in turns: `--repeats` rounds, of which the fastest counts.
One JSON line per way: seconds, utterances per second, times faster than the pipeline with the same beams, and how many
transcripts are not those of ours with the same beams (with the first of them). The pipeline is taken as it comes (one clip
at a time, 5 beams for Whisper) and greedy. CTranslate2 (Whisper only, if installed) runs the converted model through
faster-whisper where its window is 30 s, and directly where it is not, which faster-whisper cannot take.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import pipeline

from asr_analogy.asr.family import ready
from asr_analogy.asr.listening import transcribe
from asr_analogy.speech.audio import SAMPLE_RATE
from asr_analogy.speech.corpus import Corpus

Clips = Sequence[np.ndarray]
Way = Callable[[Clips], list[str]]


def piped(pipe: Any, **settings: Any) -> Way:
    def run(clips: Clips) -> list[str]:
        rows = [{"raw": clip, "sampling_rate": SAMPLE_RATE} for clip in clips]
        return [row["text"].strip() for row in pipe(rows, **settings)]

    return run


def direct(model: Any, recogniser: Any, batch: int, beams: int) -> Way:
    """CTranslate2 on our log-mels and our batches, short clips first."""
    import ctranslate2

    prompt = [recogniser.model.generation_config.decoder_start_token_id, *recogniser.prompt]

    def run(clips: Clips) -> list[str]:
        order, texts = sorted(range(len(clips)), key=lambda number: len(clips[number])), [""] * len(clips)
        for start in range(0, len(order), batch):
            part = order[start : start + batch]
            features = recogniser._features([clips[number] for number in part]).numpy()
            most = len(prompt) + 10 + 14 * max(len(clips[number]) for number in part) // SAMPLE_RATE
            view = ctranslate2.StorageView.from_array(np.ascontiguousarray(features))
            settings = {"beam_size": beams, "max_length": most, "suppress_blank": False, "suppress_tokens": []}
            found = model.generate(view, [prompt] * len(part), **settings)
            for number, one in zip(part, found, strict=True):
                texts[number] = recogniser.processor.decode(one.sequences_ids[0], skip_special_tokens=True).strip()
        return texts

    return run


def faster(model: Any, language: str, beams: int) -> Way:
    settings = {"language": language, "beam_size": beams, "without_timestamps": True, "temperature": 0.0}

    def run(clips: Clips) -> list[str]:
        return [" ".join(part.text.strip() for part in model.transcribe(clip, **settings)[0]) for clip in clips]

    return run


def converted(folder: Path, recogniser: Any, language: str, batch: int, threads: int) -> dict[tuple[str, int], Way]:
    """CTranslate2 in fp32 and int8, greedy and with 5 beams."""
    import ctranslate2
    import faster_whisper

    found: dict[tuple[str, int], Way] = {}
    with tempfile.TemporaryDirectory() as place:
        files = ["tokenizer.json", "preprocessor_config.json"]
        converter = ctranslate2.converters.TransformersConverter(str(folder), copy_files=files)
        out = converter.convert(str(Path(place) / "model"))
        for kind in ("float32", "int8"):
            for beams in (1, 5):
                if recogniser.window == 30:
                    whole = faster_whisper.WhisperModel(out, device="cpu", compute_type=kind, cpu_threads=threads)
                    found[f"faster-whisper {kind}", beams] = faster(whole, language, beams)
                else:
                    bare = ctranslate2.models.Whisper(out, device="cpu", compute_type=kind, intra_threads=threads)
                    found[f"ctranslate2 {kind}", beams] = direct(bare, recogniser, batch, beams)
    return found


def ways(options: argparse.Namespace) -> dict[tuple[str, int], Way]:
    """What is measured, by name and beams."""
    recogniser, pipe = (
        ready(options.model, options.language),
        pipeline("automatic-speech-recognition", str(options.model)),
    )
    widths = (1, 5) if recogniser.window else (1,)
    found: dict[tuple[str, int], Way] = {}
    for beams in widths:
        found["ours", beams] = lambda clips, beams=beams: transcribe(recogniser, clips, options.batch, beams)  # type: ignore[misc]
    if not recogniser.window:
        return found | {("pipeline, as it comes", 1): piped(pipe)}
    found |= {("pipeline, as it comes", 5): piped(pipe)}
    found |= {("pipeline, greedy", 1): piped(pipe, generate_kwargs={"num_beams": 1})}
    try:
        found |= converted(options.model, recogniser, options.language, options.batch, torch.get_num_threads())
    except ImportError as error:
        print(json.dumps({"left_out": "ctranslate2", "why": str(error)}))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("corpus", type=Path, help="prepared test set")
    parser.add_argument("--language", default="en")
    parser.add_argument("--limit", type=int, help="clips, evenly chosen; all if not given")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default="", help="ways whose name holds this word")
    options = parser.parse_args()
    corpus = Corpus(options.corpus)
    numbers = range(0, len(corpus), max(1, len(corpus) // (options.limit or len(corpus))))
    clips = [corpus[number].samples() for number in numbers][: options.limit]
    measured = {key: way for key, way in ways(options).items() if key[0] == "ours" or options.only in key[0]}
    times: dict[tuple[str, int], list[float]] = {key: [] for key in measured}
    texts: dict[tuple[str, int], list[str]] = {}
    for way in measured.values():
        way(clips[:2])
    for _ in range(options.repeats):
        for key, way in measured.items():
            started = time.perf_counter()
            texts[key] = way(clips)
            times[key].append(time.perf_counter() - started)
    audio = sum(map(len, clips)) / SAMPLE_RATE
    for (name, beams), seconds in times.items():
        best = min(seconds)
        row: dict[str, Any] = {"way": name, "beams": beams, "utterances": len(clips), "audio_s": round(audio, 1)}
        row |= {
            "threads": torch.get_num_threads(),
            "batch": options.batch,
            "seconds": [round(one, 2) for one in seconds],
        }
        row |= {"utterances_per_s": round(len(clips) / best, 2), "real_time_factor": round(best / audio, 4)}
        row["ours_times_faster"] = round(best / min(times["ours", beams]), 2)
        pairs = [pair for pair in zip(texts["ours", beams], texts[name, beams], strict=True) if pair[0] != pair[1]]
        row |= {"other_transcripts": len(pairs), "first": pairs[:1]}
        print(json.dumps(row, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
