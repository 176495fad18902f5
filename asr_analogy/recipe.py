"""The recipe: one YAML file that describes an experiment. The only place where an option and its default exist.

The same names hold in YAML, in `--set a.b=c` and in Python (`Recipe.load(path, ["train.steps=100"])`).
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationError,
    model_validator,
)

from asr_analogy.errors import MissingError, RecipeError

SHIPPED = Path(__file__).parent / "shipped"
"""Where recipes/, tts/ and data/ stand in an installed package; in a checkout they stand beside the package."""


class Options(BaseModel):
    """A group of options: unknown keys, NaN and infinity are refused, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)


OneOrMore = Annotated[tuple[Path, ...], Field(min_length=1), BeforeValidator(_listed)]
"""One path or a list of them, seen as a tuple."""

KINDS = ("hub", "manifest", "audiofolder", "parquet", "simulate")


class Source(Options):
    """Where utterances come from: exactly one of hub, manifest, audiofolder, parquet or simulate.

    `simulate` names a room of asr_analogy.speech.rooms: `text` is then read by `voices` into that room, which makes a
    stand-in for recordings, and is called so wherever it is shown.
    """

    hub: str | None = Field(None, description="data set id on the Hugging Face hub")
    config: str | None = Field(None, description="hub: configuration of the data set")
    split: str = Field("train", description="hub: split of the data set")
    manifest: OneOrMore | None = Field(
        None, description='JSON lines with "audio" (or "audio_filepath") and "text"; one file or a list of them'
    )
    audiofolder: Path | None = Field(
        None, description="folder of sound files, each with a .txt beside it, or with a metadata.csv"
    )
    parquet: Path | None = Field(None, description="Parquet file or folder with the columns audio and text")
    simulate: str | None = Field(None, description="room: a stand-in is spoken by `voices` in this room")
    text: OneOrMore | None = Field(
        None, description="simulate: the sentences; general.real takes general.text if none is given"
    )
    voices: str | None = Field(None, description="simulate: voice card of the stand-in speakers")
    audio_column: str = Field("audio", description="name of the audio column")
    text_column: str = Field("text", description="name of the transcript column")
    where: dict[str, str | int | list[str | int]] = Field(
        {}, description="keep rows whose column has this value (or one of these)"
    )
    limit: int | None = Field(None, gt=0, description="use at most so many utterances")

    @model_validator(mode="after")
    def _one_kind(self) -> "Source":
        kinds = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(kinds) != 1:
            raise ValueError(f"give exactly one of {', '.join(KINDS)} (given: {', '.join(kinds) or 'none'})")
        if self.simulate is not None and self.voices is None:
            raise ValueError("simulate needs voices, a card of stand-in speakers")
        recorded = [kind for kind in KINDS if kind != "simulate"]
        belongs = {"config": ["hub"], "split": ["hub"], "text": ["simulate"], "voices": ["simulate"]}
        belongs |= dict.fromkeys(("where", "audio_column", "text_column"), recorded)
        for key, owners in belongs.items():
            if key in self.model_fields_set and getattr(self, key) and kinds[0] not in owners:
                raise ValueError(f"{key} goes with {' or '.join(owners)}, not with {kinds[0]}; leave it out")
        return self


Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


def _how_many(value: Any) -> str:
    """Several sources are a mapping of names, none of which is a key of a source, to mappings."""
    if not isinstance(value, dict) or not value or not value.keys().isdisjoint(Source.model_fields):
        return "[one]"
    return "[several]" if all(isinstance(one, dict | Source) for one in value.values()) else "[one]"


Sources = Annotated[
    Annotated[Source, Tag("[one]")] | Annotated[dict[Name, Source], Tag("[several]")], Discriminator(_how_many)
]
"""One source, or several by name."""


class General(Options):
    """Where real speech exists: the arms general-synthetic (A) and general-real (B) are paired on its sentences."""

    real: Source | None = Field(None, description="real speech with transcripts, or a stand-in")
    text: OneOrMore | None = Field(None, description="the sentences of a simulated general.real")
    vector: str | None = Field(
        None,
        description="a stored Synthetic2Real vector (name or folder) instead of A and B; real and text are not used",
    )
    test: Sources | None = Field(
        None, description="general test set (or several, NAME: source), to see what adaptation makes the model forget"
    )

    @model_validator(mode="after")
    def _real_or_vector(self) -> "General":
        if self.real is None and self.vector is None:
            raise ValueError("give real (speech with transcripts, or a stand-in), or vector (a stored one)")
        return self


class Domain(Options):
    """The user's domain: text to adapt to, speech to judge the result on."""

    text: OneOrMore = Field(
        description="domain text: files, folders or globs of txt, md, jsonl, csv, docx, pdf; one path or a list"
    )
    test: Sources = Field(description="domain test set, or several, NAME: source")
    real: Source | None = Field(None, description="real domain training speech, if any: trains the oracle arm")


class Screen(Options):
    round_trip: bool | None = Field(
        None, description="let a recogniser transcribe every clip; not given: where voices are drawn, not computed"
    )
    checker: str | None = Field(
        None, description="the recogniser that listens: hub id or folder; the base if not given"
    )
    error_rate: float = Field(
        0.5, gt=0, description="characters misheard, as a share; a clip with more is spoken again"
    )
    retries: int = Field(2, ge=0, description="how often a faulty clip is spoken again before it is dropped")

    def listens(self, drawn: bool) -> bool:
        """Whether a recogniser hears every clip of voices that are `drawn` from a model, or are not."""
        return drawn if self.round_trip is None else self.round_trip


class Prepare(Options):
    voices_per_sentence: int = Field(1, gt=0, description="how many voices of the card speak each sentence")
    longest: float = Field(
        28.0, gt=0, description="seconds; longer utterances are dropped (and so are those over the base's window)"
    )
    sentences: int | None = Field(None, gt=0, description="use at most so many sentences of each text")
    term_times: int = Field(
        3, gt=0, description="where sentences are left out, speak each of the domain's terms in so many of the others"
    )
    lexicon: Path | None = Field(None, description="YAML or TSV: terms and how the voices are to say them")
    redact: bool = Field(False, description="take e-mail addresses, phone, account and card numbers out of the texts")
    screen: Screen = Screen()
    workers: int = Field(0, ge=0, description="synthesis processes; 0 takes one per core")


class Lora(Options):
    rank: int = Field(32, gt=0, description="rank of every adapter")
    alpha: int = Field(64, gt=0, description="adapters are scaled by alpha / rank")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of an adapter's inputs left out while training")


class Augment(Options):
    room: str | None = Field(None, description="room of asr_analogy.speech.rooms that clips are heard in")
    room_share: float = Field(0.5, gt=0, le=1, description="share of the clips that are heard in the room")
    noise_share: float = Field(
        0.0, ge=0, lt=1, description="Whisper: share of the clips replaced by noise with an empty transcript"
    )
    mask_time_prob: float | None = Field(None, ge=0, lt=1, description="SpecAugment: share of the frames hidden")
    mask_time_length: int = Field(10, gt=0, description="SpecAugment: frames hidden together")
    mask_feature_prob: float | None = Field(None, ge=0, lt=1, description="SpecAugment: share of the features hidden")
    mask_feature_length: int = Field(10, gt=0, description="SpecAugment: features hidden together")


class Train(Options):
    steps: int = Field(1000, gt=0, description="optimiser steps of every arm")
    batch: Annotated[int, Field(gt=0)] | Literal["auto"] = Field(
        16, description="utterances per forward pass; auto takes the most that fit, the same for all arms of a run"
    )
    pack: bool | Literal["auto"] = Field(
        "auto",
        description="Whisper: several short utterances share a window; auto does so on a base with a window of 20 s or "
        "more that holds two typical utterances",
    )
    timestamps: bool = Field(
        False, description="Whisper: half of the windows are labelled with the times of their utterances"
    )
    accumulate: int = Field(1, gt=0, description="forward passes per optimiser step")
    rate: float = Field(1e-5, gt=0, description="peak learning rate of AdamW")
    warmup: int = Field(50, ge=0, description="steps of linear warm-up; the rate then falls linearly to zero")
    weight_decay: float = Field(0.0, ge=0)
    clip: float = Field(1.0, gt=0, description="largest gradient norm")
    precision: Literal["auto", "bf16", "fp32"] = Field(
        "auto", description="autocast type; auto takes bf16 where the device computes in it"
    )
    gradient_checkpointing: bool = Field(
        False, description="save memory: forget activations and compute them again, at a third more time"
    )
    optimizer: Literal["adamw", "adamw_8bit"] = Field(
        "adamw", description="adamw_8bit (GPU; bitsandbytes) holds its moments in a quarter of the memory"
    )
    freeze: list[str] = Field(
        [], description="encoder, feature_encoder, decoder, or a name's beginning: parameters that stay as in the base"
    )
    rates: dict[str, Annotated[float, Field(gt=0)]] | None = Field(
        None, description="factor on the rate, by part: encoder, feature_encoder, decoder, or a name's beginning"
    )
    lora: Lora | None = Field(None, description="train low-rank adapters only; they are merged into the saved weights")
    augment: Augment | None = Field(None, description="what training does to the sound; the same in every arm")
    average: Literal["ema"] | Annotated[int, Field(gt=1)] | None = Field(
        None,
        description="save the mean of the weights at so many points, a 20th of the steps apart, or their moving average",
    )
    patience: int | None = Field(
        None,
        gt=0,
        description="stop after so many looks, a 20th of the steps apart, without a lower loss on utterances kept out of "
        "the arm's own corpus, and save the weights that did best; all steps if not given",
    )
    seeds: Annotated[list[int], Field(min_length=2)] | None = Field(
        None, description="train each arm once per seed and save the mean of the weights"
    )
    mix: float | None = Field(
        None, gt=0, lt=1, description="share of domain-synthetic speech in a further arm, joint, beside general-real"
    )
    start_from: Literal["general-mixed", "general-real", "general-synthetic"] | None = Field(
        None, description="arm from which a further arm, continued, learns the domain at a tenth of the rate"
    )
    tracker: str | None = Field(
        None, description="tensorboard, wandb, ...: where accelerate also sends the metrics; nowhere if not given"
    )
    checkpoint_minutes: float = Field(
        5.0, ge=0, description="minutes between checkpoints; 0 writes one after every step"
    )

    @model_validator(mode="after")
    def _one_choice(self) -> "Train":
        if self.average is not None and self.patience is not None:
            raise ValueError("average and patience each choose the weights that are saved; leave one out")
        return self

    @property
    def clips(self) -> int:
        """Utterances per forward pass, once `batch: auto` is settled."""
        assert self.batch != "auto", "train.batch is not settled yet"
        return self.batch

    @property
    def further_arms(self) -> list[str]:
        """Arms beside those of the analogy: rivals that `mix` and `start_from` ask for, in the order of training."""
        mixed = ["general-mixed"] if self.start_from == "general-mixed" else []
        return [*(["joint"] if self.mix else []), *mixed, *(["continued"] if self.start_from else [])]


Group = TypeVar("Group", bound=Options)


def _given(group: type[Group], name: str, what: str, overrides: Sequence[str]) -> Group:
    """One group of options without a recipe, from `name.key=value`. Raises RecipeError listing every fault."""
    data: dict[str, Any] = {name: {}}
    for override in overrides:
        if not override.startswith(f"{name}."):
            raise RecipeError(f"--set {override}: {what} takes {name}.key=value only")
        _assign(data, override)
    try:
        return group.model_validate(data[name])
    except ValidationError as error:
        raise RecipeError(f"{name}: {faults(error, group)}") from error


SPARSE = ("ties", "dare", "dare-ties", "breadcrumbs", "della")
"""Rules that drop entries of a vector."""


class Merge(Options):
    scale: float = Field(0.3, description="coefficient on the Synthetic2Real vector")
    rule: Literal[
        "analogy",
        "average",
        "ties",
        "dare",
        "dare-ties",
        "breadcrumbs",
        "della",
        "model-stock",
        "iso-c",
        "tsv-m",
        "slerp",
    ] = Field("analogy", description="how the vectors of C and of Synthetic2Real are combined on the base")
    density: float = Field(
        0.5, gt=0, le=1, description="ties, dare, dare-ties, breadcrumbs, della: share of each vector's entries kept"
    )
    where: dict[str, float | tuple[float, float]] = Field(
        {},
        description="where the Synthetic2Real vector acts: all, encoder, decoder, attention or a pattern with *, each with "
        "a factor on scale, or [first layer's, last layer's]; the rest of the model keeps C's weights",
    )

    @model_validator(mode="after")
    def _fits(self) -> "Merge":
        if "density" in self.model_fields_set and self.rule not in SPARSE:
            raise ValueError(f"density goes with rule {', '.join(SPARSE)}, not with {self.rule}; leave it out")
        return self

    @classmethod
    def given(cls, overrides: Sequence[str]) -> "Merge":
        """The options of a merge by folders from `merge.key=value`. Raises RecipeError listing every fault."""
        return _given(cls, "merge", "a merge of folders", overrides)


class Evaluate(Options):
    batch: int = Field(32, gt=0, description="utterances decoded together")
    beams: int = Field(1, gt=0, description="hypotheses kept while decoding; 1 takes the likeliest token every time")
    draws: int = Field(10_000, gt=0, description="bootstrap draws of every interval")
    group: Literal["utterance", "speaker"] = Field("utterance", description="what the bootstrap draws")
    baselines: list[Literal["average", "addition", "prompted"]] = Field(
        [],
        description="further systems in the table: average (mean of B and C), addition (B + C - base, task addition), "
        "prompted (the base, told the domain's most frequent terms; Whisper)",
    )
    spellings: Path | None = Field(
        None, description="YAML or TSV: written forms and the form that scores take for them, on both sides"
    )

    @classmethod
    def given(cls, overrides: Sequence[str]) -> "Evaluate":
        """The options of an evaluation of model folders from `evaluate.key=value`. Raises RecipeError for every fault."""
        found = _given(cls, "evaluate", "an evaluation of model folders", overrides)
        if found.baselines:
            raise RecipeError("evaluate.baselines: goes with a recipe, whose arms they are made of; leave it out")
        return found


class Recipe(Options):
    """One experiment. Load it with `Recipe.load`. Relative paths start at the working directory, then at what ships."""

    name: Name = Field(description="names the workspace runs/<name>")
    base: str = Field(description="the pretrained recogniser: hub id or folder")
    language: str = Field("en", description="language of all text and speech, as Whisper abbreviates it")
    voices: str = Field("espeak", description="voice card of both synthetic arms")
    general: General
    domain: Domain
    prepare: Prepare = Prepare()
    train: Train = Train()
    merge: Merge = Merge()
    evaluate: Evaluate = Evaluate()
    seed: int = 1

    @property
    def checker(self) -> str:
        """The recogniser that listens to synthetic speech: hub id or folder."""
        return self.prepare.screen.checker or self.base

    @model_validator(mode="after")
    def _general_text(self) -> "Recipe":
        real = self.general.real
        if real and not self.general.vector and real.simulate and not (real.text or self.general.text):
            raise ValueError("general.real is simulated and needs sentences: give general.text")
        given = {"domain.test": self.domain.test, "domain.real": self.domain.real, "general.test": self.general.test}
        for key, source in _each(given):
            if source is not None and source.simulate and source.text is None:
                raise ValueError(f"{key} is simulated and needs sentences: give {key}.text")
        return self

    @model_validator(mode="after")
    def _baselines(self) -> "Recipe":
        name = next((one for one in self.evaluate.baselines if one != "prompted"), None)
        if name and self.general.vector:
            raise ValueError(
                f"evaluate.baselines: {name} needs general-real, which general.vector leaves out; take {name} out"
            )
        return self

    @classmethod
    def load(cls, path: Path | str, overrides: Sequence[str] = ()) -> "Recipe":
        """Read a YAML recipe, apply `key.path=value` overrides and check it. Raises RecipeError listing every fault."""
        file = shipped(path)
        if not file.is_file():
            raise MissingError(f"{path}: no such recipe; the shipped ones are in {shipped('recipes')}")
        data = read_yaml(file)
        for override in overrides:
            _assign(data, override)
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise RecipeError(f"{path}: {faults(error, cls)}") from error


def _each(given: Mapping[str, Source | dict[str, Source] | None]) -> Iterator[tuple[str, Source | None]]:
    """Every source with its key, those of several with their name in it."""
    for key, value in given.items():
        if isinstance(value, dict):
            yield from ((f"{key}.{name}", source) for name, source in value.items())
        else:
            yield key, value


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file, plain values only. Raises RecipeError naming the file and the line."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise RecipeError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from error
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror})") from error
    if not isinstance(data, dict):
        raise RecipeError(f"{path}: must be a mapping of keys to values")
    return data


def shipped(path: Path | str) -> Path:
    """Return `path` if it exists, else the file or folder of that name that ships with the package, else `path`."""
    given = Path(path)
    if given.exists() or given.is_absolute():
        return given
    for root in (SHIPPED, Path(__file__).parent.parent):
        if (root / given).exists():
            return root / given
    return given


def _assign(data: dict[str, Any], override: str) -> None:
    key, separator, value = override.partition("=")
    if not separator or not key:
        raise RecipeError(f"--set {override}: write --set key.path=value")
    *parents, last = key.split(".")
    for parent in parents:
        if data.get(parent) is None:
            data[parent] = {}
        data = data[parent]
        if not isinstance(data, dict):
            raise RecipeError(f"--set {override}: {parent} is a single value and has no keys below it")
    try:
        data[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise RecipeError(f"--set {override}: the value is not valid YAML") from error


def faults(error: ValidationError, model: type[BaseModel]) -> str:
    """Every fault of a validation against `model` in one line: `key: what is wrong; key: ...`, one per key."""
    found: dict[str, str] = {}
    for fault in error.errors():
        # what pydantic calls the members of a union ("str", "list[...]") is no part of the key
        place = [
            str(part) for part in takewhile(lambda part: part not in ("str", "int", "float", "bool"), fault["loc"])
        ]
        key = ".".join(part for part in place if "[" not in part)
        found.setdefault(key, _fault(fault, place, model))
    return "; ".join(f"{key}: {message}" if key else message for key, message in found.items())


def _fault(fault: Any, place: Sequence[str], model: type[BaseModel]) -> str:
    """What is wrong with one key, with the nearest known key for an unknown one."""
    if fault["type"] == "extra_forbidden":
        known = _keys_at(place[:-1], model)
        near = difflib.get_close_matches(place[-1], known, n=1, cutoff=0.5)
        return f"unknown key; did you mean {near[0]}?" if near else f"unknown key; known here: {', '.join(known)}"
    if fault["type"] == "missing":
        return "is required"
    message = fault["msg"].removeprefix("Value error, ")
    got = f" (got {fault['input']!r})" if fault["type"] != "value_error" else ""
    return message[0].lower() + message[1:] + got


def _keys_at(place: Sequence[str], model: type[BaseModel]) -> list[str]:
    for part in place:
        if part in model.model_fields:  # not what tells members of a union apart, nor the name of one of several
            model = next(_models(model.model_fields[part].annotation))
    return list(model.model_fields)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The groups of options in an annotation, from left to right."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from _models(part)
