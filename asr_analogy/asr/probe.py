"""The largest batch that fits: two small ones are trained for a step in a process of their own, the rest is a straight line.

Nothing runs out of memory on the way, and the memory of the trials is gone when their process ends.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from asr_analogy.asr.family import Recogniser, open_recogniser
from asr_analogy.asr.memory import LARGEST, Need, free
from asr_analogy.asr.packing import fullest, packs, windows_of
from asr_analogy.errors import ResourceError
from asr_analogy.recipe import Train
from asr_analogy.speech.audio import SAMPLE_RATE, encode
from asr_analogy.speech.corpus import Utterance, read_corpus, write_shard

TRIALS = (1, 4)
"""Batches that are tried; the second needs little more than the first."""

STEPS = 2
"""Steps of a trial: in the second, the optimiser's moments are there beside the activations."""

LAUNCHER = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Variables by which a launcher's processes find each other: the trial is none of them."""


def largest_batch(base: Path, language: str, options: Train, utterances: Sequence[Utterance]) -> dict[str, float]:
    """{"batch": ..., and what it was found from, in GB}: the largest that fits whichever utterances meet in it.

    Where utterances share windows, as many as share so many windows as fit. Raises ResourceError if not even one clip
    fits.
    """
    recogniser = open_recogniser(base, language, weights=False)
    shared = packs(options.pack, recogniser.window, [row.duration for row in utterances])
    trial = _longest(base, language, utterances)
    if shared:
        trial = replace(trial, text=fullest(recogniser, utterances, options))
    need = _need(base, language, options, trial)
    space = free()
    batch = need.batch(space)
    if batch == 0:
        raise ResourceError(
            f"train.batch: auto: one clip needs {(need.fixed + need.clip) / 1e9:.1f} GB and {space / 1e9:.1f} GB are free; "
            "take a smaller base, --set train.lora.rank=16, or close other programs"
        )
    if shared:
        batch = _sharing(recogniser, options, utterances, batch)
    found = {name: round(value / 1e9, 4) for name, value in {**asdict(need), "free": space}.items()}
    return {"batch": batch, **{f"{name}_gb": value for name, value in found.items()}}


def _sharing(recogniser: Recogniser, options: Train, utterances: Sequence[Utterance], windows: int) -> int:
    """The largest batch, doubled from `windows`, of which even the longest utterances share that many windows."""
    longest = sorted(utterances, key=lambda row: -row.duration)
    batch = windows
    while 2 * batch <= min(LARGEST, len(longest)) and windows_of(recogniser, longest[: 2 * batch], options) <= windows:
        batch *= 2
    return batch


def _longest(base: Path, language: str, utterances: Sequence[Utterance]) -> Utterance:
    """Noise as long as the longest clip, with the longest text that the model takes for one so long."""
    clip = max(utterances, key=lambda row: row.duration)
    recogniser = open_recogniser(base, language, weights=False)
    texts = sorted({row.text for row in utterances}, key=len, reverse=True)
    text = next((text for text in texts if recogniser.refusal(text, clip.duration) is None), clip.text)
    noise = np.random.default_rng(0).standard_normal(round(clip.duration * SAMPLE_RATE)).astype(np.float32)
    return replace(clip, text=text, flac=encode(0.1 * noise))


def _need(base: Path, language: str, options: Train, utterance: Utterance) -> Need:
    """What a step of batches of this utterance needs, measured in another process."""
    plain = options.model_copy(update={"batch": 1, "steps": STEPS, "tracker": None, "checkpoint_minutes": 1e6})
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_shard(folder / "00000.parquet", [utterance])
        task = {"base": str(base.resolve()), "language": language, "train": plain.model_dump(mode="json")}
        (folder / "task.json").write_text(json.dumps(task))
        command = [sys.executable, "-m", "asr_analogy.asr.probe", place]
        alone = {key: value for key, value in os.environ.items() if key not in LAUNCHER}
        done = subprocess.run(command, capture_output=True, text=True, env=alone)
        if done.returncode != 0:
            last = (done.stderr.strip() or f"it ended with {done.returncode}").splitlines()[-1]
            raise ResourceError(f"train.batch: auto: the trial failed ({last}); give a number: --set train.batch=4")
        small, large = json.loads((folder / "peaks.json").read_text())
    clip = max(0.0, (large - small) / (TRIALS[1] - TRIALS[0]))
    return Need(small - clip * TRIALS[0], clip)


def _measure(folder: Path) -> None:
    """Train STEPS steps with every batch of TRIALS and leave the peaks of memory, in bytes, in `folder`."""
    from asr_analogy.asr.cost import peak_memory
    from asr_analogy.asr.fitting import fit

    task = json.loads((folder / "task.json").read_text())
    (utterance,) = read_corpus(folder)
    peaks = []
    for batch in TRIALS:
        options = Train.model_validate({**task["train"], "batch": batch})
        recogniser = open_recogniser(Path(task["base"]), task["language"])
        fit("trial", recogniser, [utterance], [[0] * batch] * STEPS * options.accumulate, options, folder)
        del recogniser
        peaks.append(peak_memory())
    (folder / "peaks.json").write_text(json.dumps(peaks))


if __name__ == "__main__":
    _measure(Path(sys.argv[1]))
