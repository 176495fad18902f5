import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest
from safetensors.torch import load_file

from asr_analogy.asr.family import open_recogniser
from asr_analogy.asr.panel import Panel, distinct, systems
from asr_analogy.asr.whisper import WhisperRecogniser
from asr_analogy.errors import DataError, MissingError, RecipeError
from asr_analogy.recipe import Evaluate, Recipe
from asr_analogy.speech.audio import SAMPLE_RATE
from asr_analogy.speech.corpora import test_sets as sets
from asr_analogy.speech.corpus import read_corpus
from asr_analogy.speech.jargon import jargon
from asr_analogy.speech.pauses import spans
from asr_analogy.stages.evaluate import _scores, estimate, evaluate, evaluate_models
from asr_analogy.stages.merge import merge
from asr_analogy.stages.report import report
from asr_analogy.stages.train import train
from asr_analogy.text.terms import Term, save_terms
from asr_analogy.workspace import Workspace, read_record, write_whole


def rows(place: Workspace, system: str, test: str = "domain-test") -> list[dict[str, Any]]:
    lines = (place.root / "hypotheses" / test / system / "hypotheses.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in lines.split("\n")[:-1]]


def scores(place: Workspace) -> dict[str, Any]:
    return json.loads((place.root / "scores/scores.json").read_text())


def models_of(base: Path, root: Path, **settings: Any) -> tuple[Recipe, Workspace]:
    """A recipe whose arms are trained and merged."""
    recipe, place = models.recipe(base, **settings), Workspace(root)
    models.prepare(root)
    if recipe.domain.real is not None:
        models.write_corpus(root, "domain-real", models.utterances(voice=4))
    if recipe.general.test is not None:
        models.write_corpus(root, "general-test", models.utterances(["cab", "bead"], 5), dropped=3)
    train(recipe, place)
    merge(recipe, place)
    return recipe, place


@pytest.mark.parametrize("family", models.FAMILIES)
def test_all_systems_on_all_tests(family: str, tmp_path: Path) -> None:
    recipe, place = models_of(models.tiny(family, tmp_path / "base"), tmp_path / "run", oracle=True, general_test=True)
    hours = {"domain-test": 10.0, "general-test": 20.0}
    plan = estimate(recipe, place, hours)
    assert [step.done for step in plan] == [False] * 10 and all(0 < step.seconds < 600 for step in plan)
    evaluate(recipe, place)
    assert all(step.done and step.seconds == 0 for step in estimate(recipe, place, hours))
    found = scores(place)
    assert found["normaliser"] == "en-2" and list(found["tests"]) == list(sets(recipe))
    assert found["tests"]["general-test"]["stand_in"] and not found["tests"]["domain-test"]["stand_in"]
    assert found["tests"]["general-test"]["dropped"] == 3 and found["tests"]["domain-test"]["speakers"] == 3
    for test in list(sets(recipe)):
        table = found["tests"][test]["systems"]
        assert list(table) == ["base", "general-real", "domain-synthetic", "merged", "domain-real"]
        for row in table.values():
            assert row["wer_interval"][0] <= row["wer"] <= row["wer_interval"][1]
            assert row["difference_interval"][0] <= row["difference_to_c"] <= row["difference_interval"][1]
        assert table["domain-synthetic"]["difference_interval"] == [0, 0]
    assert [row["id"] for row in rows(place, "merged")] == [f"{index:07d}" for index in range(len(models.TEXTS))]
    assert [row["reference"] for row in rows(place, "merged")] == list(models.TEXTS)
    stamps = {path: path.stat().st_mtime_ns for path in place.root.rglob("run.json")}
    evaluate(recipe, place)
    assert stamps == {path: path.stat().st_mtime_ns for path in place.root.rglob("run.json")}


def test_the_oracle_is_there_only_with_real_domain_audio(tmp_path: Path) -> None:
    assert systems(models.recipe(tmp_path)) == ["base", "general-real", "domain-synthetic", "merged"]
    assert systems(models.recipe(tmp_path, oracle=True))[-1] == "domain-real"


@pytest.mark.parametrize("family", models.FAMILIES)
def test_transcripts_do_not_depend_on_the_batch_size(family: str, tmp_path: Path) -> None:
    base = models.tiny(family, tmp_path / "base")
    found = []
    for size in (1, 3, 32):
        recipe, place = models_of(base, tmp_path / f"run{size}", evaluate={"batch": size}, train={"steps": 1})
        evaluate(recipe, place)
        found.append([[row["hypothesis"] for row in rows(place, system)] for system in ("base", "merged")])
    assert found[0] == found[1] == found[2]
    assert len(set(found[0][0])) > 1


def test_audio_beyond_the_window_is_decoded_in_pieces(tmp_path: Path) -> None:
    base = models.tiny("whisper", tmp_path / "base")
    recipe, place = models_of(base, tmp_path / "run", train={"steps": 1}, general_test=True)
    silence = np.zeros(SAMPLE_RATE // 2, dtype=np.float32)
    first, second = models.clip("abbabbabbabbab"), models.clip("gegegegegege")
    long = models.utterance(0, "abba gege", np.concatenate([first, silence, second]))
    assert long.duration > 2
    models.write_corpus(tmp_path / "other", "domain-test", [long])
    for name in ("prepared/domain-test", "prepared/general-test"):
        place.root.joinpath(name).rename(tmp_path / f"old-{Path(name).name}")
    for name in ("domain-test", "general-test"):
        models.write_corpus(place.root, name, [long])
    evaluate(recipe, place)
    recogniser = open_recogniser(base, "en")
    recogniser.model.eval()
    sound = long.samples()
    parts = [sound[start:end] for start, end in spans(sound, 2.0, False)]
    assert len(parts) == 2 and rows(place, "base")[0]["hypothesis"] == " ".join(recogniser.transcribe(parts)).strip()


def spoken(place: Workspace, system: str, references: Sequence[str], hypotheses: Sequence[str], speakers: str) -> None:
    """Transcripts as `evaluate` leaves them, with other words in them."""
    folder = place.root / "hypotheses/domain-test" / system
    lines = [
        json.dumps({"id": f"{index}", "reference": reference, "hypothesis": text, "speaker": speaker, "duration": 1.0},
                   ensure_ascii=False)
        for index, (reference, text, speaker) in enumerate(zip(references, hypotheses, speakers, strict=True))
    ]  # fmt: skip
    write_whole(folder / "hypotheses.jsonl", "".join(line + "\n" for line in lines))


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Workspace]:
    root = tmp_path_factory.mktemp("evaluated")
    recipe, place = models_of(
        models.conformer(root / "base"), root / "run", train={"steps": 1}, evaluate={"group": "speaker"}
    )
    evaluate(recipe, place)
    return recipe, place


REFERENCES = ["The court, adjourned.", "Pay $5 now", "line one\u2028line two", "so ordered"]


def test_scores_equal_a_count_by_hand(evaluated: tuple[Recipe, Workspace]) -> None:
    recipe, place = evaluated
    baseline = ["the quart adjourned", "pay five dollars", "line one line two", ""]  # 1 S, 1 D, -, 2 D of 3 + 4 + 4 + 2
    better = ["the court adjourned", "pay five dollars now", "line one uh line two", "so ordered"]  # 1 I
    for system in systems(recipe):
        spoken(place, system, REFERENCES, better if system == "merged" else baseline, "xxyy")
    found = _scores(Panel.of(recipe, place), place, None)["tests"]["domain-test"]
    c, merged = found["systems"]["domain-synthetic"], found["systems"]["merged"]
    assert (found["utterances"], found["words"], found["speakers"]) == (4, 13, 2)
    assert (c["substitutions"], c["deletions"], c["insertions"]) == (1, 3, 0)
    assert (merged["substitutions"], merged["deletions"], merged["insertions"]) == (0, 0, 1)
    assert c["wer"] == round(100 * 4 / 13, 3) and merged["wer"] == round(100 / 13, 3)
    assert merged["difference_to_c"] == round(-100 * 3 / 13, 3) and merged["relative_to_c"] == -75.0
    # Raw words: c has "the" "quart" "adjourned" for "The court, adjourned." (3 S), "pay five dollars" for "Pay $5 now"
    # (3 S), nothing for "so ordered" (2 D); the references then hold 3 + 3 + 4 + 2 words.
    assert c["raw_wer"] == round(100 * 8 / 12, 3)
    # Characters, of 19 + 19 ("dollar") + 17 + 10: "quart" for "court" 3 S, " now" 4 D, "so ordered" 10 D.
    assert c["cer"] == round(100 * 17 / 65, 3)
    # Two speakers, x (2 errors in 7 words) and y (2 in 6): a draw is xx, xy, or yy.
    assert c["wer_interval"] == [round(100 * 4 / 14, 3), round(100 * 4 / 12, 3)]
    assert 0 <= merged["probability_better"] <= 1 and c["probability_better"] == 0


def test_a_system_that_says_nothing(evaluated: tuple[Recipe, Workspace]) -> None:
    recipe, place = evaluated
    for system in systems(recipe):
        spoken(place, system, REFERENCES, [""] * 4, "xxyy")
    row = _scores(Panel.of(recipe, place), place, None)["tests"]["domain-test"]["systems"]["merged"]
    assert row["wer"] == 100.0 and row["deletions"] == 13 and row["cer"] == 100.0 and row["relative_to_c"] == 0.0
    for system in systems(recipe):
        spoken(place, system, ["...", "?!"], ["a", ""], "xy")
    with pytest.raises(DataError, match="domain-test: its transcripts hold no word to score"):
        _scores(Panel.of(recipe, place), place, None)


@pytest.fixture
def fresh(tmp_path: Path) -> tuple[Recipe, Workspace]:
    recipe, place = models_of(models.conformer(tmp_path / "base"), tmp_path / "run", train={"steps": 1})
    evaluate(recipe, place)
    return recipe, place


def test_scores_follow_spellings_and_draws_without_a_model(
    fresh: tuple[Recipe, Workspace], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The normaliser's name shows the file, scores are made again, hypotheses are not; a missing file is found first."""
    recipe, place = fresh
    file = tmp_path / "own.tsv"
    file.write_text("abba\tabby\n")
    before = (place.root / "hypotheses/domain-test/base/run.json").stat().st_mtime_ns
    monkeypatch.setattr("asr_analogy.asr.family.ready", None)

    def again(**settings: Any) -> dict[str, Any]:
        changed = recipe.model_copy(update={"evaluate": recipe.evaluate.model_copy(update=settings)})
        evaluate(changed, place)
        return scores(place)

    assert again()["normaliser"] == "en-2"
    found = again(spellings=file, draws=60)
    assert re.fullmatch(r"en-2\+[0-9a-f]{8}", found["normaliser"]) and found["draws"] == 60
    assert found["tests"]["domain-test"]["normaliser"] == found["normaliser"]
    assert (place.root / "hypotheses/domain-test/base/run.json").stat().st_mtime_ns == before
    with pytest.raises(MissingError, match="own.yaml: no such file"):
        again(spellings=tmp_path / "own.yaml")
    file.write_text("abba abby\n")
    with pytest.raises(DataError, match="own.tsv:1: 1 columns; give written, one tab, preferred"):
        again(spellings=file)
    file.write_bytes("caf\xe9\tcafe\n".encode("latin-1"))
    with pytest.raises(DataError, match="own.tsv: cannot be read as UTF-8"):
        again(spellings=file)


def test_terms_of_the_domain_are_found_once_and_kept(fresh: tuple[Recipe, Workspace], tmp_path: Path) -> None:
    recipe, place = fresh
    assert scores(place)["terms"] == 0  # both corpora say the same
    kept = place.root / "terms/terms.jsonl"
    before = kept.stat().st_mtime_ns
    evaluate(recipe, place)
    assert kept.stat().st_mtime_ns == before
    other = Workspace(tmp_path / "other")
    models.write_corpus(other.root, "general-real", models.utterances(["bead" + " fee" * n for n in range(20)]))
    models.write_corpus(other.root, "domain-synthetic", models.utterances(["gag abba", "a gag"] * 2))
    assert jargon(recipe, other) == []  # each sentence counts once
    models.write_corpus(tmp_path / "new", "domain-synthetic", models.utterances(["gag abba", "a gag", "gag dad"]))
    shutil.rmtree(other.root / "prepared/domain-synthetic")
    (tmp_path / "new/prepared/domain-synthetic").rename(other.root / "prepared/domain-synthetic")
    for keep in (False, True, True):
        found = jargon(recipe, other, keep)
        assert found is not None and [one.term for one in found] == ["gag"]
        assert ('"gag"' in (other.root / "terms/terms.jsonl").read_text()) is keep
    assert jargon(recipe.model_copy(update={"language": "xx"}), other) is None
    shutil.rmtree(other.root / "prepared/domain-synthetic")
    assert jargon(recipe, other) is None


@pytest.mark.parametrize("family", models.FAMILIES)
def test_average_and_addition(family: str, tmp_path: Path) -> None:
    """Their transcripts are those of the models made by hand; nothing of the models is kept."""
    base = models.tiny(family, tmp_path / "base")
    settings = {"evaluate": {"baselines": ["average", "addition"]}, "train": {"rate": 0.02}}
    recipe, place = models_of(base, tmp_path / "run", **settings)
    evaluate(recipe, place)
    names = ["base", "general-real", "domain-synthetic", "average", "addition", "merged"]
    assert list(scores(place)["tests"]["domain-test"]["systems"]) == names == systems(recipe)
    b, c, theta = (load_file(folder / "model.safetensors") for folder in (
        place.root / "models/general-real", place.root / "models/domain-synthetic", base))  # fmt: skip
    recogniser = open_recogniser(base, "en")
    clips = [one.samples() for one in read_corpus(place.root / "prepared/domain-test")]
    buffers = dict(recogniser.model.named_buffers())
    for system, made in (
        ("average", {name: (b[name] + c[name]) / 2 for name in c}),
        ("addition", {name: b[name] + c[name] - theta[name] for name in c}),
    ):
        made |= {name: c[name] for name in c if name in buffers}
        recogniser.model.load_state_dict(made, strict=False)
        recogniser.model.eval()
        assert [row["hypothesis"] for row in rows(place, system)] == [
            recogniser.transcribe([clip])[0] for clip in clips
        ]
    assert sorted(path.name for path in (place.root / "models").iterdir()) == [
        "domain-synthetic", "general-real", "general-synthetic", "merged"]  # fmt: skip
    assert not [path for path in place.root.iterdir() if path.name.startswith((".average", ".addition"))]


def test_the_base_is_prompted_with_the_most_frequent_terms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = models.tiny("whisper", tmp_path / "base")
    recipe, place = models_of(base, tmp_path / "run", train={"steps": 1}, evaluate={"baselines": ["prompted"]})
    with pytest.raises(RecipeError, match="prompted: no terms of the domain are known; leave prompted out"):
        evaluate(recipe, place)
    prompts, real = [], WhisperRecogniser.transcribe

    def heard(self: WhisperRecogniser, clips: Any, beams: int = 1, prompt: Sequence[str] = ()) -> list[str]:
        prompts.append(tuple(prompt))
        return real(self, clips, beams, prompt)

    monkeypatch.setattr(WhisperRecogniser, "transcribe", heard)
    terms = [Term("cab dad", 3), Term("abba", 7)]
    save_terms(place.root / "prepared/domain-synthetic/terms.jsonl", terms)
    evaluate(recipe, place)
    assert list(scores(place)["tests"]["domain-test"]["systems"])[:2] == ["base", "prompted"]
    record = read_record(place.root / "hypotheses/domain-test/prompted")
    assert record and record["inputs"]["prompt"] == ["abba", "cab dad"]
    assert sorted(set(prompts)) == [(), ("abba", "cab dad")]
    assert all(step.done for step in estimate(recipe, place, {"domain-test": 1.0}))


def test_a_ctc_base_takes_no_prompt(tmp_path: Path) -> None:
    base = models.conformer(tmp_path / "base")
    recipe, place = models.recipe(base, evaluate={"baselines": ["prompted"]}), Workspace(tmp_path / "run")
    with pytest.raises(RecipeError, match="prompted: only a Whisper base takes a prompt"):
        evaluate(recipe, place)


def test_several_test_sets_and_keywords(tmp_path: Path) -> None:
    """Through the real path: one set with texts, one with keywords, one general; all tables and the verdict hold."""
    base = models.conformer(tmp_path / "base")
    recipe, place = models_of(base, tmp_path / "run", train={"steps": 1})
    listed = [replace(one, text="", keywords=("abba", "cab dad")) for one in models.utterances()]
    models.write_corpus(place.root, "domain-test-words", models.utterances(voice=6))
    models.write_corpus(place.root, "domain-test-clips", listed)
    source = {"manifest": "none.jsonl"}
    data = recipe.model_dump(mode="json", exclude_unset=True)
    data["domain"]["test"] = {"words": source, "clips": source}
    changed = Recipe.model_validate(data)
    evaluate(changed, place)
    found = scores(place)
    assert list(found["tests"]) == ["domain-test-words", "domain-test-clips"]
    assert rows(place, "base", "domain-test-clips")[0]["keywords"] == ["abba", "cab dad"]
    clips = found["tests"]["domain-test-clips"]
    assert not clips["transcribed"] and clips["systems"]["merged"]["terms"]["said"] == 16 and clips["keywords"] == 16
    assert found["domains"]["systems"]["merged"]["of"] == 2
    told = report(changed, place)
    assert "2 test sets of the domain" in told["verdict"]
    text = (place.root / "report/report.md").read_text()
    assert "| system | recall % |" in text and "Over 2 test sets of the domain" in text


def test_models_without_a_recipe(tmp_path: Path) -> None:
    first, second = models.conformer(tmp_path / "a/net"), models.conformer(tmp_path / "b/net", seed=1)
    place = Workspace(tmp_path / "out")
    models.write_corpus(place.root, "test", models.utterances())
    found = evaluate_models([str(first), str(second)], place, "en", Evaluate(draws=20))
    table = found["tests"]["test"]["systems"]
    assert list(table) == ["a-net", "b-net"] and found["baseline"] == "a-net" and found["terms"] is None
    assert table["a-net"]["difference_interval"] == [0, 0] and table["b-net"]["wer"] is not None
    assert rows(place, "a-net", "test") != rows(place, "b-net", "test")
    stamps = {path: path.stat().st_mtime_ns for path in place.root.rglob("run.json")}
    evaluate_models([str(first), str(second)], place, "en", Evaluate(draws=20))
    assert stamps == {path: path.stat().st_mtime_ns for path in place.root.rglob("run.json")}
    with pytest.raises(RecipeError, match="--model: a model is given twice"):
        evaluate_models([str(first), f"{tmp_path}/a/../a/net"], place, "en", Evaluate())
    with pytest.raises(MissingError, match="nowhere: no such folder"):
        evaluate_models([str(first), "./nowhere"], place, "en", Evaluate())
    with pytest.raises(RecipeError, match="hypotheses/test/net: made from other inputs|made from other inputs"):
        models.conformer(tmp_path / "b/net", seed=2)
        evaluate_models([str(first), str(second)], place, "en", Evaluate(draws=20))


def test_names_of_models() -> None:
    assert distinct(["x/merged", "openai/whisper-tiny.en"]) == ["merged", "whisper-tiny.en"]
    assert distinct(["runs/a/models/merged", "runs/b/models/merged"]) == ["a-models-merged", "b-models-merged"]


def test_evaluating_before_merging_says_what_to_run(tmp_path: Path) -> None:
    base = models.conformer(tmp_path / "base")
    recipe, place = models.recipe(base), Workspace(tmp_path / "run")
    models.prepare(place.root)
    with pytest.raises(DataError, match="models/general-real: not finished; run the stage that makes it first"):
        evaluate(recipe, place)
    assert len(rows(place, "base")) == len(models.TEXTS)  # what could be done is done, and kept


@pytest.mark.parametrize("family", models.FAMILIES)
def test_the_estimate_loads_no_weights(family: str, tmp_path: Path) -> None:
    base = models.tiny(family, tmp_path / "base")
    data = (base / "model.safetensors").read_bytes()
    (base / "model.safetensors").write_bytes(data[: 8 + int.from_bytes(data[:8], "little")])
    steps = estimate(models.recipe(base), Workspace(tmp_path), {"domain-test": 1.0})
    assert [step.name for step in steps][0] == "hypotheses/domain-test/base" and len(steps) == 4
    assert all(0 < step.seconds < 3600 and step.audio_hours == 1.0 for step in steps)


def test_rivals_stand_in_the_table_where_they_are_trained() -> None:
    from asr_analogy.asr.panel import SYSTEMS
    from asr_analogy.text.tables import TITLES

    plain = ["base", "general-real", "domain-synthetic", "merged"]
    assert systems(models.recipe("base")) == plain
    rivals = models.recipe("base", train={"mix": 0.3, "start_from": "general-real"})
    assert systems(rivals) == [*plain[:3], "joint", "continued", "merged"]
    assert set(SYSTEMS) == set(TITLES)
