"""The corpora that a recipe needs: what each is made from, and which is a stand-in."""

from dataclasses import dataclass
from pathlib import Path

from asr_analogy.errors import RecipeError
from asr_analogy.recipe import Recipe, Source
from asr_analogy.speech.rooms import ROOMS


@dataclass(frozen=True)
class Corpus:
    """One corpus to prepare: recordings (`source` alone), or sentences that the voices of `card` speak (in `room`).

    The sentences are those of `text`, or the transcripts of the prepared corpus `partner`.
    """

    name: str
    source: Source | None = None
    text: tuple[Path, ...] | None = None
    card: str | None = None
    room: str | None = None
    training: bool = True
    partner: str | None = None

    @property
    def stand_in(self) -> bool:
        return self.room is not None


def corpora(recipe: Recipe) -> list[Corpus]:
    """The corpora of a recipe, in the order they are prepared: none for A and B if a stored vector stands for them.

    Raises RecipeError for an unknown room.
    """
    found = [Corpus("domain-synthetic", text=recipe.domain.text, card=recipe.voices)]
    if recipe.general.real is not None and recipe.general.vector is None:
        real = _real("general-real", recipe.general.real, recipe.general.text)
        partner = None if real.stand_in else real.name
        found += [real, Corpus("general-synthetic", text=real.text, card=recipe.voices, partner=partner)]
    if recipe.domain.real is not None:
        found.append(_real("domain-real", recipe.domain.real))
    return [*found, *(_real(name, source, training=False) for name, source in test_sets(recipe).items())]


def test_sets(recipe: Recipe) -> dict[str, Source]:
    """The sources of the test sets: domain-test and general-test, with NAME behind it where a recipe names several."""
    found = dict[str, Source]()
    for kind, given in {"domain-test": recipe.domain.test, "general-test": recipe.general.test}.items():
        if isinstance(given, Source):
            found[kind] = given
        else:
            found |= {f"{kind}-{name}": source for name, source in (given or {}).items()}
    return found


def _real(name: str, source: Source, text: tuple[Path, ...] | None = None, training: bool = True) -> Corpus:
    if source.simulate is None:
        return Corpus(name, source, training=training)
    if source.simulate not in ROOMS:
        raise RecipeError(f"{name}: simulate: {source.simulate}: no such room; known: {', '.join(ROOMS)}")
    return Corpus(name, source, source.text or text, source.voices, source.simulate, training)
