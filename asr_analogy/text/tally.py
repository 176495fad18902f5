"""A tally of very many marks, in little memory."""

from array import array

FULL = 0.7
"""Share of the slots that may be taken before there are twice as many."""


class Tally:
    """How often each 64-bit mark came, in 10 bytes a slot and some 20 for every different mark.

    A set of Python numbers needs five times as much. Open addressing: the marks must be hashes already.
    """

    def __init__(self) -> None:
        self.marks, self.counts = _slots(1 << 10)
        self.taken = 0

    def add(self, mark: int) -> int:
        """Count a mark (0 to 2**64 - 1); how often it came before, up to 65,535."""
        place = self._place(mark)
        before = self.counts[place]
        self.marks[place], self.counts[place] = mark, min(before + 1, 0xFFFF)
        if not before:
            self.taken += 1
            if self.taken > FULL * len(self.marks):
                self._grow()
        return before

    def __contains__(self, mark: int) -> bool:
        return self.counts[self._place(mark)] > 0

    def _place(self, mark: int) -> int:
        """The slot of a mark, or the free one where it belongs."""
        last = len(self.marks) - 1
        place = mark & last
        while self.counts[place] and self.marks[place] != mark:
            place = (place + 1) & last
        return place

    def _grow(self) -> None:
        old = zip(self.marks, self.counts, strict=True)
        self.marks, self.counts = _slots(2 * len(self.marks))
        for mark, count in old:
            if count:
                place = self._place(mark)
                self.marks[place], self.counts[place] = mark, count


def _slots(size: int) -> tuple["array[int]", "array[int]"]:
    return array("Q", bytes(8 * size)), array("H", bytes(2 * size))
