"""Scores as people read them: the table of a test set, the lines below it, and the caption above."""

from collections.abc import Mapping
from typing import Any

TITLES = {
    "base": "base",
    "prompted": "prompted  base, told the domain's terms",
    "general-real": "B  general-real",
    "domain-synthetic": "C  domain-synthetic (baseline)",
    "average": "average  mean of B and C",
    "addition": "addition  B + C - base",
    "joint": "joint  general-real + domain-synthetic",
    "general-mixed": "mixed  general-real + general-synthetic",
    "continued": "continued  domain-synthetic after a general arm",
    "merged": "merged",
    "domain-real": "oracle  domain-real",
}
HEADINGS = (
    "system",
    "WER %",
    "95 % interval",
    "difference to C",
    "95 % interval",
    "relative",
    "CER %",
    "S / D / I",
    "raw WER %",
)
RECALL = ("system", "recall %", "95 % interval", "difference to C", "95 % interval", "keywords found", "of")

Test = Mapping[str, Any]


def by_character(test: Test) -> bool:
    """Whether the rate to look at is that of characters."""
    return test.get("rate") == "cer"


def baseline_of(found: Test) -> str:
    """The system that the differences of a test set, or of all scores, are to."""
    return found.get("baseline", "domain-synthetic")


def headings(test: Test) -> tuple[str, ...]:
    """The headings over `rows`: error rates, or recall where there are no transcripts."""
    found: tuple[str, ...] = HEADINGS if test.get("transcribed", True) else RECALL
    if by_character(test):
        found = tuple({"WER %": "CER %", "CER %": "WER %"}.get(one, one) for one in found)
    if baseline_of(test) != "domain-synthetic":
        found = tuple("difference" if one == "difference to C" else one for one in found)
    return found


def rows(test: Test) -> list[tuple[str, ...]]:
    """Table cells of one test set, a tuple per system in the order of `headings`."""
    own, systems = baseline_of(test), test["systems"].items()
    if not test.get("transcribed", True):
        return [(title_of(name, test), *_recall(row["terms"])) for name, row in systems]
    rates = ("cer", "wer") if by_character(test) else ("wer", "cer")
    return [(title_of(name, test), *_rates(row, name == own, *rates)) for name, row in systems]


def _rates(row: Test, is_baseline: bool, main: str, other: str) -> tuple[str, ...]:
    edits = f"{row['substitutions']} / {row['deletions']} / {row['insertions']}"
    change = ("", "", "")
    if not is_baseline:
        relative = row["relative_to_c"] or 0
        change = (f"{row['difference_to_c']:+.2f}", _gap(row["difference_interval"]), f"{relative:+.1f} %")
    spread = _span(row[f"{main}_interval"])
    return f"{row[main]:.2f}", spread, *change, f"{row[other]:.2f}", edits, f"{row['raw_wer']:.2f}"


def _recall(terms: Test) -> tuple[str, ...]:
    gap = terms["recall_difference_interval"]
    change = ("", "") if gap is None else (f"{terms['recall_difference']:+.2f}", _gap(gap))
    spread = _span(terms["recall_interval"])
    return f"{terms['recall']:.2f}", spread, *change, str(terms["both"]), str(terms["said"])


def title_of(name: str, found: Test) -> str:
    """What the tables of `found` call a system; models that are judged without a recipe keep the names they were given."""
    return TITLES.get(name, name) if baseline_of(found) == "domain-synthetic" else name


def short(name: str, found: Test) -> str:
    """The same in a word: C for domain-synthetic."""
    return title_of(name, found).split("  ")[0]


def title(name: str, test: Test) -> str:
    """The caption of one test set's table."""
    kind = "STAND-IN (simulated), " if test["stand_in"] else ""
    size = f"{test['utterances']} utterances, "
    if by_character(test):
        size += f"{test['characters']} characters, "
    elif test["words"]:
        size += f"{test['words']} words, "
    if test.get("keywords"):
        size += f"{test['keywords']} keywords, "
    dropped = f", {test['dropped']} dropped" if test["dropped"] else ""
    form = f", normaliser {test['normaliser']}" if "normaliser" in test else ""
    size += f"{test['speakers']} speakers" if test["speakers"] else "speakers unknown"
    return f"{name}: {kind}{size}{dropped}{form}"


def notes(test: Test) -> list[str]:
    """Short lines below the table: matched pairs, terms, words of terms and others, signs of invented text."""
    own = short(baseline_of(test), test)
    systems = {short(name, test): row for name, row in test["systems"].items()}
    found = _line(f"MAPSSWE against {own}, p", systems, lambda row: _p(row.get("matched_pairs_p")))
    if test.get("transcribed", True):
        looked_for = "Terms and keywords" if test.get("keywords") else "Terms"
        found += _line(f"{looked_for}, recall / precision %", systems, _terms)
        found += _line("WER in words of terms / in all others %", systems, _split)
    return found + _line("Bursts / loops / WER over 100 % / empty", systems, _signs)


def _line(name: str, systems: Mapping[str, Test], told: Any) -> list[str]:
    parts = [f"{system} {value}" for system, row in systems.items() if (value := told(row))]
    return [f"{name}: {', '.join(parts)}."] if parts else []


def _p(value: float | None) -> str:
    return "" if value is None else "< 0.0001" if value < 1e-4 else f"{value:.4f}"


def _terms(row: Test) -> str:
    terms = row.get("terms")
    if not terms or terms["recall"] is None:
        return ""
    change = terms["recall_difference_interval"]
    gap = f" ({terms['recall_difference']:+.1f}, {_gap(change, 1)})" if change else ""
    precision = "-" if terms["precision"] is None else f"{terms['precision']:.1f}"
    return f"{terms['recall']:.1f} / {precision}{gap}"


def _split(row: Test) -> str:
    return "" if row.get("b_wer") is None else f"{row['b_wer']:.1f} / {_one(row['u_wer'])}"


def _signs(row: Test) -> str:
    signs = row.get("hallucination")
    return "" if not signs else " / ".join("-" if one is None else str(one) for one in signs.values())


def across(found: Test) -> list[str]:
    """Lines on several test sets of the domain taken together."""
    domains = found.get("domains")
    if not domains:
        return []
    rate, lines = found.get("rate", "wer").upper(), []
    for name, row in domains["systems"].items():
        parts = [f"{key} {row[key]:.2f}" for key in ("macro", "micro", "median") if row[key] is not None]
        parts = [f"{rate} % {', '.join(parts)}"] if parts else []
        parts += [f"recall {row['recall']:.1f} %"] if row.get("recall") is not None else []
        parts += [f"better than the baseline on {row['wins']}"] if name != baseline_of(found) else []
        lines.append(f"{title_of(name, found)}: {'; '.join(parts)}.")
    count = max(row["of"] for row in domains["systems"].values())
    return [f"Over {count} test sets of the domain:", *lines]


def _one(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _span(ends: list[float]) -> str:
    return f"{ends[0]:.2f} to {ends[1]:.2f}"


def _gap(ends: list[float], places: int = 2) -> str:
    return f"{ends[0]:+.{places}f} to {ends[1]:+.{places}f}"
