"""Terms of art: mined, spoken often enough, found again, kept in a file."""

import random
from collections import Counter
from itertools import islice, product
from pathlib import Path

import pytest

from asr_analogy.errors import DataError, RecipeError
from asr_analogy.text import terms as module
from asr_analogy.text.terms import Term, cover, find, load_terms, mine, save_terms

GENERAL = [
    "We went to the market and bought apples, pears and bread.",
    "The children were at home all day because of the rain.",
    "She said that the train to the city was late again.",
    "There is a limit to what the weather can do to a garden.",
] * 25
DOMAIN = [
    "The statute of limitations has run on the claim.",
    "A statute of limitations, however, may be tolled.",
    "They pleaded the statute of limitations at trial.",
    "The writ of habeas corpus was denied.",
    "Habeas corpus lies for the prisoner, and the claim fails.",
    "We petitioned for habeas corpus on Monday.",
    "The claim was barred under 42 U.S.C. § 1983.",
    "Under 42 U.S.C. § 1981 the children have a claim.",
    "It is the rain under 42 U.S.C. § 1985 again.",
]


def by_name(found: list[Term]) -> dict[str, Term]:
    return {one.term: one for one in found}


def test_mine_finds_the_terms_and_only_them() -> None:
    found = by_name(mine(iter(DOMAIN), iter(GENERAL)))
    assert set(found) == {"statute of limitations", "habeas corpus", "claim", "usc section"}
    assert (found["claim"].count, found["claim"].general, found["claim"].sentences) == (4, 0, 4)


def test_the_score_is_the_log_likelihood_ratio() -> None:
    """8 of 20 words against 2 of 40: 2 * (8 ln(8 / 3.333) + 2 ln(2 / 6.667))."""
    domain, general = ["estoppel the"] * 8 + ["of the", "of the"], ["estoppel the"] * 2 + ["of the"] * 18
    (term,) = mine(domain, general)
    assert term == Term("estoppel", 8, 2, 8, 9.19)


def test_common_and_repeated_words_are_no_terms() -> None:
    assert mine(GENERAL, GENERAL) == []
    assert mine(["Tort tort tort."], GENERAL) == []  # one sentence only
    assert mine(["A tort."] * 2, GENERAL) == []
    assert [one.term for one in mine(["A tort."] * 2, GENERAL, least=2)] == ["tort"]
    assert mine(["A tort."] * 4, ["A tort.", *GENERAL], significance=1e6) == []
    assert set(by_name(mine(["The bishop's own crook."] * 3 + ["The bishop."] * 3, GENERAL))) == {"bishop", "crook"}


def test_phrases_do_not_cross_commas_and_must_cohere() -> None:
    domain = ["We heard the appellant, respondent and clerk.", "The appellant, respondent, all spoke."] * 3
    assert not [one for one in mine(domain, GENERAL) if " " in one.term and "appellant" in one.term]
    words = ["lien", "deed", "writ", "plea", "bail", "tort"]
    loose = [f"{one} {other}" for one in words for other in words] * 4
    assert not [one for one in mine(loose, GENERAL) if " " in one.term]
    assert [one for one in mine(loose, GENERAL, cohesion=-1.0) if " " in one.term]


def test_memory_is_bounded_and_the_frequent_survive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_HELD", 400)
    noise = (f"{one} near {one}s" for one in made_up(3_000))
    domain = (text for pair in zip(noise, DOMAIN[:3] * 1_000, strict=True) for text in pair)
    found = by_name(mine(domain, GENERAL))
    assert 2_500 < found["statute of limitations"].count <= 3_000
    assert len(found) < 20


def test_mine_needs_both_texts() -> None:
    with pytest.raises(DataError, match="the general text holds no word"):
        mine(DOMAIN, ["..."])
    with pytest.raises(DataError, match="the domain text holds no word"):
        mine([], GENERAL)


def test_find_counts_normalised_words() -> None:
    names = {"habeas corpus", "corpus", "usc", "five dollar", "writ"}
    assert find("HABEAS CORPUS! A habeas-corpus, 42 U.S.C. for $5", names) == {
        "habeas corpus": 2,
        "corpus": 2,
        "usc": 1,
        "five dollar": 1,
    }
    assert find("", names) == {}


def spoken(sentences: list[str], chosen: list[int], names: set[str]) -> Counter[str]:
    texts = {sentences[index] for index in chosen}
    return Counter(name for text in texts for name in find(text, names))


def made_up(count: int) -> list[str]:
    return ["".join(letters) for letters in islice(product("bcdfghjklm", repeat=4), count)]


def crowd(count: int, names: list[str]) -> list[str]:
    """Different sentences in which the name at place t stands with a chance of about 1 / (t + 2)."""
    generator = random.Random(1)
    made = []
    for number in range(count):
        held = [name for place, name in enumerate(names) if generator.random() < 1 / (place + 2)]
        made.append(" ".join([f"number {number}", *held]))
    return made


def test_cover_speaks_every_term_often_enough() -> None:
    sentences, names = crowd(2_000, made_up(60)), set(made_up(60))
    everything = spoken(sentences, list(range(2_000)), names)
    assert min(everything.values()) >= 20 and len(everything) == 60
    chosen = cover(sentences, names, times=10, budget=300, seed=0)
    assert len(chosen) == len(set(chosen)) == 300 and chosen == sorted(chosen)
    served = spoken(sentences, chosen, names)
    assert all(served[name] >= 10 for name in names)
    drawn = spoken(sentences, random.Random(0).sample(range(2_000), 300), names)
    assert any(drawn[name] < 10 for name in names)


def test_cover_is_decided_by_the_seed() -> None:
    sentences, names = crowd(500, made_up(20)), set(made_up(20))
    assert cover(sentences, names, 2, 100, seed=1) == cover(sentences, names, 2, 100, seed=1)
    assert cover(sentences, names, 2, 100, seed=1) != cover(sentences, names, 2, 100, seed=2)


def test_cover_serves_the_rare_first_and_counts_repeats_once() -> None:
    sentences = ["a tort", "the writ", "a tort!", "one tort", "The writ.", "tort law", "no term"]
    assert cover(sentences, {"tort", "writ"}, times=1, budget=1, seed=0) == [1]
    chosen = cover(sentences, {"tort", "writ"}, times=3, budget=4, seed=0)
    assert chosen == [0, 1, 3, 5]


def test_cover_fills_the_budget_uniformly() -> None:
    sentences = ["the writ", *(f"plain {number}" for number in range(9))]
    drawn = Counter(index for seed in range(900) for index in cover(sentences, {"writ"}, 1, 4, seed))
    assert drawn[0] == 900
    assert all(220 < drawn[index] < 380 for index in range(1, 10))
    assert cover(sentences, {"writ"}, 1, 50, seed=0) == list(range(10))
    assert cover(sentences, {"writ"}, 1, 0, seed=0) == []
    with pytest.raises(RecipeError, match="times 0, budget 5"):
        cover(sentences, {"writ"}, 0, 5, seed=0)


def test_terms_travel_through_a_file(tmp_path: Path) -> None:
    path = tmp_path / "terms.jsonl"
    found = mine(DOMAIN, GENERAL)
    save_terms(path, found)
    assert load_terms(path) == found
    path.write_text('{"term": "Habeas Corpus"}\n\n{"term": "$5"}\n')
    assert load_terms(path) == [Term("habeas corpus"), Term("five dollar")]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("habeas corpus", r"terms.jsonl:2: not a term; write"),
        ('{"word": "tort"}', r"terms.jsonl:2: not a term; write"),
        ('{"term": 5}', r"terms.jsonl:2: not a term; write"),
        ('["tort"]', r"terms.jsonl:2: not a term; write"),
        ('{"term": "..."}', r"has 0 words; give 1 to 5"),
        ('{"term": "to be or not to be"}', r"has 6 words; give 1 to 5"),
    ],
)
def test_broken_lists_are_refused(tmp_path: Path, line: str, reason: str) -> None:
    path = tmp_path / "terms.jsonl"
    path.write_text(f'{{"term": "tort"}}\n{line}\n')
    with pytest.raises(DataError, match=reason):
        load_terms(path)
    with pytest.raises(DataError, match="no list of terms"):
        load_terms(tmp_path / "none.jsonl")
