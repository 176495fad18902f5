"""One tiny model of each neural backend for all tests that only read it."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def bark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import tiny_voices

    return tiny_voices.bark(tmp_path_factory.mktemp("voice") / "bark")


@pytest.fixture(scope="session")
def speecht5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import tiny_voices

    return tiny_voices.speecht5(tmp_path_factory.mktemp("voice") / "speecht5")


@pytest.fixture(scope="session")
def hifigan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import tiny_voices

    return tiny_voices.hifigan(tmp_path_factory.mktemp("voice") / "hifigan")


@pytest.fixture(scope="session")
def vits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import tiny_voices

    return tiny_voices.vits(tmp_path_factory.mktemp("voice") / "vits")
