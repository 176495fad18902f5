import json
import shutil
from pathlib import Path

import models
import numpy as np
import pytest
import torch

from asr_analogy.asr.batching import pieces
from asr_analogy.asr.family import open_recogniser
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


def test_long_audio_is_cut_and_joined(whisper: Path) -> None:
    recogniser = opened(whisper, weights=True)
    recogniser.model.eval()
    first, second = models.clip("abcabcabcabcabc"), models.clip("gegegegeg", 1)
    silence = np.zeros(SAMPLE_RATE // 4, dtype=np.float32)
    whole = np.concatenate([first, silence, second])
    assert len(whole) > 2 * SAMPLE_RATE
    texts = recogniser.transcribe(pieces(whole, 2.0))
    assert recogniser.transcribe([whole, first]) == [" ".join(texts).strip(), recogniser.transcribe([first])[0]]
