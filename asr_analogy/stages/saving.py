"""saving: put the Synthetic2Real vector of a run, or the difference of two models, into the store.

Torch is imported only where tensors are read.
"""

import json
import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr_analogy.asr.hub import find
from asr_analogy.errors import DataError, MissingError, RecipeError
from asr_analogy.tts.voice import load_card
from asr_analogy.workspace import content, digest, hash_of, read_record

if TYPE_CHECKING:
    from asr_analogy.vectors.record import Foundation
    from asr_analogy.vectors.store import Store, StoredVector

log = logging.getLogger("asr_analogy")

PLUS, MINUS, BASELINE = "general-real", "general-synthetic", "domain-synthetic"
SHOWN = ("base", BASELINE, "merged")
"""Systems whose scores a vector's record keeps."""


def save_run(
    store: "Store",
    name: str,
    workspace: Path,
    encoding: str = "exact",
    licence: str | None = None,
    measure: bool = False,
    force: bool = False,
) -> "StoredVector":
    """Store the Synthetic2Real vector B - A of a run's workspace, with all that the run knows about it.

    With `measure` the run's domain test set is transcribed to record what the encoding costs.

    Raises DataError if the arms are not trained, RecipeError if the run's base is not what they were trained from.
    """
    models = {"plus": workspace / "models" / PLUS, "minus": workspace / "models" / MINUS}
    hashes = {role: content(path) for role, path in models.items()}
    spoken = (read_record(workspace / "prepared" / MINUS) or {"inputs": {}})["inputs"]
    if "base" not in spoken:
        raise DataError(f"{workspace}: prepared/{MINUS} is gone, which names the base; use --plus, --minus and --base")
    about = {**_about(workspace, models, hashes), "licence": licence}
    if measure:
        from asr_analogy.vectors.store import Store

        with tempfile.TemporaryDirectory() as place:
            trial = _save(Store(Path(place)), name, models, spoken["base"], about, encoding, False)
            about["wer_change"] = round(wer_change(workspace, trial), 3)
    return _save(store, name, models, spoken["base"], about, encoding, force)


def save_from(
    store: "Store",
    name: str,
    source: str,
    encoding: str = "exact",
    licence: str | None = None,
    measure: bool = False,
    force: bool = False,
) -> "StoredVector":
    """`save_run` if `source` is a workspace, else `save_copy`."""
    if (Path(source) / "models").is_dir():
        return save_run(store, name, Path(source), encoding, licence, measure, force)
    if measure or licence:
        raise RecipeError("vectors save: --measure and --licence go with a run; a copy keeps its vector's record")
    return save_copy(store, name, source, encoding, force)


def save_folders(
    store: "Store",
    name: str,
    plus: str,
    minus: str,
    base: str,
    encoding: str = "exact",
    licence: str | None = None,
    force: bool = False,
) -> "StoredVector":
    """Store plus - minus of any two fine-tunes (folders or hub ids) of `base`."""
    models = {"plus": find(plus), "minus": find(minus)}
    arms = {role: {"model": digest(path)} for role, path in models.items()}
    return _save(store, name, models, base, {"arms": arms, "licence": licence}, encoding, force)


def save_copy(store: "Store", name: str, source: str, encoding: str, force: bool = False) -> "StoredVector":
    """Store another vector of the store once more, in another encoding; its record is kept."""
    from asr_analogy.vectors.record import Entry

    old = store.find(source)
    kept = {"arms", "scale", "scores", "language", "licence", "voices_licence"}
    about = {key: getattr(old.record, key) for key in kept}
    about["parents"] = (*old.record.parents, f"{old.record.name}@{old.record.sha256}")
    entries: Mapping[str, Entry] = old.record.tensors
    norms = {key: entry.base for key, entry in entries.items() if entry.base is not None}
    inputs = {"vector": old.record.sha256, "encoding": encoding}
    return store.save(name, old, encoding, old.record.base, norms, about, inputs, force)


def _save(
    store: "Store",
    name: str,
    models: Mapping[str, Path],
    base: str,
    about: Mapping[str, Any],
    encoding: str,
    force: bool,
) -> "StoredVector":
    from asr_analogy.asr.folder import anatomy
    from asr_analogy.vectors.difference import Difference

    foundation, norms = survey(base, models["plus"])
    claimed = {role: (read_record(path) or {}).get("inputs", {}).get("base") for role, path in models.items()}
    for role, folder in claimed.items():
        if folder and folder != foundation.folder:
            raise RecipeError(
                f"{models[role]}: not fine-tuned from {base} as it is now; give the base that it came from"
            )
    delta = Difference.between(models["minus"], models["plus"], *anatomy(models["plus"]))
    inputs = {role: arm["model"] for role, arm in about["arms"].items()}
    inputs |= {"base": foundation.content, "encoding": encoding, "about": hash_of([json.dumps(about, sort_keys=True)])}
    return store.save(name, delta, encoding, foundation, norms, about, inputs, force)


def survey(base: str, like: Path) -> "tuple[Foundation, dict[str, float]]":
    """Hashes and norms of a base's tensors; ties are those of the model folder `like`."""
    from asr_analogy.asr.folder import anatomy, as_safetensors
    from asr_analogy.vectors.record import Foundation, fingerprints, norms
    from asr_analogy.vectors.stream import Weights

    ties = anatomy(like)[1]
    folder = find(base)
    with as_safetensors(folder) as place:
        weights = Weights.open(place)
        name = folder.name if Path(base).is_absolute() else base
        return Foundation(id=name, folder=digest(folder), tensors=fingerprints(weights, ties)), norms(weights, ties)


def wer_change(workspace: Path, vector: "StoredVector", limit: int | None = None) -> float:
    """% WER on the run's domain test set (its first `limit` utterances) with `vector` on C, less that of the run's merged
    model, which got the same vector exactly. Raises DataError if the run has not transcribed with its merged model."""
    from asr_analogy.asr.family import ready
    from asr_analogy.asr.folder import anatomy, copy_settings
    from asr_analogy.asr.listening import transcribe
    from asr_analogy.speech.corpus import read_corpus
    from asr_analogy.text.scoring import count_words, total
    from asr_analogy.vectors.equip import equip

    run = (read_record(workspace / "models" / "merged") or {"inputs": {}})["inputs"]
    exact = min((workspace / "hypotheses").glob("domain-test*/merged"), default=None)  # the first of several
    if "scale" not in run or exact is None or read_record(exact) is None:
        raise DataError(f"{workspace}: not transcribed with its merged model yet; run `asr-analogy eval` first")
    lines = [json.loads(line) for line in (exact / "hypotheses.jsonl").read_text("utf-8").split("\n") if line][:limit]
    if not any(line["reference"] for line in lines):
        raise DataError(
            f"{workspace}: {exact.parent.name} has no transcripts, so WER cannot be measured; leave --measure out"
        )
    baseline, settings = workspace / "models" / BASELINE, (read_record(exact) or {})["inputs"]
    with tempfile.TemporaryDirectory() as place:
        copy_settings(baseline, Path(place))
        equip(baseline, [(vector.record.name, vector, run["scale"])], Path(place), *anatomy(baseline))
        recogniser = ready(Path(place), settings["language"])
        rows = read_corpus(workspace / "prepared" / exact.parent.name)[:limit]
        found = transcribe(recogniser, rows, settings["batch"], settings.get("beams", 1))
        texts = {row.id: text for row, text in zip(rows, found, strict=True)}
    references = [line["reference"] for line in lines]
    ours, theirs = [texts[line["id"]] for line in lines], [line["hypothesis"] for line in lines]
    return total(count_words(references, ours)).rate - total(count_words(references, theirs)).rate


def _about(workspace: Path, models: Mapping[str, Path], hashes: Mapping[str, str]) -> dict[str, Any]:
    """What a run's folders say about its two arms and its scores. Paths of private files stay out of it."""
    arms, languages = {}, set()
    for role, name in (("plus", PLUS), ("minus", MINUS)):
        inputs = (read_record(models[role]) or {"inputs": {}})["inputs"]
        spoken = (read_record(workspace / "prepared" / name) or {"inputs": {}})["inputs"]
        languages.add(inputs.get("language"))
        arms[role] = {
            "model": hashes[role],
            "corpora": inputs.get("corpora", {}),
            "speech": _speech(spoken, role),
            "voices": spoken.get("card"),
            "train": inputs.get("train", {}),
            "seed": inputs.get("seed"),
        }
    recipe = (read_record(workspace / "report") or {"inputs": {}})["inputs"].get("recipe") or {}
    merged = (read_record(workspace / "models" / "merged") or {"inputs": {}})["inputs"]
    return {
        "arms": arms,
        "language": languages.pop() if len(languages) == 1 else None,
        "voices_licence": _voices_licence(recipe.get("voices")),
        "scale": merged.get("scale"),
        "scores": _scores(workspace / "scores" / "scores.json"),
    }


def _speech(spoken: Mapping[str, Any], role: str) -> str:
    """The kind of speech of a corpus; only the Hub's data sets are named."""
    source = spoken.get("source") or {}
    if spoken.get("stand_in"):
        return f"stand-in for recordings ({source.get('simulate')})"
    if role == "minus":
        return f"synthetic ({(spoken.get('card') or {}).get('backend', 'unknown voices')})"
    kind = next((key for key in ("hub", "manifest", "audiofolder", "parquet") if key in source), "unknown")
    named = " ".join(str(source[key]) for key in ("hub", "config", "split") if key in source)
    return f"recordings ({named if kind == 'hub' else kind})"


def _voices_licence(card: str | None) -> str | None:
    try:
        return load_card(card).licence if card else None
    except (MissingError, RecipeError):
        return None


def _scores(path: Path) -> list[dict[str, Any]]:
    """The scores that a record keeps, or none if the run has not got so far."""
    if not path.is_file():
        return []
    return [
        {
            "test": test,
            "system": system,
            "wer": row["systems"][system]["wer"],
            "interval": row["systems"][system]["wer_interval"],
            "utterances": row["utterances"],
            "stand_in": row["stand_in"],
        }
        for test, row in json.loads(path.read_text())["tests"].items()
        for system in SHOWN
        if system in row["systems"] and row["systems"][system]["wer"] is not None
    ]
