"""The data behind the page: every key is optional, every number is that of the scores, nothing breaks out of its place."""

import json
from pathlib import Path
from typing import Any

import pytest
from finished import NEWER, finished, merged_with_choice, settings

from asr_analogy.page import archive, tables
from asr_analogy.page.archive import packed
from asr_analogy.page.headline import Cost, headline, judged
from asr_analogy.page.transcripts import read
from asr_analogy.stages.report import report, report_again
from asr_analogy.text.normaliser import normaliser


def html(place: Any) -> str:
    return (place.root / "report/report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("newer", [False, True])
def test_scores_old_and_new_make_a_page(newer: bool, tmp_path: Path) -> None:
    place = finished(tmp_path, count=8, newer=newer)
    found = report(settings(), place)
    text = html(place)
    assert f"{found['tests']['domain-test']['systems']['merged']['wer']:.2f}" in text
    assert ("MAPSSWE p</th>" in text) == newer and ("peak MiB</th>" in text) == newer
    assert "STAND-IN" in text and "How the scale was chosen" not in text
    assert "http://" not in text.replace("http://www.w3.org", "") and "https://" not in text


def test_no_stand_in_no_sound_no_transcripts_no_oracle(tmp_path: Path) -> None:
    place = finished(tmp_path, count=6, stand_in=False, clips=False)
    for folder in (tmp_path / "hypotheses").iterdir():
        for system in folder.iterdir():
            for file in system.iterdir():
                file.unlink()
    report(settings(), place)
    assert "STAND-IN" not in html(place) and "transcripts-data" not in html(place)


def test_the_choice_of_the_scale_is_shown(tmp_path: Path) -> None:
    place = finished(tmp_path, count=6, clips=False)
    merged_with_choice(place)
    found = report(settings(), place)
    assert found["scale"] == 0.6
    text = html(place)
    assert "Chosen by dev: 0.6." in text and "chosen 0.6" in text and "hollow" in text and "bills" in text


def test_json_cannot_end_its_script() -> None:
    text = packed({"a": "</script><!-- \u2028 &amp;"})
    assert "<" not in text and json.loads(text) == {"a": "</script><!-- \u2028 &amp;"}


def test_the_page_carries_what_fits_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finished(tmp_path, count=60, clips=False)
    names = ["base", "domain-synthetic", "merged", "domain-real"]
    text = read(tmp_path / "hypotheses/domain-test", names, normaliser("en"))
    assert text is not None
    judged = ("merged", "domain-synthetic")
    size = archive._size({"t": text})
    monkeypatch.setattr(archive, "TEXT", size // 3)
    kept = archive._within({"t": text}, *judged)["t"]
    assert 0 < len(kept.lines) < 60 and archive._size({"t": kept}) <= size // 3 * 1.2
    least = min(abs(gain) for gain in kept.gains(*judged))
    left = [gain for number, gain in enumerate(text.gains(*judged)) if number not in kept.places]
    assert all(abs(gain) <= least for gain in left)
    assert [line.id for line in kept.lines] == [text.lines[number].id for number in kept.places]
    found = json.loads(archive.archive({"t": text}, tmp_path, {"t": "domain"}, judged, [], "en", 1).transcripts)
    assert found["tests"][0]["total"] == 60 and len(found["tests"][0]["lines"]) == len(kept.lines)


def test_terms_one_by_one(tmp_path: Path) -> None:
    finished(tmp_path, count=30, clips=False)
    text = read(tmp_path / "hypotheses/domain-test", ["domain-synthetic", "merged"], normaliser("en"))
    assert text is not None
    table = archive.term_table(text, ["habeas corpus", "writ", "quo warranto"], ("merged", "domain-synthetic"))
    assert table is not None and [row[0] for row in table.rows] == ["writ", "habeas corpus"]
    said = sum(line.reference.split().count("writ") for line in text.lines)
    assert table.rows[0][1] == str(said) and int(table.rows[0][3]) <= said


def rated(wer: float, ends: list[float], other: float = 20.0) -> dict[str, Any]:
    row = {
        "wer": wer,
        "difference_to_c": wer - other,
        "difference_interval": ends,
        "relative_to_c": 100 * (wer - other) / other,
    }
    return {"tests": {"domain-test": {"systems": {"domain-synthetic": {"wer": other}, "merged": row}}}}


@pytest.mark.parametrize(
    ("wer", "ends", "kind", "text"),
    [
        (18.0, [-3.0, -1.0], "better", "Merged makes 10.0\xa0% fewer word errors than synthetic speech alone (C)."),
        (22.0, [1.0, 3.0], "worse", "Merged makes 10.0\xa0% more word errors than synthetic speech alone (C)."),
        (19.9, [-1.0, 0.8], "open", "No difference between merged and synthetic speech alone (C) can be shown."),
    ],
)
def test_the_verdict(wer: float, ends: list[float], kind: str, text: str) -> None:
    found = headline(rated(wer, ends))
    assert (found.kind, found.text) == (kind, text)
    assert f"{wer:.1f} instead of 20.0 errors per 100 words" in found.detail


def test_the_verdict_over_several_domains_and_on_keywords() -> None:
    both = {"macro": 20.0, "micro": 21.0, "median": 19.0}
    systems = {"domain-synthetic": both, "merged": {"macro": 18.0, "micro": 19.0, "median": 17.0, "wins": 2, "of": 3}}
    tests = {
        f"domain-test-{name}": {"kind": "domain", "systems": {"domain-synthetic": {}, "merged": {}}} for name in "ab"
    }
    found = headline({"tests": tests, "domains": {"systems": systems}})
    assert (
        found.kind == "open"
        and "better than synthetic speech alone (C) on 2 of 3" in found.text
        and "20.0 to 18.0 %" in found.detail
    )
    terms = {"said": 10, "both": 5, "recall_difference_interval": [2.0, 8.0]}
    systems = {"domain-synthetic": {"terms": {"said": 10, "both": 3}}, "merged": {"terms": terms}}
    found = headline({"tests": {"domain-test": {"transcribed": False, "systems": systems}}})
    assert found.kind == "better" and found.detail.startswith("5 of 10 keywords instead of 3")


def test_what_it_cost_elsewhere() -> None:
    assert "costs 1.2 points" in Cost("general-test", 1.2, (0.3, 2.0)).text
    assert "nothing is lost" in Cost("general-test", -1.2, (-2.0, -0.3)).text
    assert "no loss against the base can be shown" in Cost("general-test", 0.1, (-1.0, 1.2)).text
    assert judged(None) == "open"


def test_tables_leave_out_what_nobody_measured() -> None:
    test = {"utterances": 2, "words": 9, "systems": {"base": {"wer": 10.0}, "merged": {"wer": 9.0}}}
    table = tables.rates("domain-test", test)
    assert table is not None and table.headings == ("system", "WER %") and table.rows[1] == ("merged", "9.00")
    assert tables.terms("domain-test", test) is None and tables.decoding("domain-test", test) is None
    full = tables.terms("t", {"systems": {"merged": NEWER}})
    assert full is not None and "+1.50 to +9.50" in full.rows[0]
    cer = {"systems": {"base": {"wer": 99.0, "cer": 10.0, "cer_interval": [9.0, 11.0]}}}
    rows = tables.rates("t", cer, "cer")
    assert rows is not None and rows.headings[:2] == ("system", "CER %") and rows.rows[0][1] == "10.00"


def test_keywords_only(tmp_path: Path) -> None:
    place = finished(tmp_path, count=4, clips=False)
    file = tmp_path / "scores/scores.json"
    scores = json.loads(file.read_text())
    test = scores["tests"]["domain-test"]
    test |= {"transcribed": False, "words": 0}
    empty = dict.fromkeys(
        ("wer", "wer_interval", "cer", "raw_wer", "difference_to_c", "difference_interval", "relative_to_c")
    )
    for row in test["systems"].values():
        row |= empty | {"substitutions": None, "deletions": None, "insertions": None}
    scores["verdict"] = ""
    file.write_text(json.dumps(scores))
    for lines in (tmp_path / "hypotheses/domain-test").glob("*/hypotheses.jsonl"):
        rows = [json.loads(line) | {"reference": "", "keywords": ["writ"]} for line in lines.read_text().splitlines()]
        lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
    from asr_analogy.page.build import page
    from asr_analogy.stages.report import _collect

    del scores["verdict"]
    text = page({"name": "k", **scores}, place.root)
    assert "keywords instead of" in text and "Recall of keywords" in text and _collect


def test_a_folder_alone_is_reported_with_what_it_knows(tmp_path: Path) -> None:
    place = finished(tmp_path / "run", count=6, clips=False)
    assert report_again(place)["name"] == "run"
    assert "not known here" in html(place)
    report(settings(seed=7), place)
    again = report_again(place)
    assert again["name"] == "by-hand" and again["seed"] == 7 and "nowhere/tiny" in html(place)
    assert "not known here" not in html(place)


def test_lineage_names_the_folders_something_was_made_from(tmp_path: Path) -> None:
    place = finished(tmp_path, count=4, clips=False)
    report(settings(), place)
    text = html(place)
    assert '<th scope="row" dir="auto">scores</th>' in text and "hypotheses/domain-test/merged, " in text
