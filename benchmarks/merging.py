"""Merging against mergekit-pytorch and against a loop that only reads three files and writes one, on the same files.

    python benchmarks/merging.py [--mergekit PATH/bin/python] [--size tiny|medium|large-v3] [--repeat 3] [--folder PLACE]

Random fp16 weights of Whisper's real shapes are written into a temporary folder (tiny 0.2 GB, medium 4.6 GB, large-v3
9.3 GB for three models; as much again for what is merged). Every way runs in a process of its own, `--repeat` times, in
turn; the fastest run counts. Seconds are those of the merge, imports excluded; ours and the loop wait for the disk, mergekit
does not. Memory is the peak of the process above that of an interpreter which has imported torch. TIES and DARE-TIES merge
two models on the third as their base, at density 0.5. With --mergekit (the interpreter of an environment that has it) its
results on small fp32 models are compared with ours first. One JSON line per result.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

SIZES = {
    "small-shapes": {"d_model": 32, "layers": 2, "heads": 2, "vocab_size": 200, "num_mel_bins": 8},
    "tiny": {"d_model": 384, "layers": 4, "heads": 6, "vocab_size": 51865, "num_mel_bins": 80},
    "medium": {"d_model": 1024, "layers": 24, "heads": 16, "vocab_size": 51865, "num_mel_bins": 80},
    "large-v3": {"d_model": 1280, "layers": 32, "heads": 20, "vocab_size": 51866, "num_mel_bins": 128},
}
NAMES = ("c", "b", "a")
SCALE, DENSITY = 0.3, 0.5
OURS = ("analogy", "ties", "dare-ties")
EQUAL = {
    "task_arithmetic": "analogy",
    "linear": "average",
    "ties": "ties",
    "dare_linear": "dare",
    "dare_ties": "dare-ties",
}
"""mergekit's methods and our rules; those by chance are compared at density 1."""
BEGIN = "import sys, time, torch; from mergekit.scripts.merge_raw_pytorch import main; start = time.perf_counter(); "
THEIRS = BEGIN + "main(sys.argv[1:], standalone_mode=False); seconds = time.perf_counter() - start; "
PEAK = "print(seconds, next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
"""Ends every process: its seconds, and its peak memory in kB (Linux), which a fork does not inherit as ru_maxrss does."""
PIECE = 8 << 20


def make(place: Path, size: str, dtype: str) -> list[Path]:
    """Three models, tensor by tensor: random weights, and twice the same with a little noise."""
    import torch
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    from asr_analogy.vectors.shards import write_shard

    sizes = dict(SIZES[size])
    width, layers, heads = (sizes.pop(key) for key in ("d_model", "layers", "heads"))
    both = {f"{side}_{key}": value for side in ("encoder", "decoder") for key, value in
            {"layers": layers, "attention_heads": heads, "ffn_dim": 4 * width}.items()}  # fmt: skip
    special = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"), 0)
    config = WhisperConfig(d_model=width, **both, **sizes, **special, suppress_tokens=[], begin_suppress_tokens=[])
    with torch.device("meta"):
        state = WhisperForConditionalGeneration(config).state_dict()
    kind = getattr(torch, dtype)
    specs = [(name, kind, tuple(tensor.shape)) for name, tensor in state.items() if name != "proj_out.weight"]

    def values(model: int) -> Iterator[torch.Tensor]:
        for number, (_, _, shape) in enumerate(specs):
            generators = (torch.Generator().manual_seed(10 * number + seed) for seed in (0, 1 + model))
            shared, own = (torch.randn(shape, generator=each) for each in generators)
            yield shared.mul_(0.02).add_(own, alpha=0.001).to(kind)

    folders = []
    for model, name in enumerate(NAMES):
        folder = place / name
        folder.mkdir(parents=True)
        write_shard(folder / "model.safetensors", specs, values(model))
        config.save_pretrained(folder)
        folders.append(folder)
    return folders


def ours(rule: str, place: Path, density: float, out: Path) -> float:
    """Seconds of one merge of ours, in the process of its own: the analogy on three models, other rules on two and their base."""
    from asr_analogy.vectors.plan import Rule
    from asr_analogy.vectors.stream import Vector, combine

    c, b, a = (place / name for name in NAMES)
    vectors = [Vector(b, a, SCALE)] if rule == "analogy" else [Vector(b, c), Vector(a, c, SCALE)]
    out.mkdir()
    start = time.perf_counter()
    combine(c, vectors, out, Rule(rule, density))
    return time.perf_counter() - start


def loop(place: Path, out: Path) -> float:
    """Seconds to read three files and write one of the same size, piece by piece, then wait for the disk."""
    import torch  # noqa: F401

    out.mkdir()
    buffers = [bytearray(PIECE) for _ in NAMES]
    start = time.perf_counter()
    files = [(place / name / "model.safetensors").open("rb", buffering=0) for name in NAMES]
    with (out / "model.safetensors").open("wb", buffering=0) as written:
        while count := [file.readinto(buffer) for file, buffer in zip(files, buffers, strict=True)][0]:
            written.write(memoryview(buffers[0])[:count])
        os.fsync(written.fileno())
    return time.perf_counter() - start


def theirs(python: str, method: str, place: Path, density: float, out: Path) -> list[str]:
    """The command of one merge of mergekit's, with its configuration beside the output."""
    c, b, a = (str(place / name / "model.safetensors") for name in NAMES)
    weights = {b: SCALE, a: -SCALE} if method == "task_arithmetic" else {b: 1.0, a: SCALE}
    options = {} if method in ("task_arithmetic", "linear") else {"density": density}
    models = [{"model": path, "parameters": {"weight": weight, **options}} for path, weight in weights.items()]
    common = {"normalize": method == "linear"}
    config = {"merge_method": method, "models": models, "parameters": common}
    config |= {} if method == "linear" else {"base_model": c}
    file = out.with_suffix(".yaml")
    file.write_text(json.dumps(config))
    return [python, "-c", THEIRS + PEAK, str(file), str(out)]


def peak() -> int:
    """Peak memory of this process in kB."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0])


def run(command: Sequence[str]) -> tuple[float, float]:
    """(seconds, peak megabytes) that the command prints last."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:3])} failed:\n{done.stderr[-3000:]}")
    seconds, peak = done.stdout.split()[-2:]
    return float(seconds), int(peak) / 1024


def commands(python: str, place: Path, out: Path) -> dict[str, list[str]]:
    child = [sys.executable, __file__, "--folder", str(place), "--out", str(out), "--child"]
    found = {"read-write-loop": [*child, "loop"]} | {f"ours {rule}": [*child, rule] for rule in OURS}
    if python:
        methods = {"analogy": "task_arithmetic", "ties": "ties", "dare-ties": "dare_ties"}
        found |= {f"mergekit {rule}": theirs(python, method, place, DENSITY, out) for rule, method in methods.items()}
    return found


def clean(out: Path) -> None:
    for file in [*out.glob("*"), *out.glob(".*.partial")]:
        file.unlink()
    if out.exists():
        out.rmdir()


def compare(python: str, place: Path) -> None:
    """Largest difference between mergekit's results and ours, on small fp32 models."""
    import torch
    from safetensors.torch import load_file

    make(place, "small-shapes", "float32")
    for method, rule in EQUAL.items():
        density = 1.0 if "dare" in method else DENSITY
        results = []
        for name in ("ours", "theirs"):
            out = place / f"{method}-{name}"
            mine = [sys.executable, __file__, "--folder", str(place), "--out", str(out), "--density", str(density)]
            run([*mine, "--child", rule] if name == "ours" else theirs(python, method, place, density, out))
            results.append({k: t for f in sorted(out.glob("*.safetensors")) for k, t in load_file(f).items()})
        one, other = results
        assert one.keys() == other.keys()
        errors = [(one[name] - other[name]).abs().max().item() for name in one]
        largest = max(tensor.abs().max().item() for tensor in one.values())
        eps = torch.finfo(torch.float32).eps * largest
        print(json.dumps({"equal": rule, "mergekit": method, "largest_difference": max(errors), "fp32_eps": eps}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mergekit", default="", help="python of an environment with mergekit")
    parser.add_argument("--size", choices=SIZES, default="medium")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to put the models; a temporary folder if not given")
    parser.add_argument("--density", type=float, default=DENSITY, help=argparse.SUPPRESS)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        way = loop if given.child == "loop" else partial(ours, given.child, density=given.density)
        print(way(place=given.folder, out=given.out), peak())
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as temporary:
        place = Path(temporary)
        if given.mergekit:
            compare(given.mergekit, place / "small")
        measure(given.mergekit, place / "models", given.size, given.repeat)


def measure(python: str, place: Path, size: str, repeat: int) -> None:
    make(place, size, "float16")
    floor = run([sys.executable, "-c", "import torch; seconds = 0; " + PEAK])[1]
    runs: dict[str, list[tuple[float, float]]] = {}
    for _ in range(repeat):
        for way, command in commands(python, place, place / "out").items():
            runs.setdefault(way, []).append(run(command))
            clean(place / "out")
    best = {way: min(seconds for seconds, _ in found) for way, found in runs.items()}
    for way, found in runs.items():
        row = {"model": size, "way": way, "seconds": round(best[way], 3), "all": [round(each[0], 3) for each in found]}
        row |= {"mb_above_torch": round(max(peak for _, peak in found) - floor, 1)}
        row |= {"times_loop": round(best[way] / best["read-write-loop"], 2)}
        rule = way.removeprefix("ours ")
        if way != rule and python:
            row |= {"times_faster_than_mergekit": round(best[f"mergekit {rule}"] / best[way], 2)}
        print(json.dumps(row))


if __name__ == "__main__":
    main()
