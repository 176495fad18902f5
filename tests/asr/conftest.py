"""One tiny model of each family for all tests that only read it."""

from pathlib import Path

import models
import pytest


@pytest.fixture(scope="session")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.whisper(tmp_path_factory.mktemp("base") / "whisper")


@pytest.fixture(scope="session")
def conformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.conformer(tmp_path_factory.mktemp("base") / "conformer")
