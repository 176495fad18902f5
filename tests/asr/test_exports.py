"""What others load: our folders must be Whisper folders to them too."""

from pathlib import Path

import models
import numpy as np
import pytest

from asr_analogy.asr.family import ready
from asr_analogy.asr.folder import save
from asr_analogy.asr.hub import find
from asr_analogy.recipe import shipped


@pytest.fixture(scope="module")
def micro(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped micro Whisper as an arm would leave it."""
    base = find(str(shipped("data/foundations/whisper-micro")))
    folder = tmp_path_factory.mktemp("micro") / "folder"
    save(ready(base, "en"), folder, base)
    return folder


@pytest.fixture(scope="module")
def converted(micro: Path) -> Path:
    """The folder as CTranslate2 converts it."""
    ctranslate2 = pytest.importorskip("ctranslate2", reason="ctranslate2 is not installed")
    out = micro.parent / "converted"
    files = ["tokenizer.json", "preprocessor_config.json"]
    ctranslate2.converters.TransformersConverter(str(micro), copy_files=files).convert(str(out))
    return out


def sound() -> np.ndarray:
    return models.clip("a bead and a face", seconds=3.0)


def test_ctranslate2_writes_what_the_folder_writes(micro: Path, converted: Path) -> None:
    ctranslate2 = pytest.importorskip("ctranslate2", reason="ctranslate2 is not installed")
    recogniser = ready(micro, "en")
    features = recogniser._features([sound()]).numpy()  # type: ignore[attr-defined]
    model = ctranslate2.models.Whisper(str(converted), device="cpu", compute_type="float32")
    start = recogniser.model.generation_config.decoder_start_token_id
    prompt = [start, *recogniser.prompt]  # type: ignore[attr-defined]
    view = ctranslate2.StorageView.from_array(np.ascontiguousarray(features))
    found = model.generate(
        view, [prompt], beam_size=1, max_length=len(prompt) + 40, suppress_blank=False, suppress_tokens=[]
    )
    text = recogniser.processor.decode(found[0].sequences_ids[0], skip_special_tokens=True).strip()
    (expected,) = recogniser.transcribe([sound()])
    assert expected and text[: len(expected)] == expected


def test_faster_whisper_loads_it(converted: Path) -> None:
    """Its transcribe() knows windows of 30 s only, so that the micro model's 10 s go in by hand."""
    faster_whisper = pytest.importorskip("faster_whisper", reason="faster-whisper is not installed")
    model = faster_whisper.WhisperModel(str(converted), device="cpu", compute_type="float32", cpu_threads=1)
    assert model.feature_extractor.nb_max_frames == 1000
    features = np.zeros((80, 1000), dtype=np.float32)
    features[:, :300] = model.feature_extractor(sound())[:, :300]
    assert np.asarray(model.encode(features)).shape == (1, 500, 208)
    assert model.hf_tokenizer.encode("ab", add_special_tokens=False).ids
