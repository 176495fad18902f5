"""Voice cards: the shipped ones, unknown ones, and ones that are wrong."""

from pathlib import Path

import pytest

from asr_analogy.errors import MissingError, RecipeError
from asr_analogy.recipe import shipped
from asr_analogy.tts.voice import load_card, seed_of

CARDS = sorted(path.stem for path in shipped("tts").glob("*.yaml"))
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
        (GOOD.replace("backend: espeak", "backend: bark9"), "backend: input should be 'espeak' .*got 'bark9'"),
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
    timbres = {card: {voice.partition("+")[2] for voice in load_card(card).voices} for card in CARDS}
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
