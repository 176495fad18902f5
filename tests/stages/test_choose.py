"""The scale is chosen on real (tiny) runs: every way to choose, the budget, the guard, a kill, and what is refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import models
import pytest
import torch
from safetensors.torch import load_file

from asr_analogy.asr.audition import Audition, replace_weights
from asr_analogy.asr.entropy import entropy
from asr_analogy.asr.family import open_recogniser, ready
from asr_analogy.asr.listening import transcribe
from asr_analogy.errors import DataError, GateError, RecipeError
from asr_analogy.recipe import Merge, Recipe
from asr_analogy.speech.corpus import Corpus, read_corpus
from asr_analogy.speech.domains import domains, held_out
from asr_analogy.stages.choose import Jury, choose, estimate
from asr_analogy.stages.evaluate import evaluate
from asr_analogy.stages.merge import merge, merge_folders
from asr_analogy.stages.report import choice, report
from asr_analogy.stages.train import arms, train
from asr_analogy.stages.train import estimate as foreseen
from asr_analogy.text.hallucination import steady
from asr_analogy.vectors.curve import Point
from asr_analogy.workspace import Workspace, read_record

A, B, C = "general-synthetic", "general-real", "domain-synthetic"
SOURCE = {"manifest": "none.jsonl"}
TWO = {"manifest": ["x/one.jsonl", "x/two.jsonl"]}


def recipe(base: Path, scale: Any, general: Any = SOURCE, **settings: Any) -> Recipe:
    """The recipe of models.py with every kind of speech that a choice may ask for."""
    merge = {"scale": scale, **settings.pop("merge", {})}
    plain = models.recipe(base, merge=merge if not isinstance(scale, str) else {}, **settings)
    data = plain.model_dump(mode="json", exclude_unset=True)
    data["merge"] = merge
    data["general"] = {"real": general, "dev": SOURCE}
    data["domain"] |= {"dev": SOURCE, "unlabelled": SOURCE}
    return Recipe.model_validate(data)


@pytest.fixture(scope="module", params=models.FAMILIES)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with all arms, those of two source domains too, its base beside it."""
    root = tmp_path_factory.mktemp(request.param)
    models.tiny(request.param, root / "base")
    for voice, name in enumerate((A, B)):
        rows = [replace(row, source=f"x/{'one' if number < 4 else 'two'}.jsonl:{number}")
                for number, row in enumerate(models.utterances(models.TEXTS, voice))]  # fmt: skip
        models.write_corpus(root / "run", name, rows)
    for voice, name in enumerate((C, "domain-test", "domain-dev", "general-dev", "domain-unlabelled"), 2):
        models.write_corpus(root / "run", name, models.utterances(models.TEXTS[:6], voice % 4))
    train(recipe(root / "base", "leave-one-out", TWO), Workspace(root / "run"))
    return root


@pytest.fixture
def place(trained: Path, tmp_path: Path) -> Workspace:
    """A copy of the workspace to choose in."""
    return Workspace(Path(shutil.copytree(trained / "run", tmp_path / "run")))


def chosen(place: Workspace) -> dict[str, Any]:
    return json.loads((place.root / "choice" / "choice.json").read_text())


def test_a_candidate_in_memory_is_what_merge_writes(trained: Path, place: Workspace, tmp_path: Path) -> None:
    for name, how in (("plain", {}), ("parts", {"where": {"encoder": 0.5}}), ("ties", {"rule": "ties"})):
        jury = Jury(recipe(trained / "base", "dev", merge=how), place, tmp_path / name)
        tensors = jury.weights(C, [(B, A)], Point(0.7))()
        folders = [place.root / "models" / arm for arm in (C, B, A)]
        merge_folders(*folders, 0.7, tmp_path / f"{name}-out", base=trained / "base", how=Merge.model_validate(how))
        written = load_file(tmp_path / f"{name}-out" / "model.safetensors")
        assert written.keys() == tensors.keys()
        assert all(torch.equal(written[key], tensors[key]) for key in written), name
        loaded, given = ready(tmp_path / f"{name}-out", "en"), ready(folders[0], "en")
        replace_weights(given, tensors)
        states = loaded.model.state_dict(), given.model.state_dict()
        assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
        clips = [models.clip(text, 2) for text in models.TEXTS]
        assert given.transcribe(clips) == loaded.transcribe(clips)


def test_dev_chooses_the_best_of_its_curve_and_merge_takes_it(trained: Path, place: Workspace) -> None:
    plan = recipe(trained / "base", "dev")
    step = estimate(plan, place, {"domain-dev": 0.5})[0]
    assert (step.done, step.audio_hours) == (False, 6.5) and "at most 13 candidates" in step.detail
    with pytest.raises(DataError, match="choice: not finished"):
        merge(plan, place)
    choose(plan, place)
    found = chosen(place)
    curve = {row["scale"]: row["wer"] for row in found["curve"]}
    assert found["by"] == "dev" and found["utterances"] == 6 and len(curve) >= 10
    assert curve[found["chosen"]] == min(curve.values()) and found["folds"] is None
    assert all(row["interval"][0] <= row["wer"] <= row["interval"][1] for row in found["curve"])
    merge(plan, place)
    record = read_record(place.root / "models/merged")
    assert record and record["inputs"]["by"] == "dev" and record["inputs"]["scale"] == found["chosen"]
    assert json.loads((place.root / "models/merged/choice.json").read_text()) == found
    assert f"{min(curve.values()):.2f} % WER" in choice(found)
    evaluate(plan, place)
    assert report(plan, place)["scale"] == found["chosen"]
    assert choice(found) in (place.root / "report/report.md").read_text()
    assert estimate(plan, place, {})[0].done and estimate(recipe(trained / "base", 0.5), place, {}) == []
    before = (place.root / "choice/choice.json").stat().st_mtime_ns
    choose(plan, place)
    assert (place.root / "choice/choice.json").stat().st_mtime_ns == before


def test_a_killed_choice_goes_on_from_what_was_heard(
    trained: Path, place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, listen, heard = recipe(trained / "base", "dev"), Audition._listen, list[str]()

    def until(most: int) -> Any:
        def limited(self: Audition, title: str, corpus: Corpus, certain: bool) -> Any:
            if len(heard) == most:
                raise KeyboardInterrupt
            heard.append(title)
            return listen(self, title, corpus, certain)

        return limited

    monkeypatch.setattr(Audition, "_listen", until(3))
    with pytest.raises(KeyboardInterrupt):
        choose(plan, place)
    assert not (place.root / "choice").exists()
    broken = next((place.root / ".choice.partial/heard").glob("*.json"))
    broken.write_text(broken.read_text()[:20])
    monkeypatch.setattr(Audition, "_listen", until(100))
    choose(plan, place)
    again = len(heard)
    found = chosen(place)
    assert again == len(found["curve"]) + 1  # the broken one was heard twice
    shutil.rmtree(place.root / "choice")
    heard.clear()
    choose(plan, place)
    assert chosen(place) == found and len(heard) == len(found["curve"])


def test_leave_one_out_hears_what_the_arms_of_each_domain_did_not(trained: Path, place: Workspace) -> None:
    plan = recipe(trained / "base", "leave-one-out", TWO)
    names = [f"leave-one-out/{name}-{kind}" for name in ("one", "two") for kind in ("synthetic", "real")]
    assert arms(plan)[3:] == names and all((place.root / "models" / name / "run.json").is_file() for name in names)
    assert {f"models/{name}" for name in names} <= {step.name for step in foreseen(plan, place, {}) if step.done}
    choose(plan, place)
    found = chosen(place)
    assert [fold["name"] for fold in found["folds"]] == ["one", "two"] and found["utterances"] == 4
    rows = read_corpus(place.root / "prepared" / B)
    for domain in domains(plan):
        ids = held_out(rows, domain)
        assert len(ids) == 2 and all(domain.holds(row) for row in rows if row.id in ids)
    jury = Jury(plan, place, place.root / "spare")
    tensors = jury.weights(
        "leave-one-out/one-synthetic", [("leave-one-out/two-real", "leave-one-out/two-synthetic")], Point(0.5)
    )()
    a, plus, minus = (load_file(place.root / "models/leave-one-out" / name / "model.safetensors")
                      for name in ("one-synthetic", "two-real", "two-synthetic"))  # fmt: skip
    for name in tensors:
        if "running" not in name and "num_batches" not in name:
            assert torch.allclose(tensors[name], a[name] + 0.5 * (plus[name] - minus[name]), atol=1e-6)
    merge(plan, place)
    assert (place.root / "models/merged/choice.json").is_file()


def test_the_arms_of_a_domain_never_hear_what_is_held_out_of_it(
    trained: Path, place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, heard = recipe(trained / "base", "leave-one-out", TWO), set[tuple[int, ...]]()
    recogniser = open_recogniser(trained / "base", "en", weights=False)
    batch = type(recogniser).batch

    def listening(self: Any, clips: Any, labels: Any) -> Any:
        heard.update(tuple(label) for label in labels)
        return batch(self, clips, labels)

    monkeypatch.setattr(type(recogniser), "batch", listening)
    rows = read_corpus(place.root / "prepared" / B)
    for domain in domains(plan):
        heard.clear()
        train(plan, place, [domain.arm(B)], force=True)
        ids = held_out(rows, domain)
        kept = {tuple(recogniser.label(row.text)) for row in rows if domain.holds(row) and row.id not in ids}
        assert heard and heard <= kept


@pytest.mark.parametrize("scale", ["metagpt", "shrinkage"])
def test_the_weights_alone(scale: str, trained: Path, place: Workspace) -> None:
    plan = recipe(trained / "base", scale, TWO, merge={"where": {"encoder": 1.0}})
    choose(plan, place)
    found = chosen(place)
    assert 0 <= found["chosen"] <= 1 and found["utterances"] == 0 and found["curve"][0]["wer"] is None
    assert "from the weights alone" in choice(found)
    merge(plan, place)
    c, b, a, merged = (load_file(place.root / "models" / arm / "model.safetensors") for arm in (C, B, A, "merged"))
    if scale == "metagpt":
        base = load_file(trained / "base" / "model.safetensors")
        skipped = ("running", "num_batches")
        names = [name for name in c if not any(part in name for part in skipped)]
        own = sum(float((c[name].double() - base[name].double()).square().sum()) for name in names)
        vector = sum(float((b[n].double() - a[n].double()).square().sum()) for n in names if ".encoder." in n)
        assert found["chosen"] == pytest.approx(vector / (own + vector), abs=1e-4) and found["where"] is None
        return
    share = {name: found["chosen"] * factor for name, factor in (found["where"] or {}).items()}
    assert all(-1e-9 <= value <= 1 + 1e-9 for value in share.values())
    for name, value in merged.items():
        kept = ".encoder." not in name or "running" in name or "num_batches" in name
        wanted = c[name] if kept else c[name] + share.get(name, 0.0) * (b[name] - a[name])
        assert torch.equal(value, wanted) if kept else torch.allclose(value, wanted, atol=1e-5), name


def test_entropy_prefers_certain_candidates_that_stay_steady(trained: Path, place: Workspace) -> None:
    plan = recipe(trained / "base", "entropy")
    choose(plan, place)
    found = chosen(place)
    plain = [row for row in found["curve"] if "where" not in row]
    assert all(row["wer"] is None and row["entropy"] > 0 for row in found["curve"])
    allowed = [row for row in found["curve"] if row["inside_budget"]]
    assert min(allowed, key=lambda row: (row["entropy"], row["scale"]))["scale"] == found["chosen"]
    assert plain[0]["scale"] == 0 and plain[0]["inside_budget"]
    recogniser = ready(place.root / "models" / C, "en")
    clips = [row.samples() for row in read_corpus(place.root / "prepared/domain-unlabelled")]
    texts = recogniser.transcribe(clips)
    total, count = entropy(recogniser, clips, texts)
    single = [entropy(recogniser, [clip], [text]) for clip, text in zip(clips, texts, strict=True)]
    assert total == pytest.approx(sum(part for part, _ in single), rel=1e-4) and count == sum(n for _, n in single)
    assert plain[0]["entropy"] == pytest.approx(total / count, abs=1e-4)
    merge(plan, place)


def test_output_that_shortens_grows_or_loops_is_out() -> None:
    before = ["one two three four five six"] * 10
    assert steady(before, before)
    assert steady(before, ["one two three four five seven"] * 10)
    assert not steady(before, ["one two three four"] * 10)
    assert not steady(before, ["one two three four five six seven eight"] * 10)
    assert not steady(before, [*before[:8], "one one one one one one", "six six six six six six"])
    assert not steady(before, [*before[:8], "", ""])


def test_a_budget_that_nothing_meets_ends_with_exit_6(trained: Path, place: Workspace) -> None:
    heard = Jury(recipe(trained / "base", "dev", merge={"max_forgetting": 0.0}), place, place.root / "spare")
    point = heard.judged(Point(0.5))
    assert point.general is not None and point.inside == (point.general <= heard.base)
    heard.base = -1.0  # a base that no candidate can come near
    with pytest.raises(GateError, match="max_forgetting: no scale within 0 points") as refused:
        heard.by_search()
    assert refused.value.exit_code == 6
    with pytest.raises(GateError, match=r"scale 0\.\d+ \(dev\) costs"):
        heard.by_norms()
    choose(recipe(trained / "base", "metagpt", merge={"max_forgetting": 500}), place)
    with pytest.raises(RecipeError, match="choice: made from other inputs .*--force"):
        choose(recipe(trained / "base", "metagpt"), place)
    choose(recipe(trained / "base", "metagpt"), place, force=True)
    assert chosen(place)["max_forgetting"] is None
    choose(recipe(trained / "base", "metagpt", merge={"max_forgetting": 500}), place, force=True)
    assert chosen(place)["curve"][0]["general_wer"] is not None and chosen(place)["max_forgetting"] == 500


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"merge": {"scale": "dev"}}, "chooses on domain.dev; give that speech"),
        ({"merge": {"scale": "entropy"}}, "chooses on domain.unlabelled"),
        ({"merge": {"scale": "leave-one-out"}}, "needs several source domains"),
        ({"merge": {"scale": "shrinkage"}}, "needs several source domains"),
        ({"merge": {"scale": 0.3, "max_forgetting": 1}}, "max_forgetting bounds a scale that is chosen"),
        ({"merge": {"scale": "metagpt", "max_forgetting": 1}}, "measured on general.dev"),
        ({"merge": {"scale": "metagpt"}, "general": {"vector": "ready"}}, "takes a number"),
        ({"merge": {"scale": "best"}}, "give a finite number, or how to choose it: dev, leave-one-out"),
    ],
)
def test_recipes_that_cannot_choose_are_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    data = {"name": "x", "base": "b", "general": {"real": SOURCE}, "domain": {"text": "t", "test": SOURCE}, **changes}
    (tmp_path / "recipe.yaml").write_text(json.dumps(data))
    with pytest.raises(RecipeError, match=message):
        Recipe.load(tmp_path / "recipe.yaml")


def test_a_choice_by_folders_and_domains_of_one_name_are_refused(trained: Path, place: Workspace) -> None:
    folders = [place.root / "models" / arm for arm in (C, B, A)]
    with pytest.raises(RecipeError, match="dev is chosen in a recipe's run; give a number"):
        merge_folders(*folders, Merge(scale="dev").number, place.root / "out")
    with pytest.raises(RecipeError, match="files of one name"):
        domains(recipe(trained / "base", "leave-one-out", {"manifest": ["x/one.jsonl", "x/one.jsonl"]}))
    with pytest.raises(RecipeError, match="a source domain is one file"):
        domains(recipe(trained / "base", "leave-one-out", {"manifest": ["x/one.jsonl", str(trained)]}))


def test_speech_without_words_cannot_decide(trained: Path, place: Workspace) -> None:
    shutil.rmtree(place.root / "prepared/domain-dev")
    models.write_corpus(place.root, "domain-dev", [replace(row, text="...") for row in models.utterances(("a",))])
    with pytest.raises(DataError, match="domain-dev: holds no word to choose on"):
        choose(recipe(trained / "base", "dev"), place)


def test_a_clip_longer_than_the_window_is_cut_and_heard(tmp_path: Path) -> None:
    base = models.whisper(tmp_path / "base")
    window = open_recogniser(base, "en", weights=False).window
    assert window is not None
    rows = [models.utterance(0, "a dad", models.clip("a dad", seconds=1.5 * window)), *models.utterances()[:2]]
    models.write_corpus(tmp_path, "dev", rows)
    corpus = Corpus(tmp_path / "prepared/dev")
    heard = Audition(base, "en", 2, tmp_path / "kept").hear("base", None, {"dev": corpus})["dev"]
    assert heard.texts == transcribe(ready(base, "en"), corpus, 2) and heard.entropy is None
