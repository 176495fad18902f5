"""The page of one run: what stands in its report and on its disk, put into the template."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from markupsafe import Markup

from asr_analogy.errors import AnalogyError
from asr_analogy.page import archive, figures, tables
from asr_analogy.page.headline import Cost, baseline, headline, product, stand_ins, tiles
from asr_analogy.page.lineage import lineage
from asr_analogy.page.names import MEANINGS, short
from asr_analogy.page.sheet import rendered
from asr_analogy.page.tables import kind_of
from asr_analogy.page.transcripts import Transcripts, read
from asr_analogy.recipe import shipped
from asr_analogy.text.normaliser import Normaliser, normaliser
from asr_analogy.text.scoring import Counts, paired_bootstrap

Found = Mapping[str, Any]


def page(found: Found, root: Path) -> str:
    """The HTML of a run; `found` is the content of report.json, `root` the workspace."""
    texts = _texts(found, root)
    ours, theirs = product(found), baseline(found)
    kinds = {name: kind_of(name, test) for name, test in found["tests"].items()}
    terms = _terms(root)
    costs = _costs(found, texts)
    main = found.get("rate", "wer")
    content: dict[str, Any] = {
        "name": found["name"],
        "about": _about(found),
        "headline": headline(found),
        "costs": costs,
        "tiles": tiles(found, costs),
        "stand_ins": stand_ins(found, found.get("corpora", {})),
        "scale_note": _key(found),
        "charts": figures.bars(found, main),
        "meanings": [(short(one), MEANINGS[one]) for one in _systems(found) if one in MEANINGS],
        "normaliser": found["normaliser"],
        "tests": [_tables(name, test, main, theirs) for name, test in found["tests"].items()],
        "us": short(ours),
        "domains": tables.domains(found),
        "scoring_note": _scoring(found),
        "curve": figures.curve(root),
        "geometry": _geometry(found),
        "corpora": tables.corpora(found.get("corpora", {})),
        "audit": _audit(found, root),
        "recipe": _yaml(found.get("recipe")),
        "commands": _commands(found),
        "lineage": lineage(root),
        "machine": found.get("machine"),
    }
    return rendered("report.html", {**content, **_carried(found, root, texts, kinds, terms)})


def _carried(
    found: Found, root: Path, texts: Mapping[str, Transcripts], kinds: Mapping[str, str], terms: Sequence[str]
) -> dict[str, Any]:
    """Transcripts, clips and what became of single terms."""
    nothing = {"transcripts": None, "clips_data": None, "clips": 0, "term_table": None}
    if not texts:
        return nothing
    judged = (product(found), baseline(found))
    first = next((text for name, text in texts.items() if kinds[name] == "domain"), next(iter(texts.values())))
    table = archive.term_table(first, terms, judged)
    said = [row[0] for row in table.rows] if table else []
    language, seed = _language(found), found.get("seed") or 0
    carried = archive.archive(dict(texts), root / "prepared", kinds, judged, said, language, seed)
    return {
        "transcripts": Markup(carried.transcripts),
        "clips_data": Markup(carried.clips),
        "clips": carried.count,
        "term_table": table,
    }


def _texts(found: Found, root: Path) -> dict[str, Transcripts]:
    form = _form(found)
    texts = {
        name: read(root / "hypotheses" / name, list(test["systems"]), form, test.get("transcribed", True))
        for name, test in found["tests"].items()
    }
    return {name: one for name, one in texts.items() if one is not None}


def _language(found: Found) -> str:
    return found.get("language") or (found.get("recipe") or {}).get("language") or "en"


def _form(found: Found) -> Normaliser:
    """The normaliser of the scores; without the user's spellings if their file is not there any more."""
    own = ((found.get("recipe") or {}).get("evaluate") or {}).get("spellings")
    try:
        return normaliser(_language(found), shipped(own) if own else None)
    except AnalogyError:
        return normaliser(_language(found))


def _terms(root: Path) -> list[str]:
    """The domain's terms, where a run keeps them."""
    for file in (root / "terms/terms.jsonl", root / "prepared/domain-synthetic/terms.jsonl"):
        if file.is_file():
            return [json.loads(line)["term"] for line in file.read_text(encoding="utf-8").split("\n") if line.strip()]
    return []


def _costs(found: Found, texts: Mapping[str, Transcripts]) -> list[Cost]:
    """What the product does on the general test sets, against the base."""
    ours, rate, costs = product(found), found.get("rate", "wer"), list[Cost]()
    for name, test in found["tests"].items():
        one, base = (test["systems"].get(system, {}).get(rate) for system in (ours, "base"))
        if kind_of(name, test) == "general" and one is not None and base is not None and ours != "base":
            costs.append(Cost(name, one - base, _ends(found, texts.get(name), ours)))
    return costs


def _ends(found: Found, texts: Transcripts | None, ours: str) -> tuple[float, float] | None:
    """The interval of the product's rate minus the base's, drawn as those of the scores are."""
    if texts is None or not texts.transcribed or "base" not in texts.systems or not texts.lines:
        return None
    sides = [
        [Counts(0, line.errors(place), 0, 0, len(line.reference.split())) for line in texts.lines]
        for place in (texts.systems.index(ours), texts.systems.index("base"))
    ]
    if not any(one.words for one in sides[0]):
        return None
    groups = [line.speaker or line.id for line in texts.lines] if found.get("group") == "speaker" else None
    interval = paired_bootstrap(sides[0], sides[1], groups, found.get("draws") or 10_000, found.get("seed") or 0)
    return interval.low, interval.high


def _about(found: Found) -> str:
    parts = [f"base {found['base']}"] if found.get("base") else []
    parts += [f"scale {found['scale']:g}"] if found.get("scale") is not None else []
    parts += [f"seed {found['seed']}"] if found.get("seed") is not None else []
    return ", ".join([*parts, f"normaliser {found['normaliser']}"])


def _systems(found: Found) -> list[str]:
    return list(dict.fromkeys(system for test in found["tests"].values() for system in test["systems"]))


def _key(found: Found) -> str:
    what = "characters" if found.get("rate") == "cer" else "words"
    rate = found.get("rate", "wer").upper()
    return f"{rate}: errors per 100 {what}, less is better. Lines over the bars are 95 % intervals ({_draws(found)})."


def _draws(found: Found) -> str:
    return f"{found['draws']:,} bootstrap draws by {found['group']}"


def _scoring(found: Found) -> str:
    return (
        f"Both sides normalised by {found['normaliser']}; raw: without normaliser. {_draws(found)}, paired over the "
        "same draws for differences. S / D / I: substituted, deleted, inserted. P(better): share of draws with fewer "
        "errors than the baseline. MAPSSWE: matched pairs of segments. B-WER, U-WER: error rates in words of the "
        "domain's terms and in all others."
    )


def _tables(name: str, test: Found, main: str, theirs: str) -> dict[str, Any]:
    made = [tables.rates(name, test, main, theirs) if test.get("transcribed", True) else None]
    made += [tables.terms(name, test), tables.decoding(name, test)]
    return {"caption": tables.caption(name, test), "tables": [one for one in made if one is not None]}


def _geometry(found: Found) -> dict[str, Any] | None:
    known = found.get("geometry")
    table = tables.geometry(known) if known else None
    if known is None or table is None:
        return None
    top = known["top"]
    key = (
        f"Overlap: of the {top:g} % largest entries of each tensor; by chance {top / 100:.2f}, and sign conflicts 0.50."
    )
    return {"note": known.get("verdict", ""), "table": table, "key": key}


def _audit(found: Found, root: Path) -> dict[str, Any] | None:
    """The numbers of the audit, if there is one of these corpora."""
    file = root / "audit/audit.json"
    if not found.get("audit") or not file.is_file():
        return None
    table = tables.audit(json.loads(file.read_text(encoding="utf-8")))
    return {"table": table, "link": found["audit"]} if table else None


def _yaml(recipe: Found | None) -> str | None:
    if not recipe:
        return None
    return yaml.safe_dump(dict(recipe), sort_keys=False, allow_unicode=True, width=100).strip()


def _commands(found: Found) -> str:
    name, commit = found["name"], found.get("commit")
    lines = [f"git checkout {commit}"] if commit else []
    version = (found.get("versions") or {}).get("asr-analogy")
    lines += [f"# asr-analogy {version}, with the versions under Lineage"] if version else []
    lines += [f"# the settings above, saved as {name}.yaml:", f"asr-analogy run {name}.yaml"]
    return "\n".join([*lines, f"asr-analogy report {name}.yaml"])
