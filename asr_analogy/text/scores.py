"""The scores of several systems on test sets: rates, intervals, terms, signs of invented text, domains taken together.

Transcripts come as rows: id, reference ("" where nobody wrote one), hypothesis, speaker, duration and, in a clip of which
only keywords are known, keywords. Rates are percent with three decimals; what is undefined is None.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from asr_analogy.errors import DataError
from asr_analogy.text.hallucination import longest_loop, signs
from asr_analogy.text.normaliser import Normaliser
from asr_analogy.text.recall import TermCounts, each_keyword_counts, each_term_counts, joined, split_words
from asr_analogy.text.scoring import Counts, bootstrap, count_characters, count_words, paired_bootstrap, raw, total
from asr_analogy.text.statistics import matched_pairs, over_domains

Row = Mapping[str, Any]
Rows = Mapping[str, Sequence[Row]]
"""Rows by system, all of the same utterances in the same order."""

LOOP = 4
"""How often words stand in a row in a loop, as `hallucination.signs` has it."""


@dataclass(frozen=True)
class Heard:
    """What one system made of one test set; texts are normalised. `counts` and `groups` are of the rows with a transcript,
    `found` and `all_groups` of all; groups are what the bootstrap draws, None where it draws utterances."""

    references: list[str]
    hypotheses: list[str]
    words: list[Counts]
    characters: list[Counts]
    raw: list[Counts]
    found: list[TermCounts]
    groups: list[str] | None
    all_groups: list[str] | None
    silent: list[str]
    """Hypotheses of the rows without a transcript."""

    @property
    def misses(self) -> list[Counts]:
        """Terms said and not written as deletions: one minus recall as an error rate."""
        return [Counts(one.both, 0, 0, one.said - one.both, one.said) for one in self.found]


@dataclass(frozen=True)
class Scorer:
    """How transcripts are scored: both sides in `form`, differences to `baseline`, intervals from `draws` of a `group`.

    `terms` are the domain's; where a row lists keywords, these are looked for in it instead.
    """

    form: Normaliser
    baseline: str
    terms: Sequence[str] | None = None
    draws: int = 10_000
    group: str = "utterance"
    seed: int = 1

    def hear(self, test: str, rows: Rows) -> dict[str, Heard]:
        """Count what every system made of a test set. Raises DataError where there is nothing to score or systems did not
        hear the same utterances."""
        names = [row["id"] for row in rows[self.baseline]]
        other = next((name for name, lines in rows.items() if [row["id"] for row in lines] != names), None)
        if other is not None:
            raise DataError(
                f"{test}: {other} and {self.baseline} did not hear the same utterances; run eval with --force"
            )
        form = cache(self.form)  # every system is held against the same references
        found = {name: self._hear(lines, form) for name, lines in rows.items()}
        heard = found[self.baseline]
        if not total(heard.words).words and not total(heard.misses).words:
            raise DataError(
                f"{test}: its transcripts hold no word to score; give a test set with transcripts or keywords"
            )
        return found

    @cached_property
    def _names(self) -> list[str]:
        return [self.form(term) for term in self.terms or ()]

    def _hear(self, rows: Sequence[Row], form: Callable[[str], str]) -> Heard:
        lines = [row for row in rows if row["reference"].strip()]
        plain = [row["reference"] for row in lines], [row["hypothesis"] for row in lines]
        references, hypotheses = ([form(text) for text in side] for side in plain)
        return Heard(
            references,
            hypotheses,
            count_words(references, hypotheses, raw),
            count_characters(references, hypotheses, raw),
            count_words(*plain, raw),
            self._find(rows, {row["id"]: pair for row, *pair in zip(lines, references, hypotheses, strict=True)}),
            self._groups(lines),
            self._groups(rows),
            [form(row["hypothesis"]) for row in rows if not row["reference"].strip()],
        )

    def _find(self, rows: Sequence[Row], texts: Mapping[str, Sequence[str]]) -> list[TermCounts]:
        """Keywords, or else terms, said and written in every row."""
        listed = [row.get("keywords") or () for row in rows]
        hypotheses = [row["hypothesis"] if words else "" for row, words in zip(rows, listed, strict=True)]
        keywords = each_keyword_counts(listed, hypotheses, self.form)
        pairs = [("", "") if words else texts.get(row["id"], ("", "")) for row, words in zip(rows, listed, strict=True)]
        terms = each_term_counts([one for one, _ in pairs], [other for _, other in pairs], self._names, raw)
        return [one if words else other for words, one, other in zip(listed, keywords, terms, strict=True)]

    def _groups(self, rows: Sequence[Row]) -> list[str] | None:
        return [row["speaker"] or row["id"] for row in rows] if self.group == "speaker" else None

    def main(self, heard: Heard) -> list[Counts]:
        """The counts whose rate is the one to look at in this language."""
        return heard.characters if self.form.by_character else heard.words

    def table(self, heard: Mapping[str, Heard], rows: Rows) -> dict[str, Any]:
        """The scores of all systems on one test set, and how large it is."""
        lines, one = rows[self.baseline], heard[self.baseline]
        keywords = any(row.get("keywords") for row in lines)
        return {
            "normaliser": self.form.name,
            "rate": "cer" if self.form.by_character else "wer",
            "baseline": self.baseline,
            "transcribed": bool(total(one.words).words),
            "utterances": len(lines),
            "words": total(one.words).words,
            "characters": total(one.characters).words,
            "keywords": sum(len(row.get("keywords") or ()) for row in lines) if keywords else None,
            "speakers": len({row["speaker"] for row in lines} - {""}),
            "hours": round(sum(row["duration"] for row in lines) / 3600, 3),
            "systems": {name: self._system(name, own, one, keywords) for name, own in heard.items()},
        }

    def _system(self, name: str, own: Heard, baseline: Heard, keywords: bool) -> dict[str, Any]:
        found = self._rates(own, baseline) if total(baseline.words).words else dict.fromkeys(RATES)
        p = None
        if name != self.baseline and total(baseline.words).words:
            references, ours, theirs = self._split_up(own.references, own.hypotheses, baseline.hypotheses)
            p = matched_pairs(references, ours, theirs).p
        return {
            **found,
            "matched_pairs_p": None if p is None else round(p, 6),
            "terms": self._recall(own, baseline, name, keywords),
            **self._split(own),
            "hallucination": self._signs(own),
        }

    def _rates(self, own: Heard, baseline: Heard) -> dict[str, Any]:
        """Rates with intervals and the difference to the baseline, the latter of the main rate."""
        counts, theirs = total(self.main(own)), total(self.main(baseline)).rate
        spread = {kind: bootstrap(one, own.groups, self.draws, self.seed)
                  for kind, one in (("wer", own.words), ("cer", own.characters)) if kind == "wer" or self.form.by_character}  # fmt: skip
        gap = paired_bootstrap(self.main(own), self.main(baseline), own.groups, self.draws, self.seed)
        found = {
            "wer": rounded(total(own.words).rate),
            "wer_interval": _ends(spread["wer"].low, spread["wer"].high),
            "substitutions": counts.substitutions,
            "deletions": counts.deletions,
            "insertions": counts.insertions,
            "difference_to_c": rounded(counts.rate - theirs),
            "difference_interval": _ends(gap.low, gap.high),
            "relative_to_c": rounded(100 * (counts.rate - theirs) / theirs) if theirs else None,
            "probability_better": rounded(gap.better),
            "cer": rounded(total(own.characters).rate),
            "raw_wer": rounded(total(own.raw).rate),
        }
        return found | ({"cer_interval": _ends(spread["cer"].low, spread["cer"].high)} if "cer" in spread else {})

    def _recall(self, own: Heard, baseline: Heard, name: str, keywords: bool) -> dict[str, Any] | None:
        """Terms found again; precision has no meaning where only the keywords of a clip are known."""
        if self.terms is None and not keywords:
            return None
        counts = joined(own.found)
        found: dict[str, Any] = {"said": counts.said, "written": counts.written, "both": counts.both}
        found |= {"recall": rounded(counts.recall), "precision": None if keywords else rounded(counts.precision)}
        found |= dict.fromkeys(
            ("recall_interval", "recall_difference", "recall_difference_interval", "probability_better")
        )
        if not counts.said:
            return found
        spread = bootstrap(own.misses, own.all_groups, self.draws, self.seed)
        found["recall_interval"] = _ends(100 - spread.high, 100 - spread.low)
        if name != self.baseline:
            found |= self._recall_gap(own.misses, baseline.misses, own.all_groups)
        return found

    def _recall_gap(self, own: list[Counts], theirs: list[Counts], groups: list[str] | None) -> dict[str, Any]:
        gap = paired_bootstrap(own, theirs, groups, self.draws, self.seed)
        return {
            "recall_difference": rounded(total(theirs).rate - total(own).rate),
            "recall_difference_interval": _ends(-gap.high, -gap.low),
            "probability_better": rounded(gap.better),
        }

    def _split(self, own: Heard) -> dict[str, Any]:
        """Error rates in the words of terms and in all others."""
        if not self.terms or self.form.by_character or not own.references:
            return {"b_wer": None, "u_wer": None}
        parts = split_words(own.references, own.hypotheses, self._names, raw)
        sides = total(part.terms for part in parts), total(part.others for part in parts)
        return {"b_wer": rounded(sides[0].rate), "u_wer": rounded(sides[1].rate)}

    def _signs(self, own: Heard) -> dict[str, Any]:
        """Utterances that show each sign; without a transcript only loops and empty outputs can be seen."""
        references, hypotheses = self._split_up(own.references, own.hypotheses)
        seen = signs([" ".join(words) for words in references], [" ".join(words) for words in hypotheses], raw)
        alone = [self._units(text) for text in own.silent]
        loops = len(seen.loops) + sum(longest_loop(words) >= LOOP for words in alone)
        empty = len(seen.empty) + sum(not words for words in alone)
        known = bool(own.references)
        return {
            "bursts": len(seen.bursts) if known else None,
            "loops": loops,
            "over_100": len(seen.beyond) if known else None,
            "empty": empty,
        }

    def _split_up(self, *sides: Sequence[str]) -> list[list[list[str]]]:
        return [[self._units(text) for text in side] for side in sides]

    def _units(self, text: str) -> list[str]:
        """Words, or the characters of a language that is scored by them."""
        return list(text.replace(" ", "")) if self.form.by_character else text.split()

    def over(self, tests: Mapping[str, Mapping[str, Heard]]) -> dict[str, Any] | None:
        """Averages over several test sets of the domain, differences to the baseline; None if there is only one set."""
        if len(tests) < 2:
            return None
        first = next(iter(tests.values()))
        return {"systems": {name: self._over(name, tests) for name in first}}

    def _over(self, name: str, tests: Mapping[str, Mapping[str, Heard]]) -> dict[str, Any]:
        found: dict[str, Any] = dict.fromkeys(AVERAGES)
        pairs = {test: (heard[name], heard[self.baseline]) for test, heard in tests.items()}
        spoken = {test: pair for test, pair in pairs.items() if total(self.main(pair[1])).words}
        wins = sum(total(ours.misses).errors < total(theirs.misses).errors
                   for test, (ours, theirs) in pairs.items() if test not in spoken)  # fmt: skip
        if spoken:
            sums = [{test: _sum(self.main(pair[side])) for test, pair in spoken.items()} for side in (0, 1)]
            means = over_domains(sums[0], sums[1])
            wins += means.wins
            ours, theirs = ([one for pair in spoken.values() for one in self.main(pair[side])] for side in (0, 1))
            gap = paired_bootstrap(ours, theirs, _pooled(spoken, False), self.draws, self.seed)
            found |= {
                "macro": rounded(means.macro[0]),
                "micro": rounded(means.micro[0]),
                "median": rounded(means.median[0]),
            }
            found |= {
                "micro_difference": rounded(means.micro[0] - means.micro[1]),
                "micro_difference_interval": _ends(gap.low, gap.high),
                "relative": rounded(100 * (means.micro[0] / means.micro[1] - 1)) if means.micro[1] else None,
                "probability_better": rounded(gap.better),
            }
        ours, theirs = ([one for pair in pairs.values() for one in pair[side].misses] for side in (0, 1))
        if total(theirs).words:
            gaps = self._recall_gap(ours, theirs, _pooled(pairs, True))
            found |= {"recall": rounded(100 - total(ours).rate), **{key: gaps[key] for key in list(gaps)[:2]}}
        return found | {"wins": wins, "of": len(tests)}


RATES = (
    "wer", "wer_interval", "substitutions", "deletions", "insertions", "difference_to_c", "difference_interval",
    "relative_to_c", "probability_better", "cer", "raw_wer",
)  # fmt: skip
"""What is None for a system on a test set without transcripts."""

AVERAGES = (
    "macro", "micro", "median", "micro_difference", "micro_difference_interval", "relative", "probability_better",
    "recall", "recall_difference", "recall_difference_interval",
)  # fmt: skip


def _sum(counts: Sequence[Counts]) -> tuple[int, int]:
    found = total(counts)
    return found.errors, found.words


def _pooled(tests: Mapping[str, tuple[Heard, Heard]], every: bool) -> list[str] | None:
    """The groups of all test sets, one after another."""
    parts = [(one.all_groups if every else one.groups) for one, _ in tests.values()]
    return None if parts[0] is None else [name for part in parts for name in part or ()]


def _ends(low: float, high: float) -> list[float | None]:
    return [rounded(low), rounded(high)]


def rounded(value: float) -> float | None:
    """Three decimals; None for what is undefined."""
    return None if math.isnan(value) else round(value, 3) + 0.0  # no minus zero
