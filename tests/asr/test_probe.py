from pathlib import Path

import models
import pytest

from asr_analogy.asr import probe
from asr_analogy.asr.memory import Need
from asr_analogy.errors import ResourceError
from asr_analogy.recipe import Train
from asr_analogy.speech.corpus import Utterance

OPTIONS = Train(batch="auto", precision="fp32")


def test_the_largest_batch_is_found_in_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = models.tiny("conformer", tmp_path / "base")
    found = probe.largest_batch(base, "en", OPTIONS, models.utterances())
    assert found["batch"] == 256 and 0.05 < found["fixed_gb"] < 5 and found["clip_gb"] < 0.1
    monkeypatch.setattr(probe, "free", lambda: 1e6)
    with pytest.raises(ResourceError, match=r"train\.batch: auto: one clip needs \d\.\d GB and 0\.0 GB are free"):
        probe.largest_batch(base, "en", OPTIONS, models.utterances())


def test_what_the_calling_process_holds_is_not_counted(tmp_path: Path) -> None:
    base, rows = models.tiny("conformer", tmp_path / "base"), models.utterances()
    ballast = bytearray(1_000_000_000)
    ballast[::4096] = b"x" * len(ballast[::4096])
    assert probe._need(base, "en", OPTIONS, rows[0]).fixed < 0.9e9


def test_a_trial_that_fails_is_one_line(tmp_path: Path) -> None:
    base = models.tiny("conformer", tmp_path / "base")
    rows = models.utterances()
    (base / "model.safetensors").write_bytes(b"")
    with pytest.raises(ResourceError, match=r"auto: the trial failed \(.*damaged.*|.*loadable.*\); give a number"):
        probe.largest_batch(base, "en", OPTIONS, rows)


def test_the_trial_is_the_longest_clip_with_the_longest_text(whisper: Path) -> None:
    rows = [
        models.utterance(0, "ab", models.clip("ab", seconds=1.5)),
        models.utterance(1, "abcdefgh", models.clip("a")),
    ]
    trial = probe._longest(whisper, "en", rows)
    assert trial.duration == 1.5 and trial.text == "abcdefgh"


def test_utterances_that_share_windows_make_larger_batches(whisper: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as share the windows that fit, even if they are the longest; tried with a window full of words."""
    rows = [models.utterance(number, "ab", models.clip("ab")) for number in range(64)]  # three to a window of 2 s
    tried: list[str] = []

    def need(base: Path, language: str, options: Train, utterance: Utterance) -> Need:
        tried.append(utterance.text)
        return Need(0.0, 1e6)

    monkeypatch.setattr(probe, "_need", need)
    monkeypatch.setattr(probe, "free", lambda: 20e6)  # 17 of them are planned with: 16 windows
    assert probe.largest_batch(whisper, "en", OPTIONS, rows)["batch"] == 16
    shared = OPTIONS.model_copy(update={"pack": True})
    assert probe.largest_batch(whisper, "en", shared, rows)["batch"] == 32
    assert tried[0] == "ab" and len(tried[1]) > 2 * len("ab")
