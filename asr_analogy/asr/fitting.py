"""Fine-tuning: one visible loop on accelerate, the same for every family and every arm."""

import json
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs

from asr_analogy.asr import adapters, checkpoint, ranks
from asr_analogy.asr.augmentation import spec_augment
from asr_analogy.asr.averaging import Average
from asr_analogy.asr.cost import bfloat16, memory_errors, peak_memory
from asr_analogy.asr.family import Recogniser
from asr_analogy.asr.feeding import Batch, feed
from asr_analogy.asr.optimizer import adamw, forget_activations
from asr_analogy.asr.process import keep_freed_memory, repeatable, stop_signals
from asr_analogy.asr.rates import freeze, groups, rate_at
from asr_analogy.asr.stopping import Stopping
from asr_analogy.asr.tracking import settings, tracked
from asr_analogy.errors import DataError, Interrupted
from asr_analogy.progress import progress
from asr_analogy.recipe import Train
from asr_analogy.speech.corpus import Utterance
from asr_analogy.workspace import MEASURED, write_whole

log = logging.getLogger("asr_analogy")


@dataclass
class Meter:
    """What the clock and the memory say of a run since it was last started; never part of its metrics."""

    audio: float = 0.0
    """Seconds of sound trained on."""
    saving: float = 0.0
    """Seconds spent on checkpoints."""
    started: float = field(default_factory=time.monotonic)

    def read(self) -> dict[str, float]:
        """Plain numbers for run.json."""
        seconds = max(time.monotonic() - self.started, 1e-6)
        return {
            "training_seconds": round(seconds, 1),
            "checkpoint_seconds": round(self.saving, 1),
            "audio_seconds_per_second": round(self.audio / seconds, 2),
            "peak_memory_gb": round(peak_memory() / 1e9, 3),
        }


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
    average: Average | None
    adapters: Any = None
    """peft's handle on the adapters, if there are any."""
    stopping: Stopping | None = None
    meter: Meter = field(default_factory=Meter)
    saved: float = field(default_factory=time.monotonic)

    def save(self) -> None:
        """Write a checkpoint; every process must come here."""
        started = time.monotonic()
        randoms = ranks.all_random_states(self.accelerator)
        if self.accelerator.is_main_process:
            checkpoint.write(self.out, self.recogniser.model, self.optimizer, self.state, randoms)
        self.accelerator.wait_for_everyone()
        self.saved = time.monotonic()
        self.meter.saving += self.saved - started

    def due(self) -> bool:
        """True if the last checkpoint lies `checkpoint_minutes` back."""
        return time.monotonic() - self.saved >= self.options.checkpoint_minutes * 60

    def finish(self) -> None:
        """Leave the recogniser with the weights to keep: adapters merged, the mean taken; write what was measured."""
        if self.stopping is not None:
            self.stopping.apply()
        if self.adapters is not None:
            adapters.merge(self.adapters)
        if self.average is not None:
            self.average.apply(self.recogniser.model)
        if self.accelerator.is_main_process:
            write_whole(self.out / MEASURED, json.dumps(self.meter.read()))


def fit(
    arm: str,
    recogniser: Recogniser,
    utterances: Sequence[Utterance],
    batches: Sequence[Sequence[int]],
    options: Train,
    out: Path,
    logs: Path | None = None,
    held_out: Sequence[Utterance] = (),
) -> list[dict[str, float]]:
    """Fine-tune `recogniser` in place on `batches` of `utterances`; returns one line of metrics per step.

    Goes on from a checkpoint in `out`, on a CPU bit for bit as if it had never stopped (on a GPU up to the order in which
    it adds). A tracker's files go to `logs`. With `train.patience` the loss on `held_out` ends it and chooses the weights.
    Raises Interrupted on SIGINT or SIGTERM
    (a checkpoint is written first), DataError on a loss or gradient that is not finite, ResourceError out of memory.
    """
    keep_freed_memory()
    torch.set_flush_denormal(True)
    job = _start(arm, recogniser, options, out, logs or out)
    if options.patience is not None:
        job.stopping = Stopping(recogniser, held_out, options, job.state)
    done = job.state.step
    where = f" from step {done}" if done else ""
    rank, world = job.accelerator.process_index, job.accelerator.num_processes
    todo = [ranks.shard(batch, rank, world) for batch in batches[done * options.accumulate :]]
    idle = iter([len(batch) <= rank for batch in batches[done * options.accumulate :]])
    with (
        progress(arm, options.steps, done) as advance,
        stop_signals() as stop,
        repeatable(),
        spec_augment(recogniser.model, options.augment),
        tracked(job.accelerator, arm, options),
        closing(feed(recogniser, utterances, todo)) as inputs,
    ):
        log.info("train: %s, %d clips, %d steps%s, %s", arm, len(utterances), options.steps, where, precision(options))
        while job.state.step < options.steps and not (job.stopping and job.stopping.over):
            started = time.monotonic()
            with memory_errors(_smaller(options)):
                line, seconds = _step(job, inputs, idle)
            _count(job, line, seconds)
            speed = seconds / max(time.monotonic() - started, 1e-6)
            advance(1, f"loss {line['loss']:.3f}, {speed:.0f} s of audio per second")
            stopping, due = ranks.agree(job.accelerator, stop.is_set(), job.due())
            if stopping or due:
                job.save()
            if stopping:
                place = f"stopped at step {job.state.step} of {options.steps}"
                raise Interrupted(f"{arm}: {place}; the same command goes on from there")
    job.finish()
    return job.state.metrics


def _count(job: Job, line: dict[str, float], seconds: float) -> None:
    """Enter a step that is done. Its metrics hold nothing that the clock says: the same run writes the same file."""
    job.state.step += 1
    job.state.metrics.append(line)
    job.meter.audio += seconds
    if job.average is not None:
        job.average.update(job.state.step, adapters.merged_weights(job.recogniser.model))
    if job.stopping is not None and job.stopping.due():
        losses = torch.stack(list(job.stopping.losses(_autocast(job.options)))).mean()
        job.stopping.note(ranks.mean(job.accelerator, losses).item())  # the same for all processes
        _train_mode(job.model)
    job.accelerator.log(line, step=job.state.step)


def _train_mode(model: Any) -> None:
    """Training mode for all but BatchNorm: its statistics stay those of the base, in every arm.

    So arms differ in parameters alone, which is what their arithmetic assumes, and neither the padding nor the clips of a
    batch shape the statistics.
    """
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()


def _start(arm: str, recogniser: Recogniser, options: Train, out: Path, logs: Path) -> Job:
    """Model and optimiser on their device, as the base has them or as a checkpoint left them."""
    accelerator = Accelerator(
        # Autocast is ours (_autocast): accelerate allows one precision in a process, and a recipe may ask for another.
        mixed_precision="no",
        gradient_accumulation_steps=options.accumulate,
        cpu=not torch.cuda.is_available(),
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],  # layer drop skips some
        **settings(options, logs),
    )
    low_rank = adapters.add(recogniser.model, options.lora) if options.lora else None
    freeze(recogniser, options.freeze)
    if options.gradient_checkpointing:
        forget_activations(recogniser.model)
    optimizer = adamw(groups(recogniser, options.rates or {}), options)
    model, optimizer = accelerator.prepare(recogniser.model, optimizer)
    ranks.part_ways(accelerator.process_index)
    state = checkpoint.restore(out, recogniser.model, optimizer, accelerator.process_index)
    accelerator.wait_for_everyone()
    average = Average(options.average, options.steps, state.average) if options.average else None
    _train_mode(model)
    return Job(arm, recogniser, options, accelerator, model, optimizer, out, state, average, low_rank)


def _step(job: Job, inputs: Iterator[Batch], idle: Iterator[bool]) -> tuple[dict[str, float], float]:
    """One optimiser step over `accumulate` batches; returns its line of metrics and the seconds of audio in it.

    `idle` says of every batch whether this process has no part of its own in it.
    """
    options, accelerator, optimizer, model = job.options, job.accelerator, job.optimizer, job.model
    total, seconds, norm = 0.0, 0.0, torch.tensor(0.0)
    rate = rate_at(job.state.step, options)
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]
    for _ in range(options.accumulate):
        chosen, batch = next(inputs)
        with accelerator.accumulate(model):
            with _autocast(options):
                loss = model(**{name: value.to(accelerator.device) for name, value in batch.items()}).loss
            if accelerator.num_processes > 1:
                loss = loss * ranks.share(accelerator, job.recogniser.model, batch, next(idle))
            _check_finite(job, "loss", loss, chosen)
            accelerator.backward(loss)
            if accelerator.sync_gradients:
                norm = accelerator.clip_grad_norm_(model.parameters(), options.clip)
                _check_finite(job, "gradient", norm, chosen)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        total += ranks.mean(accelerator, loss.detach()).item() / options.accumulate
        seconds += sum(utterance.duration for utterance in chosen) * accelerator.num_processes
    line = {"step": job.state.step + 1, "loss": round(total, 5), "rate": rate, "grad_norm": round(norm.item(), 5)}
    return line, seconds


def precision(options: Train) -> str:
    """The type of the forward pass: bf16 where the device multiplies in it, unless the recipe says otherwise."""
    wanted = bfloat16() if options.precision == "auto" else options.precision == "bf16"
    return "bf16" if wanted else "fp32"


def _autocast(options: Train) -> torch.autocast:
    """The forward pass in `precision`; weights, gradients and optimiser stay fp32."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.autocast(device, torch.bfloat16, enabled=precision(options) == "bf16")


def _check_finite(job: Job, what: str, value: torch.Tensor, chosen: Sequence[Utterance]) -> None:
    if not torch.isfinite(value):
        ids = ", ".join(utterance.id for utterance in chosen)
        raise DataError(
            f"{job.arm}: the {what} is {value.item()} at step {job.state.step + 1} (utterances {ids}), no model was "
            f"written; look at these utterances, or try --set train.rate={job.options.rate / 3:.1g}"
        )


def _smaller(options: Train) -> str:
    half = max(1, options.clips // 2)
    return f"try --set train.batch={half} --set train.accumulate={options.accumulate * 2}"
