from pathlib import Path

import models
import pytest
import torch
from transformers import Wav2Vec2ConformerForCTC

from asr_analogy.asr.conformer import ConformerRecogniser
from asr_analogy.asr.family import open_recogniser
from asr_analogy.speech.audio import SAMPLE_RATE


def opened(folder: Path, weights: bool = True) -> ConformerRecogniser:
    recogniser = open_recogniser(folder, "en", weights)
    assert isinstance(recogniser, ConformerRecogniser)
    if weights:
        recogniser.model.eval()
    return recogniser


CLIPS = [models.clip("ab"), models.clip("cab fee", 1), models.clip("badge face egg", 2)]


def test_labels_are_the_spoken_form_in_the_vocabulary(conformer: Path, tmp_path: Path) -> None:
    lower = opened(conformer, weights=False)
    decode = lower.processor.tokenizer.decode
    assert decode(lower.label("Fee's 2nd, naïve!"), group_tokens=False) == "fee's second naive"
    upper = opened(models.conformer(tmp_path / "upper", letters=models.LETTERS.upper()), weights=False)
    assert upper.processor.tokenizer.decode(upper.label("Fee's 2"), group_tokens=False) == "FEE'S TWO"
    assert not {upper.config.pad_token_id, -100} & set(upper.label("Fee's 2"))


def test_refusals_are_exact(conformer: Path) -> None:
    recogniser = opened(conformer)
    assert recogniser.refusal("?", 1.0) == "no letters of the model's vocabulary"
    assert recogniser.refusal("ab", 0.1) is None
    assert recogniser.refusal("aabb", 0.1) == "more letters (6) than frames (3)"
    for samples in (400, 1600, 1601, 12_345):
        real = recogniser.model(torch.zeros(1, samples + 800)).logits.shape[1]
        assert recogniser._frames(samples + 800) == real


def test_frames_of_an_adapter(tmp_path: Path) -> None:
    folder = models.conformer(tmp_path / "base", add_adapter=True, output_hidden_size=16, num_adapter_layers=2)
    recogniser = opened(folder)
    expected = int(recogniser.model._get_feat_extract_output_lengths(torch.tensor(16_000)))
    assert recogniser._frames(16_000) == expected < 40


def test_padding_changes_nothing(conformer: Path) -> None:
    """transformers lets padding leak through the depthwise convolutions; ours is the model of one clip alone."""
    recogniser, original = opened(conformer), Wav2Vec2ConformerForCTC.from_pretrained(conformer).eval()
    inputs = recogniser._inputs(CLIPS)
    assert inputs["attention_mask"].sum(1).tolist() == [len(clip) for clip in CLIPS]
    with torch.no_grad():
        together, leaky = recogniser.model(**inputs).logits, original(**inputs).logits
        for index, clip in enumerate(CLIPS):
            alone = original(**recogniser._inputs([clip])).logits[0]
            assert torch.allclose(together[index, : len(alone)], alone, atol=1e-4)
            if clip is CLIPS[0]:
                assert not torch.allclose(leaky[index, : len(alone)], alone, atol=1e-2)
    assert recogniser.transcribe(CLIPS) == [recogniser.transcribe([clip])[0] for clip in CLIPS]
    assert all(recogniser.transcribe(CLIPS))


@pytest.mark.parametrize("norm", ["group", "layer"])
def test_a_base_without_attention_mask(tmp_path: Path, norm: str) -> None:
    recogniser = opened(models.conformer(tmp_path / "base", mask=False, feat_extract_norm=norm))
    batch = recogniser.batch(CLIPS, [recogniser.label(text) for text in ("ab", "cab", "badge")])
    assert set(batch) == {"input_values", "labels"}
    assert torch.isfinite(recogniser.model(**batch).loss)
    assert recogniser.transcribe(CLIPS) == [recogniser.transcribe([clip])[0] for clip in CLIPS]


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_the_loss_means_the_same_at_every_batch_size(tmp_path: Path, reduction: str) -> None:
    recogniser = opened(models.conformer(tmp_path / "base", ctc_loss_reduction=reduction))
    labels = [recogniser.label(text) for text in ("ab", "cab fee", "badge face")]
    single = [
        recogniser.model(**recogniser.batch([clip], [label])).loss for clip, label in zip(CLIPS, labels, strict=True)
    ]
    together = recogniser.model(**recogniser.batch(CLIPS, labels)).loss
    assert together.item() == pytest.approx(torch.stack(single).mean().item(), rel=1e-4)


def test_a_label_that_cannot_be_aligned_is_no_zero(tmp_path: Path) -> None:
    recogniser = opened(models.conformer(tmp_path / "base", ctc_zero_infinity=True))
    batch = recogniser.batch([models.clip("a")], [recogniser.label("abcdefghijkl")])
    assert recogniser.model(**batch).loss.isinf()


def test_frames_behind_the_end_are_no_letters(conformer: Path) -> None:
    recogniser = opened(conformer)
    short, long = CLIPS[0], models.clip("abcdefgabcdefgabcdefg", 3)
    assert recogniser.transcribe([short, long])[0] == recogniser.transcribe([short])[0]
    assert len(recogniser.transcribe([short])[0]) <= recogniser._frames(len(short)) < SAMPLE_RATE / 100


def test_the_gradient_of_the_sound_is_spared_and_no_other(conformer: Path) -> None:
    recogniser = opened(conformer)
    model, extractor = recogniser.model, recogniser.model.wav2vec2_conformer.feature_extractor
    model.train()
    gradients = []
    for wanted in (False, True):  # transformers' default is True
        assert extractor._requires_grad is wanted or wanted
        extractor._requires_grad = wanted
        model.zero_grad()
        model(**recogniser.batch(CLIPS, [recogniser.label("ab")] * 3)).loss.backward()
        gradients.append({name: value.grad for name, value in model.named_parameters() if value.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    assert all(torch.equal(gradients[0][name], gradients[1][name]) for name in gradients[0])
    extractor._requires_grad = False
    for parameter in extractor.parameters():
        parameter.requires_grad_(False)
    assert not extractor(torch.zeros(1, SAMPLE_RATE)).requires_grad
