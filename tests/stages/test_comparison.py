"""Several runs side by side: rows, summary, spread over seeds, warnings, refusals."""

import json
import statistics
from pathlib import Path

import pytest
from finished import finished, settings

from asr_analogy.cli import main
from asr_analogy.errors import DataError, RecipeError
from asr_analogy.stages.comparison import comparison
from asr_analogy.stages.report import report


def run(root: Path, count: int = 8, **changes: object) -> Path:
    place = finished(root, count=count, clips=False)
    report(settings(**changes), place)
    return root


def rescale(root: Path, factor: float) -> None:
    """Make every rate of merged on the domain test `factor` times as high."""
    file = root / "scores/scores.json"
    scores = json.loads(file.read_text())
    row = scores["tests"]["domain-test"]["systems"]["merged"]
    row["difference_to_c"] += row["wer"] * (factor - 1)
    row["wer"] *= factor
    file.write_text(json.dumps(scores))


def test_rows_summary_and_seeds(tmp_path: Path) -> None:
    folders = [
        run(tmp_path / "one", seed=1),
        run(tmp_path / "two", seed=2),
        run(tmp_path / "bark", voices="bark-small"),
    ]
    rescale(folders[1], 1.5)
    found = comparison(folders, tmp_path / "out")
    assert [row["label"] for row in found["rows"]] == ["one", "two", "bark"]
    scores = [json.loads((folder / "scores/scores.json").read_text())["tests"] for folder in folders]
    merged = [one["domain-test"]["systems"]["merged"]["wer"] for one in scores]
    assert [row["merged"] for row in found["rows"]] == merged and merged[1] == 1.5 * merged[0]
    general = scores[0]["general-test"]["systems"]
    assert found["rows"][0]["forgetting"] == pytest.approx(general["merged"]["wer"] - general["base"]["wer"], abs=0.001)
    assert found["together"]["merged"]["macro"] == pytest.approx(statistics.fmean(merged), abs=0.001)
    (seeds,) = found["seeds"]
    assert seeds["seeds"] == [1, 2] and seeds["labels"] == ["one", "two"]
    assert seeds["merged"]["deviation"] == pytest.approx(statistics.stdev(merged[:2]), abs=0.001)
    assert found["settings"]["bark"]["voices"] == '"bark-small"' and found["settings"]["two"]["seed"] == "2"
    assert found["notes"] == ["Test speech is a STAND-IN (simulated) in some or all rows."]
    text = (tmp_path / "out/comparison.md").read_text()
    assert "| two | domain-test (stand-in) |" in text and "Over seeds" in text
    assert json.loads((tmp_path / "out/comparison.json").read_text()) == found
    assert "bark" in (tmp_path / "out/comparison.html").read_text()


def test_what_must_not_be_compared_is_said(tmp_path: Path) -> None:
    one, two = run(tmp_path / "a/run"), run(tmp_path / "b/run", count=6)
    file = two / "scores/scores.json"
    file.write_text(file.read_text().replace('"en-2"', '"en-1"'))
    for record in (two / "hypotheses/domain-test").glob("*/run.json"):
        record.write_text(record.read_text().replace('"test": "domain-test"', '"test": "another"'))
    found = comparison([one, two], tmp_path / "out")
    assert [row["label"] for row in found["rows"]] == ["a/run", "b/run"]
    assert any("normalisers" in note for note in found["notes"])
    assert any("domain-test is not the same set" in note for note in found["notes"])


def test_refusals(tmp_path: Path) -> None:
    one = run(tmp_path / "one")
    with pytest.raises(DataError, match=r"empty: holds no scores"):
        comparison([one, tmp_path / "empty"], tmp_path / "out")
    (tmp_path / "link").symlink_to(one)
    with pytest.raises(RecipeError, match="given twice"):
        comparison([one, tmp_path / "link"], tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter").write_text("dear")
    with pytest.raises(RecipeError, match="not made by asr-analogy"):
        comparison([one, run(tmp_path / "two")], tmp_path / "mine")
    assert not (tmp_path / "out").exists()


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main([str(one) for one in arguments])
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    one, two = run(tmp_path / "one"), run(tmp_path / "two", seed=2)
    code, out, _ = call(capsys, "report", one, two)
    assert (
        code == 0 and "STAND-IN" in out and "comparison/comparison.html" in out and (tmp_path / "comparison").is_dir()
    )
    code, out, _ = call(capsys, "report", one, two, "--json", "--out", "there/both")
    assert code == 0 and len(json.loads(out)["rows"]) == 2 and (tmp_path / "there/both/comparison.md").is_file()
    code, out, _ = call(capsys, "report", one)
    assert code == 0 and "report.html" in out
    (tmp_path / "empty").mkdir()
    for arguments, kind in (
        (["one", "empty"], 3),
        (["empty"], 3),
        (["one", "--out", "x"], 2),
        (["one", "two", "--set", "seed=3"], 2),
        (["recipe.yaml", "--out", "x"], 2),
    ):
        code, _, err = call(capsys, "report", *arguments)
        assert code == kind and err.count("\n") == 1 and err.startswith("asr-analogy: "), (arguments, err)
