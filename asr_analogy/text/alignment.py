"""Which word of a hypothesis stands for which word of its reference."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Literal, cast

import jiwer

Kind = Literal["equal", "substitute", "delete", "insert"]
Step = tuple[Kind, int, int]
"""What happened, the place in the reference and the place in the hypothesis; an insertion stands before its place."""


def align(reference: Sequence[str], hypothesis: Sequence[str]) -> Iterator[Step]:
    """The steps of one shortest edit from reference to hypothesis, in order, as `scoring` counts them."""
    if not reference or not hypothesis:
        for place in range(len(reference)):
            yield "delete", place, 0
        for place in range(len(hypothesis)):
            yield "insert", len(reference), place
        return
    for chunk in _chunks(" ".join(reference), " ".join(hypothesis)):
        kind = cast(Kind, chunk.type)
        length = max(chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)
        along, across = kind != "insert", kind != "delete"
        for step in range(length):
            yield kind, chunk.ref_start_idx + step * along, chunk.hyp_start_idx + step * across


@lru_cache(1 << 15)
def _chunks(reference: str, hypothesis: str) -> Any:
    """jiwer's stretches of like steps. One pair is asked for by several measures in turn, hence the cache."""
    return jiwer.process_words(reference, hypothesis).alignments[0]
