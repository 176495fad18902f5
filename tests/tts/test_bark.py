"""BARK: the same clip in any batch and order, chunks, voices that go on, and the stages of transformers' own generate."""

import json
import os
import pickle
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_voices
import torch

from asr_analogy.errors import DataError, MissingError
from asr_analogy.speech.audio import SAMPLE_RATE
from asr_analogy.tts.bark import AHEAD, BarkVoice, Chunk, Prompt, Said, _joined, draw
from asr_analogy.tts.voice import BarkCard, Line

PRESETS: tuple[str | None, ...] = ("v2/en_speaker_0", "v2/en_speaker_1", None)
LONG = "the quick brown fox jumps over the lazy dogs, they say."
TEXTS = ["a quick dog", "the fox jumps over it", "brown, lazy", LONG, "over the lazy dog", LONG]
LINES = [Line(text, number % 3, 40 + number) for number, text in enumerate(TEXTS * 2)]


def open_bark(model: Path, voices: Sequence[str | None] = PRESETS, **settings: Any) -> BarkVoice:
    content = {"backend": "bark", "licence": "", "model": str(model), "voices": list(voices), "batch": 4, **settings}
    return BarkVoice(BarkCard.model_validate(content))


def heard(voice: BarkVoice, lines: Sequence[Line]) -> list[bytes | str]:
    return [clip if isinstance(clip, str) else clip.tobytes() for clip in voice.speak(lines)]


def prompt(number: int, length: int = 60) -> Prompt:
    return Prompt(*tiny_voices.bark_prompt(number, length).values())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_clip_is_the_same_in_any_batch_and_order(bark: Path, precision: str) -> None:
    voice = open_bark(bark, precision=precision)
    together = heard(voice, LINES)
    assert len({clip for clip in together if isinstance(clip, bytes)}) >= 6
    order = list(range(len(LINES)))
    random.Random(1).shuffle(order)
    shuffled = heard(voice, [LINES[number] for number in order])
    assert shuffled == [together[number] for number in order]
    assert [heard(voice, [line])[0] for line in LINES[1:4]] == together[1:4]
    assert heard(open_bark(bark, precision=precision), LINES[::2]) == together[::2]


def test_more_lines_than_a_window(bark: Path) -> None:
    voice = open_bark(bark, batch=1)
    lines = [Line("b", number % 2, number % 5) for number in range(AHEAD + 4)]
    clips = heard(voice, lines)
    assert len(clips) == len(lines) and clips[10:] == clips[: len(lines) - 10]
    assert len(set(clips[:10])) > 3


def test_speaking_leaves_the_generators_of_others_alone(bark: Path) -> None:
    voice = open_bark(bark)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    heard(voice, LINES[:6])
    assert torch.equal(torch.rand(3), expected)


def test_text_voice_and_seed_each_change_the_clip(bark: Path) -> None:
    voice = open_bark(bark, PRESETS[:2])
    lines = [
        Line("over the dog", 0, 1),
        Line("over the fox", 0, 1),
        Line("over the dog", 1, 1),
        Line("over the dog", 0, 2),
    ]
    assert len(set(heard(voice, lines))) == 4


def test_clips_are_levelled_and_at_the_rate_of_the_recogniser(bark: Path) -> None:
    voice = open_bark(bark)
    for clip in [clip for clip in voice.speak(LINES) if not isinstance(clip, str)]:
        assert clip.dtype == np.float32 and clip.ndim == 1 and np.abs(clip).max() < 1
        assert 20 * np.log10(np.sqrt(np.mean(np.square(clip)))) <= -25.9
    chunks = [Chunk("a quick dog", seed, None) for seed in range(8)]
    said = next(said for said in voice._say(chunks) if not isinstance(said, str))
    seconds = said.prompt.fine.shape[1] / 75  # before trimming
    assert len(said.samples) / SAMPLE_RATE == pytest.approx(seconds, abs=0.35)
    assert len(said.samples) / SAMPLE_RATE <= seconds + 0.01


def test_a_random_voice_goes_on_as_it_began(bark: Path) -> None:
    voice = open_bark(bark, [None], chunk=2)
    asked: list[Chunk] = []
    say = voice._say

    def listen(chunks: Sequence[Chunk]) -> Any:
        asked.extend(chunks)
        return say(chunks)

    voice._say = listen  # type: ignore[method-assign]
    for seed in range(12):
        asked.clear()
        [clip] = voice.speak([Line("the quick brown fox, jumps over the lazy dog", 0, seed)])
        if isinstance(clip, np.ndarray):
            break
    assert asked[0].prompt is None
    first = say(asked[:1])[0]
    assert not isinstance(first, str) and len(asked) >= 2
    assert all(chunk.prompt is not None and np.array_equal(chunk.prompt.fine, first.prompt.fine) for chunk in asked[1:])


def test_a_reason_takes_the_place_of_the_clip(bark: Path) -> None:
    voice = open_bark(bark, temperature=0, min_eos_p=None)  # greedy: loops and does not end
    assert "the voice did not come to an end" in heard(voice, LINES[:4])
    eager = open_bark(bark, min_eos_p=1e-6)  # ends at once
    assert heard(eager, LINES[:5]) == ["the voice said nothing"] * 5
    said = Said(np.ones(4000, np.float32), prompt(1))
    assert _joined([said, "the voice said nothing"]) == "the voice said nothing"
    assert len(_joined([said, said])) == 8000 + 0.15 * SAMPLE_RATE


@pytest.mark.parametrize("length", [None, 60, 30, 7])
def test_stages_are_those_of_transformers(bark: Path, length: int | None) -> None:
    """Greedy tokens of a full batch equal what BarkModel's own stages generate for one text."""
    voice = open_bark(bark, temperature=0, min_eos_p=None)
    voice.prompts = [None if length is None else prompt(1, length)]
    history = None
    if length is not None:
        history = {key: torch.from_numpy(value) for key, value in tiny_voices.bark_prompt(1, length).items()}
    rows = [Chunk(text, 1, voice.prompts[0]) for text in ("the lazy dog", "a quick fox jumps", "b", "brown, the")]
    with torch.inference_mode():
        tokens, _ = voice._semantic_tokens(rows)
        width = voice.semantic.max_input_semantic_length
        encoded = voice.tokenizer(rows[1].text, padding="max_length", max_length=width, add_special_tokens=False,
                                  return_tensors="pt")  # fmt: skip
        theirs = voice.model.semantic.generate(
            encoded["input_ids"], attention_mask=encoded["attention_mask"], history_prompt=history,
            semantic_generation_config=voice.semantic, do_sample=False, max_new_tokens=tokens.shape[1],
        )  # fmt: skip
        assert torch.equal(tokens[1, : theirs.shape[1]][:100], theirs[0][:100])
        torch.manual_seed(3)
        semantic = torch.randint(0, tiny_voices.SEMANTIC, (4, 45))
        semantic[0, 20:] = semantic[2, 31:] = tiny_voices.SEMANTIC  # shorter rows
        longest = int(45 * 75 / 49.9) * 2
        ours = voice._coarse_tokens(rows, semantic, longest)
        for row, count in enumerate([20, 45, 31, 45]):
            coarse, lengths = voice.model.coarse_acoustics.generate(
                semantic[row : row + 1, :count].clone(), history_prompt=history, semantic_generation_config=voice.semantic,
                coarse_generation_config=voice.coarse, codebook_size=16, return_output_lengths=True, do_sample=False,
            )  # fmt: skip
            assert torch.equal(coarse[0], ours[row, : int(lengths[0])])


def test_draw_follows_the_distribution() -> None:
    logits = torch.tensor([[2.0, 0.0, -1.0, 1.0, -30.0]])
    chances = torch.from_numpy(np.random.default_rng(0).random(40_000))
    drawn = draw(logits.expand(len(chances), -1), chances, 0.7, None)
    shares = torch.bincount(drawn, minlength=5) / len(chances)
    assert torch.allclose(shares, (logits[0] / 0.7).softmax(-1), atol=0.01)
    assert set(draw(logits.expand(len(chances), -1), chances, 0.7, 2).tolist()) == {0, 3}
    edges = torch.tensor([0.0, 1.0 - 2.0**-53], dtype=torch.float64)
    assert draw(torch.tensor([[-torch.inf, 0.0, 0.0, -torch.inf]] * 2), edges, 1.0, None).tolist() == [1, 2]
    assert draw(logits, chances[:1], 0, None).tolist() == [0]


def test_unknown_presets_and_broken_voices_are_named(bark: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"voices: v2/xx: .* no such preset; it has: v2/en_speaker_0"):
        open_bark(bark, ["v2/xx"])
    with pytest.raises(MissingError, match=r"none.npz: no such file"):
        open_bark(bark, [str(tmp_path / "none.npz")])
    np.savez(tmp_path / "half.npz", semantic_prompt=np.arange(3))
    with pytest.raises(DataError, match=r"half.npz: not a BARK voice .*make or download"):
        open_bark(bark, [str(tmp_path / "half.npz")])
    evil = np.array([Touch(tmp_path / "touched")], dtype=object)
    np.savez(tmp_path / "evil.npz", semantic_prompt=evil, coarse_prompt=evil, fine_prompt=evil)
    with pytest.raises(DataError, match=r"evil.npz: not a BARK voice"):
        open_bark(bark, [str(tmp_path / "evil.npz")])
    assert not (tmp_path / "touched").exists()


def test_a_voice_from_a_file_is_the_preset(bark: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", **tiny_voices.bark_prompt(1))
    own, preset = open_bark(bark, [str(tmp_path / "own.npz")]), open_bark(bark, ["v2/en_speaker_1"])
    lines = [Line("over the lazy dog", 0, seed) for seed in range(4)]
    assert heard(own, lines) == heard(preset, lines)


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_models_that_are_not_there_or_run_code(bark: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"suno/none: not on this machine .* type: hf download suno/none, or give"):
        open_bark(Path("suno/none"))
    with pytest.raises(MissingError, match=r"no such model folder"):
        open_bark(tmp_path / "nowhere")
    copy = shutil.copytree(bark, tmp_path / "copy")
    (copy / "model.safetensors").unlink()
    (copy / "pytorch_model.bin").write_bytes(pickle.dumps({"a": Touch(tmp_path / "touched")}))
    with pytest.raises(DataError, match=r"copy: not loadable as the card's model"):
        open_bark(copy)
    assert not (tmp_path / "touched").exists()
    listed = json.loads((copy / "speaker_embeddings_path.json").read_text())
    listed["v2/en_speaker_0"]["fine_prompt"] = "../../secret.npy"
    (copy / "speaker_embeddings_path.json").write_text(json.dumps(listed))
    with pytest.raises(DataError, match="names a file outside itself"):
        open_bark(copy)
