"""The corpus that our micro foundations hear: embedded voices reading wide text, and human train sets.

    python recipes/foundations/corpus.py --data <folder of human/ and text/> --out runs/foundation-corpus

Writes shards `<name>.pcm` (16-bit mono at 16 kHz, clips back to back) with `<name>.jsonl` beside it (one row a clip).
A shard that is complete is skipped, so the command can be stopped and given again.
"""

import argparse
import hashlib
import json
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import yaml

from asr_analogy.speech import audio
from asr_analogy.speech.rooms import ROOMS
from asr_analogy.tts.espeak import RATE, Request, Workers

SETTINGS = yaml.safe_load((Path(__file__).parent / "corpus.yaml").read_text())
SHARD = 1000


def pieces(text: str, longest: int = 14) -> Iterator[str]:
    """Yield `text` whole if it has at most `longest` words, else its parts between commas, joined up to that length."""
    part: list[str] = []
    for clause in re.split(r"(?<=[,;:])\s+", text):
        words = clause.split()
        if part and len(part) + len(words) > longest:
            yield " ".join(part)
            part = []
        part += words
    yield " ".join(part)


def sentences(data: Path) -> list[tuple[str, str]]:
    """All (text, source) the voices read: no digits, plain letters, 3 to 16 words, each once, in a fixed random order."""
    files = [*(data / "text" / f"{name}.jsonl" for name in SETTINGS["text"]), *map(Path, SETTINGS["own_text"])]
    seen: dict[str, str] = {}
    for path in files:
        for line in path.read_text().splitlines():
            text = json.loads(line)["text"] if path.suffix == ".jsonl" else line
            for piece in pieces(text):
                piece = re.sub(r"\s+", " ", piece.replace("\u2019", "'")).strip(" ,;:-")
                if re.fullmatch(r"[A-Za-z ,.?!;:'-]+", piece) and 3 <= len(piece.split()) <= 16 and len(piece) <= 100:
                    seen.setdefault(piece.lower(), path.stem) if piece.isupper() else seen.setdefault(piece, path.stem)
    return sorted(seen.items(), key=lambda item: hashlib.sha256(item[0].encode()).digest())


def write(out: Path, name: str, rows: list[dict], clips: list[np.ndarray]) -> None:
    place = 0
    with (out / f"{name}.pcm.part").open("wb") as file:
        for row, clip in zip(rows, clips, strict=True):
            pcm = np.round(np.clip(clip, -1, 1) * 32767).astype(np.int16)
            row.update(start=place, count=len(pcm))
            place += len(pcm)
            file.write(pcm.tobytes())
    (out / f"{name}.pcm.part").rename(out / f"{name}.pcm")
    (out / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def synthetic(job: tuple[Path, str, list[tuple[str, str]], list[str], str | None, int]) -> str:
    """Speak one shard: every sentence in a voice, rate, pitch and room drawn from the shard's seed."""
    out, name, part, voices, room, seed = job
    if (out / f"{name}.jsonl").exists():
        return name
    random = np.random.default_rng(seed)
    requests = [
        Request(
            text,
            f"{random.choice(SETTINGS['accents'])}+{random.choice(voices)}",
            int(random.integers(*SETTINGS["rate"])),
            int(random.integers(*SETTINGS["pitch"])),
            int(random.integers(*SETTINGS["range"])),
        )
        for text, _ in part
    ]
    rows, clips = [], []
    with Workers(1) as workers:
        for (text, source), request, (status, pcm) in zip(part, requests, workers.speak(requests), strict=True):
            if status:
                raise SystemExit(f"{request.voice}: no such voice (status {status})")
            clip = audio.trim(audio.resample(np.frombuffer(pcm, np.int16).astype(np.float32) / 32768, RATE))
            clip = audio.level(clip)
            if not 0.5 < len(clip) / audio.SAMPLE_RATE < 9.5:
                continue
            if room:
                clip = ROOMS[room].record(clip, random)
            clips.append(clip)
            rows.append({"text": text, "source": source, "speaker": request.voice, "room": room})
    write(out, name, rows, clips)
    return name


def flite(job: tuple[Path, str, list[tuple[str, str]], int]) -> str:
    """Speak one shard with the voices of flite (Debian package `flite`), which were built from recordings of people."""
    out, name, part, seed = job
    if (out / f"{name}.jsonl").exists():
        return name
    random = np.random.default_rng(seed)
    rows, clips = [], []
    for text, source in part:
        voice, stretch = random.choice(SETTINGS["flite"]["voices"]), random.uniform(*SETTINGS["flite"]["stretch"])
        command = [
            "flite",
            "-voice",
            str(voice),
            "--setf",
            f"duration_stretch={stretch:.2f}",
            "-t",
            text,
            "-o",
            "/dev/stdout",
        ]
        wave = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
        clip = audio.level(audio.trim(np.frombuffer(wave[44:], np.int16).astype(np.float32) / 32768))
        if 0.5 < len(clip) / audio.SAMPLE_RATE < 9.5:
            clips.append(clip)
            rows.append({"text": text, "source": source, "speaker": f"flite-{voice}", "room": None})
    write(out, name, rows, clips)
    return name


def human(data: Path, out: Path) -> None:
    """The human train sets, without the speakers that experiments keep for themselves."""
    for corpus in SETTINGS["human"]:
        if (out / f"human-{corpus['name']}.jsonl").exists():
            continue
        rows, clips = [], []
        folder = data / "human" / corpus["name"]
        entries = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
        entries = [entry for entry in entries if entry["split"] == corpus["split"]]
        speakers = sorted({entry["speaker"] for entry in entries})
        kept = set(speakers[: len(speakers) - corpus.get("keep_out_last_speakers", 0)])
        for entry in entries:
            clip = audio.level(audio.read(folder / entry["audio"]))
            if entry["speaker"] in kept and len(clip) < 17 * audio.SAMPLE_RATE:
                row = {"text": entry["text"], "source": corpus["name"], "speaker": entry["speaker"], "room": None}
                rows.append(row)
                clips.append(clip)
        write(out, f"human-{corpus['name']}", rows, clips)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds human/ and text/")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    human(options.data, options.out)
    lines = sentences(options.data)
    held, train = lines[: SETTINGS["held_out_sentences"]], lines[SETTINGS["held_out_sentences"] :]
    jobs = [
        (options.out, f"test-{room or 'clean'}", held, SETTINGS["held_out_voices"], room, 1)
        for room in (None, "office")
    ]
    for index in range(0, len(train), SHARD):
        jobs.append(
            (options.out, f"clean-{index // SHARD:03d}", train[index : index + SHARD], SETTINGS["voices"], None, index)
        )
    for index in range(0, len(train), SHARD):
        job = (
            options.out,
            f"office-{index // SHARD:03d}",
            train[index : index + SHARD],
            SETTINGS["voices"],
            "office",
            index + 1,
        )
        jobs.append(job)
    size, count = SHARD, SETTINGS["flite"]["sentences"]
    spoken = [(options.out, f"flite-{i // size:03d}", train[i : i + size], i + 2) for i in range(0, count, size)]
    print(f"{len(train)} sentences to train, {len(held)} held out, {len(jobs)} shards", flush=True)
    with ProcessPoolExecutor(options.workers) as pool:
        for name in [*pool.map(synthetic, jobs), *pool.map(flite, spoken)]:
            print(name, flush=True)


if __name__ == "__main__":
    main()
