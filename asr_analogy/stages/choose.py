"""choose: the scale of the Synthetic2Real vector, where the recipe says how to choose it instead of giving a number.

Candidates are merged in memory, one after another, and never written; the test set is never heard. What each candidate
made of the speech it was chosen on is kept in `choice/heard`, so that an interrupted choice decodes nothing twice. Torch is
imported only where something is to be chosen.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr_analogy.asr.hub import find
from asr_analogy.errors import DataError, GateError
from asr_analogy.recipe import Recipe
from asr_analogy.speech.corpus import Corpus, read_corpus
from asr_analogy.speech.domains import HELD_OUT, arms, domains, held_out
from asr_analogy.text.hallucination import steady
from asr_analogy.text.normaliser import normaliser
from asr_analogy.text.scoring import Counts, count_words, total
from asr_analogy.vectors.curve import Curve, Point
from asr_analogy.workspace import Folder, Step, Workspace, content, digest, write_whole

if TYPE_CHECKING:
    from torch import Tensor

    from asr_analogy.asr.audition import Weights

log = logging.getLogger("asr_analogy")

A, B, C = "general-synthetic", "general-real", "domain-synthetic"
PLACE, FILE = "choice", "choice.json"
HEARD = {"dev": "domain-dev", "entropy": "domain-unlabelled", "leave-one-out": B}
"""The prepared corpus that each way to choose listens to; of the last only what its domains hold out."""
FACTORS = (0.5, 1.5)
"""Factors that are tried on the parts of the model, one part after another, once a common scale is chosen by entropy."""


def folder(recipe: Recipe, workspace: Workspace, force: bool = False) -> Folder:
    """The folder of the choice with everything it depends on. Raises DataError if an arm or corpus is not there."""
    how, root = recipe.merge, workspace.root
    sets = [HEARD[str(how.scale)]] if how.scale in HEARD else []
    sets += ["general-dev"] if how.max_forgetting is not None else []
    inputs = {
        **how.model_dump(mode="json"),
        "where": [list(part) for part in how.where.items()],
        "base": digest(find(recipe.base)),
        "arms": {name: content(root / "models" / name) for name in (A, B, C, *arms(recipe))},
        "corpora": {name: content(root / "prepared" / name) for name in sets},
        "language": recipe.language,
        "batch": recipe.evaluate.batch,
        "normaliser": normaliser(recipe.language).name,
        "seed": recipe.seed,
    }
    return workspace.folder(PLACE, inputs, force)


def estimate(recipe: Recipe, workspace: Workspace, hours: Mapping[str, float]) -> list[Step]:
    """What choose would do; `hours` holds the audio of each prepared corpus, as known or estimated."""
    if not isinstance(recipe.merge.scale, str):
        return []
    try:
        done = folder(recipe, workspace).done()
    except DataError:  # its arms are not trained yet
        done = False
    return [_step(recipe, hours, done)]


def _step(recipe: Recipe, hours: Mapping[str, float], done: bool) -> Step:
    """What the choice takes: the hours that its candidates decode, and the seconds of that."""
    from asr_analogy.asr.cost import TYPICAL, seconds
    from asr_analogy.asr.family import open_recogniser
    from asr_analogy.vectors.coefficients import most

    how = recipe.merge.scale
    share = HELD_OUT if how == "leave-one-out" else 1.0
    count = most() + (2 * len(FACTORS) if how == "entropy" else 0) if how in HEARD else 1
    audio = count * share * hours.get(HEARD[how], 0.0) if how in HEARD else 0.0
    audio += (count + 1) * hours.get("general-dev", 0.0) if recipe.merge.max_forgetting is not None else 0.0
    base = find(recipe.base)
    window = open_recogniser(base, recipe.language, weights=False).window
    cost = round(seconds(base, window, 3600 * audio / TYPICAL, 3 if how == "entropy" else 2) + 2 * count, 1)
    detail = f"{how}, at most {count} candidates" if audio else f"{how}, nothing is decoded"
    return Step(PLACE, done, detail, round(audio, 3), 0.0 if done else cost, 0.1)


def choose(recipe: Recipe, workspace: Workspace, force: bool = False) -> None:
    """Choose the recipe's scale into `choice/`; nothing to do if it is a number, skipped if the choice is there.

    Raises GateError if no candidate within `merge.max_forgetting` is better than C, DataError for speech that cannot
    decide.
    """
    if not isinstance(recipe.merge.scale, str):
        return
    place = folder(recipe, workspace, force)
    if place.done():
        log.info("choose: the scale is there")
        return
    step = _step(recipe, _hours(recipe, workspace), False)
    log.info("choose: %s, %.2f h to decode, about %.0f s", step.detail, step.audio_hours, step.seconds)
    with place.writing() as out:
        jury = Jury(recipe, workspace, out / "heard")
        found = {"metagpt": jury.by_norms, "shrinkage": jury.by_agreement}.get(recipe.merge.scale, jury.by_search)()
        write_whole(out / FILE, json.dumps(found, indent=1))
    log.info("choose: scale %g by %s", found["chosen"], found["by"])


def _hours(recipe: Recipe, workspace: Workspace) -> dict[str, float]:
    names = (*HEARD.values(), "general-dev")
    files = {name: workspace.root / "prepared" / name / "summary.json" for name in names}
    return {name: json.loads(file.read_text())["hours"] for name, file in files.items() if file.is_file()}


class Jury:
    """One choice under way: the models, the speech that decides, and what was heard so far."""

    def __init__(self, recipe: Recipe, workspace: Workspace, kept: Path) -> None:
        from asr_analogy.asr.audition import Audition

        self.recipe, self.root = recipe, workspace.root
        self.form = normaliser(recipe.language)
        self.audition = Audition(self.model(C), recipe.language, recipe.evaluate.batch, kept)
        self.curve = Curve()
        self.corpora = self._corpora() if recipe.merge.scale in HEARD else {}
        self.general: Corpus | None = None
        if recipe.merge.max_forgetting is not None:
            self.general = self._corpus("general-dev")
            base = Audition(find(recipe.base), recipe.language, recipe.evaluate.batch, kept)
            heard = base.hear("base", None, {"general-dev": self.general})["general-dev"]
            self.base = total(self.counts(self.general, heard.texts)).rate

    def model(self, arm: str) -> Path:
        """The folder of an arm."""
        return self.root / "models" / arm

    def _corpus(self, name: str, written: bool = True) -> Corpus:
        """A prepared corpus. Raises DataError if it holds no utterance or, where it is to be `written`, no word."""
        found = Corpus(self.root / "prepared" / name)
        if not any(self.form(row.text).split() or not written for row in found.rows):
            raise DataError(f"{name}: holds no {'word' if len(found) else 'utterance'} to choose on; give other speech")
        return found

    def _corpora(self) -> dict[str, Corpus]:
        """The speech that decides: of leave-one-out what each source domain holds out, else one corpus."""
        name = HEARD[str(self.recipe.merge.scale)]
        if self.recipe.merge.scale != "leave-one-out":
            return {name: self._corpus(name, written=self.recipe.merge.scale == "dev")}
        place = self.root / "prepared" / name
        rows = read_corpus(place, ["id", "text", "source"])
        parts = {domain.name: held_out(rows, domain) for domain in domains(self.recipe)}
        for domain, ids in parts.items():
            if not ids:
                raise DataError(f"general: the domain {domain} holds no sentence to choose on; leave its file out")
        return {
            domain: Corpus(place).ordered([row.id for row in rows if row.id in ids]) for domain, ids in parts.items()
        }

    def weights(self, to: str, pairs: Sequence[tuple[str, str]], point: Point) -> "Weights":
        """What makes the tensors of arm `to` plus the mean of the vectors (plus, minus) of `pairs`, by the recipe's rule."""
        from asr_analogy.asr.folder import anatomy
        from asr_analogy.vectors.plan import Rule
        from asr_analogy.vectors.stream import Vector, combined

        how, target = self.recipe.merge, self.model(to)
        parts = how.where if point.where is None else point.where
        scale = point.scale / len(pairs)
        vectors = [Vector(self.model(plus), self.model(minus), scale, parts) for plus, minus in pairs]
        rule = Rule(how.rule, how.density, self.recipe.seed)
        base = None if how.rule == "analogy" else find(self.recipe.base)

        def tensors() -> "Mapping[str, Tensor]":
            buffers, ties = anatomy(target)
            return combined(target, vectors, rule, base, buffers=buffers, ties=ties)

        return tensors

    def by_search(self) -> dict[str, Any]:
        """dev, leave-one-out and entropy: the candidate of least error along the scale."""
        from asr_analogy.vectors.coefficients import GRID, HIGHEST, search

        highest = 1.0 if self.recipe.merge.rule == "slerp" else HIGHEST
        grid = [scale for scale in GRID if scale <= highest]
        search(lambda scale: self.judged(Point(scale)).cost, grid, highest)
        if self.recipe.merge.scale == "entropy" and not self.recipe.merge.where and self.curve.best().scale:
            self._by_parts(self.curve.best().scale)
        best = self.curve.best()
        if self.recipe.merge.max_forgetting is not None and best.cost >= self.curve.zero().error:
            raise GateError(
                f"merge.max_forgetting: no scale within {self.recipe.merge.max_forgetting:g} points of the base on "
                f"general.dev is better than C ({len(self.curve.points)} tried); raise it, or ship C"
            )
        if not best.scale:
            log.warning("choose: no scale is better than 0, so the merged model is C")
        return self._found(best)

    def _by_parts(self, scale: float) -> None:
        """A search along the coordinates: the encoder's factor, then that of the rest."""
        parts = {"all": 1.0, "encoder": 1.0}
        for part in ("encoder", "all"):
            for factor in FACTORS:
                self.judged(Point(scale, {**parts, part: factor}))
            parts = {**parts, **(self.curve.best().where or {})}  # type: ignore[dict-item]

    def judged(self, point: Point) -> Point:
        """Hear a candidate and add it to the points."""
        self._hear(point)
        self._hear_general(point)
        self.curve.points.append(point)
        log.info("choose: %s", point.said())
        return point

    def _hear(self, point: Point) -> None:
        how = self.recipe.merge.scale
        if how != "leave-one-out":
            heard = self.audition.hear(point.name, self.weights(C, [(B, A)], point), self.corpora, how == "entropy")
            for name, one in heard.items():
                point.entropy = one.entropy
                if how == "entropy":
                    plain = self.audition.hear(
                        Point(0.0).name, self.weights(C, [(B, A)], Point(0.0)), self.corpora, True
                    )
                    point.inside = steady(plain[name].texts, one.texts, self.form)
                else:
                    point.counts[name] = self.counts(self.corpora[name], one.texts)
            return
        every = domains(self.recipe)
        for domain in every:
            pairs = [(other.arm(B), other.arm(A)) for other in every if other is not domain]
            corpus = {domain.name: self.corpora[domain.name]}
            heard = self.audition.hear(point.name, self.weights(domain.arm(A), pairs, point), corpus)
            point.counts[domain.name] = self.counts(corpus[domain.name], heard[domain.name].texts)

    def _hear_general(self, point: Point) -> None:
        if self.general is None:
            return
        corpora = {"general-dev": self.general}
        heard = self.audition.hear(point.name, self.weights(C, [(B, A)], point), corpora)["general-dev"]
        point.general = total(self.counts(self.general, heard.texts)).rate
        point.inside = point.inside and point.general - self.base <= (self.recipe.merge.max_forgetting or 0.0)

    def counts(self, corpus: Corpus, texts: Sequence[str]) -> list[Counts]:
        """Word edits of the transcripts of a corpus, utterance by utterance."""
        return count_words([row.text for row in corpus.rows], texts, self.form)

    def by_norms(self) -> dict[str, Any]:
        """MetaGPT: the share of B - A, where it acts, in the squared norms of tau(C) and of itself; C keeps weight 1."""
        from asr_analogy.asr.folder import anatomy, as_safetensors
        from asr_analogy.vectors.coefficients import metagpt, square
        from asr_analogy.vectors.difference import Difference
        from asr_analogy.vectors.where import Where as Parts

        parts = anatomy(self.model(C))
        vector = Difference.between(self.model(A), self.model(B), *parts)
        with as_safetensors(find(self.recipe.base)) as base:
            own = square(Difference.between(base, self.model(C), *parts))
        acts = Parts(self.recipe.merge.where, vector.names)
        return self._fixed(Point(round(metagpt([own, square(vector, acts.factor)])[1], 4)))

    def by_agreement(self) -> dict[str, Any]:
        """Model-Stock shrinkage: every tensor of B - A by how far the vectors of the source domains agree on it."""
        from asr_analogy.asr.folder import anatomy
        from asr_analogy.vectors.coefficients import shrinkage
        from asr_analogy.vectors.difference import Difference, own_name
        from asr_analogy.vectors.stream import Weights
        from asr_analogy.vectors.where import Where as Parts

        buffers, ties = anatomy(self.model(C))
        pairs = {domain.name: (self.model(domain.arm(A)), self.model(domain.arm(B))) for domain in domains(self.recipe)}
        shares, whole = shrinkage({name: Difference.between(*pair, buffers, ties) for name, pair in pairs.items()})
        names = [name for name in Weights.open(self.model(C)).names if own_name(name, ties) in shares]
        acts, scale = Parts(self.recipe.merge.where, names), round(whole, 4)
        where = {name: acts.factor(name) * shares[own_name(name, ties)] / scale for name in names} if scale else None
        return self._fixed(Point(scale, where))

    def _fixed(self, point: Point) -> dict[str, Any]:
        """A scale that follows from the weights alone; only the budget is heard."""
        self._hear_general(point)
        self.curve.points.append(point)
        if not point.inside:
            raise GateError(
                f"merge.max_forgetting: scale {point.scale:g} ({self.recipe.merge.scale}) costs {point.general:.2f} % WER on "
                f"general.dev against the base's {self.base:.2f}; raise it, or give a smaller number"
            )
        return self._found(point)

    def _found(self, chosen: Point) -> dict[str, Any]:
        """The choice as it is written (docs/merging.md)."""
        options = self.recipe.merge
        found = self.curve.written(chosen, self.recipe.evaluate.draws, self.recipe.seed)
        heard = sum(len(corpus) for corpus in self.corpora.values())
        return {"by": options.scale, "max_forgetting": options.max_forgetting, **found, "utterances": heard}
