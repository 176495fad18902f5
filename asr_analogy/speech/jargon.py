"""The domain's terms, as a run knows them: found in its prepared corpora and kept beside them."""

from collections.abc import Iterator
from pathlib import Path

from asr_analogy.recipe import Recipe, shipped
from asr_analogy.speech.corpus import each_utterance
from asr_analogy.speech.script import TERMS
from asr_analogy.text.checks import fingerprint, function_words
from asr_analogy.text.documents import read_sentences
from asr_analogy.text.normaliser import normaliser
from asr_analogy.text.tally import Tally
from asr_analogy.text.terms import Term, load_terms, mine, save_terms
from asr_analogy.workspace import Workspace, content, digest, follower, read_record

DOMAIN, GENERAL = "domain-synthetic", "general-real"
SHIPPED = Path("data/text/general.train.txt")
"""General text, in English, for a recipe whose general arms a stored vector stands for."""


def jargon(recipe: Recipe, workspace: Workspace, keep: bool = True) -> list[Term] | None:
    """Terms of the domain's text against the general one, the most telling first, kept in `terms/` if `keep`; found once.

    Where prepare chose sentences by terms, it is those. None where none can be found: the language's function words are
    not known, there is no general text, or the domain's corpus is not there.
    """
    domain, general = (workspace.root / "prepared" / name for name in (DOMAIN, GENERAL))
    if (domain / TERMS).is_file():
        return load_terms(domain / TERMS, recipe.language)
    real = recipe.general.vector is None and read_record(general) is not None
    if not function_words(recipe.language) or read_record(domain) is None:
        return None
    if not real and recipe.language != "en":
        return None
    inputs = {"domain": content(domain), "general": content(general) if real else digest(shipped(SHIPPED))}
    inputs |= {"language": recipe.language, "normaliser": normaliser(recipe.language).name}
    place = workspace.folder("terms", inputs)
    record = read_record(place.path)
    if record is not None and record["inputs"] == place.inputs:
        return load_terms(place.path / TERMS, recipe.language)
    other = _texts(general) if real else (one.text for one in read_sentences(shipped(SHIPPED)))
    found = mine(_texts(domain), other, language=recipe.language)
    if keep and not follower():
        with place.writing() as out:  # they cost little: what was found in other texts is never refused
            save_terms(out / TERMS, found)
    return found


def _texts(corpus: Path) -> Iterator[str]:
    """The sentences of a prepared corpus, each once, however many voices speak it."""
    seen = Tally()
    return (one.text for one in each_utterance(corpus, ["text"]) if not seen.add(fingerprint(one.text)))
