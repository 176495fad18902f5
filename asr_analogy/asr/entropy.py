"""How certain a recogniser is of its own output: the entropy of what it expects, token by token or frame by frame."""

from collections.abc import Sequence

import numpy as np
import torch

from asr_analogy.asr.batching import IGNORED
from asr_analogy.asr.family import Recogniser
from asr_analogy.speech.audio import SAMPLE_RATE


def entropy(recogniser: Recogniser, clips: Sequence[np.ndarray], texts: Sequence[str]) -> tuple[float, int]:
    """(sum of entropies in nats, their number) for clips (float32 mono at 16 kHz) and the greedy transcripts of them.

    Of a model with a decoder: of every token of the transcript and its end, given those before (Wang et al. 2021,
    arXiv 2006.10726, equation 1, on tokens). Of CTC: of every frame of the clip. A clip longer than the window, or whose
    transcript fills the decoder, is not counted.
    """
    if recogniser.positions is None:
        return _frames(recogniser, clips)
    prompt = len(recogniser.label("")) - 1
    labels = [recogniser.label(text) for text in texts]
    fits = [
        number
        for number, clip in enumerate(clips)
        if len(clip) <= (recogniser.window or 0) * SAMPLE_RATE and len(labels[number]) <= recogniser.positions
    ]
    if not fits:
        return 0.0, 0
    with torch.inference_mode():
        inputs = recogniser.batch([clips[number] for number in fits], [labels[number] for number in fits])
        inputs = {name: value.to(recogniser.model.device) for name, value in inputs.items()}
        found = _entropies(recogniser.model(**inputs).logits)
        counted = inputs["labels"] != IGNORED
        counted[:, :prompt] = False
    return float(found[counted].sum()), int(counted.sum())


def _frames(recogniser: Recogniser, clips: Sequence[np.ndarray]) -> tuple[float, int]:
    if len(clips) > 1 and not recogniser.processor.feature_extractor.return_attention_mask:
        parts = [_frames(recogniser, [clip]) for clip in clips]  # without a mask the model hears the padding
        return sum(part for part, _ in parts), sum(count for _, count in parts)
    with torch.inference_mode():
        inputs = recogniser.batch(clips, [[0]] * len(clips))
        inputs = {name: value.to(recogniser.model.device) for name, value in inputs.items() if name != "labels"}
        found = _entropies(recogniser.model(**inputs).logits)
        counted = torch.ones_like(found, dtype=torch.bool)
        if "attention_mask" in inputs:
            frames = recogniser.model._get_feat_extract_output_lengths(inputs["attention_mask"].sum(dim=1))
            counted = torch.arange(found.shape[1], device=found.device) < frames[:, None]
    return float(found[counted].sum()), int(counted.sum())


def _entropies(logits: torch.Tensor) -> torch.Tensor:
    """-sum p log p over the last axis, in fp32."""
    logs = logits.float().log_softmax(dim=-1)
    return -(logs.exp() * logs).sum(dim=-1)
