"""Signs that a recogniser made text up: bursts of inserted words, loops, far too many words, nothing at all.

They are indicators, read off the texts alone: each names the utterances to listen to.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from asr_analogy.errors import DataError
from asr_analogy.text.alignment import align
from asr_analogy.text.english_form import english


@dataclass(frozen=True)
class Signs:
    """Indices of the utterances that show each sign, and how many words were inserted in all."""

    utterances: int
    words: int
    inserted: int
    bursts: tuple[int, ...]
    loops: tuple[int, ...]
    beyond: tuple[int, ...]
    empty: tuple[int, ...]

    @property
    def insertion_rate(self) -> float:
        """Inserted words in percent of the reference words; nan without these."""
        return 100 * self.inserted / self.words if self.words else float("nan")

    def share(self, sign: Sequence[int]) -> float:
        """Percent of the utterances that show `sign`, one of the fields; nan when there is no utterance."""
        return 100 * len(sign) / self.utterances if self.utterances else float("nan")


def signs(
    references: Sequence[str],
    hypotheses: Sequence[str],
    normaliser: Callable[[str], str] = english,
    burst: int = 5,
    repeats: int = 4,
) -> Signs:
    """The signs in a test set.

    bursts: `burst` words or more inserted in a row. loops: one to eight words `repeats` times or more in a row, more
    often than in the reference. beyond: more errors than reference words (WER > 100 %), also any word where the
    reference has none. empty: no word where the reference has one.
    Raises DataError when the two sequences differ in length.
    """
    if len(references) != len(hypotheses):
        raise DataError(f"{len(references)} references but {len(hypotheses)} hypotheses: there must be one for each")
    found: dict[str, list[int]] = {"bursts": [], "loops": [], "beyond": [], "empty": []}
    words = inserted = 0
    for place, (one, other) in enumerate(zip(references, hypotheses, strict=True)):
        reference, hypothesis = normaliser(one).split(), normaliser(other).split()
        kinds = [kind for kind, _, _ in align(reference, hypothesis)]
        words, inserted = words + len(reference), inserted + kinds.count("insert")
        if _longest(kinds) >= burst:
            found["bursts"].append(place)
        if (times := longest_loop(hypothesis)) >= repeats and times > longest_loop(reference):
            found["loops"].append(place)
        if len(kinds) - kinds.count("equal") > len(reference):
            found["beyond"].append(place)
        if reference and not hypothesis:
            found["empty"].append(place)
    return Signs(
        len(references),
        words,
        inserted,
        tuple(found["bursts"]),
        tuple(found["loops"]),
        tuple(found["beyond"]),
        tuple(found["empty"]),
    )


def longest_loop(words: Sequence[str], longest: int = 8) -> int:
    """How often, at most, the same one to `longest` words stand in a row; 0 for no word, 1 without repetition."""
    most = min(1, len(words))
    for size in range(1, min(longest, len(words) // 2) + 1):
        same = 0
        for place in range(size, len(words)):
            same = same + 1 if words[place] == words[place - size] else 0
            most = max(most, 1 + same // size)
    return most


def _longest(kinds: Sequence[str]) -> int:
    longest = run = 0
    for kind in kinds:
        run = run + 1 if kind == "insert" else 0
        longest = max(longest, run)
    return longest


def steady(
    before: Sequence[str], after: Sequence[str], normaliser: Callable[[str], str] = english, allowed: float = 0.01
) -> bool:
    """Whether transcripts `after` a change of the model are no worse behaved than those `before`: 0.8 to 1.25 times as
    many words, and new loops or silences in a share of `allowed` at most (in one utterance in any case)."""
    ours, theirs = (sum(len(normaliser(text).split()) for text in texts) for texts in (after, before))
    found, most = signs(before, after, normaliser), max(1.0, allowed * len(after))
    return 0.8 * theirs <= ours <= 1.25 * theirs and max(len(found.loops), len(found.empty)) <= most
