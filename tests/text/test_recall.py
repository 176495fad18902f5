"""Terms said and written, the split of errors, signs of invented text."""

import random

import jiwer
import pytest

from asr_analogy.errors import DataError
from asr_analogy.text.alignment import align
from asr_analogy.text.hallucination import longest_loop, signs
from asr_analogy.text.normaliser import normaliser
from asr_analogy.text.recall import Split, TermCounts, keyword_counts, split_words, term_counts
from asr_analogy.text.scoring import Counts, count_words, raw, total

TERMS = ["habeas corpus", "corpus", "Section 1983", "lien"]
SAID = ["The writ of habeas corpus, habeas corpus!", "A lien under § 1983.", "Nothing here."]
HEARD = ["the writ of habeas corpus have you a corpus", "a lean under section nineteen eighty three", "nothing lien"]


def test_term_counts() -> None:
    found = term_counts(SAID, HEARD, TERMS)
    assert found == TermCounts(
        4,
        4,
        2,
        {
            "corpus": (0, 1, 0),
            "habeas corpus": (2, 1, 1),
            "lien": (1, 1, 0),
            "section one nine eight three": (1, 1, 1),
        },
    )
    assert (found.recall, found.precision) == (50.0, 50.0)
    none = term_counts(["a"], ["b"], TERMS)
    assert none.recall != none.recall and none.precision != none.precision
    with pytest.raises(DataError, match="1 references but 0"):
        term_counts(["a"], [], TERMS)


def test_keywords_without_a_transcript() -> None:
    found = keyword_counts([["habeas corpus", "Habeas Corpus", "lien"], ["$5"], []], [*HEARD[:1], "five dollars", "x"])
    assert (found.said, found.both) == (4, 2)
    assert found.by_term["habeas corpus"] == (2, 1, 1) and found.by_term["five dollar"] == (1, 1, 1)
    assert keyword_counts([["lien", "lien"]], ["lien lien liens"]).both == 2
    chinese = keyword_counts([["抵押 权"]], ["这 抵押权"], normaliser("zh"))
    assert (chinese.said, chinese.both) == (1, 1)


def test_the_split_adds_up() -> None:
    parts = split_words(SAID, HEARD, TERMS)
    for part, counts in zip(parts, count_words(SAID, HEARD), strict=True):
        assert part.terms + part.others == counts
    assert parts[2] == Split(Counts(0, 0, 0, 0, 0), Counts(1, 1, 0, 0, 2))
    assert split_words(["we go"], ["we go lien"], TERMS) == [Split(Counts(0, 0, 1, 0, 0), Counts(2, 0, 0, 0, 2))]
    assert split_words(["a lien falls"], ["lean falls"], TERMS)[0].terms.words == 1


def test_counts_agree_with_jiwer_on_random_pairs() -> None:
    """10,000 pairs: our totals are jiwer's, and the alignment tells the same edits."""
    generator = random.Random(0)
    words = ["estoppel", "lien", "writ", "the", "of", "deed"]
    texts = [" ".join(generator.choices(words, k=generator.randrange(0, 9))) for _ in range(20_000)]
    pairs = list(zip(texts[::2], texts[1::2], strict=True))
    references, hypotheses = [one for one, _ in pairs], [other for _, other in pairs]
    counts = count_words(references, hypotheses, raw)
    full = [place for place, one in enumerate(references) if one]
    theirs = jiwer.process_words([references[place] for place in full], [hypotheses[place] for place in full])
    ours = total(counts[place] for place in full)
    assert (ours.hits, ours.substitutions, ours.insertions, ours.deletions) == (
        theirs.hits,
        theirs.substitutions,
        theirs.insertions,
        theirs.deletions,
    )
    for (one, other), count in list(zip(pairs, counts, strict=True))[:1_000]:
        kinds = [kind for kind, _, _ in align(one.split(), other.split())]
        edits = Counts(*(kinds.count(kind) for kind in ("equal", "substitute", "insert", "delete")), len(one.split()))
        assert edits == count


def test_alignment_rebuilds_both_sides() -> None:
    generator = random.Random(1)
    for _ in range(500):
        one, other = (generator.choices(["la", "le", "li"], k=generator.randrange(0, 8)) for _ in range(2))
        steps = list(align(one, other))
        assert [one[place] for kind, place, _ in steps if kind != "insert"] == one
        assert [other[place] for kind, _, place in steps if kind != "delete"] == other
        assert all(one[left] == other[right] for kind, left, right in steps if kind == "equal")


def test_signs() -> None:
    references = ["we agree", "thank you all", "the motion is denied", "", "no no no no", "so ordered"]
    hypotheses = [
        "we agree and thank you for watching this",
        "",
        "the the the the motion is denied",
        "subtitles",
        "no no no no",
        "so ordered",
    ]
    found = signs(references, hypotheses)
    assert (found.bursts, found.loops, found.beyond, found.empty) == ((0,), (2,), (0, 3), (1,))
    assert (found.utterances, found.words, found.inserted) == (6, 15, 10)
    assert found.insertion_rate == pytest.approx(1000 / 15)
    assert found.share(found.beyond) == pytest.approx(100 / 3)
    with pytest.raises(DataError):
        signs(["a"], [])


@pytest.mark.parametrize(
    ("text", "times"),
    [("", 0), ("one", 1), ("to and fro", 1), ("so so", 2), ("i see it i see it i see it", 3), ("x a b a b a b y", 3)],
)
def test_longest_loop(text: str, times: int) -> None:
    assert longest_loop(text.split()) == times
