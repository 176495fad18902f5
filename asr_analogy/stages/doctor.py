"""doctor: what this machine is, what is installed, and which published bases fit on it. Nothing is downloaded or loaded."""

import importlib.metadata
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from asr_analogy.recipe import Lora, Train
from asr_analogy.workspace import machine, versions

HEADINGS = ("base", "parameters", "train, batch up to", "with train.lora", "transcribe, batch up to")
SECONDS = 10.0
"""Clips that the table counts with, for bases without a window."""


def doctor() -> dict[str, Any]:
    """{"machine": ..., "extras": [...], "fits": [...]}: plain values; memory and disk in GB, batches in clips."""
    return {"machine": _machine(), "versions": versions(), "extras": extras(), "fits": _fits()}


def _machine() -> dict[str, Any]:
    import psutil
    import torch

    from asr_analogy.asr.cost import bfloat16
    from asr_analogy.asr.memory import free

    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "machine": machine(),
        "usable_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "gpus": gpus,
        "free_for_training_gb": round(free() / 1e9, 1),
        "precision": "bf16" if bfloat16() else "fp32",
        "disk_free_gb": round(shutil.disk_usage(Path.cwd()).free / 1e9, 1),
        "hub_offline": os.environ.get("HF_HUB_OFFLINE", "0").upper() in ("1", "TRUE", "YES", "ON"),
    }


def extras() -> list[dict[str, Any]]:
    """Every extra of the package: whether all of it is installed, what is missing, and the line that installs it."""
    try:
        needed = [Requirement(line) for line in importlib.metadata.requires("asr-analogy") or []]
        names = importlib.metadata.metadata("asr-analogy").get_all("Provides-Extra") or []
    except importlib.metadata.PackageNotFoundError:  # run from a checkout that was never installed
        return []
    found = []
    for extra in names:
        wanted = [need.name for need in needed if need.marker and need.marker.evaluate({"extra": extra})]
        missing = [name for name in wanted if name != "asr-analogy" and not _installed(name)]
        line = {"extra": extra, "installed": not missing, "missing": missing}
        found.append({**line, "pip": f"pip install 'asr-analogy[{extra}]'"})
    return found


def _installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _fits() -> list[dict[str, Any]]:
    from asr_analogy.asr.memory import SIZES, count, free, published, training, transcribing

    space, found = free(), []
    for name in SIZES:
        config = published(name)
        need = {
            "train": training(config, Train(), SECONDS),
            "train_lora": training(config, Train(lora=Lora()), SECONDS),
            "transcribe": transcribing(config, SECONDS),
        }
        batches = {key: value.batch(space) for key, value in need.items()}
        gigabytes = {f"{key}_one_clip_gb": round((value.fixed + value.clip) / 1e9, 2) for key, value in need.items()}
        found.append({"base": name, "parameters": count(config), **batches, **gigabytes})
    return found


def facts(found: Mapping[str, Any]) -> list[str]:
    """The machine and the extras, a line each."""
    own = found["machine"]
    device = ", ".join(own["gpus"]) or "no GPU"
    lines = [
        f"{own['machine']} ({own['usable_cores']} usable), {own['memory_gb']:g} GB of memory, {device}",
        f"free for training {own['free_for_training_gb']:g} GB, precision {own['precision']}, "
        f"disk {own['disk_free_gb']:g} GB free here, hub {'offline (HF_HUB_OFFLINE)' if own['hub_offline'] else 'online'}",
    ]
    for extra in found["extras"]:
        note = "installed" if extra["installed"] else f"lacks {', '.join(extra['missing'])}: {extra['pip']}"
        lines.append(f"extra {extra['extra']}: {note}")
    return lines


def title() -> str:
    """The caption of the table."""
    return f"What fits here (estimate; recipe defaults, clips of {SECONDS:g} s or the base's window)"


def rows(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Table cells, a tuple per base in the order of HEADINGS."""
    lines = []
    for row in found["fits"]:
        batches = [_batch(row, key) for key in ("train", "train_lora", "transcribe")]
        lines.append((row["base"], f"{row['parameters'] / 1e6:.0f} M", *batches))
    return lines


def _batch(row: Mapping[str, Any], key: str) -> str:
    return str(row[key]) if row[key] else f"needs {row[f'{key}_one_clip_gb']:.1f} GB"
