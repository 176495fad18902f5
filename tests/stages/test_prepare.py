"""prepare on small recipes: all corpora, pairing, drops, resumption after a kill, and refusals."""

import json
import logging
import re
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml
from transformers import Wav2Vec2ConformerConfig, Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2Processor

from asr_analogy.errors import DataError, MissingError, RecipeError
from asr_analogy.recipe import Recipe
from asr_analogy.speech import audio, shards
from asr_analogy.speech.corpora import Corpus, corpora
from asr_analogy.speech.corpus import Utterance, read_corpus
from asr_analogy.speech.recordings import READ
from asr_analogy.speech.script import held_out, length, write_script
from asr_analogy.speech.shards import batched
from asr_analogy.speech.sources import rows
from asr_analogy.stages import prepare as stage
from asr_analogy.stages.prepare import estimate, folders, prepare
from asr_analogy.text.leakage import HeldOut
from asr_analogy.tts.espeak import EspeakVoice
from asr_analogy.tts.voice import EspeakCard, Line, load_card
from asr_analogy.workspace import Folder, Workspace, read_record, write_whole

GENERAL = [f"Turn on the light in room {number}." for number in range(1, 9)]
DOMAIN = [f"Clause {number} of the lease does not apply." for number in range(1, 7)]
TEST = ["The tenant shall pay the rent.", "The court adjourned."]
NAMES = ["domain-synthetic", "general-real", "general-synthetic", "domain-test"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Wav2Vec2-Conformer folder without weights: all that prepare needs of a base."""
    folder = tmp_path_factory.mktemp("base")
    tokens = ["<pad>", "|", "'", *"abcdefghijklmnopqrstuvwxyz"]
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    names: dict[str, Any] = {"pad_token": "<pad>", "unk_token": "<pad>", "bos_token": None, "eos_token": None}
    tokenizer = Wav2Vec2CTCTokenizer(str(folder / "vocab.json"), word_delimiter_token="|", **names)
    extractor = Wav2Vec2FeatureExtractor(1, audio.SAMPLE_RATE, 0.0, do_normalize=True)
    Wav2Vec2Processor(feature_extractor=extractor, tokenizer=tokenizer).save_pretrained(folder)
    Wav2Vec2ConformerConfig(vocab_size=len(tokens), pad_token_id=0).save_pretrained(folder)
    return folder


class Trial:
    """A recipe with its texts in a folder; `prepare` runs it into a workspace there."""

    def __init__(self, folder: Path, base: Path) -> None:
        self.folder = folder
        for name, lines in {"general": GENERAL, "domain": DOMAIN, "test": TEST}.items():
            self.write(name, lines)
        simulate = {"simulate": "meeting-room", "voices": "stand-in-train"}
        test = {"simulate": "office", "voices": "stand-in-test", "text": str(folder / "test.txt")}
        self.data: dict[str, Any] = {
            "name": "trial",
            "base": str(base),
            "general": {"text": str(folder / "general.txt"), "real": simulate},
            "domain": {"text": str(folder / "domain.txt"), "test": test},
            "prepare": {"workers": 2},
        }

    def write(self, name: str, lines: list[str]) -> None:
        (self.folder / f"{name}.txt").write_text("\n".join(lines) + "\n")

    def recipe(self, *overrides: str) -> Recipe:
        (self.folder / "recipe.yaml").write_text(yaml.safe_dump(self.data))
        return Recipe.load(self.folder / "recipe.yaml", overrides)

    def prepare(self, *overrides: str, where: str = "run", force: bool = False) -> None:
        prepare(self.recipe(*overrides), Workspace(self.folder / where), force)

    def corpus(self, name: str, where: str = "run") -> list[Utterance]:
        return read_corpus(self.folder / where / "prepared" / name)

    def dropped(self, name: str) -> dict[str, str]:
        """Text -> reason."""
        path = self.folder / "run" / "prepared" / name / "dropped.jsonl"
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        assert all({"id", "text", "source", "reason"} == row.keys() for row in rows)
        return {row["text"]: row["reason"] for row in rows}

    def summary(self, name: str) -> dict[str, Any]:
        return json.loads((self.folder / "run" / "prepared" / name / "summary.json").read_text())

    def bytes(self, where: str = "run") -> dict[str, bytes]:
        """Every prepared file but run.json, whose seconds vary."""
        root = self.folder / where / "prepared"
        files = [file for file in root.rglob("*") if file.is_file() and file.name != "run.json"]
        return {str(file.relative_to(root)): file.read_bytes() for file in files}


@pytest.fixture
def trial(tmp_path: Path, base: Path) -> Trial:
    return Trial(tmp_path, base)


def ids(rows: list[Utterance]) -> list[str]:
    return [row.id for row in rows]


def test_all_corpora(trial: Trial, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    trial.data["general"]["test"] = trial.data["domain"]["test"]
    trial.prepare()
    for name, texts in zip([*NAMES, "general-test"], [DOMAIN, GENERAL, GENERAL, TEST, TEST], strict=True):
        rows, folder = trial.corpus(name), trial.folder / "run" / "prepared" / name
        assert [row.text for row in rows] == texts
        assert sorted(file.name for file in folder.iterdir()) == [
            "00000.parquet",
            "dropped.jsonl",
            "run.json",
            "summary.json",
        ]
        assert trial.summary(name) == {
            "utterances": len(texts),
            "hours": round(sum(row.duration for row in rows) / 3600, 4),
            "dropped": 0,
            "stand_in": "synthetic" not in name,
        }
        record = read_record(folder)
        assert record and record["inputs"]["stand_in"] is ("synthetic" not in name)
        for row in rows:
            assert len(row.samples()) / audio.SAMPLE_RATE == pytest.approx(row.duration, abs=1e-3)
            assert row.tts_text and row.speaker.startswith("gmw/") and row.source.split(":")[1].isdigit()
    assert "domain-test: 2 utterances" in caplog.text
    before = trial.bytes()
    trial.prepare()
    assert "all 5 corpora are there" in caplog.text and trial.bytes() == before


def test_arms_are_paired_and_the_voices_differ(trial: Trial) -> None:
    trial.prepare()
    real, synthetic = trial.corpus("general-real"), trial.corpus("general-synthetic")
    assert [(row.id, row.text) for row in real] == [(row.id, row.text) for row in synthetic]
    assert not {row.speaker for row in real} & {row.speaker for row in synthetic}
    assert len({row.speaker for row in synthetic}) > 2


def test_voices_per_sentence(trial: Trial) -> None:
    trial.prepare("prepare.voices_per_sentence=2")
    for name in NAMES[:3]:
        rows = trial.corpus(name)
        assert len(rows) == 2 * len(DOMAIN if "domain" in name else GENERAL)
        for first, second in zip(rows[::2], rows[1::2], strict=True):
            assert first.text == second.text and first.speaker != second.speaker and first.flac != second.flac
    assert ids(trial.corpus("general-real")) == ids(trial.corpus("general-synthetic"))
    assert len(trial.corpus("domain-test")) == len(TEST)


def test_what_no_voice_can_speak_is_dropped_with_a_reason(trial: Trial) -> None:
    long = "word " * 140 + "end."
    trial.write("domain", [*DOMAIN, "?!...", long])
    trial.prepare("prepare.longest=20")
    reasons = trial.dropped("domain-synthetic")
    assert reasons == {"?!...": "no letter or digit", long: "longer than 600 characters (704)"}
    assert [row.text for row in trial.corpus("domain-synthetic")] == DOMAIN
    assert trial.summary("domain-synthetic")["dropped"] == 2


def test_limits(trial: Trial) -> None:
    long = "The lease " + "and the annex " * 12 + "apply."
    trial.write("domain", [DOMAIN[0], long, *DOMAIN[1:]])
    trial.prepare("prepare.longest=6", "prepare.sentences=4", "domain.test.limit=1", "general.real.limit=3")
    assert trial.dropped("domain-synthetic") == {long: "longer than prepare.longest (6 s)"}
    assert len(trial.corpus("domain-synthetic")) == 3
    assert [row.text for row in trial.corpus("general-real")] == GENERAL[:3]
    assert [row.text for row in trial.corpus("domain-test")] == TEST[:1]


def test_nothing_usable(trial: Trial) -> None:
    with pytest.raises(
        DataError, match="domain-synthetic: none of 6 utterances is usable; the first: longer than prepare.longest"
    ):
        trial.prepare("prepare.longest=0.1")
    assert not list((trial.folder / "run" / "prepared").glob("[!.]*"))


def test_same_bytes_for_any_number_of_workers(trial: Trial) -> None:
    for workers in (1, 3):
        trial.prepare(f"prepare.workers={workers}", where=f"run{workers}")
    assert trial.bytes("run1") == trial.bytes("run3")


KILLED = """
import os, signal, sys
from pathlib import Path
from asr_analogy import Recipe, Workspace
from asr_analogy.speech import shards
from asr_analogy.stages.prepare import prepare
from asr_analogy.tts.voice import EspeakCard
EspeakCard.shard = 3
recipe, root = Recipe.load(sys.argv[1]), Path(sys.argv[2])
prepare(recipe, Workspace(root / "calm"))
real = shards.write_shard
for call in (1, 2, 4, 3):
    if os.fork() == 0:
        count = [0]
        def write(path, rows):
            count[0] += 1
            if count[0] == call:
                path.with_name(path.name + ".part").write_bytes(b"half")
                if call == 4:
                    real(path, rows)
                os.kill(os.getpid(), signal.SIGKILL)
            real(path, rows)
        shards.write_shard = write
        prepare(recipe, Workspace(root / "killed"))
        os._exit(0)
    assert os.wait()[1] == signal.SIGKILL
    print(sorted(str(path.relative_to(root)) for path in (root / "killed" / "prepared").glob("*/*.*")))
prepare(recipe, Workspace(root / "killed"))
"""


def test_kill_in_the_middle(trial: Trial) -> None:
    """SIGKILL four times, each later than the last: no half corpus, and in the end the bytes of an undisturbed run."""
    trial.recipe()
    command = [sys.executable, "-c", KILLED, str(trial.folder / "recipe.yaml"), str(trial.folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert len(trial.bytes("calm")) == len(NAMES) * 2 + 3 + 3 + 2 + 1
    assert trial.bytes("killed") == trial.bytes("calm")
    assert not list((trial.folder / "killed").rglob(".?*"))


JOIN = """
import os, signal, sys, time
from pathlib import Path
from asr_analogy import Recipe, Workspace
from asr_analogy.speech import shards
from asr_analogy.stages.prepare import _refusal, prepare
from asr_analogy.tts.voice import EspeakCard
EspeakCard.shard = 2
recipe, place, dies = Recipe.load(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "dies"
real = shards.write_shard
def write(path, rows):
    print(path.parent.name, path.stem, flush=True)
    if dies:
        path.with_name(path.name + ".x.part").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.2)  # so that the others have a chance
    real(path, rows)
shards.write_shard = write
_refusal(recipe)  # takes long the first time
print("ready", flush=True)
sys.stdin.readline()
prepare(recipe, Workspace(place))
"""


def join(trial: Trial, *how: str) -> "list[subprocess.Popen[str]]":
    """Processes that prepare the trial's recipe into `shared`, in shards of two, and tell which shards they write."""
    trial.recipe()
    command = [sys.executable, "-c", JOIN, str(trial.folder / "recipe.yaml"), str(trial.folder / "shared")]
    pipes: dict[str, Any] = {
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    }
    processes = [subprocess.Popen([*command, one], **pipes) for one in how]
    for process in processes:
        assert process.stdout and process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    return processes


def written(process: "subprocess.Popen[str]") -> list[str]:
    """The shards that a process wrote, after it ended well."""
    lines, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return lines.splitlines()


@pytest.fixture
def alone(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The shards that one process writes into `alone`."""
    monkeypatch.setattr(EspeakCard, "shard", 2)
    trial.prepare(where="alone")
    files = [Path(name) for name in trial.bytes("alone") if name.endswith(".parquet")]
    assert len(files) == 3 + 4 + 4 + 1
    return sorted(f".{file.parent}.partial {file.stem}" for file in files)


def test_processes_share_the_work(trial: Trial, alone: list[str]) -> None:
    lists = [written(process) for process in join(trial, "lives", "lives")]
    assert sorted(line for found in lists for line in found) == alone and all(lists)  # each shard was written once
    assert trial.bytes("shared") == trial.bytes("alone")
    assert not list((trial.folder / "shared").rglob(".?*"))


def test_one_of_two_processes_is_killed(trial: Trial, alone: list[str]) -> None:
    """The other finishes the lot, also what the dead one had in hand, and what it left half written is gone."""
    dying, other = join(trial, "dies", "lives")
    assert dying.wait(300) == -signal.SIGKILL
    assert sorted(written(other)) == alone
    assert dying.communicate()[0].strip() in alone
    assert trial.bytes("shared") == trial.bytes("alone")
    assert not list((trial.folder / "shared").rglob(".?*"))


def test_processes_with_other_inputs_keep_apart(trial: Trial) -> None:
    workspace = Workspace(trial.folder / "run")
    place = next(place for _, place in folders(trial.recipe(), workspace))
    with place.shared() as claims:
        write_whole(place.partial / "00000.parquet", b"ours")
        with claims.held("00001"):
            code = "import sys; from asr_analogy import *; prepare(Recipe.load(sys.argv[1], ['seed=2']), "
            code += "Workspace(__import__('pathlib').Path(sys.argv[2])))"
            command = [sys.executable, "-c", code, str(trial.folder / "recipe.yaml"), str(workspace.root)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert re.search(
            r"ResourceError: .*domain-synthetic: process \d+ on .* makes it from other inputs", done.stderr
        )
        assert (place.partial / "00000.parquet").read_bytes() == b"ours"


def test_a_killed_run_does_not_make_its_script_again(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = list[str]()
    real_script, real_held_out, real_shard = stage.write_script, stage.held_out, shards.write_shard

    def script(recipe: Recipe, corpus: Corpus, *others: Any) -> None:
        calls.append(corpus.name)
        real_script(recipe, corpus, *others)

    def index(recipe: Recipe) -> HeldOut:
        calls.append("index")
        return real_held_out(recipe)

    def stop(path: Path, rows: list[Utterance]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(stage, "write_script", script)
    monkeypatch.setattr(stage, "held_out", index)
    monkeypatch.setattr(shards, "write_shard", stop)
    with pytest.raises(KeyboardInterrupt):
        trial.prepare()
    monkeypatch.setattr(shards, "write_shard", real_shard)
    trial.prepare()
    assert calls == ["domain-synthetic", "index", "general-real", "index", "general-synthetic", "domain-test"]


def test_a_run_that_was_killed_while_it_summed_up_speaks_nothing_again(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(self: Folder, started: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Folder, "publish", stop)
        trial.prepare()
    monkeypatch.setattr(EspeakVoice, "speak", None)
    with pytest.raises(TypeError):  # the next corpus is spoken, the first was not
        trial.prepare()
    assert [row.text for row in trial.corpus("domain-synthetic")] == DOMAIN


def test_leakage_is_refused(trial: Trial) -> None:
    trial.write("domain", [*DOMAIN, "the tenant shall pay the rent!"])
    with pytest.raises(DataError, match="domain.text: 1 of 7 sentences stand in a test set as well; remove"):
        trial.prepare()
    assert not list((trial.folder / "run" / "prepared").glob("[!.]*"))


def test_little_leakage_is_left_out(trial: Trial, caplog: pytest.LogCaptureFixture) -> None:
    clauses = [f"Clause {number} of the lease does not apply." for number in range(1, 121)]
    trial.write("domain", [*clauses, "the tenant shall pay the rent!"])
    trial.write("general", [*GENERAL, "The court adjourned"])
    trial.prepare()
    assert trial.dropped("domain-synthetic") == {
        "the tenant shall pay the rent!": "held out: same sentence as test.txt:1"
    }
    for arm in NAMES[1:3]:
        assert trial.dropped(arm) == {"The court adjourned": "held out: same sentence as test.txt:2"}
    assert "domain-synthetic: 1 sentences stand in a test set" in caplog.text


def test_texts_are_checked_redacted_and_freed_of_repetitions(trial: Trial) -> None:
    french = "La partie qui succombe est condamn\u00e9e aux d\u00e9pens de la proc\u00e9dure."
    trial.write("domain", [*DOMAIN, DOMAIN[0].upper(), french, "Write to jane@firm.example today."])
    trial.prepare("prepare.redact=true")
    reasons = trial.dropped("domain-synthetic")
    assert reasons[DOMAIN[0].upper()] == "the same sentence came before" and len(reasons) == 2
    assert trial.corpus("domain-synthetic")[-1].text == "Write to the e-mail address today."


def test_several_texts_and_a_lexicon(trial: Trial) -> None:
    trial.write("more", ["The lessor keeps the deposit."])
    (trial.folder / "words.yaml").write_text("lessor: less or\n")
    trial.data["domain"]["text"] = [str(trial.folder / name) for name in ("domain.txt", "more.txt")]
    trial.prepare(f"prepare.lexicon={trial.folder}/words.yaml")
    last = trial.corpus("domain-synthetic")[-1]
    assert (last.text, last.tts_text) == ("The lessor keeps the deposit.", "The less or keeps the deposit.")
    assert last.source == "more.txt:1"
    with pytest.raises(MissingError, match="prepare.lexicon: nowhere.yaml: no such file"):
        trial.prepare("prepare.lexicon=nowhere.yaml")


def test_terms_are_spoken_although_sentences_are_left_out(trial: Trial) -> None:
    plain = [f"We met on day {number} of the week and talked for an hour." for number in range(40)]
    rare = [f"The easement {verb}." for verb in ("lapses", "binds them", "was recorded", "is void")]
    trial.write("domain", [*plain[:20], *rare, *plain[20:]])
    trial.write("general", GENERAL * 20)
    trial.prepare("prepare.sentences=8")
    rows = trial.corpus("domain-synthetic")
    assert len(rows) == 8 and sum("easement" in row.text for row in rows) >= 3
    place = trial.folder / "run" / "prepared" / "domain-synthetic" / "terms.jsonl"
    assert "easement" in {json.loads(line)["term"] for line in place.read_text().splitlines()}


class Deaf:
    """A recogniser that hears one sentence right and nothing of the others."""

    def transcribe(self, clips: list[np.ndarray]) -> list[str]:
        return [DOMAIN[0] if len(clip) == self.length else "" for clip in clips]

    length = 0


def test_the_round_trip_drops_what_a_recogniser_cannot_hear(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    trial.prepare(where="plain")
    Deaf.length = len(trial.corpus("domain-synthetic", "plain")[0].samples())
    monkeypatch.setattr("asr_analogy.asr.listening.ready", lambda folder, language: Deaf())
    screen = "prepare.screen={round_trip: true, retries: 1}"
    with pytest.raises(DataError, match="general-synthetic: none of 8 .* character error rate 100 % .heard: ''"):
        trial.prepare(screen)
    assert [row.text for row in trial.corpus("domain-synthetic")] == DOMAIN[:1]
    outtakes = trial.folder / "run" / "prepared" / "domain-synthetic" / "outtakes"
    assert sorted(file.stem for file in outtakes.iterdir()) == [f"{number:07d}" for number in range(1, 6)]
    assert len(audio.read(outtakes / "0000001.flac")) > audio.SAMPLE_RATE


def test_a_script_of_many_sentences_needs_little_memory(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten times as many sentences, some dropped, cost some bytes each: far less than their text."""
    monkeypatch.setattr("asr_analogy.text.documents.BLOCK", 8_000)
    peaks = []
    for count in (300, 3_000):
        lines = [f"Clause {number} of this lease does not apply to the tenants." for number in range(count // 2)]
        trial.write("domain", [*lines, *(line + "!" for line in lines)])
        recipe = trial.recipe()
        corpus = next(one for one in corpora(recipe) if one.name == "domain-synthetic")
        tests = held_out(recipe)
        tracemalloc.start()
        write_script(recipe, corpus, trial.folder, lambda: tests)  # noqa: B023
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert length(trial.folder) == count // 2
        assert len((trial.folder / "rejected.jsonl").read_text().splitlines()) == count // 2
    assert peaks[1] - peaks[0] < 200_000


def test_changed_text_is_noticed_refused_and_forced(trial: Trial) -> None:
    trial.prepare()
    before = trial.bytes()
    trial.write("domain", [*DOMAIN, "One more clause."])
    with pytest.raises(RecipeError, match=r"domain-synthetic: made from other inputs \(text: .* -> .*\); --force"):
        trial.prepare()
    assert trial.bytes() == before
    trial.prepare(force=True)
    assert trial.corpus("domain-synthetic")[-1].text == "One more clause."
    trial.prepare()
    after = trial.bytes()
    assert {name for name in before if before[name] != after[name]} == {
        "domain-synthetic/00000.parquet",
        "domain-synthetic/summary.json",
    }


@pytest.mark.parametrize(
    ("override", "difference"),
    [
        ("seed=2", "domain-synthetic: .*seed: 1 -> 2"),
        ("prepare.longest=9", "longest: 28.0 -> 9.0"),
        ("voices=stand-in-test", "domain-synthetic: .*card"),
        ("general.real.simulate=office", "general-real: .*room"),
        ("prepare.sentences=3", "domain-synthetic: .*against: nothing -> "),
    ],
)
def test_changed_recipe_names_the_difference(prepared: Trial, override: str, difference: str) -> None:
    with pytest.raises(RecipeError, match=difference):
        prepared.prepare(override)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, base: Path) -> Trial:
    trial = Trial(tmp_path_factory.mktemp("prepared"), base)
    trial.prepare()
    return trial


def test_settings_that_cannot_change_a_corpus_do_not_refuse_it(prepared: Trial) -> None:
    prepared.prepare("train.steps=7", "merge.scale=1", "prepare.workers=1")


def test_estimate(trial: Trial, prepared: Trial) -> None:
    steps = estimate(trial.recipe(), Workspace(trial.folder / "run"))
    assert [step.name for step in steps] == [f"prepared/{name}" for name in NAMES]
    assert not any(step.done for step in steps) and all(step.audio_hours > 0 for step in steps)
    assert [step.detail for step in steps] == ["", "stand-in", "", "stand-in"]
    assert not (trial.folder / "run").exists()
    hours = {step.name: step.audio_hours for step in steps}
    for step in estimate(prepared.recipe(), Workspace(prepared.folder / "run")):
        assert step.done and step.audio_hours == pytest.approx(hours[step.name], rel=1)


def test_bad_texts(trial: Trial) -> None:
    place = trial.folder / "domain.txt"
    for content, message in {
        b"": "holds no sentence",
        b" \n\n": "holds no sentence",
        b"\x7fELF\x00\x01": "not a text file",
    }.items():
        place.write_bytes(content)
        with pytest.raises(DataError, match=f"domain-synthetic: {place}: {message}"):
            trial.prepare()
    place.unlink()
    with pytest.raises(MissingError, match=f"domain-synthetic: {place}: no such file"):
        trial.prepare()
    assert not (trial.folder / "run").exists()


def test_unknown_room_card_and_base(trial: Trial) -> None:
    with pytest.raises(
        RecipeError, match="general-real: simulate: cathedral: no such room; known: office, meeting-room"
    ):
        trial.prepare("general.real.simulate=cathedral")
    with pytest.raises(MissingError, match="voices: nobody: no such voice card; known: .*espeak"):
        trial.prepare("voices=nobody")
    with pytest.raises(MissingError, match="./nowhere: no such"):
        trial.prepare("base=./nowhere")


def recordings(trial: Trial) -> list[dict[str, str]]:
    """A manifest of eight recordings; of the last four one is truncated, one NaN, one silent and one missing."""
    folder = trial.folder / "clips"
    folder.mkdir()
    texts = ["Close the door.", "Call my sister.", "Close the door.", "What time is it?", *GENERAL[:4]]
    voice = EspeakVoice(load_card("stand-in-train"), 2)
    clips = list(voice.speak(Line(text, index, index) for index, text in enumerate(texts)))
    for index, clip in enumerate(clips):
        assert isinstance(clip, np.ndarray)
        samples = np.full(9_000, np.nan) if index == 5 else np.zeros(9_000) if index == 6 else clip
        soundfile.write(
            folder / f"{index}.wav", samples, audio.SAMPLE_RATE, subtype="FLOAT" if index == 5 else "PCM_16"
        )
    (folder / "4.wav").write_bytes((folder / "4.wav").read_bytes()[:9_000])
    (folder / "7.wav").unlink()
    entries = [
        {"audio": f"clips/{index}.wav", "text": text, "speaker": f"s{index}"} for index, text in enumerate(texts)
    ]
    (trial.folder / "real.jsonl").write_text("".join(json.dumps(row) + "\n" for row in entries))
    trial.data["general"] = {"real": {"manifest": str(trial.folder / "real.jsonl")}}
    return entries


def test_real_recordings(trial: Trial) -> None:
    rows = recordings(trial)
    trial.prepare("prepare.voices_per_sentence=3")
    real, synthetic = trial.corpus("general-real"), trial.corpus("general-synthetic")
    assert [(row.text, row.speaker) for row in real] == [(row["text"], row["speaker"]) for row in rows[:4]]
    reasons = trial.dropped("general-real")
    for row, reason in zip(rows[4:], ["truncated", "NaN", "silent", "no such audio file"], strict=True):
        assert reason in reasons[row["text"]] and row["audio"] in reasons[row["text"]]
    assert [(row.id, row.text) for row in synthetic] == [(row.id, row.text) for row in real]
    assert synthetic[0].text == synthetic[2].text and synthetic[0].speaker != synthetic[2].speaker
    assert trial.summary("general-real")["stand_in"] is False
    recorded, _ = soundfile.read(trial.folder / "clips" / "0.wav", dtype="float32")
    assert np.abs(real[0].samples() - recorded).max() < 1e-4


def test_changed_recording_is_noticed(trial: Trial) -> None:
    recordings(trial)
    trial.prepare()
    (trial.folder / "clips" / "1.wav").write_bytes((trial.folder / "clips" / "0.wav").read_bytes())
    with pytest.raises(RecipeError, match="general-real: made from other inputs .source_content: "):
        trial.prepare()


def test_real_recordings_are_read_in_lots(trial: Trial) -> None:
    """Encoded bytes of a Parquet source are held a shard at a time, whatever its size."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    recordings(trial)
    sound = (trial.folder / "clips" / "0.wav").read_bytes()
    count = 40_000_000 // len(sound)
    table = {"audio": [{"bytes": sound, "path": ""}] * count, "text": ["Close the door."] * count}
    pq.write_table(pa.table(table), trial.folder / "a.parquet", row_group_size=64)
    source = trial.recipe(f"general.real={{parquet: {trial.folder}/a.parquet}}").general.real
    tracemalloc.start()
    total = sum(len(part) for part in batched(rows(source), READ))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == count and count > 2 * READ / 3
    assert peak < 2.5 * READ * len(sound)


def test_manifest_row_without_text(trial: Trial) -> None:
    recordings(trial)
    with (trial.folder / "real.jsonl").open("a") as file:
        file.write('{"audio": "clips/0.wav"}\n')
    with pytest.raises(DataError, match=r'general-real: .*real.jsonl:9: no "text"'):
        trial.prepare()


def test_a_test_set_with_keywords_only(trial: Trial) -> None:
    """Rows with neither text nor keywords are dropped with a reason; keywords stay with their clip."""
    rows = recordings(trial)
    lines = [{"audio": rows[0]["audio"], "keywords": ["door", "close it"]}, {"audio": rows[1]["audio"]}, rows[3]]
    path = trial.folder / "keywords.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in lines))
    trial.data["domain"]["test"] = {"manifest": str(path)}
    assert estimate(trial.recipe(), Workspace(trial.folder / "none"))[-1].audio_hours > 0
    trial.prepare()
    found = trial.corpus("domain-test")
    assert [(row.text, row.keywords) for row in found] == [("", ("door", "close it")), (rows[3]["text"], ())]
    assert trial.corpus("general-real")[0].keywords == ()
    reasons = (trial.folder / "run/prepared/domain-test/dropped.jsonl").read_text()
    assert 'neither \\"text\\" nor \\"keywords\\"' in reasons and trial.summary("domain-test")["dropped"] == 1
    path.write_text(json.dumps(lines[1]) + "\n")
    with pytest.raises(DataError, match='domain-test: none of 1 utterances is usable; the first: neither "text" nor'):
        trial.prepare(where="other")
    path.write_text("")
    with pytest.raises(DataError, match="domain-test: .*keywords.jsonl: no utterance there"):
        trial.prepare(where="other")
    path.write_bytes('{"audio": "a.wav", "keywords": ["café"]}'.encode("latin-1"))
    with pytest.raises(DataError, match="domain-test: .*keywords.jsonl: not UTF-8 text"):
        trial.prepare(where="other")


def test_several_test_sets(trial: Trial) -> None:
    simulate = trial.data["domain"]["test"]
    trial.write("other", ["The clerk read the docket."])
    trial.data["domain"]["test"] = {"court": simulate, "clerk": {**simulate, "text": str(trial.folder / "other.txt")}}
    trial.data["general"]["test"] = {"office": simulate}
    trial.write("domain", [*DOMAIN * 20, "The clerk read the docket."])
    with pytest.raises(DataError, match="1 of 7 sentences stand in a test set as well"):
        trial.prepare()
    trial.write("domain", DOMAIN)
    trial.prepare()
    names = ["domain-test-court", "domain-test-clerk", "general-test-office"]
    assert [len(trial.corpus(name)) for name in names] == [2, 1, 2]
