"""Prefix beam search: the likeliest text of a CTC model, summed over all the ways in which frames can spell it.

Source: Hannun et al., "First-Pass Large Vocabulary Continuous Speech Recognition using Bi-Directional Recurrent DNNs"
(2014), algorithm 1, without a language model; Graves and Jaitly (2014), section 4.
"""

from dataclasses import dataclass, field

import numpy as np


@dataclass
class _Tree:
    """All prefixes ever held, each a parent and a last letter; the empty one is number 0."""

    parents: list[int] = field(default_factory=lambda: [-1])
    letters: list[int] = field(default_factory=lambda: [-1])
    children: dict[tuple[int, int], int] = field(default_factory=dict)

    def child(self, parent: int, letter: int) -> int:
        number = self.children.setdefault((parent, letter), len(self.parents))
        if number == len(self.parents):
            self.parents.append(parent)
            self.letters.append(letter)
        return number

    def spelled(self, prefix: int) -> list[int]:
        found = []
        while prefix > 0:
            found.append(self.letters[prefix])
            prefix = self.parents[prefix]
        return found[::-1]


def prefix_search(scores: np.ndarray, blank: int, beams: int) -> list[int]:
    """The likeliest letters under log probabilities (frames, vocabulary), among `beams` prefixes kept at every frame."""
    tree, held = _Tree(), np.zeros(1, dtype=np.int64)
    in_blank, in_letter = np.zeros(1), np.full(1, -np.inf)  # log probability of a prefix that ends in a blank, or not
    for frame in scores.astype(np.float64):
        last, parents = (np.array([table[prefix] for prefix in held]) for table in (tree.letters, tree.parents))
        rows, both = np.arange(len(held)), np.logaddexp(in_blank, in_letter)
        longer = both[:, None] + frame  # a letter more
        spoken = last >= 0
        longer[rows[spoken], last[spoken]] = in_blank[spoken] + frame[last[spoken]]  # twice needs a blank between
        longer[:, blank] = -np.inf
        stays = np.where(spoken, in_letter + frame[last], -np.inf)
        here, there = np.nonzero(parents[:, None] == held)  # prefix `here` is `there` with a letter more
        stays[here] = np.logaddexp(stays[here], longer[there, last[here]])
        longer[there, last[here]] = -np.inf
        blanks = both + frame[blank]
        total = np.concatenate([np.logaddexp(blanks, stays), longer.ravel()])
        best = np.argsort(-total, kind="stable")[:beams]
        best = best[np.isfinite(total[best])]
        old, new = best[best < len(held)], best[best >= len(held)] - len(held)
        where, letters = np.divmod(new, scores.shape[1])
        added = [tree.child(int(held[row]), int(letter)) for row, letter in zip(where, letters, strict=True)]
        in_blank = np.concatenate([blanks[old], np.full(len(new), -np.inf)])
        in_letter = np.concatenate([stays[old], longer[where, letters]])
        held = np.concatenate([held[old], np.array(added, dtype=np.int64)])
    return tree.spelled(int(held[np.logaddexp(in_blank, in_letter).argmax()]))
