"""Utterances that share a window: what is planned, and what the model then hears and is to say."""

from collections.abc import Iterator
from pathlib import Path

import models
import numpy as np
import pytest
import torch

from asr_analogy.asr.family import open_recogniser
from asr_analogy.asr.feeding import feed
from asr_analogy.asr.packing import (
    PAUSES,
    Passages,
    Room,
    Window,
    fullest,
    half_timed,
    measured,
    pack,
    packs,
    planned,
    share,
    windows_of,
)
from asr_analogy.errors import DataError, RecipeError
from asr_analogy.recipe import Train
from asr_analogy.speech.audio import SAMPLE_RATE

ROOM = Room(30.0, 200)
TIMES = tuple(f"<|{step / 50:.2f}|>" for step in range(101))


def drawn(count: int, low: float = 2.0, high: float = 6.0) -> tuple[list[float], list[int]]:
    """Durations and tokens of so many utterances."""
    durations = np.random.default_rng(0).uniform(low, high, count)
    return durations.tolist(), (durations * 5).astype(int).tolist()


def heard(windows: list[Window], batches: list[list[int]]) -> Iterator[list[int]]:
    """The utterances of every batch."""
    for batch in batches:
        yield [index for number in batch for index in windows[number].indices]


def test_a_batch_holds_as_many_utterances_as_ever() -> None:
    windows, batches = pack(*drawn(103), 4, 50, 3, ROOM)
    found = list(heard(windows, batches))
    assert all(len(batch) == 4 for batch in found) and len(found) == 50
    for epoch in (found[:25], found[25:]):  # 103 // 4 batches each
        seen = [index for batch in epoch for index in batch]
        assert len(seen) == len(set(seen)) == 100
    assert {index for batch in heard(*pack(*drawn(103), 4, 250, 3, ROOM)) for index in batch} == set(range(103))
    numbers = [number for batch in batches for number in batch]
    assert len(numbers) == len(set(numbers))


@pytest.mark.parametrize("room", [ROOM, Room(30.0, 60), Room(7.0, 200)])
def test_nothing_is_longer_than_its_window(room: Room) -> None:
    durations, tokens = drawn(300)
    windows, _ = pack(durations, tokens, 16, 100, 0, room)
    for window in windows:
        assert len(window.pauses) == len(window.indices) - 1
        assert all(PAUSES[0] <= pause <= PAUSES[1] for pause in window.pauses)
        assert sum(durations[index] for index in window.indices) + sum(window.pauses) <= room.seconds
        assert sum(tokens[index] for index in window.indices) <= room.tokens
    assert max(len(window.indices) for window in windows) > 1


def test_an_utterance_that_fits_nowhere_stands_alone() -> None:
    windows, _ = pack([40.0, 3.0, 3.0], [1, 300, 1], 3, 5, 0, ROOM)
    held = {window.indices for window in windows}
    assert held == {(0,), (1,), (2,)}


def test_the_plan_depends_on_the_seed_alone() -> None:
    durations, tokens = drawn(200)
    assert pack(durations, tokens, 8, 30, 1, ROOM) == pack(durations, tokens, 8, 30, 1, ROOM)
    assert pack(durations, tokens, 8, 30, 1, ROOM) != pack(durations, tokens, 8, 30, 2, ROOM)
    longer = pack(durations, tokens, 8, 90, 1, ROOM)
    windows, batches = pack(durations, tokens, 8, 30, 1, ROOM)
    assert longer[1][:30] == batches and longer[0][: len(windows)] == windows


@pytest.mark.parametrize(("batch", "least"), [(16, 5.2), (32, 5.4)])
def test_windows_are_full_but_for_those_that_keep_one_short_utterance(batch: int, least: float) -> None:
    durations, tokens = drawn(1600)
    windows, batches = pack(durations, tokens, batch, 100, 0, ROOM)
    alone = sum(len(window.indices) == 1 for window in windows)
    assert 0.12 < alone / len(windows) < 0.2
    assert batch * 100 / len(windows) > least  # (4 + 0.55) s each: 6.6 fill a window, less 15 % is 5.6
    sizes = [len(found) for found in batches]
    assert share(30.0, 4.0) == pytest.approx(np.mean(sizes) / batch, rel=0.1)


def test_only_short_utterances_stand_alone() -> None:
    durations = [15.1, 13.0] * 8
    windows, _ = pack(durations, [1] * 16, 16, 4, 0, ROOM)
    alone = [durations[window.indices[0]] for window in windows if len(window.indices) == 1]
    assert alone.count(13.0) == 3  # in every batch but the first, and a long one then has no company
    assert len(windows) == 8 + 3 * 9 and len(alone) == 6


def test_no_utterance_is_an_error() -> None:
    with pytest.raises(DataError, match=r"empty.*dropped\.jsonl"):
        pack([], [], 8, 3, 0, ROOM)


@pytest.mark.parametrize(
    ("option", "window", "typical", "expected"),
    [
        ("auto", 30.0, 4.0, True),
        ("auto", 30.0, 14.5, True),
        ("auto", 30.0, 15.0, False),
        ("auto", 10.0, 4.0, False),  # our micro base
        (True, 10.0, 4.0, True),
        (False, 30.0, 4.0, False),
        ("auto", None, 4.0, False),
        (False, None, 4.0, False),
    ],
)
def test_who_packs(option: bool | str, window: float | None, typical: float, expected: bool) -> None:
    assert packs(Train.model_validate({"pack": option}).pack, window, [typical] * 3) is expected


def test_a_base_without_a_window_cannot_pack() -> None:
    with pytest.raises(RecipeError, match=r"train\.pack: this base pads no clip to a window.*leave it out"):
        packs(True, None, [4.0])


def test_a_passage_sounds_and_reads_like_its_parts() -> None:
    rows = models.utterances(["abba ", "cab", "dad"])
    passage = Passages(rows, [Window((2, 0, 1), (0.3, 0.5))])[0]
    sound = passage.samples()
    first, second, third = (rows[index].samples() for index in (2, 0, 1))
    begins = [0, len(first) + 4_800, len(first) + 4_800 + len(second) + 8_000]
    for part, begin in zip((first, second, third), begins, strict=True):
        assert np.array_equal(sound[begin : begin + len(part)], part)
    assert len(sound) == begins[2] + len(third) and sound.dtype == np.float32
    pause = sound[len(first) : begins[1]]
    quietest = np.sqrt(np.square(first[: len(first) // 320 * 320]).reshape(-1, 320).mean(1).min())
    assert 0 < np.sqrt(np.square(pause).mean()) == pytest.approx(quietest, rel=0.1)
    assert np.array_equal(sound, Passages(rows, [Window((2, 0, 1), (0.3, 0.5))])[0].samples())
    assert passage.text == "dad abba cab" and passage.id == "0000002, 0000000, 0000001"
    assert passage.duration == pytest.approx(1.0 + 0.1)  # ten letters and a space: the pauses are no speech


@pytest.mark.parametrize("form", ["letters", ""])
def test_what_a_packed_batch_is(form: str, tmp_path: Path) -> None:
    recogniser = open_recogniser(models.whisper(tmp_path / "base", form=form), "en", weights=False)
    rows = models.utterances()
    texts, durations = [row.text for row in rows], [row.duration for row in rows]
    options = Train(batch=8, steps=3, pack=True)
    passages, batches = planned(recogniser, rows, texts, durations, options, 1)
    assert max(map(len, batches)) < 8
    for (chosen, inputs), batch in zip(feed(recogniser, passages, batches), batches, strict=True):
        assert inputs["input_features"].shape == (len(batch), 80, 200)
        assert chosen == [passages[number] for number in batch]
        for label, passage in zip(inputs["labels"].tolist(), chosen, strict=True):
            said = recogniser.processor.tokenizer.decode([token for token in label if token >= 0])
            body = f" {passage.text}" if not form else passage.text
            assert said == f"<|en|><|transcribe|><|notimestamps|>{body}<|endoftext|>"


def test_times_in_labels(tmp_path: Path) -> None:
    base = models.whisper(tmp_path / "base", special=(*models.SPECIAL, *TIMES))
    recogniser = open_recogniser(base, "en", weights=False)
    decoded = recogniser.processor.tokenizer.convert_ids_to_tokens(
        recogniser.timed_label([("ab", 0.0, 0.413), ("c", 0.9, 3.0)])
    )
    assert "".join(decoded) == (
        "<|en|><|transcribe|><|0.00|>Ġab<|0.42|><|0.90|>Ġc<|2.00|><|endoftext|>"  # the window ends at 2 s
    )
    rows = models.utterances()
    options = Train(batch=8, steps=30, pack=True, timestamps=True)
    passages, batches = planned(
        recogniser, rows, [row.text for row in rows], [row.duration for row in rows], options, 1
    )
    first = recogniser.processor.tokenizer.convert_tokens_to_ids("<|0.00|>")
    kinds = [
        int((label == first).any())
        for _, inputs in feed(recogniser, passages, batches[:5])
        for label in inputs["labels"]
    ]
    assert 0 < sum(kinds) < len(kinds)
    timed = [passage for passage in passages if passage.window.timed]  # type: ignore[attr-defined]
    assert 0.3 < len(timed) / len(passages) < 0.7
    for passage in timed:
        parts, sound = passage.timed(), passage.samples()  # type: ignore[attr-defined]
        assert parts[0][1] == 0 and parts[-1][2] == pytest.approx(len(sound) / SAMPLE_RATE, abs=1e-3)
        assert [text for text, _, _ in parts] == [part.text for part in passage.parts]  # type: ignore[attr-defined]


def test_times_without_packing(tmp_path: Path) -> None:
    base = models.whisper(tmp_path / "base", special=(*models.SPECIAL, *TIMES))
    recogniser = open_recogniser(base, "en", weights=False)
    rows = models.utterances()
    texts, durations = [row.text for row in rows], [row.duration for row in rows]
    passages, batches = planned(recogniser, rows, texts, durations, Train(batch=4, steps=9, timestamps=True), 1)
    assert {len(batch) for batch in batches} == {4}
    alone, _ = planned(recogniser, rows, texts, durations, Train(batch=4, steps=9), 1)
    assert alone is rows and len(passages) == 36
    assert np.array_equal(passages[0].samples(), rows[passages.windows[0].indices[0]].samples())  # type: ignore[attr-defined]


@pytest.mark.parametrize("family", models.FAMILIES)
def test_a_base_without_times_refuses_them(family: str, tmp_path: Path) -> None:
    recogniser = open_recogniser(models.tiny(family, tmp_path / "base"), "en", weights=False)
    rows = models.utterances()
    with pytest.raises(RecipeError, match=r"train\.timestamps: .* no tokens for times.*leave it out"):
        planned(recogniser, rows, [row.text for row in rows], [1.0] * len(rows), Train(timestamps=True), 1)


def test_half_of_the_windows_are_timed() -> None:
    windows = [Window((index,)) for index in range(1000)]
    assert 450 < sum(window.timed for window in half_timed(windows, 1)) < 550
    assert half_timed(windows, 1) == half_timed(windows, 1) != half_timed(windows, 2)


def test_a_packed_window_teaches_as_much_as_its_parts(whisper: Path) -> None:
    """The loss of a packed batch is the mean over its tokens."""
    recogniser = open_recogniser(whisper, "en")
    rows = models.utterances(["abba", "cab"])
    passage = Passages(rows, [Window((0, 1), (0.3,))])[0]
    batch = recogniser.batch([passage.samples()], [recogniser.label(passage.text)])
    output = recogniser.model(**batch)
    expected = torch.nn.functional.cross_entropy(output.logits[0], batch["labels"][0])
    assert output.loss.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("form", ["letters", ""])
def test_labels_of_shared_windows_are_no_longer_than_the_decoder(form: str, tmp_path: Path) -> None:
    base = models.whisper(tmp_path / "base", form=form, max_target_positions=10)
    recogniser = open_recogniser(base, "en", weights=False)
    rows = models.utterances([f"a{chr(97 + number)}" for number in range(24)])
    texts, durations = [row.text for row in rows], [row.duration for row in rows]
    room, _ = measured(recogniser, texts, Train())
    assert room.tokens == 6  # without prompt and end
    passages, _ = planned(recogniser, rows, texts, durations, Train(batch=8, steps=9, pack=True), 1)
    lengths = [len(recogniser.label(passage.text)) for passage in passages]
    assert 7 <= max(lengths) <= 10


def test_what_a_batch_can_take_at_most(tmp_path: Path) -> None:
    recogniser = open_recogniser(models.whisper(tmp_path / "base"), "en", weights=False)
    rows = models.utterances(["abcdefgh", "abcdefgi", "ab", "ac", "ad"])  # 0.8 and 0.2 s; a window holds 2 s
    assert [windows_of(recogniser, rows[:count], Train()) for count in (1, 2, 3)] == [2, 2, 3]
    quiet = models.utterance(9, "b", models.clip("b", seconds=1.9))
    assert fullest(recogniser, [quiet, *rows], Train()) == "abcdefgh abcdefgi"
    assert fullest(recogniser, [quiet], Train()) == "b"
