"""Voice cards: the shipped ones, unknown ones, ones that are wrong, and those of other packages."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from asr_analogy.errors import MissingError, RecipeError
from asr_analogy.recipe import shipped
from asr_analogy.speech.audio import SAMPLE_RATE
from asr_analogy.tts.chunks import join, split, unreadable
from asr_analogy.tts.voice import (
    BarkCard,
    EspeakCard,
    Line,
    SpeechT5Card,
    VitsCard,
    finished,
    load_card,
    open_voice,
    seed_of,
)

SHIPPED = sorted(path.stem for path in shipped("tts").glob("*.yaml"))
CARDS = [card for card in SHIPPED if isinstance(load_card(card), EspeakCard)]
NEURAL = {"bark": BarkCard, "bark-small": BarkCard, "speecht5": SpeechT5Card, "mms": VitsCard}
MODELS = {
    "bark": "suno/bark",
    "bark-small": "suno/bark-small",
    "speecht5": "microsoft/speecht5_tts",
    "mms": "facebook/mms-tts-eng",
}
GOOD = "backend: espeak\nlicence: mine\nvoices: [gmw/en]\n"


def test_unknown_card_lists_the_known_ones() -> None:
    with pytest.raises(MissingError, match="voices: espeek: no such voice card; known: .*espeak.*stand-in-test"):
        load_card("espeek")
    with pytest.raises(MissingError, match="voices: ./none.yaml: no such voice card"):
        load_card("./none.yaml")


def test_card_by_path(tmp_path: Path) -> None:
    (tmp_path / "card.yaml").write_text(GOOD + "rate: [120, 120]\n")
    card = load_card(str(tmp_path / "card.yaml"))
    assert card.voices == ["gmw/en"] and card.rate == (120, 120)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("backend: espeak\nlicence: mine\n", "voices: is required"),
        (GOOD + "speeed: 3\n", "speeed: unknown key"),
        (GOOD + "rates: [1, 2]\n", "rates: unknown key; did you mean rate?"),
        (
            GOOD.replace("backend: espeak", "backend: bark9"),
            "backend: no such backend 'bark9'; known: bark, espeak.*install",
        ),
        (GOOD.replace("backend: espeak", ""), "backend: is required"),
        ("backend: 3", "backend: input should be a valid string"),
        ("backend: bark\nlicence: mine\nmodel: a\nvoices: [null, null]", "voices: write null once"),
        ("backend: bark\nlicence: mine\nmodel: a\nvoices: [a]\nrate: [1, 2]", "rate: unknown key"),
        ("backend: speecht5\nlicence: mine\nmodel: a\nvoices: [a]", "speakers: is required"),
        ("backend: vits\nlicence: mine\nmodel: a\nvoices: [a]\nrate: [1.2, 1]", "rate: write the smaller number first"),
        (GOOD.replace("[gmw/en]", "[]"), "voices: list should have at least 1 item"),
        (GOOD + "rate: [180, 150]\n", "rate: write the smaller number first"),
        (GOOD + "pitch: [0, 140]\n", "pitch.1: .*99"),
        (GOOD + "range: 5\n", "range: "),
        ("- a\n", "must be a mapping"),
        ("a: [", "not valid YAML"),
        ("a: !!python/object/apply:os.getcwd []", "not valid YAML"),
    ],
)
def test_malformed_card(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "card.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=message) as caught:
        load_card(str(path))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_binary_card(tmp_path: Path) -> None:
    (tmp_path / "card.yaml").write_bytes(b"\xff\x00\xfe")
    with pytest.raises(RecipeError, match="not valid YAML"):
        load_card(str(tmp_path / "card.yaml"))


def test_no_two_shipped_cards_share_a_timbre() -> None:
    """Stand-ins are heard by nothing that they judge: not the voice, and not its timbre in another accent."""
    cards = {card: load_card(card) for card in CARDS}
    timbres = {name: {voice.partition("+")[2] for voice in card.voices} for name, card in cards.items()}
    assert {"espeak", "stand-in-train", "stand-in-test"} <= timbres.keys()
    for one in CARDS:
        assert "" not in timbres[one]
        for other in CARDS:
            assert one == other or not timbres[one] & timbres[other]


def test_seed_depends_on_every_part() -> None:
    seeds = {seed_of(*parts) for parts in [(1, "a"), (1, "b"), (2, "a"), ("1a",), ("1", "a", "")]}
    assert len(seeds) == 5 and all(0 <= seed < 2**63 for seed in seeds)
    assert seed_of(1, "a") == seed_of("1", "a")
    assert seed_of(7, "general-real", "Good morning.", 0) == 3452815660880404703


def test_neural_cards_name_the_models_of_the_hub() -> None:
    for name, kind in NEURAL.items():
        card = load_card(name)
        assert type(card) is kind and card.model == MODELS[name]
        assert {"mms": "CC-BY-NC-4.0"}.get(name, "MIT") in card.licence
    assert {card for card in SHIPPED if card not in CARDS} == NEURAL.keys()


def test_cards_are_checked_without_model_libraries() -> None:
    code = (
        "import sys; from asr_analogy.tts.voice import load_card\n"
        f"for name in {SHIPPED}: load_card(name)\n"
        "assert not {'torch', 'transformers', 'datasets'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", sorted(NEURAL))
def test_a_model_that_is_not_here_says_what_to_type(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(MissingError, match=f"type: hf download {MODELS[name]}") as caught:
        open_voice(load_card(name), 0)
    assert "\n" not in str(caught.value)


PLUGIN = """
import numpy as np
from pydantic import Field
from asr_analogy.tts.voice import Card

class ToneCard(Card):
    pitches: list[float] = Field(min_length=1)

class Tone:
    card = ToneCard
    def __init__(self, card, workers):
        self.names, self.workers = [f"{pitch:g} Hz" for pitch in card.pitches], workers
    def speak(self, lines):
        for line in lines:
            yield np.ones(len(line.text), np.float32)

def plain(card, workers):
    voice = Tone.__new__(Tone)
    voice.names = card.voices * card.settings["times"]
    return voice

number = 3
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A real distribution with entry points, installed beside the test."""
    (tmp_path / "tone_voice.py").write_text(PLUGIN)
    info = tmp_path / "tone_voice-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tone-voice\nVersion: 1.0\n")
    points = [
        "tone = tone_voice:Tone",
        "plain = tone_voice:plain",
        "gone = tone_voice:nothing",
        "number = tone_voice:number",
    ]
    (info / "entry_points.txt").write_text("\n".join(["[asr_analogy.tts]", *points, "bark = tone_voice:Tone", ""]))
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path / "card.yaml"


def test_a_backend_of_another_package(plugin: Path) -> None:
    plugin.write_text("backend: tone\nlicence: mine\npitches: [220, 440]\n")
    voice = open_voice(load_card(str(plugin)), 3)
    assert voice.names == ["220 Hz", "440 Hz"] and vars(voice)["workers"] == 3
    assert [len(clip) for clip in voice.speak([Line("abc", 0, 1)])] == [3]
    plugin.write_text("backend: plain\nlicence: mine\nvoices: [a]\nsettings: {times: 2}\n")
    assert open_voice(load_card(str(plugin)), 0).names == ["a", "a"]
    plugin.write_text("backend: bark\nlicence: mine\nmodel: none/none\nvoices: [null]\n")
    assert isinstance(load_card(str(plugin)), BarkCard)  # ours cannot be replaced


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (
            "backend: tone\nlicence: mine\npitchs: [1]",
            RecipeError,
            "pitches: is required; pitchs: unknown key; did you mean",
        ),
        ("backend: plain\nlicence: mine\nvoices: [a]\ntimes: 2", RecipeError, "times: unknown key"),
        (
            "backend: gone\nlicence: mine",
            MissingError,
            "backend: gone: tone_voice:nothing does not load .AttributeError",
        ),
        ("backend: number\nlicence: mine", MissingError, "tone_voice:number is not callable"),
        ("backend: tune\nlicence: mine", RecipeError, "no such backend 'tune'; known: .*tone"),
    ],
)
def test_wrong_cards_and_packages_of_others(plugin: Path, text: str, error: type[Exception], message: str) -> None:
    plugin.write_text(text)
    with pytest.raises(error, match=message) as caught:
        load_card(str(plugin))
    assert "\n" not in str(caught.value)


def test_finished_speech() -> None:
    tone = 0.01 * np.sin(np.arange(24_000) * 0.05)
    padded = np.concatenate([np.zeros(24_000), tone, np.zeros(24_000)])
    clip = finished(padded, 24_000)
    assert isinstance(clip, np.ndarray) and clip.dtype == np.float32
    assert len(clip) == pytest.approx(1.2 * SAMPLE_RATE, rel=0.02)
    assert np.sqrt(np.mean(np.square(clip))) == pytest.approx(10 ** (-26 / 20), rel=0.01)
    for silent in (np.zeros(24_000), tone[:1000], np.zeros(0)):
        assert finished(silent, 24_000) == "the voice said nothing"
    assert finished(np.full(24_000, np.nan), 24_000) == "the voice made samples that are no numbers"


def test_text_is_split_at_clause_ends() -> None:
    text = "The lessee shall pay the rent, which falls due on the first of May; the lessor, Mr. Smith, shall keep the roof in repair."
    assert split(text, 200) == [text]
    assert split(text, 80) == [text[:67], text[68:]]
    assert split(text, 40)[0] == "The lessee shall pay the rent,"
    for longest in (5, 12, 20, 40, 60, 100):
        parts = split(text, longest)
        assert all(0 < len(part) <= longest for part in parts)
        assert "".join(parts).replace(" ", "") == text.replace(" ", "")
        if longest >= 8:
            assert " ".join(parts) == text  # no word is cut
    assert not any(part.endswith("Mr.") for part in split(text, 80))
    assert split("a" * 10, 4) == ["aa", "aaa", "aa", "aaa"]
    assert split("一二三四五。六七八九十", 6) == ["一二三四五。", "六七八九十"]
    assert split("one two three four", 2, lambda part: len(part.split())) == ["one two", "three four"]


def test_parts_are_joined_with_a_pause() -> None:
    loud, soft = np.full(4000, 0.05, np.float32), np.full(8000, 0.04, np.float32)
    whole = join([loud, soft])
    assert len(whole) == 12_000 + 0.15 * SAMPLE_RATE and not whole[4000:6400].any() and whole[6400] and whole[3999]
    assert join([loud]) is loud


def test_unreadable_characters() -> None:
    assert unreadable("no 1st é, (ok)!", set("abcdefghijklmnopqrstuvwxyz")) == "1é"


def test_a_card_knows_the_content_of_what_it_names(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "vectors.npz").write_bytes(b"1")
    content = {"backend": "speecht5", "licence": "", "model": str(tmp_path / "model"), "voices": ["a"]}
    card = SpeechT5Card.model_validate({**content, "vocoder": "some/hub-id", "speakers": str(tmp_path / "vectors.npz")})
    seen = [card.local()]
    for file in ("model/model.safetensors", "vectors.npz"):
        (tmp_path / file).write_bytes(b"22")
        seen.append(card.local())
    assert [sorted(found) for found in seen] == [[str(tmp_path / "model"), str(tmp_path / "vectors.npz")]] * 3
    assert seen[0] != seen[1] != seen[2]
    prompts = ["v2/en_speaker_6", None, str(tmp_path / "vectors.npz")]
    bark = {"backend": "bark", "licence": "", "model": "suno/bark", "voices": prompts}
    assert list(BarkCard.model_validate(bark).local()) == [str(tmp_path / "vectors.npz")]
    assert load_card("espeak").local() == load_card("bark").local() == {}
