import pytest
import torch


@pytest.fixture(autouse=True)
def exact() -> None:
    """Tests of training in the same process take the smallest numbers as zero."""
    torch.set_flush_denormal(False)
