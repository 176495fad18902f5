"""What the quickstart costs: seconds of the first and the second run, and the peak memory of all its processes.

    python benchmarks/quickstart.py recipes/quickstart.yaml recipes/quickstart-ctc.yaml

Memory is the proportional set size of the whole process tree, sampled five times a second. Also times `--help`.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

COMMAND = [sys.executable, "-m", "asr_analogy.cli"]


def timed(arguments: list[str]) -> tuple[float, float, str]:
    """(seconds, peak MiB, stdout) of one call of the command line."""
    started, peak = time.perf_counter(), 0
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, text=True, env=environment)
    root = psutil.Process(process.pid)
    while process.poll() is None:
        total = 0
        try:
            for one in [root, *root.children(recursive=True)]:
                total += one.memory_full_info().pss
        except psutil.Error:
            continue
        peak = max(peak, total)
        time.sleep(0.2)
    assert process.stdout
    if process.returncode:
        raise SystemExit(f"{arguments}: exit {process.returncode}")
    return time.perf_counter() - started, peak / 2**20, process.stdout.read()


def main() -> None:
    seconds = min(timed(["--help"])[0] for _ in range(5))
    print(
        json.dumps(
            {
                "help_seconds": round(seconds, 2),
                "machine": platform.processor() or platform.machine(),
                "cores": os.cpu_count(),
            }
        )
    )
    for recipe in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as place:
            arguments = ["run", recipe, "--workspace", str(Path(place) / "run"), "--json"]
            first, peak, output = timed(arguments)
            second, _, _ = timed(arguments)
            found = json.loads(output)
            row = {
                "recipe": recipe,
                "first_seconds": round(first, 1),
                "second_seconds": round(second, 1),
                "peak_mib": round(peak),
            }
            wer = {name: system["wer"] for name, system in found["tests"]["domain-test"]["systems"].items()}
            merged = found["tests"]["domain-test"]["systems"]["merged"]
            row |= {
                "domain_wer": wer,
                "difference": merged["difference_to_c"],
                "interval": merged["difference_interval"],
            }
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
