"""What a manager reads first: one sentence, a few numbers, what it cost elsewhere, and what is not real."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asr_analogy.page.names import short
from asr_analogy.page.tables import kind_of, number, span

Scores = Mapping[str, Any]
PERCENT = "\N{NO-BREAK SPACE}%"


@dataclass(frozen=True)
class Headline:
    """The verdict, `better`, `worse` or `open`, and the line below it."""

    kind: str
    text: str
    detail: str


@dataclass(frozen=True)
class Tile:
    """A number with its label and a note."""

    label: str
    value: str
    note: str


@dataclass(frozen=True)
class Cost:
    """What the product does on a general test set, in points against the base; less than 0 is better."""

    test: str
    difference: float
    ends: tuple[float, float] | None

    @property
    def text(self) -> str:
        """A sentence for people."""
        size = f"{number(abs(self.difference), 1)} points"
        spread = f" (95{PERCENT} interval {span(self.ends, 1, True)})" if self.ends else ""
        low, high = self.ends or (self.difference, self.difference)
        if low > 0:
            return f"On {self.test} it costs {size} against the base{spread}."
        if high < 0:
            return f"On {self.test} nothing is lost: {size} better than the base{spread}."
        return (
            f"On {self.test} no loss against the base can be shown: {number(self.difference, 1, True)} points{spread}."
        )


def product(scores: Scores) -> str:
    """The system that is judged: merged, or the last one where nothing was merged."""
    systems = list(next(iter(scores["tests"].values()))["systems"])
    return "merged" if "merged" in systems else systems[-1]


def baseline(scores: Scores) -> str:
    """The system that differences are to."""
    return scores.get("baseline") or "domain-synthetic"


def domain_tests(scores: Scores) -> dict[str, Any]:
    """The test sets of the domain, in order."""
    return {name: test for name, test in scores["tests"].items() if kind_of(name, test) == "domain"}


def headline(scores: Scores) -> Headline:
    """The verdict in plain words; on keywords where nobody wrote transcripts."""
    tests, own, other = domain_tests(scores), product(scores), baseline(scores)
    first = next(iter(tests.values()), None)
    if first is None or own == other or other not in first["systems"]:
        return Headline("open", scores.get("verdict") or "There is nothing to compare.", "")
    if len(tests) > 1 and scores.get("domains"):
        return _several(scores, own, other)
    if not first.get("transcribed", True):
        return _keywords(first["systems"][own]["terms"], first["systems"][other]["terms"], own, other)
    rate, what = _rate(scores)
    row, rival = first["systems"][own], first["systems"][other]
    kind = judged(row.get("difference_interval"))
    relative = abs(row.get("relative_to_c") or 0)
    text = {
        "better": f"{short(own)} makes {relative:.1f}{PERCENT} fewer {what} errors than {_rival(other)}.",
        "worse": f"{short(own)} makes {relative:.1f}{PERCENT} more {what} errors than {_rival(other)}.",
        "open": f"No difference between {short(own)} and {_rival(other)} can be shown.",
    }[kind]
    per = f"{number(row[rate], 1)} instead of {number(rival[rate], 1)} errors per 100 {what}s of the domain"
    gap = f"the difference is {number(row['difference_to_c'], sign=True)} points"
    detail = f"{per}; {gap}, with 95{PERCENT} confidence between {_and(row.get('difference_interval'))}."
    return Headline(kind, text[0].upper() + text[1:], detail)


def _rival(system: str) -> str:
    """The baseline as somebody who does not know the letters understands it."""
    return "synthetic speech alone (C)" if system == "domain-synthetic" else short(system)


def _several(scores: Scores, own: str, other: str) -> Headline:
    row, rival = scores["domains"]["systems"][own], scores["domains"]["systems"][other]
    ends = row.get("micro_difference_interval")
    wins, count = row.get("wins") or 0, row.get("of") or 0
    kind = judged(ends) if ends else "better" if wins == count else "worse" if wins == 0 else "open"
    text = f"{short(own)} is better than {_rival(other)} on {wins} of {count} test sets of the domain."
    rate = _rate(scores)[0].upper()
    parts = [
        f"{word} {number(rival[key], 1)} to {number(row[key], 1)} %"
        for key, word in (("macro", "mean"), ("micro", "over all words"), ("median", "median"))
        if row.get(key) is not None and rival.get(key) is not None
    ]
    detail = f"{rate}, {short(other)} to {short(own)}: {', '.join(parts)}." if parts else ""
    return Headline(kind, text[0].upper() + text[1:], detail)


def _keywords(row: Mapping[str, Any], rival: Mapping[str, Any], own: str, other: str) -> Headline:
    ends = row.get("recall_difference_interval")
    kind = judged([-ends[1], -ends[0]] if ends else None)
    text = {
        "better": f"{short(own)} finds more of the keywords than {_rival(other)}.",
        "worse": f"{short(own)} finds fewer of the keywords than {_rival(other)}.",
        "open": f"No difference between {short(own)} and {_rival(other)} can be shown.",
    }[kind]
    found = f"{row['both']:,} of {row['said']:,} keywords instead of {rival['both']:,}"
    detail = (
        f"{found}; recall differs by {span(ends, sign=True)} points (95{PERCENT} interval)." if ends else f"{found}."
    )
    return Headline(kind, text[0].upper() + text[1:], detail)


def judged(ends: Sequence[float] | None) -> str:
    """What an interval of a difference in errors says."""
    if not ends or None in ends:
        return "open"
    return "better" if ends[1] < 0 else "worse" if ends[0] > 0 else "open"


def tiles(scores: Scores, costs: Sequence[Cost]) -> list[Tile]:
    """The numbers beside the verdict."""
    found, own, other = list[Tile](), product(scores), baseline(scores)
    rate = _rate(scores)[0]
    for name, test in list(domain_tests(scores).items())[:3]:
        row, rival = test["systems"].get(own, {}), test["systems"].get(other, {})
        if row.get(rate) is None or rival.get(rate) is None or own == other:
            continue
        value = f"{number(rival[rate], 1)} → {number(row[rate], 1)} %"
        note = f"{short(other)} → {short(own)}, {number(row.get('relative_to_c'), 1, True)} % relative"
        found.append(Tile(f"{rate.upper()}, {name}", value, note))
    first: dict[str, Any] = next(iter(domain_tests(scores).values()), {"systems": {}})["systems"]
    for system, label in (("base", "Against the base"), ("domain-real", "Against the oracle")):
        one, two = first.get(system, {}).get(rate), first.get(own, {}).get(rate)
        if one is not None and two is not None and system != own:
            value = f"{number(one, 1)} → {number(two, 1)} %"
            found.append(Tile(label, value, f"{short(system)} → {short(own)}, first test set of the domain"))
    terms = [test["systems"] for test in domain_tests(scores).values()]
    if terms and (one := terms[0].get(own, {}).get("terms")) and (two := terms[0].get(other, {}).get("terms")):
        value = f"{number(two.get('recall'), 1)} → {number(one.get('recall'), 1)} %"
        found.append(Tile("Recall of domain terms", value, f"{one['said']:,} spoken"))
    for cost in costs[:2]:
        note = "points against the base; below 0 is better"
        found.append(Tile(f"Cost, {cost.test}", number(cost.difference, 1, True), note))
    return found


def stand_ins(scores: Scores, corpora: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Names of what is called real or a test here and was simulated."""
    tests = [name for name, test in scores["tests"].items() if test.get("stand_in")]
    return [*tests, *(name for name, one in corpora.items() if one.get("stand_in") and name not in tests)]


def _rate(scores: Scores) -> tuple[str, str]:
    return ("cer", "character") if scores.get("rate") == "cer" else ("wer", "word")


def _and(ends: Sequence[float] | None) -> str:
    return span(ends, sign=True).replace(" to ", " and ")
