import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import models
import numpy as np
import pytest
import torch
from runs import fitted, same

from asr_analogy.asr.checkpoint import CHECKPOINT
from asr_analogy.asr.family import open_recogniser
from asr_analogy.asr.fitting import precision
from asr_analogy.errors import DataError, Interrupted, RecipeError
from asr_analogy.recipe import Train
from asr_analogy.speech.corpus import Utterance
from asr_analogy.workspace import MEASURED


@dataclass(frozen=True)
class Signalling(Utterance):
    """An utterance that asks for a stop when it is read for the third time."""

    reads: ClassVar[list[int]] = []
    number: int = signal.SIGTERM

    def samples(self) -> np.ndarray:
        self.reads.append(1)
        if len(self.reads) == 3:
            os.kill(os.getpid(), self.number)
        return super().samples()


@pytest.mark.parametrize(("family", "pack"), [("whisper", False), ("whisper", True), ("conformer", False)])
def test_a_few_utterances_can_be_learnt(family: str, pack: bool, tmp_path: Path) -> None:
    base, steps = models.tiny(family, tmp_path / "base"), 60
    _, metrics = fitted(base, tmp_path / "out", models.utterances(), steps=steps, rate=0.01, batch=8, pack=pack)
    losses = [line["loss"] for line in metrics]
    assert losses[-1] < 0.6 * losses[0] and [line["step"] for line in metrics] == list(range(1, steps + 1))
    assert set(metrics[0]) == {"step", "loss", "rate", "grad_norm"}  # nothing that differs from run to run
    measured = json.loads((tmp_path / "out" / MEASURED).read_text())
    assert measured["audio_seconds_per_second"] > 0 and measured["peak_memory_gb"] > 0.01


@pytest.mark.parametrize(
    ("family", "number", "pack"),
    [
        ("whisper", signal.SIGTERM, True),
        ("whisper", signal.SIGINT, False),
        ("conformer", signal.SIGTERM, "auto"),
        ("conformer", signal.SIGINT, "auto"),
    ],
)
def test_a_signal_ends_a_run_that_then_goes_on(family: str, number: int, pack: bool | str, tmp_path: Path) -> None:
    dropout = (
        {"dropout": 0.2} if family == "whisper" else {"hidden_dropout": 0.2, "mask_time_prob": 0.3, "layerdrop": 0.5}
    )
    base = models.tiny(family, tmp_path / "base", **dropout)
    rows, options = models.utterances(), {"steps": 6, "accumulate": 2, "pack": pack}
    expected, metrics = fitted(base, tmp_path / "one", rows, **options)
    Signalling.reads.clear()
    loud = [Signalling(**{**vars(row), "number": number}) for row in rows]
    before = signal.getsignal(number)
    with pytest.raises(Interrupted, match=r"an-arm: stopped at step [1-5] of 6; the same command goes on") as caught:
        fitted(base, tmp_path / "two", loud, **options)
    assert caught.value.exit_code == 130 and signal.getsignal(number) is before
    assert (tmp_path / "two" / CHECKPOINT).is_file()
    resumed, again = fitted(base, tmp_path / "two", rows, **options)
    assert same(resumed, expected) and again == metrics


@pytest.mark.parametrize("family", models.FAMILIES)
def test_bfloat16_is_for_the_forward_pass_only(family: str, tmp_path: Path) -> None:
    base = models.tiny(family, tmp_path / "base")
    exact, _ = fitted(base, tmp_path / "one", models.utterances(), steps=2)
    rough, _ = fitted(base, tmp_path / "two", models.utterances(), steps=2, precision="bf16")
    assert not same(exact, rough)
    assert {value.dtype for value in rough.model.parameters()} == {torch.float32}
    close = [
        torch.allclose(a, b, atol=0.02) for a, b in zip(exact.model.parameters(), rough.model.parameters(), strict=True)
    ]
    assert all(close)
    assert [precision(Train(precision=name)) for name in ("bf16", "fp32")] == ["bf16", "fp32"]


@pytest.mark.parametrize("family", models.FAMILIES)
def test_forgotten_activations_change_nothing(family: str, tmp_path: Path) -> None:
    base, rows = models.tiny(family, tmp_path / "base"), models.utterances()
    plain, _ = fitted(base, tmp_path / "one", rows, steps=2)
    frugal, _ = fitted(base, tmp_path / "two", rows, steps=2, gradient_checkpointing=True)
    assert any(getattr(module, "gradient_checkpointing", False) for module in frugal.model.modules())
    assert same(plain, frugal)


def test_what_training_can_do_goes_together(tmp_path: Path) -> None:
    """Shared windows, rooms, noise, adapters, rates, a mean: forgetting activations changes none of it."""
    pytest.importorskip("peft", reason="peft is not installed")
    base, rows = models.tiny("whisper", tmp_path / "base"), models.utterances()
    options = {"steps": 3, "batch": 8, "pack": True, "lora": {"rank": 2}, "average": "ema", "rates": {"encoder": 0.5}}
    options |= {"augment": {"room": "office", "noise_share": 0.3}}
    plain, metrics = fitted(base, tmp_path / "one", rows, **options)
    frugal, again = fitted(base, tmp_path / "two", rows, **options, gradient_checkpointing=True)
    assert same(plain, frugal) and again == metrics and not same(plain, open_recogniser(base, "en"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_moments_of_8_bits_need_a_gpu(tmp_path: Path) -> None:
    base = models.tiny("conformer", tmp_path / "base")
    with pytest.raises(RecipeError, match=r"train\.optimizer: adamw_8bit needs a GPU, and there is none; take adamw"):
        fitted(base, tmp_path / "out", models.utterances(), steps=1, optimizer="adamw_8bit")


def test_batch_norm_keeps_the_statistics_of_the_base(tmp_path: Path) -> None:
    base = models.tiny("conformer", tmp_path / "base")
    before = dict(open_recogniser(base, "en").model.named_buffers())
    recogniser, _ = fitted(base, tmp_path / "out", models.utterances(), steps=3, accumulate=2)
    buffers = dict(recogniser.model.named_buffers())
    assert any(name.endswith("running_mean") for name in buffers)
    assert all(torch.equal(value, before[name]) for name, value in buffers.items())


def test_accumulating_two_batches_is_one_step_on_their_mean(tmp_path: Path) -> None:
    """Four equal utterances: one batch of four and two of two have the same gradient."""
    base = models.tiny("whisper", tmp_path / "base")
    rows = models.utterances(["abba"] * 4)
    once, _ = fitted(base, tmp_path / "one", rows, steps=1, batch=4)
    twice, _ = fitted(base, tmp_path / "two", rows, steps=1, batch=2, accumulate=2)
    pairs = zip(once.model.parameters(), twice.model.parameters(), strict=True)
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in pairs)


def test_a_loss_that_is_no_number_names_its_utterances(tmp_path: Path) -> None:
    base = models.tiny("conformer", tmp_path / "base")
    rows = models.utterances(["abba", "abcdefghij" * 3])
    rows[1] = models.utterance(1, rows[1].text, models.clip("abba", 1))  # more letters than frames
    with pytest.raises(
        DataError, match=r"an-arm: the loss is inf at step \d .*0000001.*no model was written.*--set train\.rate=0\.001"
    ):
        fitted(base, tmp_path / "out", rows, steps=3, batch=1)


def test_metrics_are_plain_numbers(tmp_path: Path) -> None:
    base = models.tiny("conformer", tmp_path / "base")
    _, metrics = fitted(base, tmp_path / "out", models.utterances(), steps=2)
    assert json.loads(json.dumps(metrics)) == metrics


def test_one_seed_gives_one_whisper_whatever_its_threads_do(tmp_path: Path) -> None:
    base = models.tiny("whisper", tmp_path / "base", d_model=64)
    rows = models.utterances([f"rows like {chr(97 + row % 26)} share every position" for row in range(64)])
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        ends = [fitted(base, tmp_path / str(run), rows, steps=3, batch=64, rate=0.01)[0] for run in range(3)]
    finally:
        torch.set_num_threads(threads)
    assert all(same(ends[0], end) for end in ends[1:])
    assert not torch.are_deterministic_algorithms_enabled()
