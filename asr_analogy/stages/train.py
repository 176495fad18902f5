"""train: fine-tune the base once per arm, with one visible loop on accelerate.

Arms A (general-synthetic) and B (general-real) see the same sentences in the same batches and order, with the same seed
and steps. Every arm runs a fixed number of steps: no dev set chooses anything, so none of the target's real audio can.
"""

import ctypes
import json
import logging
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from safetensors.torch import load_file, save_file

from asr_analogy.asr.batching import plan
from asr_analogy.asr.cost import bfloat16, parameters
from asr_analogy.asr.cost import seconds as cost_of
from asr_analogy.asr.family import Recogniser, find, open_recogniser, save
from asr_analogy.errors import DataError, Interrupted, RecipeError, ResourceError
from asr_analogy.progress import progress
from asr_analogy.recipe import Recipe, Train
from asr_analogy.speech.corpus import Utterance, read_corpus
from asr_analogy.workspace import Folder, Step, Workspace, content, digest

log = logging.getLogger("asr_analogy")

ARMS = {"general-synthetic": "A", "general-real": "B", "domain-synthetic": "C"}
"""The three arms of the analogy and the letter each has in the formula."""
ORACLE = "domain-real"
"""Trained where real domain audio exists; never part of the product."""
PAIRED = ("general-synthetic", "general-real")
CHECKPOINT = "checkpoint.safetensors"
CLIP = 4.0
"""Seconds of a typical utterance, for estimates where the base does not pad to a window."""


def arms(recipe: Recipe) -> list[str]:
    """The arms that the recipe trains, in order."""
    return [*ARMS, *([ORACLE] if recipe.domain.real is not None else [])]


def folder(recipe: Recipe, workspace: Workspace, arm: str, force: bool = False) -> Folder:
    """The model folder of an arm with everything it depends on."""
    corpora = PAIRED if arm in PAIRED else (arm,)
    inputs = {
        "arm": arm,
        "base": digest(find(recipe.base)),
        "corpora": {name: content(workspace.root / "prepared" / name) for name in corpora},
        "train": recipe.train.model_dump(exclude={"checkpoint_minutes"}),
        "language": recipe.language,
        "seed": recipe.seed,
    }
    return workspace.folder(f"models/{arm}", inputs, force)


def estimate(recipe: Recipe, workspace: Workspace, hours: Mapping[str, float]) -> list[Step]:
    """What train would do; `hours` holds the audio of each prepared corpus, as known or estimated."""
    base = find(recipe.base)
    window = open_recogniser(base, recipe.language, weights=False).window
    steps = []
    for arm in arms(recipe):
        try:
            done = folder(recipe, workspace, arm).done()
        except DataError:  # its corpora are not prepared yet
            done = False
        audio = recipe.train.steps * recipe.train.accumulate * recipe.train.batch * (window or CLIP)
        cost = 0.0 if done else cost_of(base, audio, 3)
        steps.append(
            Step(
                f"models/{arm}",
                done,
                f"{recipe.train.steps} steps",
                hours.get(arm, 0.0),
                round(cost, 1),
                4e-6 * parameters(base),
            )
        )
    return steps


def train(recipe: Recipe, workspace: Workspace, only: Sequence[str] = (), force: bool = False) -> None:
    """Train every arm of the recipe (or `only` these) into `models/`; finished ones are skipped.

    Raises Interrupted on SIGINT or SIGTERM (a checkpoint is written first), DataError on a loss that is not finite,
    ResourceError when memory runs out.
    """
    unknown = sorted(set(only) - set(arms(recipe)))
    if unknown:
        raise RecipeError(f"--arm {unknown[0]}: no such arm in this recipe; arms: {', '.join(arms(recipe))}")
    for arm in only or arms(recipe):
        place = folder(recipe, workspace, arm, force)
        if place.done():
            log.info("train: %s is there", arm)
            continue
        with place.writing() as out:
            fit(recipe, arm, _utterances(workspace, arm), out)


def _utterances(workspace: Workspace, arm: str) -> tuple[list[Utterance], list[float]]:
    """The arm's utterances and the durations its batches are planned by: for a paired arm those of A."""
    prepared = workspace.root / "prepared"
    own = read_corpus(prepared / arm)
    if arm not in PAIRED:
        return own, [utterance.duration for utterance in own]
    sides = [{row.id: row.duration for row in read_corpus(prepared / name, ["id", "duration"])} for name in PAIRED]
    common = [utterance for utterance in own if all(utterance.id in side for side in sides)]
    if not common:
        raise DataError(f"{arm}: no sentence is left in both general arms; see dropped.jsonl in {prepared}")
    return common, [sides[0][utterance.id] for utterance in common]


@dataclass
class State:
    """Where a training run stands; everything a checkpoint must bring back."""

    step: int = 0
    metrics: list[dict[str, float]] = field(default_factory=list)


def fit(recipe: Recipe, arm: str, corpus: tuple[list[Utterance], list[float]], out: Path) -> None:
    """Fine-tune the base on the utterances and write a model folder into `out`; goes on from a checkpoint there."""
    options, base = recipe.train, find(recipe.base)
    utterances, durations = corpus
    _keep_freed_memory()
    accelerator = Accelerator(
        mixed_precision=_precision(options),
        gradient_accumulation_steps=options.accumulate,
        cpu=not torch.cuda.is_available(),
    )
    set_seed(recipe.seed)
    recogniser = open_recogniser(base, recipe.language)
    model = recogniser.model
    names = _freeze(model, options.freeze)
    optimizer = torch.optim.AdamW(
        [parameter for parameter in model.parameters() if parameter.requires_grad],
        lr=options.rate, weight_decay=options.weight_decay, betas=(0.9, 0.98), fused=True,
    )  # fmt: skip
    model, optimizer = accelerator.prepare(model, optimizer)
    state = _restore(out, recogniser.model, optimizer)
    batches = plan(durations, options.batch, options.steps * options.accumulate, recipe.seed)
    model.train()
    log.info(
        "train: %s, %d utterances, %d steps%s, %s",
        arm,
        len(utterances),
        options.steps,
        f" from step {state.step}" if state.step else "",
        accelerator.mixed_precision,
    )
    saved = time.monotonic()
    with progress(arm, options.steps, state.step) as advance, _stop_signals() as stop:
        inputs = _inputs(recogniser, utterances, batches[state.step * options.accumulate :])
        while state.step < options.steps:
            started, total, seconds = time.monotonic(), 0.0, 0.0
            for group in optimizer.param_groups:
                group["lr"] = rate_at(state.step, options)
            for _ in range(options.accumulate):
                chosen, batch = next(inputs)
                with accelerator.accumulate(model), _memory_errors(options):
                    loss = model(**{name: value.to(accelerator.device) for name, value in batch.items()}).loss
                    _check_finite(loss, chosen, state.step, out)
                    accelerator.backward(loss)
                    if accelerator.sync_gradients:
                        accelerator.clip_grad_norm_(model.parameters(), options.clip)
                    optimizer.step()
                    optimizer.zero_grad(set_to_none=True)
                total += loss.item() / options.accumulate
                seconds += sum(utterance.duration for utterance in chosen)
            state.step += 1
            speed = seconds / (time.monotonic() - started)
            state.metrics.append(
                {
                    "step": state.step,
                    "loss": round(total, 5),
                    "rate": optimizer.param_groups[0]["lr"],
                    "audio_seconds_per_second": round(speed, 1),
                }
            )
            advance(1, f"loss {total:.3f}, {speed:.0f} s of audio per second")
            if stop or time.monotonic() - saved >= options.checkpoint_minutes * 60:
                _checkpoint(out, recogniser.model, optimizer, state, names)
                saved = time.monotonic()
            if stop:
                raise Interrupted(
                    f"{arm}: stopped at step {state.step} of {options.steps}; the same command goes on from there"
                )
    save(recogniser, out, base)
    (out / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in state.metrics))
    (out / CHECKPOINT).unlink(missing_ok=True)


def rate_at(step: int, options: Train) -> float:
    """Learning rate of the step with this number (from 0): linear warm-up to the peak, then linear to zero."""
    if step < options.warmup:
        return options.rate * (step + 1) / options.warmup
    return options.rate * (options.steps - step) / max(1, options.steps - min(options.warmup, options.steps - 1))


def _inputs(
    recogniser: Recogniser, utterances: Sequence[Utterance], batches: Sequence[Sequence[int]]
) -> Iterator[tuple[list[Utterance], Mapping[str, torch.Tensor]]]:
    """Decoded and featurised batches; one thread works ahead of the optimiser."""

    def make(indices: Sequence[int]) -> tuple[list[Utterance], Mapping[str, torch.Tensor]]:
        chosen = [utterances[index] for index in indices]
        return chosen, recogniser.batch(
            [row.samples() for row in chosen], [recogniser.label(row.text) for row in chosen]
        )

    with ThreadPoolExecutor(1) as pool:
        waiting = [pool.submit(make, indices) for indices in batches[:2]]
        for index in range(len(batches)):
            yield waiting.pop(0).result()
            if index + 2 < len(batches):
                waiting.append(pool.submit(make, batches[index + 2]))


def _precision(options: Train) -> str:
    """accelerate's name of the autocast type: bf16 where the device multiplies in it, unless the recipe says otherwise."""
    wanted = bfloat16() if options.precision == "auto" else options.precision == "bf16"
    return "bf16" if wanted else "no"


def _freeze(model: Any, prefixes: Sequence[str]) -> list[str]:
    """Freeze parameters by name prefix; returns the names that are trained, in order."""
    for prefix in prefixes:
        if not any(name.startswith(prefix) for name, _ in model.named_parameters()):
            known = sorted({".".join(name.split(".")[:2]) for name, _ in model.named_parameters()})
            raise RecipeError(f"train.freeze: {prefix}: no parameter begins so; parts of this base: {', '.join(known)}")
    for name, parameter in model.named_parameters():
        if any(name.startswith(prefix) for prefix in prefixes):
            parameter.requires_grad_(False)
    return [name for name, parameter in model.named_parameters() if parameter.requires_grad]


def _checkpoint(out: Path, model: Any, optimizer: Any, state: State, names: Sequence[str]) -> None:
    """One safetensors file with weights, buffers, optimiser moments, random state and progress; replaced whole."""
    tensors = {f"model.{name}": tensor.detach().clone().contiguous() for name, tensor in model.state_dict().items()}
    moments = optimizer.state_dict()["state"]
    for index, name in enumerate(names):
        for key, value in moments[index].items():
            tensors[f"optimizer.{name}.{key}"] = value.detach().clone().contiguous()
    tensors["random.torch"] = torch.get_rng_state()
    position = np.random.get_state()
    tensors["random.numpy"] = torch.from_numpy(np.array([*position[1], position[2]], dtype=np.int64))  # type: ignore[index]
    metadata = {"step": str(state.step), "metrics": json.dumps(state.metrics), "names": json.dumps(list(names))}
    part = out / (CHECKPOINT + ".part")
    save_file(tensors, part, metadata)
    part.replace(out / CHECKPOINT)


def _restore(out: Path, model: Any, optimizer: Any) -> State:
    """Bring back a checkpoint if one is there."""
    path = out / CHECKPOINT
    if not path.exists():
        return State()
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    model.load_state_dict(
        {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}
    )
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for index, name in enumerate(json.loads(metadata["names"])):
        keys = ("step", "exp_avg", "exp_avg_sq")
        moments[index] = {key: tensors[f"optimizer.{name}.{key}"] for key in keys}
    optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
    torch.set_rng_state(tensors["random.torch"])
    numbers = tensors["random.numpy"].numpy()
    np.random.set_state(("MT19937", numbers[:-1].astype(np.uint32), int(numbers[-1]), 0, 0.0))
    return State(int(metadata["step"]), json.loads(metadata["metrics"]))


def _check_finite(loss: torch.Tensor, chosen: Sequence[Utterance], step: int, out: Path) -> None:
    if not torch.isfinite(loss):
        ids = ", ".join(utterance.id for utterance in chosen)
        raise DataError(
            f"{out.name}: the loss is {loss.item()} at step {step} (utterances {ids}); lower train.rate, nothing was written"
        )


class _Stop:
    """True once a stop signal came."""

    def __init__(self) -> None:
        self.asked = False

    def __bool__(self) -> bool:
        return self.asked


class _stop_signals:  # noqa: N801
    """While entered, SIGINT and SIGTERM ask for a stop after the step in hand instead of ending the process."""

    def __enter__(self) -> _Stop:
        stop = _Stop()

        def ask(*_: object) -> None:
            stop.asked = True

        self.before = {}
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self.before[number] = signal.signal(number, ask)
            except ValueError:  # not in the main thread: the caller handles signals
                break
        return stop

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)


class _memory_errors:  # noqa: N801
    """Turn running out of memory into a ResourceError that says what to lower."""

    def __init__(self, options: Train) -> None:
        self.options = options

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, torch.OutOfMemoryError | MemoryError) or (error and "can't allocate memory" in str(error)):
            half = max(1, self.options.batch // 2)
            raise ResourceError(
                f"out of memory with train.batch {self.options.batch}; try --set train.batch={half} "
                f"--set train.accumulate={self.options.accumulate * 2}"
            ) from error


def _keep_freed_memory() -> None:
    """Ask glibc to keep freed blocks: mapping fresh pages for every large tensor can cost half of a CPU step."""
    if sys.platform == "linux" and not torch.cuda.is_available():
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(-4, 0)  # M_MMAP_MAX: no mapped blocks
        libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD: never give pages back
