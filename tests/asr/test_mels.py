"""Our log-mels against those of transformers' extractor."""

import numpy as np
import pytest
from transformers import WhisperFeatureExtractor

from asr_analogy.asr.mels import log_mels


@pytest.mark.parametrize("mels", [80, 128])
@pytest.mark.parametrize("window", [2, 30])
def test_log_mels_are_those_of_the_extractor(mels: int, window: int) -> None:
    extractor = WhisperFeatureExtractor(feature_size=mels, chunk_length=window)
    random = np.random.default_rng(0)
    lengths = [1_601, 16_000, window * 16_000 - 399, window * 16_000 - 1, window * 16_000, window * 16_000 + 77]
    clips = [(random.standard_normal(length) * 0.1).astype(np.float32) for length in lengths]
    clips.append(np.pad(clips[0], (4_000, 100)))  # silence inside
    clips.append(clips[1] * np.float32(1e-3))  # so faint that the floor lies below that of silence
    expected = extractor(clips, sampling_rate=16_000, return_tensors="pt").input_features
    found = log_mels(clips, extractor)
    assert found.shape == expected.shape == (len(clips), mels, window * 100)
    assert (found - expected).abs().max() < 1e-5


def test_an_extractor_with_dither_keeps_its_own_noise() -> None:
    extractor = WhisperFeatureExtractor(chunk_length=2, dither=0.1)
    silence = np.zeros(16_000, dtype=np.float32)
    assert log_mels([silence], extractor).std() > 0.01
