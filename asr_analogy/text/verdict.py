"""One plain sentence about a run: is the product better than its baseline, by how much, and how sure is that."""

from collections.abc import Mapping
from typing import Any

from asr_analogy.text.tables import baseline_of, title_of

Scores = Mapping[str, Any]
ORACLE = "domain-real"


def verdict(scores: Scores) -> str:
    """Is the merged model better than C on the domain's test sets (by the rate to look at, or by recall of keywords where
    nobody wrote transcripts), and is any other system better still. Without a merged model the last system is judged."""
    tests = {name: test for name, test in scores["tests"].items() if kind_of(name, test) == "domain"}
    first = next(iter(tests.values()))
    names, baseline = list(first["systems"]), baseline_of(scores)
    product = "merged" if "merged" in names else names[-1]
    if len(names) == 1:
        return f"{product}: one system, so there is nothing to compare it with."
    own, other = ("merged", "C") if baseline == "domain-synthetic" else (title_of(product), baseline)
    spoken = {name: test for name, test in tests.items() if test.get("transcribed", True)}
    if len(tests) > 1 and scores.get("domains"):
        text = _several(scores, product, own, other, bool(spoken))
    elif spoken:
        text = _one(scores, next(iter(spoken.values())), product, own, other)
    else:
        text = _keywords(first, product, own, other)
    stand_in = any(test["stand_in"] for test in tests.values())
    return text + (". All speech is a STAND-IN, not recorded." if stand_in else ".")


def kind_of(name: str, test: Scores) -> str:
    """Of a test set: domain or general."""
    return test.get("kind", name.split("-")[0])


def _one(scores: Scores, test: Scores, product: str, own: str, other: str) -> str:
    rate, row = scores.get("rate", "wer"), test["systems"][product]
    size = _size(row["relative_to_c"], row["difference_interval"])
    text = _judged(row["difference_interval"], own, other, "the domain test", size)
    return text + _rival({name: one[rate] for name, one in test["systems"].items()}, product, rate)


def _several(scores: Scores, product: str, own: str, other: str, spoken: bool) -> str:
    rate, systems = scores.get("rate", "wer"), scores["domains"]["systems"]
    row = systems[product]
    place = f"{row['of']} test sets of the domain"
    if spoken:
        size = f"{rate.upper()} over all words: {_size(row['relative'], row['micro_difference_interval'])}"
        text = _judged(row["micro_difference_interval"], own, other, place, size)
        rival = _rival({name: one["micro"] for name, one in systems.items()}, product, rate)
    else:
        text = _found(row["recall_difference"], row["recall_difference_interval"], own, other, place)
        rival = ""
    return f"{text}; better on {row['wins']} of {row['of']}{rival}"


def _keywords(test: Scores, product: str, own: str, other: str) -> str:
    row = test["systems"][product]["terms"]
    return _found(row["recall_difference"], row["recall_difference_interval"], own, other, "the domain test")


def _found(gap: float, ends: list[float], own: str, other: str, place: str) -> str:
    """A sentence on recall, where more is better."""
    size = f"{gap:+.1f} points of keyword recall, 95 % interval {ends[0]:+.2f} to {ends[1]:+.2f}"
    return _judged([-ends[1], -ends[0]], own, other, place, size)


def _size(relative: float | None, ends: list[float]) -> str:
    return (
        f"{abs(relative or 0):.1f} % relative, 95 % interval of the difference {ends[0]:+.2f} to {ends[1]:+.2f} points"
    )


def _judged(ends: list[float], own: str, other: str, place: str, size: str) -> str:
    """What an interval of a difference in errors says."""
    if ends[1] < 0:
        return f"{own} is better than {other} on {place} ({size})"
    if ends[0] > 0:
        return f"{own} is WORSE than {other} on {place} ({size})"
    return f"no difference between {own} and {other} can be shown on {place} ({size})"


def _rival(rates: Mapping[str, float], product: str, rate: str) -> str:
    best = min((name for name in rates if name != ORACLE), key=lambda name: rates[name])
    if rates[best] >= rates[product]:
        return ""
    name = title_of(best).split("  ")[-1]
    return f"; {name} alone does better ({rates[best]:.2f} against {rates[product]:.2f} % {rate.upper()})"
