"""A studio: sentences in, clips out, spoken by the voices of one card, screened, and played into a room if it has one."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from asr_analogy.speech.rooms import Room
from asr_analogy.text.lexicon import Lexicon
from asr_analogy.text.spoken import spoken, unspeakable
from asr_analogy.tts.screening import fault, misheard, pace
from asr_analogy.tts.voice import Card, Line, open_voice, seed_of

BABBLE = 16
"""Clean clips of the studio's own voices that make the babble of its room."""

PACED = 9
"""Takes from which the pace of a voice is told."""

Listen = Callable[[Sequence[np.ndarray]], list[str]]
"""A recogniser: clips (float32 mono at SAMPLE_RATE) to transcripts."""


@dataclass(frozen=True)
class Take:
    """One sentence to speak, in its written form, and the how-manieth time it is spoken (from 0)."""

    text: str
    number: int = 0


@dataclass(frozen=True)
class Clip:
    """A spoken take: float32 mono at SAMPLE_RATE, the text the voice was given, the voice, and the seed of it all."""

    samples: np.ndarray
    tts_text: str
    voice: str
    seed: int


@dataclass(frozen=True)
class Outtake:
    """A take that could not be used, and why; with the last sound that was made of it, if there is one."""

    reason: str
    samples: np.ndarray | None = None


@dataclass(frozen=True)
class Screen:
    """The rule for clips: so many retries with new seeds, and what `listen` hears may differ by so much (None: deaf)."""

    retries: int = 0
    error_rate: float = 0.5
    listen: Listen | None = None


class Studio:
    """Speaks takes with the voices of `card`; every draw depends on `seed`, `name`, the text and the take alone.

    The first BABBLE of `takes` are the other people in a room with babble. With a `screen`, a clip that it finds faulty
    is spoken again with another seed.
    """

    def __init__(
        self,
        name: str,
        seed: int,
        card: Card,
        workers: int,
        room: Room | None = None,
        takes: Sequence[Take] = (),
        language: str = "en",
        lexicon: Lexicon | None = None,
        screen: Screen | None = None,
    ) -> None:
        self.name, self.seed, self.room = name, seed, room
        self.language, self.lexicon, self.screen = language, lexicon, screen
        self.voice = open_voice(card, workers)
        self.paces: dict[str, float] = {}
        """Seconds per character by voice, if they were measured: what the screen takes for usual."""
        self.others: list[np.ndarray] = []
        if room is not None and room.babble is not None:
            clips = self.voice.speak(self._line(take, 0) for take in takes[:BABBLE])
            self.others = [clip for clip in clips if not isinstance(clip, str)]

    def speak(self, takes: Iterable[Take]) -> Iterator[Clip | Outtake]:
        """For each take, in order: the clip, or why there is none.

        Where nobody listens, clips come one by one while the voice speaks on.
        """
        takes = list(takes)
        if self.screen is not None and self.screen.listen is not None:
            yield from self._in_rounds(takes, self.screen)
            return
        reasons = [self._unspeakable(take) for take in takes]
        lines = (self._line(take, 0) for take, reason in zip(takes, reasons, strict=True) if reason is None)
        sounds = self.voice.speak(lines)
        for take, reason in zip(takes, reasons, strict=True):
            yield reason or self._alone(take, next(sounds))

    def measure(self, takes: Iterable[Take]) -> dict[str, float]:
        """The pace of every voice, from the first PACED takes that can be spoken, all said by each voice."""
        said = list(islice((take for take in takes if self._unspeakable(take) is None), PACED))
        names = self.voice.names
        lines = [
            Line(self._line(take, 0).text, voice, seed_of(self.seed, "pace", take.text, voice))
            for voice in range(len(names))
            for take in said
        ]
        clips = zip(lines, self.voice.speak(lines), strict=True)
        heard = [(line, sound) for line, sound in clips if not isinstance(sound, str)]
        paces = {
            name: pace((sound, line.text) for line, sound in heard if line.voice == voice)
            for voice, name in enumerate(names)
        }
        return {name: found for name, found in paces.items() if found is not None}

    def _alone(self, take: Take, sound: np.ndarray | str) -> Clip | Outtake:
        """The clip of one take, spoken again while the screen finds its sound faulty."""
        for attempt in range(self.screen.retries + 1 if self.screen else 1):
            line = self._line(take, attempt)
            if attempt:
                [sound] = self.voice.speak([line])
            [clip] = self.screened([self._clip(line, sound)], [take])
            if not _again(clip):
                break
        return clip

    def _in_rounds(self, takes: list[Take], screen: Screen) -> list[Clip | Outtake]:
        """All takes at once, then all faulty ones again: the voice and the recogniser work on batches."""
        made: list[Clip | Outtake | None] = [self._unspeakable(take) for take in takes]
        for attempt in range(1 + screen.retries):
            todo = [index for index, one in enumerate(made) if one is None or _again(one)]
            if not todo:
                break
            lines = [self._line(takes[index], attempt) for index in todo]
            clips = [self._clip(line, sound) for line, sound in zip(lines, self.voice.speak(lines), strict=True)]
            for index, clip in zip(todo, self.screened(clips, [takes[index] for index in todo]), strict=True):
                made[index] = clip
        return [one for one in made if one is not None]

    def _unspeakable(self, take: Take) -> Outtake | None:
        reason = unspeakable(take.text, self.language, self.lexicon)
        return Outtake(reason) if reason else None

    def _clip(self, line: Line, sound: np.ndarray | str) -> Clip | Outtake:
        if isinstance(sound, str):
            return Outtake(sound)
        return Clip(sound, line.text, self.voice.names[line.voice], line.seed)

    def screened(self, clips: list[Clip | Outtake], takes: list[Take]) -> list[Clip | Outtake]:
        """Clips that pass the screen, in the room if there is one; outtakes for the others."""
        if self.screen is not None:
            clips = [self._sound(clip) if isinstance(clip, Clip) else clip for clip in clips]
            if self.screen.listen is not None:
                clips = self._heard(clips, takes, self.screen.listen, self.screen.error_rate)
        return [self._played(clip) if isinstance(clip, Clip) else clip for clip in clips]

    def _sound(self, clip: Clip) -> Clip | Outtake:
        reason = fault(clip.samples, clip.tts_text, self.paces.get(clip.voice))
        return Outtake(reason, clip.samples) if reason else clip

    def _heard(
        self, clips: list[Clip | Outtake], takes: list[Take], listen: Listen, limit: float
    ) -> list[Clip | Outtake]:
        sounds = [clip.samples for clip in clips if isinstance(clip, Clip)]
        transcripts = iter(listen(sounds) if sounds else [])
        found: list[Clip | Outtake] = []
        for clip, take in zip(clips, takes, strict=True):
            said = (take.text, spoken(take.text, self.language))
            reason = misheard(said, next(transcripts), limit) if isinstance(clip, Clip) else None
            found.append(Outtake(reason, clip.samples) if reason else clip)
        return found

    def _played(self, clip: Clip) -> Clip:
        """The clip as the room's microphone hears it."""
        if self.room is None:
            return clip
        sound = self.room.record(clip.samples, np.random.default_rng((clip.seed, 1)), self.others)
        return Clip(sound, clip.tts_text, clip.voice, clip.seed)

    def _line(self, take: Take, attempt: int) -> Line:
        """The voice depends on the sentence and the take, the seed on name and seed of the studio and the attempt too."""
        voice = (seed_of(take.text) + take.number) % len(self.voice.names)
        again = (attempt,) if attempt else ()
        seed = seed_of(self.seed, self.name, take.text, take.number, *again)
        return Line(spoken(take.text, self.language, self.lexicon), voice, seed)


def _again(made: Clip | Outtake) -> bool:
    """Whether another seed may help: there was a sound, and the screen did not like it."""
    return isinstance(made, Outtake) and made.samples is not None
