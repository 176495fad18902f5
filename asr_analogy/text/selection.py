"""Which sentences of a text are spoken: checked, each once, none that a test set holds, the domain's terms not lost."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from asr_analogy.text.checks import fingerprint, redact, refusal
from asr_analogy.text.documents import Sentence
from asr_analogy.text.leakage import HeldOut
from asr_analogy.text.tally import Tally


@dataclass
class Selection:
    """The rule by which sentences are kept; `reject` is told every sentence that is not, and why."""

    language: str
    held_out: HeldOut
    redacted: bool
    reject: Callable[[Sentence, str], None]

    def keep(self, sentences: Iterable[Sentence]) -> Iterator[Sentence]:
        """The sentences to speak, in order, one at a time; without private numbers if the rule says so."""
        seen = Tally()
        for sentence in sentences:
            if self.redacted:
                sentence = replace(sentence, text=redact(sentence.text)[0])
            mark = fingerprint(sentence.text)
            reason = refusal(sentence.text, self.language) or self.held_out.reason(sentence.text)
            if reason is None and mark in seen:
                reason = "the same sentence came before"
            if reason is None:
                seen.add(mark)
                yield sentence
            else:
                self.reject(sentence, reason)
