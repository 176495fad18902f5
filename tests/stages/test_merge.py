import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import models
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from asr_analogy.asr.family import open_recogniser
from asr_analogy.errors import DataError, MissingError, RecipeError
from asr_analogy.recipe import Merge
from asr_analogy.stages.merge import estimate, merge, merge_folders
from asr_analogy.stages.train import train
from asr_analogy.workspace import Workspace, read_record

A, B, C = "general-synthetic", "general-real", "domain-synthetic"


@pytest.fixture(scope="module", params=models.FAMILIES)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the three arms of one family, its base beside it."""
    root = tmp_path_factory.mktemp(request.param)
    models.tiny(request.param, root / "base")
    models.prepare(root / "run")
    train(models.recipe(root / "base"), Workspace(root / "run"))
    return root


@pytest.fixture
def arm(trained: Path) -> Callable[[str], Path]:
    return lambda name: trained / "run" / "models" / name


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_the_recipe_s_arms_are_merged(trained: Path, caplog: pytest.LogCaptureFixture) -> None:
    recipe, place = models.recipe(trained / "base", merge={"scale": 0.4}), Workspace(trained / "run")
    assert [step.done for step in estimate(recipe, place)] == [False]
    merge(recipe, place)
    c, b, a, merged = (weights(place.root / "models" / name) for name in (C, B, A, "merged"))
    assert merged.keys() == c.keys()
    for name, value in merged.items():
        kept = name.endswith(("running_mean", "running_var", "num_batches_tracked"))
        expected = c[name] if kept else c[name] + 0.4 * (b[name] - a[name])
        assert torch.equal(value, expected) if kept else torch.allclose(value, expected, atol=1e-6), name
    assert any(not torch.equal(merged[name], c[name]) for name in c)
    assert "taken on trust" not in caplog.text
    step = estimate(recipe, place)[0]
    assert (step.done, step.seconds, step.detail) == (True, 0.0, "scale 0.4")
    merge(recipe, place)
    with pytest.raises(RecipeError, match=r"made from other inputs \(scale: 0\.4 -> 0\.5\)"):
        merge(models.recipe(trained / "base", merge={"scale": 0.5}), place)


def test_the_merged_folder_is_c_s_but_for_the_weights(arm: Callable[[str], Path], tmp_path: Path) -> None:
    merge_folders(arm(C), arm(B), arm(A), 0.3, tmp_path / "out")
    own = {"run.json", "metrics.jsonl", "model.safetensors"}
    names = {file.name for file in arm(C).iterdir()} - own
    assert {file.name for file in (tmp_path / "out").iterdir()} == names | {"run.json", "model.safetensors"}
    assert names >= {"config.json", "preprocessor_config.json", "vocab.json"}
    for name in names:
        assert (tmp_path / "out" / name).read_bytes() == (arm(C) / name).read_bytes()


def test_scale_zero_and_equal_parents_give_c(arm: Callable[[str], Path], tmp_path: Path) -> None:
    merge_folders(arm(C), arm(B), arm(A), 0.0, tmp_path / "zero")
    merge_folders(arm(C), arm(B), arm(B), 0.7, tmp_path / "equal")
    for name in ("zero", "equal"):
        assert (tmp_path / name / "model.safetensors").read_bytes() == (arm(C) / "model.safetensors").read_bytes()


def test_output_folders_load_in_a_pipeline_of_another_process(arm: Callable[[str], Path], tmp_path: Path) -> None:
    merge_folders(arm(C), arm(B), arm(A), 0.3, tmp_path / "out")
    sound = models.clip("cab dad", 2)
    np.save(tmp_path / "sound.npy", sound)
    folders = [str(arm(C)), str(tmp_path / "out")]
    code = (
        "import json, sys, numpy\nfrom transformers import pipeline\n"
        "sound = {'raw': numpy.load(sys.argv[1]), 'sampling_rate': 16000}\n"
        "def heard(folder):\n"
        "    listen = pipeline('automatic-speech-recognition', folder, device='cpu')\n"
        "    greedy = {'num_beams': 1} if listen.type.startswith('seq2seq') else {}\n"
        "    return listen(dict(sound), generate_kwargs=greedy)['text']\n"
        "print(json.dumps([heard(folder) for folder in sys.argv[2:]]))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "sound.npy"), *folders]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    texts = json.loads(done.stdout.splitlines()[-1])
    for folder, text in zip(folders, texts, strict=True):
        recogniser = open_recogniser(Path(folder), "en")
        recogniser.model.eval()
        ours = recogniser.transcribe([sound])[0]
        assert text.strip().startswith(ours) and ours  # the pipeline has no limit per second of audio


def test_hub_like_folders_are_merged_on_trust(trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Folders as transformers 5 saves them: no run.json, no legacy files, other training settings in config.json."""
    folders = []
    for seed, name in enumerate("CBA"):
        family = trained.name.rstrip("0123456789")
        noise = {"dropout": 0.1 * seed} if family == "whisper" else {"hidden_dropout": 0.1 * seed}
        folder = models.tiny(family, tmp_path / name, seed=seed, **noise)
        (folder / "training_args.bin").write_bytes(b"pickle")
        folders.append(folder)
    merge_folders(*folders, 0.5, tmp_path / "out")
    assert caplog.text.count("does not say which base it comes from; taken on trust") == 3
    assert f"--plus {folders[1]}" in caplog.text
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert names >= {"preprocessor_config.json", "vocab.json"} and "training_args.bin" not in names
    record = read_record(tmp_path / "out")
    assert (
        record and record["inputs"]["scale"] == 0.5 and set(record["inputs"]) == {"--to", "--plus", "--minus", "scale"}
    )
    recogniser = open_recogniser(tmp_path / "out", "en")
    recogniser.model.eval()
    assert isinstance(recogniser.transcribe([models.clip("abba")])[0], str)


def test_another_base_is_refused(trained: Path, arm: Callable[[str], Path], tmp_path: Path) -> None:
    family = trained.name.rstrip("0123456789")
    base = models.tiny(family, tmp_path / "base", seed=9)
    models.prepare(tmp_path / "run")
    train(models.recipe(base, train={"steps": 1}), Workspace(tmp_path / "run"), [B])
    other = tmp_path / "run" / "models" / B
    with pytest.raises(RecipeError, match=f"--plus {other}: fine-tuned from another base than --to"):
        merge_folders(arm(C), other, arm(A), 0.3, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_another_shape_or_family_is_refused(trained: Path, arm: Callable[[str], Path], tmp_path: Path) -> None:
    family = trained.name.rstrip("0123456789")
    wide = {"encoder_ffn_dim": 48} if family == "whisper" else {"intermediate_size": 48}
    folder = models.tiny(family, tmp_path / "wide", **wide)
    with pytest.raises(
        RecipeError, match=f"--minus {folder}: another model than --to .*: {next(iter(wide))} is 48 against 32"
    ):
        merge_folders(arm(C), arm(B), folder, 0.3, tmp_path / "out")
    stranger = models.tiny(next(name for name in models.FAMILIES if name != family), tmp_path / "stranger")
    with pytest.raises(RecipeError, match="--plus .*stranger: another model than --to"):
        merge_folders(arm(C), stranger, arm(A), 0.3, tmp_path / "out")


def test_another_vocabulary_of_the_same_size_is_refused(tmp_path: Path) -> None:
    first = models.conformer(tmp_path / "one")
    other = models.conformer(tmp_path / "two", letters="zyxwvutsrqponmlkjihgfedcba'")
    with pytest.raises(DataError, match=r"--plus .*two: another vocabulary than --to .*do not mean the same"):
        merge_folders(first, other, first, 0.3, tmp_path / "out")


def test_an_arm_that_is_pickled_only_is_refused(arm: Callable[[str], Path], tmp_path: Path) -> None:
    pickled = Path(shutil.copytree(arm(B), tmp_path / "pickled"))
    torch.save(weights(pickled), pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    with pytest.raises(DataError, match=r"only pickled weights \(pytorch_model\.bin\), refused"):
        merge_folders(arm(C), pickled, arm(A), 0.3, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nan_in_an_arm_is_refused_by_name(arm: Callable[[str], Path], tmp_path: Path) -> None:
    broken = Path(shutil.copytree(arm(B), tmp_path / "broken"))
    tensors = weights(broken)
    name = next(name for name in tensors if name.endswith("layer_norm.weight"))
    tensors[name][0] = torch.nan
    save_file(tensors, broken / "model.safetensors", {"format": "pt"})
    with pytest.raises(DataError, match=f"broken: tensor '{name}' holds NaN"):
        merge_folders(arm(C), broken, arm(A), 0.3, tmp_path / "out")


def test_an_input_is_never_replaced(arm: Callable[[str], Path], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(arm(C), tmp_path / "models" / "copy"))
    before = weights(copy)
    for out in (copy, tmp_path / "models"):
        with pytest.raises(RecipeError, match=f"--out {out}: would replace --to {copy}; give another folder"):
            merge_folders(copy, arm(B), arm(A), 0.3, out, force=True)
    assert all(torch.equal(value, before[name]) for name, value in weights(copy).items())


def test_an_out_that_is_taken_and_a_model_that_is_missing(arm: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(RecipeError, match="taken: exists and was not made by asr-analogy"):
        merge_folders(arm(C), arm(B), arm(A), 0.3, tmp_path / "taken")
    with pytest.raises(MissingError, match="/nowhere/at/all: no such folder"):
        merge_folders(arm(C), "/nowhere/at/all", arm(A), 0.3, tmp_path / "out")
    with pytest.raises(DataError, match=r"taken: no config\.json"):
        merge_folders(arm(C), arm(B), tmp_path / "taken", 0.3, tmp_path / "out")


def test_merging_before_training_says_what_to_run(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="models/domain-synthetic: not finished; run the stage"):
        merge(models.recipe(trained / "base"), Workspace(tmp_path))
    step = estimate(models.recipe(trained / "base"), Workspace(tmp_path))[0]
    assert not step.done and 0 < step.seconds < 10


def test_a_rule_of_the_recipe_works_on_its_base(trained: Path, tmp_path: Path) -> None:
    place = Workspace(Path(shutil.copytree(trained / "run", tmp_path / "run")))
    shutil.rmtree(place.root / "models" / "merged", ignore_errors=True)
    recipe = models.recipe(trained / "base", merge={"rule": "average", "scale": 0.5, "where": {"encoder": 1.0}})
    assert estimate(recipe, place)[0].detail == "average, scale 0.5, encoder 1.0"
    merge(recipe, place)
    c, b, a, merged = (weights(place.root / "models" / name) for name in (C, B, A, "merged"))
    base = weights(trained / "base")
    for name in merged:
        if name.endswith(("running_mean", "running_var", "num_batches_tracked")):
            assert torch.equal(merged[name], c[name])
            continue
        share = 0.5 if "encoder" in name.split(".") else 0.0
        wanted = base[name] + (c[name] - base[name] + share * (b[name] - a[name])) / (1 + share)
        torch.testing.assert_close(merged[name], wanted, rtol=1e-5, atol=1e-5)
    other = models.recipe(trained / "base", merge={"rule": "dare", "density": 0.9}, seed=4)
    with pytest.raises(RecipeError, match=r"made from other inputs \((density|rule|scale)"):
        merge(other, place)
    record = read_record(place.root / "models" / "merged")
    assert record and record["inputs"]["rule"] == "average" and record["inputs"]["where"] == [["encoder", 1.0]]


def test_rules_of_folders_need_their_base(trained: Path, arm: Callable[[str], Path], tmp_path: Path) -> None:
    how = Merge(rule="dare-ties", density=0.8)
    with pytest.raises(RecipeError, match="rule dare-ties combines vectors from the base on; give --base"):
        merge_folders(arm(C), arm(B), arm(A), 0.3, tmp_path / "out", how=how)
    merge_folders(arm(C), arm(B), arm(A), 0.3, tmp_path / "out", base=trained / "base", how=how)
    merged, c = weights(tmp_path / "out"), weights(arm(C))
    assert any(not torch.equal(merged[name], c[name]) for name in c)
    record = read_record(tmp_path / "out")
    assert record and record["inputs"]["density"] == 0.8 and record["inputs"]["seed"] == 1
    with pytest.raises(RecipeError, match=r"fine-tuned from another base than --base .*; give its own"):
        merge_folders(arm(C), arm(B), arm(A), 0.3, tmp_path / "other", base=arm(B), how=how)
    with pytest.raises(RecipeError, match="merge.where.nobody: no tensor of this model"):
        merge_folders(arm(C), arm(B), arm(A), 0.3, tmp_path / "other", how=Merge(where={"nobody": 1}))
    assert not (tmp_path / "other").exists()


def plain(folder: Path, value: float, **settings: str) -> Path:
    folder.mkdir()
    save_file({"layers.0.w": torch.full((3, 2), value)}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "something-new"}))
    (folder / "tokenizer.json").write_text(settings.get("tokens", "{}"))
    return folder


def test_plain_state_dicts_need_no_model_class(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    c, b, a = (plain(tmp_path / name, value) for name, value in (("c", 1.0), ("b", 4.0), ("a", 2.0)))
    merge_folders(c, b, a, 0.5, tmp_path / "out")
    assert weights(tmp_path / "out")["layers.0.w"].unique().tolist() == [2.0]
    assert (tmp_path / "out" / "config.json").read_text() == (c / "config.json").read_text()
    assert "is of no known family; merged by the names and shapes of its tensors" in caplog.text
    merge_folders(*(folder / "model.safetensors" for folder in (c, b, a)), 0.5, tmp_path / "files")
    assert weights(tmp_path / "files")["layers.0.w"].unique().tolist() == [2.0]
    other = plain(tmp_path / "other", 1.0, tokens="[]")
    with pytest.raises(DataError, match="--plus .*other: another tokenizer.json than --to"):
        merge_folders(c, other, a, 0.5, tmp_path / "no")
    with pytest.raises(RecipeError, match="--minus .*base: another model than --to"):
        merge_folders(c, b, models.tiny("conformer", tmp_path / "base"), 0.5, tmp_path / "no")
