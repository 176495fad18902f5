"""What fits: the memory that a training step and a transcript need, counted without weights or arithmetic.

The model is built on torch's meta device, where tensors have shapes and no content; what autograd would keep for the
backward pass of one clip is counted there. An estimate: kernels need a little beside it.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from transformers import (
    Wav2Vec2ConformerConfig,
    Wav2Vec2ConformerForCTC,
    WhisperConfig,
    WhisperForConditionalGeneration,
)

from asr_analogy.asr.cost import bfloat16
from asr_analogy.asr.family import open_config
from asr_analogy.recipe import Train
from asr_analogy.speech.audio import SAMPLE_RATE

TOKENS = 64
"""Labels of a long utterance, as Whisper writes them."""

RUNTIME = 0.6e9
"""Bytes that Python and the libraries take before there is a model."""

SPARE = 0.85
"""Share of the free memory that is planned with."""

HALVED = 0.65
"""What autocast to bfloat16 leaves of the bytes kept for the backward pass (norms and the softmax stay fp32)."""

PASSING = 3
"""Tensors as large as the largest kept one that the backward pass of a layer holds for a while (measured)."""

LARGEST = 256
"""More clips at once teach no faster."""

SIZES: dict[str, dict[str, int]] = {
    "whisper-tiny": {"width": 384, "encoder": 4, "decoder": 4, "heads": 6},
    "whisper-base": {"width": 512, "encoder": 6, "decoder": 6, "heads": 8},
    "whisper-small": {"width": 768, "encoder": 12, "decoder": 12, "heads": 12},
    "whisper-medium": {"width": 1024, "encoder": 24, "decoder": 24, "heads": 16},
    "whisper-large-v3-turbo": {"width": 1280, "encoder": 32, "decoder": 4, "heads": 20, "mels": 128},
    "whisper-large-v3": {"width": 1280, "encoder": 32, "decoder": 32, "heads": 20, "mels": 128},
    "wav2vec2-conformer-large": {"width": 1024, "encoder": 24, "heads": 16},
}
"""The shapes of published bases."""


@dataclass(frozen=True)
class Need:
    """Bytes: `fixed` whatever the batch, and `clip` for every clip in it."""

    fixed: float
    clip: float

    def batch(self, free: float) -> int:
        """The largest batch (a power of two, at most LARGEST) that fits into SPARE of so many free bytes; 0 if none."""
        room = (SPARE * free - self.fixed) / max(self.clip, 1e6)
        return 0 if room < 1 else min(LARGEST, 2 ** int(math.log2(room)))

    def total(self, batch: int) -> float:
        """Bytes that a batch of so many clips needs."""
        return self.fixed + batch * self.clip


def free() -> float:
    """Bytes that this process may still take: of the GPU if there is one, else of memory, within its control group."""
    if torch.cuda.is_available():
        return float(torch.cuda.mem_get_info()[0])
    found = float(psutil.virtual_memory().available)
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        lines = (line.split() for line in (group / "memory.stat").read_text().splitlines())
        used -= sum(
            int(value) for name, value in lines if name in ("active_file", "inactive_file")
        )  # given up on demand
    except (OSError, ValueError):  # no control group, or "max"
        return found
    return min(found, float(limit - used))


def published(name: str) -> Any:
    """The config of a base in SIZES."""
    size = SIZES[name]
    if name.startswith("whisper"):
        layers: dict[str, Any] = {
            f"{part}_{key}": size[part] for part, key in (("encoder", "layers"), ("decoder", "layers"))
        }
        layers |= {f"{part}_attention_heads": size["heads"] for part in ("encoder", "decoder")}
        layers |= {f"{part}_ffn_dim": 4 * size["width"] for part in ("encoder", "decoder")}
        return WhisperConfig(d_model=size["width"], num_mel_bins=size.get("mels", 80), **layers)
    return Wav2Vec2ConformerConfig(
        vocab_size=32, hidden_size=size["width"], num_hidden_layers=size["encoder"], num_attention_heads=size["heads"],
        intermediate_size=4 * size["width"], feat_extract_norm="layer", position_embeddings_type="rotary",
    )  # fmt: skip


def training(config: Any, options: Train, seconds: float) -> Need:
    """What a step needs with clips of so many seconds (Whisper pads them to its window).

    With `gradient_checkpointing` it needs less than that.
    """
    model = _empty(config)
    total = sum(value.numel() for value in model.parameters())
    trained = _trained(model, config, options)
    half = options.precision == "bf16" or (options.precision == "auto" and bfloat16())
    kept, widest = activations(model, config, seconds)
    moments = 2 if options.optimizer == "adamw_8bit" else 8
    fixed = RUNTIME + total * (6 if half else 4) + trained * (4 + moments + 4 * (options.average is not None))
    return Need(fixed, 1.15 * kept * (HALVED if half else 1.0) + PASSING * widest)


def transcribing(config: Any, seconds: float) -> Need:
    """What a transcript needs: weights, the widest activations of one encoder layer, the decoder's keys and values."""
    total = sum(value.numel() for value in _empty(config).parameters())
    if config.model_type == "whisper":
        frames, width, wide = config.max_source_positions, config.d_model, config.encoder_ffn_dim
        keys = 2 * config.decoder_layers * (frames + config.max_target_positions) * width
        return Need(
            RUNTIME + 4 * total, 4 * (keys + 2 * frames * config.num_mel_bins + frames * (4 * width + 2 * wide))
        )
    waves = seconds * SAMPLE_RATE / config.conv_stride[0] * config.conv_dim[0]
    frames = seconds * SAMPLE_RATE / math.prod(config.conv_stride)
    layer = (
        frames * (4 * config.hidden_size + 2 * config.intermediate_size) + 2 * config.num_attention_heads * frames**2
    )
    return Need(RUNTIME + 4 * total, 4 * max(3 * waves, layer))


def count(config: Any) -> int:
    """Number of weights of a model of this config."""
    return sum(value.numel() for value in _empty(config).parameters())


def for_base(folder: Path, options: Train, seconds: float) -> Need:
    """What a training step of the base in `folder` needs."""
    return training(open_config(folder), options, seconds)


def _empty(config: Any) -> Any:
    """A model without content, in training mode, deaf to what draws random numbers."""
    kind: Any = WhisperForConditionalGeneration if config.model_type == "whisper" else Wav2Vec2ConformerForCTC
    config = type(config)(**{**config.to_dict(), "apply_spec_augment": False, "layerdrop": 0.0})
    config._attn_implementation = "sdpa" if torch.cuda.is_available() else "eager"
    with torch.device("meta"):
        return kind(config).train()


def _trained(model: Any, config: Any, options: Train) -> int:
    """Weights that train, about: adapters have rank * (in + out) of them for every linear layer."""
    if options.lora is not None:
        linear = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
        return sum(options.lora.rank * (layer.in_features + layer.out_features) for layer in linear)
    return sum(value.numel() for value in model.parameters())


def activations(model: Any, config: Any, seconds: float) -> tuple[float, float]:
    """Bytes that autograd keeps of the forward pass of one clip, in fp32, and those of the largest tensor among them."""
    own = {value.data_ptr() if value.device.type != "meta" else id(value) for value in model.parameters()}
    shapes = {tuple(value.shape) for value in model.parameters() if value.ndim > 1}
    kept: dict[int, int] = {}
    alive = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        turned = tuple(reversed(tensor.shape))
        if id(tensor) not in own and tuple(tensor.shape) not in shapes and turned not in shapes:
            storage = tensor.untyped_storage()
            alive.append(storage)
            kept[storage._cdata] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        if config.model_type == "whisper":
            features = torch.empty(1, config.num_mel_bins, 2 * config.max_source_positions, device="meta")
            tokens = torch.zeros(1, min(TOKENS, config.max_target_positions), dtype=torch.long, device="meta")
            output = model(input_features=features, labels=tokens)
        else:
            output = model(torch.empty(1, max(1, int(seconds * SAMPLE_RATE)), device="meta"))
    del output
    return float(sum(kept.values())), float(max(kept.values()))
