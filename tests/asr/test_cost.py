import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from asr_analogy.asr.cost import memory_errors, seconds, speed
from asr_analogy.asr.hub import parameters
from asr_analogy.errors import DataError, ResourceError


def stored(folder: Path) -> int:
    with safe_open(folder / "model.safetensors", "pt") as file:
        return sum(file.get_tensor(name).numel() for name in file.keys())  # noqa: SIM118


def test_parameters_are_read_from_the_header_alone(whisper: Path, tmp_path: Path) -> None:
    data = (whisper / "model.safetensors").read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    (tmp_path / "model.safetensors").write_bytes(data[:end])  # not one weight in it
    (tmp_path / "model.fp32.safetensors").write_bytes(data)  # another variant, as hubs keep them
    assert parameters(tmp_path) == stored(whisper)


def test_parameters_of_shards_and_of_a_pickle(whisper: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.safetensors").write_bytes((whisper / "model.safetensors").read_bytes())
    index = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors", "c": "two.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert parameters(tmp_path) == 2 * stored(whisper)
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "pytorch_model.bin").write_bytes(bytes(4000))
    assert parameters(pickled) == 1000


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 64, b"\x02" + bytes(7) + b"[]"])
def test_a_damaged_header_is_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(DataError, match=r"model\.safetensors: damaged"):
        parameters(tmp_path)


def test_seconds_grow_with_the_work(whisper: Path) -> None:
    assert speed() > 1e8
    once = seconds(whisper, 2.0, 100, 3)
    assert 0 < once < 60
    assert seconds(whisper, 2.0, 200, 3) == pytest.approx(2 * once)
    assert seconds(whisper, None, 100, 3) == pytest.approx(2 * once)  # a typical clip is 4 s


def test_memory_errors_say_what_to_lower() -> None:
    with pytest.raises(ResourceError, match="out of memory; try less"), memory_errors("try less"):
        torch.empty(2**60)
    with pytest.raises(RuntimeError, match="size"), memory_errors("try less"):
        torch.ones(2) + torch.ones(3)
