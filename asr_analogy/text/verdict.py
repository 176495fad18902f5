"""One plain sentence about a run: is the product better than its baseline, by how much, and how sure is that."""

from collections.abc import Mapping, Sequence
from typing import Any

from asr_analogy.text.tables import baseline_of, short, title_of

Scores = Mapping[str, Any]
PRODUCT, ORACLE = "merged", "domain-real"


def verdict(scores: Scores) -> str:
    """Is the merged model better than C on the domain's test sets, and is any other system better still.

    The rate is the one to look at in the language, over all words where there are several test sets; without transcripts
    it is recall of keywords. Models that were judged without a recipe are each held against the first.
    """
    tests = {name: test for name, test in scores["tests"].items() if test.get("kind", name.split("-")[0]) == "domain"}
    first, baseline = next(iter(tests.values())), baseline_of(scores)
    ours = baseline == "domain-synthetic"
    products = [name for name in first["systems"] if name == PRODUCT or (not ours and name != baseline)]
    if not products:
        return "One system alone: there is nothing to compare it with."
    found = [_statement(scores, tests, name) for name in products]
    text = "; ".join(found) + (_rival(scores, tests) if ours else "")
    stand_in = any(test["stand_in"] for test in tests.values())
    return text + (". All speech is a STAND-IN, not recorded." if stand_in else ".")


def _statement(scores: Scores, tests: Mapping[str, Scores], name: str) -> str:
    """What can be said of one system against the baseline."""
    spoken = [test for test in tests.values() if test.get("transcribed", True)]
    ours = baseline_of(scores) == "domain-synthetic"
    sides, rate = (short(name, scores), short(baseline_of(scores), scores)), scores.get("rate", "wer").upper()
    place = "the domain test" if ours else "this test set"
    if len(tests) > 1:
        row = scores["domains"]["systems"][name]
        place, wins = f"{row['of']} test sets of the domain", f"; better on {row['wins']} of {row['of']}"
        if not spoken:
            return _found(row, sides, place) + wins
        size = f"{rate} over all of them: {_size(row['relative'], row['micro_difference_interval'])}"
        return _judged(row["micro_difference_interval"], sides, place, size) + wins
    test = next(iter(tests.values()))
    row = test["systems"][name]
    if not spoken:
        return _found(row["terms"], sides, place)
    return _judged(row["difference_interval"], sides, place, _size(row["relative_to_c"], row["difference_interval"]))


def _found(row: Scores, sides: tuple[str, str], place: str) -> str:
    """A statement on recall, where more is better."""
    low, high = row["recall_difference_interval"]
    size = f"{row['recall_difference']:+.1f} points of keyword recall, 95 % interval {low:+.2f} to {high:+.2f}"
    return _judged([-high, -low], sides, place, size)


def _size(relative: float | None, ends: Sequence[float]) -> str:
    return (
        f"{abs(relative or 0):.1f} % relative, 95 % interval of the difference {ends[0]:+.2f} to {ends[1]:+.2f} points"
    )


def _judged(ends: Sequence[float], sides: tuple[str, str], place: str, size: str) -> str:
    """What an interval of a difference in errors says."""
    own, other = sides
    if ends[1] < 0:
        return f"{own} is better than {other} on {place} ({size})"
    if ends[0] > 0:
        return f"{own} is WORSE than {other} on {place} ({size})"
    return f"no difference between {own} and {other} can be shown on {place} ({size})"


def _rival(scores: Scores, tests: Mapping[str, Scores]) -> str:
    """The best of the other systems, but the oracle, if it beats the product; of recall nothing is said."""
    rate = scores.get("rate", "wer")
    if len(tests) > 1:
        rates = {name: row["micro"] for name, row in scores["domains"]["systems"].items()}
    else:
        rates = {name: row[rate] for name, row in next(iter(tests.values()))["systems"].items()}
    if None in rates.values():
        return ""
    best = min((name for name in rates if name != ORACLE), key=lambda name: rates[name])
    if rates[best] >= rates[PRODUCT]:
        return ""
    name = title_of(best, scores).split("  ")[-1]
    return f"; {name} alone does better ({rates[best]:.2f} against {rates[PRODUCT]:.2f} % {rate.upper()})"
