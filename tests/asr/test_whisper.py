import copy
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import models
import numpy as np
import pytest
import torch

from asr_analogy.asr.beams import beam_search
from asr_analogy.asr.family import open_recogniser, ready
from asr_analogy.asr.greedy import greedy
from asr_analogy.asr.hub import find
from asr_analogy.asr.whisper import WhisperRecogniser
from asr_analogy.errors import DataError, RecipeError
from asr_analogy.speech.audio import SAMPLE_RATE


def opened(folder: Path, language: str = "en", weights: bool = False) -> WhisperRecogniser:
    recogniser = open_recogniser(folder, language, weights)
    assert isinstance(recogniser, WhisperRecogniser)
    return recogniser


def tokens(recogniser: WhisperRecogniser, text: str) -> list[str]:
    return recogniser.processor.tokenizer.convert_ids_to_tokens(recogniser.label(text))


def test_labels_of_a_multilingual_base(whisper: Path) -> None:
    found = tokens(opened(whisper), "Hi, §4 ")
    assert found[:3] == ["<|en|>", "<|transcribe|>", "<|notimestamps|>"]
    assert found[3] == "Ġ" and found[-1] == "<|endoftext|>"  # Whisper's leading space, one end
    assert found.count("<|endoftext|>") == 1 and "<|startoftranscript|>" not in found
    assert (
        opened(whisper).processor.tokenizer.decode(opened(whisper).label("Hi, §4 "), skip_special_tokens=True)
        == " Hi, §4"
    )


def test_labels_in_another_language(whisper: Path) -> None:
    assert tokens(opened(whisper, "de"), "ja")[:2] == ["<|de|>", "<|transcribe|>"]
    with pytest.raises(RecipeError, match=r"language: fr: not a language of .*known: de, en"):
        opened(whisper, "fr")


@pytest.mark.parametrize("special", [models.SPECIAL, models.ENGLISH_ONLY], ids=["with language tokens", "without"])
def test_labels_of_an_english_only_base(tmp_path: Path, special: tuple[str, ...]) -> None:
    """English-only checkpoints of OpenAI carry the language tokens too, and generate() refuses a language there."""
    folder = models.whisper(tmp_path / "base", special=special, multilingual=False)
    recogniser = opened(folder, weights=True)
    assert tokens(recogniser, "a") == ["<|notimestamps|>", "Ġ", "a", "<|endoftext|>"]
    assert recogniser.decoding == {}
    recogniser.model.eval()
    assert len(recogniser.transcribe([models.clip("abc")])) == 1
    with pytest.raises(RecipeError, match="knows English only; take a multilingual base"):
        opened(folder, "de")


def test_labels_of_a_letter_base(tmp_path: Path) -> None:
    recogniser = opened(models.whisper(tmp_path / "base", form="letters"))
    text = recogniser.processor.tokenizer.decode(recogniser.label("Fee's 2nd, naïve!"), skip_special_tokens=True)
    assert text == "fee's second naive"
    assert recogniser.refusal("?!", 1.0) == "no letters to learn"


def test_the_start_token_stands_once_before_the_labels(whisper: Path) -> None:
    recogniser = opened(whisper, weights=True)
    labels = [recogniser.label("abba"), recogniser.label("a")]
    batch = recogniser.batch([models.clip("abba"), models.clip("a")], labels)
    assert batch["input_features"].shape == (2, 80, 200)
    ends = [label[-1] for label in labels]
    assert batch["labels"][1].tolist() == [*labels[1], *[-100] * (len(labels[0]) - len(labels[1]))]
    seen: list[torch.Tensor] = []
    recogniser.model.model.decoder.register_forward_pre_hook(
        lambda _, __, named: seen.append(named["input_ids"]), with_kwargs=True
    )
    loss = recogniser.model(**batch).loss
    assert torch.isfinite(loss)
    start = recogniser.model.config.decoder_start_token_id
    assert seen[0][0].tolist() == [start, *labels[0][:-1]]
    assert seen[0][:, 1:].eq(start).sum() == 0 and ends == [recogniser.processor.tokenizer.eos_token_id] * 2


def test_a_generation_config_is_needed_before_hours_are_spent(whisper: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(whisper, tmp_path / "copy"))
    path = copy / "generation_config.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps({**settings, "lang_to_id": {}}))
    with pytest.raises(RecipeError, match="known: none in lang_to_id"):
        opened(copy)
    path.unlink()
    with pytest.raises(DataError, match=r"generation_config\.json: missing.*copy it from the original Whisper"):
        opened(copy)


def test_refusals(whisper: Path) -> None:
    recogniser = opened(whisper)
    assert recogniser.refusal("a", 2.0) is None
    assert recogniser.refusal("a", 2.01) == "longer than the base's window (2 s)"
    longest = recogniser.positions - len(recogniser.label("a")) + 1
    assert recogniser.refusal("a" * longest, 1.0) is None
    assert recogniser.refusal("a" * (longest + 1), 1.0) == "more tokens than the decoder has positions"


def test_a_label_that_fills_the_decoder_can_be_trained_on(whisper: Path) -> None:
    recogniser = opened(whisper, weights=True)
    label = recogniser.label("a" * (recogniser.positions - len(recogniser.label("a")) + 1))
    assert torch.isfinite(recogniser.model(**recogniser.batch([models.clip("ab")], [label])).loss)


def test_keys_are_kept_for_generating_only(whisper: Path) -> None:
    recogniser = opened(whisper, weights=True)
    batch = recogniser.batch([models.clip("ab")], [recogniser.label("ab")])
    assert recogniser.model.train()(**batch).past_key_values is None
    assert recogniser.model.eval()(**batch).past_key_values is not None


def test_transcripts_do_not_depend_on_the_batch(whisper: Path) -> None:
    recogniser = opened(whisper, weights=True)
    recogniser.model.eval()
    clips = [models.clip("ab"), models.clip("cab", 1), models.clip("badge face egg", 2)]
    assert recogniser.transcribe(clips) == [recogniser.transcribe([clip])[0] for clip in clips]
    assert len(set(recogniser.transcribe(clips))) > 1


@pytest.fixture(scope="module")
def micro() -> WhisperRecogniser:
    """A model that has learnt to write, and to end."""
    found = ready(find("data/foundations/whisper-micro"), "en")
    assert isinstance(found, WhisperRecogniser)
    return found


WORDS = ("ab", "cab deed face", "badge face egg a fee", "deed", "fad gag bead")


@pytest.mark.parametrize("suppress", [False, True])
@pytest.mark.parametrize("terms", [(), ("cab", "deed")])
def test_tokens_are_those_of_generate(micro: WhisperRecogniser, terms: Sequence[str], suppress: bool) -> None:
    """Also where clips leave the batch one by one, with suppressed tokens, and behind a prompt."""
    clips = [models.clip(text, voice) for voice, text in enumerate(WORDS)]
    features, before = micro._features(clips), micro._before(terms)
    start = [*before, micro.model.generation_config.decoder_start_token_id, *micro.prompt]
    settings = copy.deepcopy(micro.model.generation_config)
    given = {"prompt_ids": torch.tensor(before) if before else None, "max_new_tokens": 40}
    with torch.inference_mode():
        plain = greedy(micro.model, features, start, [40] * 5)
        if suppress:
            longest = max(plain, key=len)
            micro.model.generation_config.suppress_tokens = [longest[1], longest[4]]
            micro.model.generation_config.begin_suppress_tokens = [longest[0]]
        try:
            for beams in (1, 2, 5):
                found = beam_search(micro.model, features, start, [40] * 5, beams)
                found = greedy(micro.model, features, start, [40] * 5) if beams == 1 else found
                theirs = micro.model.generate(features, **micro.decoding, num_beams=beams, **given).tolist()
                end = settings.eos_token_id
                assert found == [[*row, end][: [*row, end].index(end)] for row in theirs]
                assert len(set(map(len, found))) > 2 and (found == plain) == (beams == 1 and not suppress)
                alone = beam_search(micro.model, features[3:4], start, [3], beams)
                assert alone[0] == beam_search(micro.model, features, start, [40, 9, 7, 3, 1], beams)[3]
        finally:
            micro.model.generation_config = settings


def test_limits_come_from_the_length_of_the_clip(whisper: Path) -> None:
    recogniser = opened(whisper, weights=True)
    features = recogniser._features([models.clip("ab"), models.clip("cab")])
    start = [recogniser.model.generation_config.decoder_start_token_id, *recogniser.prompt]
    assert [len(row) for row in greedy(recogniser.model.eval(), features, start, [3, 9])] == [3, 9]


def test_a_prompt_of_terms(whisper: Path, micro: WhisperRecogniser, tmp_path: Path) -> None:
    recogniser = opened(whisper, weights=True)
    recogniser.model.eval()
    vocabulary = recogniser.processor.tokenizer.get_vocab()
    before = recogniser._before(["cab", "deed"])
    assert before[0] == vocabulary["<|startofprev|>"]
    assert recogniser.processor.tokenizer.decode(before[1:]) == " cab, deed"
    assert recogniser._before(["cab", "x" * 40]) == before[:5] and recogniser._before([]) == []  # 20 positions at most
    clips = [models.clip("abba fee"), models.clip("bead")]
    told = micro.transcribe(clips, prompt=["cab", "deed"])
    assert told != micro.transcribe(clips)
    assert told == [micro.transcribe([clip], prompt=["cab", "deed"])[0] for clip in clips]
    bare = opened(
        models.whisper(tmp_path / "bare", special=[name for name in models.SPECIAL if name != "<|startofprev|>"])
    )
    with pytest.raises(RecipeError, match=r"prompt: .* no <\|startofprev\|>"):
        bare._before(["cab"])


def test_a_clip_beyond_the_window_is_never_cut_off(whisper: Path) -> None:
    with pytest.raises(ValueError, match="longer than the window"):
        opened(whisper, weights=True).transcribe([np.ones(2 * SAMPLE_RATE + 1, dtype=np.float32)])
