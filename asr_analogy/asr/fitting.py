"""Fine-tuning: one visible loop on accelerate, the same for every family and every arm."""

import ctypes
import logging
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import torch
from accelerate import Accelerator

from asr_analogy.asr import checkpoint
from asr_analogy.asr.cost import bfloat16, memory_errors
from asr_analogy.asr.family import Recogniser
from asr_analogy.asr.feeding import Batch, feed
from asr_analogy.asr.optimizer import adamw
from asr_analogy.errors import DataError, Interrupted, RecipeError
from asr_analogy.progress import progress
from asr_analogy.recipe import Train
from asr_analogy.speech.corpus import Utterance

log = logging.getLogger("asr_analogy")


@dataclass
class Job:
    """One fine-tune under way."""

    arm: str
    recogniser: Recogniser
    options: Train
    accelerator: Any
    model: Any
    """The recogniser's model as accelerate runs it."""
    optimizer: Any
    out: Path
    state: checkpoint.State

    def save(self) -> None:
        """Write a checkpoint."""
        checkpoint.write(self.out, self.recogniser.model, self.optimizer, self.state)


def fit(
    arm: str,
    recogniser: Recogniser,
    utterances: Sequence[Utterance],
    batches: Sequence[Sequence[int]],
    options: Train,
    out: Path,
) -> list[dict[str, float]]:
    """Fine-tune `recogniser` in place on `batches` of `utterances`; returns one line of metrics per step.

    Goes on from a checkpoint in `out`, on a CPU bit for bit as if it had never stopped (on a GPU up to the order in which
    it adds). Raises Interrupted on SIGINT or SIGTERM
    (a checkpoint is written first), DataError on a loss or gradient that is not finite, ResourceError out of memory.
    """
    _keep_freed_memory()
    torch.set_flush_denormal(True)
    job = _start(arm, recogniser, options, out)
    done = job.state.step
    where = f" from step {done}" if done else ""
    saved = time.monotonic()
    todo = batches[done * options.accumulate :]
    with (
        progress(arm, options.steps, done) as advance,
        _stop_signals() as stop,
        _repeatable(),
        closing(feed(recogniser, utterances, todo)) as inputs,
    ):
        log.info("train: %s, %d clips, %d steps%s, %s", arm, len(utterances), options.steps, where, precision(options))
        while job.state.step < options.steps:
            started = time.monotonic()
            with memory_errors(_smaller(options)):
                line, seconds = _step(job, inputs)
            job.state.step += 1
            job.state.metrics.append(line)  # nothing that the clock says: the same run writes the same file
            speed = seconds / max(time.monotonic() - started, 1e-6)
            advance(1, f"loss {line['loss']:.3f}, {speed:.0f} s of audio per second")
            if stop.is_set() or time.monotonic() - saved >= options.checkpoint_minutes * 60:
                job.save()
                saved = time.monotonic()
            if stop.is_set():
                place = f"stopped at step {job.state.step} of {options.steps}"
                raise Interrupted(f"{arm}: {place}; the same command goes on from there")
    return job.state.metrics


def _train_mode(model: Any) -> None:
    """Training mode for all but BatchNorm: its statistics stay those of the base, in every arm.

    So arms differ in parameters alone, which is what their arithmetic assumes, and neither the padding nor the clips of a
    batch shape the statistics.
    """
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()


def _start(arm: str, recogniser: Recogniser, options: Train, out: Path) -> Job:
    """Model and optimiser on their device, as the base has them or as a checkpoint left them."""
    accelerator = Accelerator(
        # Autocast is ours (_autocast): accelerate allows one precision in a process, and a recipe may ask for another.
        mixed_precision="no",
        gradient_accumulation_steps=options.accumulate,
        cpu=not torch.cuda.is_available(),
    )
    _freeze(recogniser.model, options.freeze)
    if options.gradient_checkpointing:
        recogniser.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    trained = [parameter for parameter in recogniser.model.parameters() if parameter.requires_grad]
    optimizer = adamw(trained, options)
    model, optimizer = accelerator.prepare(recogniser.model, optimizer)
    state = checkpoint.restore(out, recogniser.model, optimizer)
    _train_mode(model)
    return Job(arm, recogniser, options, accelerator, model, optimizer, out, state)


def _step(job: Job, inputs: Iterator[Batch]) -> tuple[dict[str, float], float]:
    """One optimiser step over `accumulate` batches; returns its line of metrics and the seconds of audio in it."""
    options, accelerator, optimizer, model = job.options, job.accelerator, job.optimizer, job.model
    total, seconds = 0.0, 0.0
    rate = rate_at(job.state.step, options)
    for group in optimizer.param_groups:
        group["lr"] = rate
    for _ in range(options.accumulate):
        chosen, batch = next(inputs)
        with accelerator.accumulate(model):
            with _autocast(options):
                loss = model(**{name: value.to(accelerator.device) for name, value in batch.items()}).loss
            _check_finite(job, "loss", loss, chosen)
            accelerator.backward(loss)
            if accelerator.sync_gradients:
                norm = accelerator.clip_grad_norm_(model.parameters(), options.clip)
                _check_finite(job, "gradient", norm, chosen)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        total += loss.item() / options.accumulate
        seconds += sum(utterance.duration for utterance in chosen)
    return {"step": job.state.step + 1, "loss": round(total, 5), "rate": rate}, seconds


def rate_at(step: int, options: Train) -> float:
    """Learning rate of the step with this number (from 0): linear warm-up to the peak, then linear to zero."""
    if step < options.warmup:
        return options.rate * (step + 1) / options.warmup
    return options.rate * (options.steps - step) / max(1, options.steps - min(options.warmup, options.steps - 1))


def precision(options: Train) -> str:
    """The type of the forward pass: bf16 where the device multiplies in it, unless the recipe says otherwise."""
    wanted = bfloat16() if options.precision == "auto" else options.precision == "bf16"
    return "bf16" if wanted else "fp32"


def _autocast(options: Train) -> torch.autocast:
    """The forward pass in `precision`; weights, gradients and optimiser stay fp32."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.autocast(device, torch.bfloat16, enabled=precision(options) == "bf16")


def _freeze(model: Any, prefixes: Sequence[str]) -> None:
    """Freeze parameters by name prefix. Raises RecipeError for a prefix of none, or if nothing is left to train."""
    names = [name for name, _ in model.named_parameters()]
    for prefix in prefixes:
        if not any(name.startswith(prefix) for name in names):
            known = ", ".join(sorted({".".join(name.split(".")[:2]) for name in names}))
            raise RecipeError(f"train.freeze: {prefix}: no parameter begins so; parts of this base: {known}")
    for name, parameter in model.named_parameters():
        if name.startswith(tuple(prefixes)):
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise RecipeError("train.freeze: freezes every parameter, so there is nothing to train; freeze fewer parts")


def _check_finite(job: Job, what: str, value: torch.Tensor, chosen: Sequence[Utterance]) -> None:
    if not torch.isfinite(value):
        ids = ", ".join(utterance.id for utterance in chosen)
        raise DataError(
            f"{job.arm}: the {what} is {value.item()} at step {job.state.step + 1} (utterances {ids}), no model was "
            f"written; look at these utterances, or try --set train.rate={job.options.rate / 3:.1g}"
        )


def _smaller(options: Train) -> str:
    half = max(1, options.batch // 2)
    return f"try --set train.batch={half} --set train.accumulate={options.accumulate * 2}"


@contextmanager
def _stop_signals() -> Iterator[Event]:
    """While entered, the first SIGINT or SIGTERM asks for a stop after the step in hand; the next one acts at once."""
    stop = Event()
    before: dict[int, Any] = {}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(*_: object) -> None:
        stop.set()
        restore()

    with suppress(ValueError):  # not in the main thread: the caller handles signals
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, ask)
    try:
        yield stop
    finally:
        restore()


@contextmanager
def _repeatable() -> Iterator[None]:
    """While entered, a CPU adds in one order: else threads race to add the gradients of Whisper's positions, and two runs
    of one seed end some tenths of a percent of WER apart."""
    before = torch.are_deterministic_algorithms_enabled()
    memory: Any = torch.utils.deterministic
    fill, memory.fill_uninitialized_memory = (
        memory.fill_uninitialized_memory,
        False,
    )  # no kernel here reads before writing
    torch.use_deterministic_algorithms(before or not torch.cuda.is_available())
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        memory.fill_uninitialized_memory = fill


def _keep_freed_memory() -> None:
    """Ask glibc to keep freed blocks: mapping fresh pages for every large tensor can cost half of a CPU step."""
    if sys.platform == "linux" and not torch.cuda.is_available():
        with suppress(OSError, AttributeError):  # another C library
            libc = ctypes.CDLL("libc.so.6")
            libc.mallopt(-4, 0)  # M_MMAP_MAX: no mapped blocks
            libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD: never give pages back
