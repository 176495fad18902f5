"""Comparing voice cards, and auditing prepared corpora, with espeak and tiny random recognisers."""

import json
import xml.etree.ElementTree
from pathlib import Path
from typing import Any

import models
import pytest
import yaml

from asr_analogy.errors import DataError, MissingError, RecipeError
from asr_analogy.recipe import Recipe
from asr_analogy.speech import audio
from asr_analogy.speech.audit import MEASURES
from asr_analogy.stages.audit import audit
from asr_analogy.stages.compare import HEADINGS, compare, rows
from asr_analogy.stages.evaluate import evaluate
from asr_analogy.stages.merge import merge
from asr_analogy.stages.prepare import prepare
from asr_analogy.stages.train import train
from asr_analogy.workspace import Workspace, read_record

GENERAL = ["Turn on the light.", "Close the door, please.", "Turn on the light.", "Pay $5 | now.", "The cat sat down."]
VOICES = ["espeak", "stand-in-train"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.conformer(tmp_path_factory.mktemp("base"))


def trial(folder: Path, base: Path, real: dict[str, Any] | None = None, **settings: Any) -> Recipe:
    """A recipe on small texts in `folder`; recordings are simulated unless `real` is given."""
    texts = {"general": GENERAL, "domain": ["The lease ends.", "He owes rent."], "test": ["The court adjourned."]}
    for name, lines in texts.items():
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    test = {"simulate": "office", "voices": "stand-in-test", "text": str(folder / "test.txt")}
    real = real or {"simulate": "office", "voices": "stand-in-test", "text": str(folder / "general.txt")}
    content = {"name": "trial", "base": str(base), "general": {"real": real}, **settings}
    content["domain"] = {"text": str(folder / "domain.txt"), "test": test}
    content["prepare"] = {"workers": 1, **settings.get("prepare", {})}
    return Recipe.model_validate(content)


def test_cards_side_by_side(tmp_path: Path, base: Path) -> None:
    place = Workspace(tmp_path / "run")
    missing = tmp_path / "lost.yaml"
    missing.write_text(yaml.safe_dump({"backend": "vits", "licence": "none", "model": "./nowhere", "voices": ["one"]}))
    found = compare(trial(tmp_path, base), place, [*VOICES, str(missing)], 50, 2)
    assert found["sentences"] == [GENERAL[0], GENERAL[1], GENERAL[3], GENERAL[4]]
    first, second, lost = found["cards"]
    assert [first["card"], second["card"], lost["card"]] == ["espeak", "stand-in-train", "lost"]
    assert "nowhere" in lost["error"] and "speed" not in lost
    for row in (first, second, found["reference"]):
        assert row["utterances"] == 4 and row["dropped"] == 0 and row["cer"] > 0
        assert 5 < row["rate"] < 30 and 60 < row["pitch"] < 400 and row["snr"] > 5
    assert first["speed"] > 0 and found["reference"]["stand_in"]
    assert first["pitch"] != second["pitch"] and first["snr"] > found["reference"]["snr"]
    out = place.root / "compare"
    assert json.loads((out / "compare.json").read_text()) == found
    page = (out / "compare.md").read_text()
    assert "general-real (stand-in)" in page and "nowhere" in page
    assert all(len(cells) == len(HEADINGS) for cells in rows(found))
    names = ["general-real", *VOICES]
    assert sorted(file.name for file in (out / "listen").glob("*.flac")) == sorted(
        f"{number:02d}-{name}.flac" for number in (1, 2) for name in names
    )
    assert len(audio.read(out / "listen/01-espeak.flac")) > audio.SAMPLE_RATE / 2
    assert "02-stand-in-train.flac" in (out / "listen/index.md").read_text()
    assert read_record(out) and not list(place.root.glob(".compare*"))


def test_same_sentences_same_seed_same_clips_and_a_second_call_replaces_the_first(tmp_path: Path, base: Path) -> None:
    place, clips = Workspace(tmp_path / "run"), []
    for voices in (["espeak"], ["stand-in-train", "espeak"]):
        found = compare(trial(tmp_path, base), place, voices, 2, 1)
        clips.append((place.root / "compare/listen/01-espeak.flac").read_bytes())
    assert clips[0] == clips[1] and len(found["sentences"]) == 2


def test_what_the_screen_drops_is_counted_with_reasons(tmp_path: Path, base: Path) -> None:
    screen = {"round_trip": True, "error_rate": 0.01, "retries": 1}
    place = Workspace(tmp_path / "run")
    found = compare(trial(tmp_path, base, prepare={"screen": screen}), place, ["espeak"], 3, 1)
    row = found["cards"][0]
    assert row["dropped_share"] == 100 and row["reasons"] == {"character error rate ... %": 3}
    assert row["pitch"] is None and row["cer"] > 1 and row["speed"] > 0 and row["screened_by_ear"]
    assert [one["text"] for one in row["dropped_texts"]] == found["sentences"]
    assert "dropped: character error rate" in (place.root / "compare/listen/index.md").read_text()
    assert "3 x character error rate" in (place.root / "compare/compare.md").read_text()


def test_real_recordings_are_the_reference(tmp_path: Path, base: Path) -> None:
    lines = []
    for number, text in enumerate(["abba", "cab dad", "a fee", "bead"]):
        (tmp_path / f"{number}.flac").write_bytes(audio.encode(models.clip(text)))
        lines.append(json.dumps({"audio": f"{number}.flac", "text": text}) + "\n")
    (tmp_path / "2.flac").write_bytes(b"no sound")
    (tmp_path / "real.jsonl").write_text("".join(lines))
    recipe = trial(tmp_path, base, {"manifest": str(tmp_path / "real.jsonl")})
    found = compare(recipe, Workspace(tmp_path / "run"), ["espeak"], 50)
    row = found["reference"]
    assert not row["stand_in"] and row["utterances"] == 4 and row["dropped"] == 1
    assert row["dropped_texts"][0]["text"] == "a fee" and "2.flac" in row["dropped_texts"][0]["reason"]
    assert row["level"] == pytest.approx(-13.5, abs=0.2)  # tones of amplitude 0.3
    assert found["sentences"] == ["abba", "cab dad", "a fee", "bead"]


def test_refusals(tmp_path: Path, base: Path) -> None:
    recipe, place = trial(tmp_path, base), Workspace(tmp_path / "run")
    with pytest.raises(MissingError, match="nobody: no such voice card; known: .*espeak"):
        compare(recipe, place, ["espeak", "nobody"], 2)
    with pytest.raises(RecipeError, match="names no card"):
        compare(recipe, place, [" "], 2)
    with pytest.raises(RecipeError, match="espeak: is the name of two rows"):
        compare(recipe, place, ["espeak", "espeak"], 2)
    lost = tmp_path / "lost.yaml"
    lost.write_text(yaml.safe_dump({"backend": "vits", "licence": "none", "model": "./nowhere", "voices": ["one"]}))
    with pytest.raises(MissingError, match="nowhere"):
        compare(recipe, place, [str(lost)], 2)
    (place.root / "compare").mkdir(parents=True)
    with pytest.raises(RecipeError, match="was not made by asr-analogy"):
        compare(recipe, place, ["espeak"], 2)


def test_full_trains_and_merges_with_the_card(tmp_path: Path, base: Path) -> None:
    def run(recipe: Recipe, place: Workspace) -> None:
        prepare(recipe, place)
        train(recipe, place)
        merge(recipe, place)
        evaluate(recipe, place)

    settings = {"train": {"steps": 1, "batch": 2, "warmup": 1}, "evaluate": {"draws": 20}}
    place = Workspace(tmp_path / "run")
    found = compare(trial(tmp_path, base, **settings), place, ["stand-in-train"], 2, 0, run)
    row = found["cards"][0]
    own = place.root / "compare-full/stand-in-train"
    table = json.loads((own / "scores/scores.json").read_text())["tests"]["domain-test"]["systems"]
    assert (row["wer_c"], row["wer_merged"]) == (table["domain-synthetic"]["wer"], table["merged"]["wer"])
    record = read_record(own / "prepared/general-synthetic")
    assert record and "klatt2" in str(record["inputs"]["card"]["voices"])
    assert rows(found)[1][HEADINGS.index("WER C %")] == f"{row['wer_c']:.2f}"


def test_audit_of_prepared_corpora(tmp_path: Path, base: Path) -> None:
    place, recipe = Workspace(tmp_path / "run"), models.recipe(base)
    models.prepare(place.root)
    audit(recipe, place)
    out = place.root / "audit"
    report = json.loads((out / "audit.json").read_text())
    assert list(report["measures"]) == list(MEASURES) and report["stand_in"]
    corpora = report["measures"]["pitch"]["corpora"]
    assert list(corpora) == ["general-real", "general-synthetic", "domain-synthetic"]
    assert corpora["general-real"]["distance"] == 0 and corpora["general-real"]["clips"] == len(models.TEXTS)
    duration = report["measures"]["duration"]
    assert all(one["distance"] == 0 for one in duration["corpora"].values())  # one text, one length, in all of them
    assert duration["corpora"]["general-synthetic"]["median"] == 0.5
    for key, part in report["measures"].items():
        assert len(part["edges"]) == len(part["corpora"]["general-real"]["shares"]) + 1
        assert xml.etree.ElementTree.parse(out / f"{key}.svg").getroot().tag.endswith("svg")
    worst = report["worst"]
    assert len(worst) == 2 * len(models.TEXTS)
    assert [row["cer"] for row in worst] == sorted((row["cer"] for row in worst), reverse=True)
    assert all(len(audio.read(out / row["file"])) for row in worst)
    page = (out / "audit.md").read_text()
    assert "general-real (stand-in)" in page and "![pitch](pitch.svg)" in page
    stamp = (out / "run.json").stat().st_mtime_ns
    audit(recipe, place)
    assert (out / "run.json").stat().st_mtime_ns == stamp
    audit(recipe.model_copy(update={"seed": 7}), place)  # derived, so it is replaced and not refused
    assert (out / "run.json").stat().st_mtime_ns != stamp


def test_audit_draws_its_sample_across_shards(tmp_path: Path) -> None:
    from asr_analogy.speech.corpus import write_shard
    from asr_analogy.stages.audit import _sample

    made = models.utterances(["abba", "cab", "dad", "fee", "bead", "ace"])
    for number in range(3):
        write_shard(tmp_path / f"{number:05d}.parquet", made[2 * number : 2 * number + 2])
    assert _sample(tmp_path, 10, 1) == made
    found = _sample(tmp_path, 4, 1)
    assert len(found) == 4 and [row for row in made if row in found] == found and found == _sample(tmp_path, 4, 1)


def test_audit_before_prepare_says_what_to_run(tmp_path: Path, base: Path) -> None:
    with pytest.raises(DataError, match="prepared/general-real: not finished; run the stage"):
        audit(models.recipe(base), Workspace(tmp_path))
