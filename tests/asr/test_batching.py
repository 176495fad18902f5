import numpy as np
import pytest
import torch

from asr_analogy.asr.batching import POOL, padded, plan
from asr_analogy.errors import DataError


def test_an_epoch_visits_each_utterance_at_most_once() -> None:
    durations = np.random.default_rng(0).uniform(1, 9, 103).tolist()
    batches = plan(durations, 4, 50, seed=3)
    assert all(len(batch) == 4 for batch in batches)
    for epoch in (batches[:25], batches[25:]):  # 103 // 4 batches each
        seen = [index for batch in epoch for index in batch]
        assert len(seen) == len(set(seen)) == 100
    assert {index for batch in plan(durations, 4, 250, seed=3) for index in batch} == set(range(103))


def test_the_order_depends_on_the_seed_alone() -> None:
    durations = list(np.linspace(1, 2, 30))
    assert plan(durations, 4, 20, seed=1) == plan(durations, 4, 20, seed=1)
    assert plan(durations, 4, 20, seed=1) != plan(durations, 4, 20, seed=2)
    assert plan(durations, 4, 20, seed=1) == plan(durations, 4, 90, seed=1)[:20]


def test_batches_hold_like_lengths() -> None:
    durations = np.random.default_rng(1).uniform(0, 10, 8 * POOL)
    spread = [np.ptp(durations[batch]) for batch in plan(durations.tolist(), 8, POOL, seed=0)]
    assert np.mean(spread) < 0.5  # of 10; at random it would be about 8
    firsts = [durations[batch[0]] for batch in plan(durations.tolist(), 8, POOL, seed=0)]
    assert firsts != sorted(firsts)


def test_few_utterances_make_one_batch_each_time() -> None:
    assert [sorted(batch) for batch in plan([1.0, 2.0], 8, 3, seed=0)] == [[0, 1]] * 3


def test_no_utterance_is_an_error() -> None:
    with pytest.raises(DataError, match=r"empty.*dropped\.jsonl"):
        plan([], 8, 3, seed=0)


def test_labels_are_padded_with_what_no_loss_counts() -> None:
    assert torch.equal(padded([[1, 2], [3]]), torch.tensor([[1, 2], [3, -100]]))
