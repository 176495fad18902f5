import json
from pathlib import Path

import models
import numpy as np
import pytest
import torch
from runs import fitted, same

from asr_analogy.asr.augmentation import heard, spec_augment
from asr_analogy.asr.family import open_recogniser
from asr_analogy.asr.feeding import feed
from asr_analogy.asr.folder import save
from asr_analogy.asr.packing import Passages, Window
from asr_analogy.errors import RecipeError
from asr_analogy.recipe import Augment

ROOM = Augment(room="office", room_share=0.5)
MASKS = {"mask_time_prob": 0.4, "mask_time_length": 2, "mask_feature_prob": 0.2, "mask_feature_length": 2}


def sounds(base: Path, options: Augment, seed: int = 1, voice: int = 0, seconds: float = 0.0) -> list[np.ndarray]:
    """What three visits of every utterance sound like."""
    rows = models.utterances(voice=voice, seconds=seconds)
    clips, batches = heard(open_recogniser(base, "en"), rows, [list(range(len(rows)))] * 3, options, seed)
    return [clips[number].samples() for batch in batches for number in batch]


def same_clips(left: list[np.ndarray], right: list[np.ndarray]) -> list[bool]:
    return [len(a) == len(b) and bool(np.array_equal(a, b)) for a, b in zip(left, right, strict=True)]


def test_rooms_are_drawn_per_utterance_visit_and_seed(whisper: Path) -> None:
    plain = [row.samples() for row in models.utterances()] * 3
    first = sounds(whisper, ROOM)
    assert all(same_clips(first, sounds(whisper, ROOM)))
    untouched = same_clips(first, plain)
    assert 4 <= sum(untouched) <= 20 and untouched[:8] != untouched[8:16]
    assert not all(same_clips(first, sounds(whisper, ROOM, seed=2)))
    assert not any(same_clips(sounds(whisper, Augment(room="office", room_share=1.0)), plain))


def test_paired_arms_hear_the_same_channels(whisper: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the length of their clips."""
    both = []
    for voice, seconds in ((0, 0.0), (1, 1.5)):
        rows = models.utterances(voice=voice, seconds=seconds)
        clips, batches = heard(open_recogniser(whisper, "en"), rows, [list(range(8))] * 2, ROOM, 1)
        both.append([getattr(clips[number], "room", None) for batch in batches for number in batch])
    assert both[0] == both[1] and any(both[0]) and len(set(both[0])) > 3


def test_nested_batches_keep_their_shape(whisper: Path) -> None:
    rows = models.utterances()[:3]
    _, batches = heard(open_recogniser(whisper, "en"), rows, [[[0, 1], [2]], [[1], [0, 0]]], ROOM, 1)
    assert batches == [[[0, 1], [2]], [[4], [3, 6]]]


@pytest.mark.parametrize("form", ["", "letters"])
def test_noise_without_words_has_an_empty_label(form: str, tmp_path: Path) -> None:
    base = models.whisper(tmp_path / "base", form=form)
    recogniser = open_recogniser(base, "en")
    rows = models.utterances([f"row {index}" for index in range(40)])
    clips, batches = heard(recogniser, rows, [list(range(40))], Augment(noise_share=0.25), 1)
    chosen = [clips[number] for number in batches[0]]
    wordless = [row for row in chosen if not row.text]
    assert 4 <= len(wordless) <= 18
    prompt = recogniser.prompt  # type: ignore[attr-defined]
    assert recogniser.label("") == [*prompt, recogniser.processor.tokenizer.eos_token_id]
    for row in wordless:
        samples = row.samples()
        assert len(samples) == round(row.duration * 16_000) and 0 < np.abs(samples).max() <= 1
    assert len({row.samples().tobytes() for row in wordless}) == len(wordless)


def test_options_that_do_not_fit(whisper: Path, conformer: Path) -> None:
    rows = models.utterances()
    with pytest.raises(RecipeError, match=r"train\.augment\.room: cave: no such room; known: office"):
        heard(open_recogniser(whisper, "en"), rows, [[0]], Augment(room="cave"), 1)
    with pytest.raises(RecipeError, match=r"noise_share: goes with Whisper"):
        heard(open_recogniser(conformer, "en"), rows, [[0]], Augment(noise_share=0.1), 1)


@pytest.mark.parametrize("family", models.FAMILIES)
def test_spec_augment_masks_and_the_saved_config_stays(family: str, tmp_path: Path) -> None:
    base = models.tiny(family, tmp_path / "base")
    plain, metrics = fitted(base, tmp_path / "one", models.utterances(), steps=2)
    masked, other = fitted(base, tmp_path / "two", models.utterances(), steps=2, augment=MASKS)
    assert other[0]["loss"] != metrics[0]["loss"] and not same(masked, plain)
    for recogniser, name in ((plain, "plain"), (masked, "masked")):
        save(recogniser, tmp_path / name, base)
    configs = [json.loads((tmp_path / name / "config.json").read_text()) for name in ("plain", "masked")]
    assert configs[0] == configs[1] and configs[0]["mask_time_prob"] != 0.4
    assert [name for name, _ in masked.model.named_parameters()] == [name for name, _ in plain.model.named_parameters()]


def test_a_base_that_masks_can_be_told_not_to(tmp_path: Path) -> None:
    base = models.tiny("conformer", tmp_path / "base", mask_time_prob=0.4, mask_time_length=2)
    model = open_recogniser(base, "en").model
    with spec_augment(model, None):
        assert model.config.mask_time_prob == 0.4
    with spec_augment(model, Augment(mask_time_prob=0.0)):
        assert model.config.mask_time_prob == 0.0
    assert model.config.mask_time_prob == 0.4


@pytest.mark.parametrize("family", models.FAMILIES)
def test_augmented_training_learns_and_repeats(family: str, tmp_path: Path) -> None:
    base = models.tiny(family, tmp_path / "base")
    options = {"steps": 3, "augment": {"room": "office", "room_share": 0.7, **MASKS}}
    runs = [fitted(base, tmp_path / str(number), models.utterances(), **options) for number in range(2)]
    assert same(runs[0][0], runs[1][0]) and runs[0][1] == runs[1][1]
    assert all(np.isfinite(line["loss"]) for line in runs[0][1])
    assert torch.isfinite(next(runs[0][0].model.parameters())).all()


def test_utterances_that_share_a_window_are_heard_one_by_one(whisper: Path) -> None:
    """Each has a room or noise of its own, anew at every visit, and stays as long as it is."""
    rows = models.utterances(["ab", "cab", "dad", "gag"])
    pauses = (0.3, 0.4)
    windows = [Window((0, 2, 1), pauses), Window((3,)), Window((2, 1, 0), pauses, timed=True)]
    options = Augment(room="office", room_share=1.0, noise_share=0.5)
    plain, recogniser = Passages(rows, windows), open_recogniser(whisper, "en")
    clips, batches = heard(recogniser, plain, [[0, 1], [2]], options, 1)
    assert isinstance(clips, Passages) and batches == [[0, 1], [2]] and len(clips) == 3
    assert [window.indices for window in clips.windows] == [(0, 2, 1), (3,), (6, 5, 4)]  # the second visit of three
    alone, numbers = heard(recogniser, rows, [[0, 2, 1], [3], [2, 1, 0]], options, 1)
    for window, unpacked in zip(clips.windows, numbers, strict=True):
        assert list(window.indices) == unpacked
    for number in range(3):
        passage = clips[number]
        assert len(passage.samples()) == len(plain[number].samples())
        assert passage.duration == plain[number].duration
        begin = 0
        for part, pause in zip(passage.parts, (*passage.window.pauses, 0.0), strict=True):  # type: ignore[attr-defined]
            sound = part.samples()
            assert np.array_equal(passage.samples()[begin : begin + len(sound)], sound)
            begin += len(sound) + int(pause * 16_000)
        words = [part.text for part in passage.parts if part.text]  # type: ignore[attr-defined]
        assert passage.text == " ".join(words)
        assert [text for text, _, _ in passage.timed()] == words  # type: ignore[attr-defined]
    said = [row.text for window in clips.windows for row in (alone[index] for index in window.indices)]
    assert "" in said and any(said)


def test_a_timed_window_of_noise_has_the_plain_empty_label(whisper: Path) -> None:
    recogniser = open_recogniser(whisper, "en")
    rows = models.utterances(["ab", "cab"])
    options = Augment(noise_share=0.999999)
    clips, batches = heard(recogniser, Passages(rows, [Window((0, 1), (0.3,), timed=True)]), [[0]], options, 1)
    ((_, inputs),) = feed(recogniser, clips, batches)
    assert inputs["labels"].tolist() == [recogniser.label("")]
