"""A tally counts as a dictionary does, in less memory."""

import random
import tracemalloc

from asr_analogy.text.tally import Tally


def test_counts() -> None:
    generator, tally, counts = random.Random(1), Tally(), dict[int, int]()
    marks = [generator.getrandbits(64) for _ in range(3_000)] + [0, 1, 1 << 10, 2 << 10, (1 << 64) - 1]
    for _ in range(9_000):
        mark = generator.choice(marks)
        assert (mark in tally) is (mark in counts)
        assert tally.add(mark) == counts.get(mark, 0)
        counts[mark] = counts.get(mark, 0) + 1
    assert tally.taken == len(counts)


def test_a_full_count_stays() -> None:
    tally = Tally()
    assert [tally.add(7) for _ in range(70_000)][-1] == 0xFFFF


def test_memory() -> None:
    generator, tally = random.Random(2), Tally()
    tracemalloc.start()
    for _ in range(40_000):
        tally.add(generator.getrandbits(64))
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < 30 * 40_000
