"""The names that `from asr_analogy import ...` promises."""

import importlib

import pytest

import asr_analogy


@pytest.mark.parametrize("name", asr_analogy.__all__)
def test_every_public_name_resolves_and_is_documented(name: str) -> None:
    assert getattr(asr_analogy, name).__doc__


def test_homes_and_all_agree() -> None:
    assert sorted(asr_analogy._HOMES) == asr_analogy.__all__
    for name, home in asr_analogy._HOMES.items():
        assert hasattr(importlib.import_module(f"asr_analogy.{home}"), name)


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        asr_analogy.nothing  # noqa: B018
