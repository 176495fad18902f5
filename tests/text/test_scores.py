"""Scores of whole test sets by hand: words, characters, keywords, terms, several sets; and what is said of them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from asr_analogy.errors import DataError
from asr_analogy.text.normaliser import normaliser
from asr_analogy.text.scores import Scorer
from asr_analogy.text.tables import across, headings, notes, rows, title
from asr_analogy.text.verdict import verdict

C = "domain-synthetic"


def lines(references: Sequence[str | list[str]], hypotheses: Sequence[str], speakers: str = "") -> list[dict[str, Any]]:
    """Rows of transcripts; a list of keywords stands where there is no reference."""
    found = []
    for number, (reference, hypothesis) in enumerate(zip(references, hypotheses, strict=True)):
        row = {"id": str(number), "hypothesis": hypothesis, "speaker": speakers[number : number + 1], "duration": 36.0}
        known = {"reference": reference} if isinstance(reference, str) else {"reference": "", "keywords": reference}
        found.append(row | known)
    return found


def scored(
    tests: dict[str, dict[str, list[dict[str, Any]]]], language: str = "en", baseline: str = C, **settings: Any
) -> dict[str, Any]:
    """scores.json as `evaluate` puts it together."""
    scorer = Scorer(normaliser(language), baseline, draws=200, **settings)
    heard = {test: scorer.hear(test, systems) for test, systems in tests.items()}
    found: dict[str, Any] = {"rate": "cer" if scorer.form.by_character else "wer", "baseline": baseline, "tests": {}}
    for test, systems in tests.items():
        more = {"kind": test.split("-")[0], "stand_in": False, "dropped": 0}
        found["tests"][test] = scorer.table(heard[test], systems) | more
    found["domains"] = scorer.over({test: one for test, one in heard.items() if test.startswith("domain")})
    json.dumps(found, allow_nan=False)
    return found


KEYWORDS = [["habeas corpus", "lien"], ["lien"], ["Estoppel"]]


def test_keywords_only() -> None:
    """C finds 1 of 4, merged 3 of 4; words have no rates, and the verdict speaks of recall."""
    systems = {
        C: lines(KEYWORDS, ["the lien", "a lean", ""]),
        "merged": lines(KEYWORDS, ["habeas corpus a lien", "the the the the", "estoppel."]),
    }
    found = scored({"domain-test": systems}, terms=["court"])
    test = found["tests"]["domain-test"]
    assert (test["transcribed"], test["words"], test["keywords"], test["speakers"]) == (False, 0, 4, 0)
    assert test["hours"] == 0.03
    merged = test["systems"]["merged"]
    empty = (
        "wer",
        "wer_interval",
        "cer",
        "raw_wer",
        "difference_to_c",
        "difference_interval",
        "matched_pairs_p",
        "b_wer",
    )
    assert all(merged[key] is None for key in empty)
    terms = merged["terms"]
    assert (terms["said"], terms["both"], terms["recall"], terms["precision"]) == (4, 3, 75.0, None)
    assert terms["recall_difference"] == 50.0
    assert terms["recall_difference_interval"][0] <= 50 <= terms["recall_difference_interval"][1]
    assert test["systems"][C]["terms"]["recall_difference_interval"] is None
    assert merged["hallucination"] == {"bursts": None, "loops": 1, "over_100": None, "empty": 0}
    assert test["systems"][C]["hallucination"]["empty"] == 1
    assert headings(test)[1] == "recall %" and [len(row) for row in rows(test)] == [7, 7]
    assert rows(test)[1][:2] == ("merged", "75.00") and rows(test)[1][-2:] == ("3", "4")
    assert "4 keywords" in title("domain-test", test) and "normaliser en-2" in title("domain-test", test)
    assert verdict(found).startswith(
        "no difference between merged and C can be shown on the domain test (+50.0 points of"
    )


def test_certain_keywords() -> None:
    """Forty clips: merged finds every keyword, C none; the interval is a point."""
    listed = [["lien"]] * 40
    systems = {C: lines(listed, ["lean"] * 40), "merged": lines(listed, ["lien"] * 40)}
    found = scored({"domain-test": systems})
    terms = found["tests"]["domain-test"]["systems"]["merged"]["terms"]
    assert terms["recall_difference_interval"] == [100.0, 100.0] and terms["probability_better"] == 1.0
    assert verdict(found) == (
        "merged is better than C on the domain test (+100.0 points of keyword recall, 95 % interval +100.00 to +100.00)."
    )
    worse = scored({"domain-test": {C: systems["merged"], "merged": systems[C]}})
    assert "merged is WORSE than C" in verdict(worse)


def test_texts_and_keywords_mixed() -> None:
    """Two rows with text (3 words, one wrong), two with keywords (2 of 3 found): each is scored by what it has."""
    listed = ["the lien falls", ["habeas corpus"], "so", ["lien", "court"]]
    systems = {
        C: lines(listed, ["the lean falls", "x", "so", "y"]),
        "merged": lines(listed, ["the lien falls", "habeas corpus", "so", "the court"]),
    }
    found = scored({"domain-test": systems}, terms=["lien"])["tests"]["domain-test"]
    assert (found["transcribed"], found["words"], found["keywords"], found["utterances"]) == (True, 4, 3, 4)
    c, merged = found["systems"][C], found["systems"]["merged"]
    assert c["wer"] == 25.0 and merged["wer"] == 0.0 and c["b_wer"] == 100.0 and c["u_wer"] == 0.0
    assert (merged["terms"]["said"], merged["terms"]["both"], c["terms"]["both"]) == (4, 3, 0)
    assert any(line.startswith("Terms and keywords, recall") for line in notes(found))


def test_terms_of_the_domain() -> None:
    listed = ["a lien on habeas corpus", "the court"]
    systems = {C: lines(listed, ["a lean on habeas corpus", "the lien"]), "merged": lines(listed, listed)}
    found = scored({"domain-test": systems}, terms=["lien", "habeas corpus", "writ"])["tests"]["domain-test"]
    terms = found["systems"][C]["terms"]
    assert (terms["said"], terms["written"], terms["both"]) == (2, 2, 1)
    assert (terms["recall"], terms["precision"]) == (50.0, 50.0)
    # Words of terms: lien, habeas, corpus; lean for lien, and lien for court, which is charged to the others.
    assert found["systems"][C]["b_wer"] == round(100 / 3, 3) and found["systems"][C]["u_wer"] == 25.0
    assert found["systems"]["merged"]["matched_pairs_p"] is not None and found["systems"][C]["matched_pairs_p"] is None
    unknown = scored({"domain-test": systems})["tests"]["domain-test"]["systems"]["merged"]
    assert unknown["terms"] is None and unknown["b_wer"] is None
    none = scored({"domain-test": systems}, terms=[])["tests"]["domain-test"]["systems"]["merged"]
    assert none["terms"]["recall"] is None and none["terms"]["said"] == 0


def test_chinese_is_judged_by_characters() -> None:
    """7 characters, one wrong in C; words would be two, one wrong."""
    listed = ["抵押权成立", "上诉。"]
    systems = {C: lines(listed, ["抵压权成立", "上诉"]), "merged": lines(listed, listed)}
    found = scored({"domain-test": systems}, "zh")
    test = found["tests"]["domain-test"]
    row = test["systems"][C]
    assert test["rate"] == "cer" and test["normaliser"] == "cjk-1" and test["characters"] == 7
    assert row["cer"] == round(100 / 7, 3) and row["wer"] == 50.0 and row["substitutions"] == 1
    assert row["cer_interval"][0] <= row["cer"] <= row["cer_interval"][1]
    assert test["systems"]["merged"]["difference_to_c"] == -row["cer"]
    assert headings(test)[1] == "CER %" and headings(test)[6] == "WER %" and rows(test)[0][1] == "14.29"
    assert "7 characters" in title("domain-test", test)
    assert "14.29 % CER" in verdict(scored({"domain-test": {"base": lines(listed, listed), C: systems[C], "merged": systems[C]}}, "zh"))  # fmt: skip # noqa: E501


def several() -> dict[str, Any]:
    """Three test sets: merged is better on the first, worse on the second, better in the keywords of the third."""
    one, two = ["cat dog cow hen"] * 30, ["fox owl"] * 5
    return {
        "domain-test-one": {C: lines(one, ["cat dog cow pig"] * 30), "merged": lines(one, one)},
        "domain-test-two": {C: lines(two, two), "merged": lines(two, ["fox pig"] * 5)},
        "domain-test-three": {C: lines([["lien"]] * 3, ["lean"] * 3), "merged": lines([["lien"]] * 3, ["lien"] * 3)},
        "general-test": {C: lines(one, one), "merged": lines(one, one)},
    }


def test_several_test_sets() -> None:
    found = scored(several())
    merged, c = (found["domains"]["systems"][name] for name in ("merged", C))
    assert (merged["macro"], merged["median"], merged["micro"]) == (25.0, 25.0, round(500 / 130, 3))
    assert (c["macro"], c["micro"]) == (12.5, round(3000 / 130, 3))
    assert (merged["wins"], merged["of"], c["wins"]) == (2, 3, 0)
    assert merged["micro_difference"] == round(-2500 / 130, 3)
    assert merged["micro_difference_interval"][1] < 0 and merged["recall_difference"] == 100.0
    text = verdict(found)
    assert text.startswith(
        "merged is better than C on 3 test sets of the domain (WER over all of them: 83.3 % relative"
    )
    assert text.endswith("; better on 2 of 3.")
    shown = across(found)
    assert shown[0] == "Over 3 test sets of the domain:" and "macro 25.00, micro 3.85" in shown[-1]
    assert scored({"domain-test": several()["domain-test-one"]})["domains"] is None


def test_several_test_sets_with_keywords_only() -> None:
    sets = several()
    found = scored({f"domain-test-{name}": sets["domain-test-three"] for name in "ab"})
    assert found["domains"]["systems"]["merged"]["micro"] is None
    assert verdict(found) == (
        "merged is better than C on 2 test sets of the domain (+100.0 points of keyword recall, 95 % interval +100.00 to "
        "+100.00); better on 2 of 2."
    )


def test_models_without_a_recipe() -> None:
    listed = ["cat dog cow hen"] * 30
    systems = {
        "tiny": lines(listed, ["cat dog cow pig"] * 30),
        "merged": lines(listed, listed),
        C: lines(listed, ["pig"] * 30),
    }
    found = scored({"test": systems}, baseline="tiny")
    found["tests"]["test"]["kind"] = "domain"
    assert "difference" in headings(found["tests"]["test"]) and rows(found["tests"]["test"])[2][0] == C
    text = verdict(found)
    assert "merged is better than tiny on this test set" in text and f"; {C} is WORSE than tiny on" in text
    alone = scored({"test": {"tiny": systems["tiny"]}}, baseline="tiny")
    alone["tests"]["test"]["kind"] = "domain"
    assert verdict(alone) == "One system alone: there is nothing to compare it with."


def test_speakers_are_drawn_whole() -> None:
    """Speaker x has 2 of 2 keywords, y none of 1: a draw holds x twice, both, or y twice."""
    listed = [["a"], ["b"], ["c"]]
    systems = {C: lines(listed, ["a", "b", "x"], "xxy")}
    found = scored({"domain-test": systems}, group="speaker")["tests"]["domain-test"]["systems"][C]["terms"]
    assert found["recall_interval"] == [0.0, 100.0] and found["recall"] == round(200 / 3, 3)
    pooled = scored({f"domain-test-{n}": systems | {"merged": systems[C]} for n in "ab"}, group="speaker")
    assert pooled["domains"]["systems"]["merged"]["recall_difference"] == 0.0


def test_nothing_to_score_and_rows_that_do_not_match() -> None:
    for listed in (["...", "?!"], [["!"], ["..."]], ["", ""]):
        with pytest.raises(
            DataError, match="x: its transcripts hold no word to score; give a test set with transcripts or"
        ):
            scored({"x": {C: lines(listed, ["a", "b"])}})
    with pytest.raises(DataError, match="x: merged and domain-synthetic did not hear the same utterances"):
        scored({"x": {C: lines(["a", "b"], ["a", "b"]), "merged": lines(["a"], ["a"])}})


def test_own_spellings_work_on_both_sides(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("adviser: advisor\n")
    systems = {C: lines(["An adviser.", ["adviser"]], ["an advisor", "the advisor"])}
    plain, own = (Scorer(normaliser("en", path), C, draws=10).hear("x", systems)[C] for path in (None, file))
    assert [sum(one.errors for one in heard.words) for heard in (plain, own)] == [1, 0]
    assert [sum(one.both for one in heard.found) for heard in (plain, own)] == [0, 1]
