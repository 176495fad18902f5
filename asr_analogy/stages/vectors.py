"""vectors: look at what the store holds, share it.

Torch is imported only where tensors are read.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr_analogy.errors import DataError

if TYPE_CHECKING:
    from asr_analogy.vectors.record import Record
    from asr_analogy.vectors.store import Store, StoredVector


def open_store(root: Path | None = None) -> "Store":
    """The store in `root`, or the user's own."""
    from asr_analogy.vectors.store import Store

    return Store(root)


def summary(record: "Record") -> dict[str, Any]:
    """What `vectors show` prints: the record without its thousand lines about single tensors."""
    found = record.model_dump(mode="json", exclude={"tensors": True, "base": {"tensors"}}, exclude_none=True)
    found["base"]["content"] = record.base.content
    moved = [entry for entry in record.tensors.values() if entry.norm]
    found |= {"norm": record.norm, "relative_norm": record.relative, "times_smaller": record.exact_size / record.size}
    return {**found, "tensors": {"all": len(record.tensors), "moved": len(moved)}}


def overview(store: "Store") -> list[dict[str, Any]]:
    """A row for every vector of the store; one that is damaged says so."""
    rows = list[dict[str, Any]]()
    for name in store.names():
        try:
            record = store.open(name).record
        except DataError as error:
            rows.append({"name": name, "damaged": str(error)})
            continue
        numbers = {"size": record.size, "norm": record.norm, "relative_norm": record.relative}
        rows.append({"name": name, "base": record.base.id, "encoding": record.encoding, **numbers})
    return rows


LISTED = ("name", "base", "encoding", "MB", "% of base", "note")


def listed(found: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Table cells of `overview`, in the order of LISTED."""
    rows = list[tuple[str, ...]]()
    for row in found:
        if "damaged" in row:
            rows.append((row["name"], "", "", "", "", row["damaged"]))
            continue
        share = "" if row["relative_norm"] is None else f"{100 * row['relative_norm']:.2f}"
        rows.append((row["name"], row["base"], row["encoding"], f"{row['size'] / 1e6:.2f}", share, ""))
    return rows


def described(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What `vectors show` prints for people, from `summary`: a heading and a text a line."""
    smaller = f"{found['times_smaller']:.1f} times smaller than fp32"
    cost = found.get("wer_change")
    lines = [("vector", found["name"]), ("base", f"{found['base']['id']} ({found['base']['content'][:12]})")]
    lines.append(("encoding", f"{found['encoding']}, {found['size'] / 1e6:.2f} MB, {smaller}"))
    lines.append(
        ("lost", f"{100 * found['error']:.2f} % of the norm; WER {'not measured' if cost is None else f'{cost:+.2f}'}")
    )
    relative = found["relative_norm"]
    share = "" if relative is None else f", {100 * relative:.2f} % of the base's"
    lines.append(
        ("norm", f"{found['norm']:.4g}{share}; {found['tensors']['moved']} of {found['tensors']['all']} tensors moved")
    )
    for role, arm in found["arms"].items():
        seed = f", seed {arm['seed']}" if "seed" in arm else ""
        lines.append((role, f"{arm['speech'] or 'unknown speech'}{seed} ({arm['model'][:12]})"))
    for score in found["scores"]:
        low, high = score["interval"]
        kind = ", STAND-IN" if score["stand_in"] else ""
        lines.append((score["test"], f"{score['system']}: {score['wer']:.2f} % WER ({low:.2f} to {high:.2f}){kind}"))
    if "scale" in found:
        lines.append(("scale", f"{found['scale']:g} in the run it comes from"))
    lines.append(("licence", found.get("licence", "not stated")))
    if "voices_licence" in found:
        lines.append(("voices", found["voices_licence"]))
    return [*lines, *(("parent", parent) for parent in found["parents"])]


def push(store: "Store", name: str, repository: str, public: bool = False) -> str:
    """Upload a vector to the Hub; see vectors/sharing.py."""
    from asr_analogy.vectors import sharing

    return sharing.push(store, name, repository, public)


def pull(
    store: "Store", repository: str, name: str | None = None, revision: str | None = None, force: bool = False
) -> "StoredVector":
    """Fetch a vector from the Hub into the store; see vectors/sharing.py."""
    from asr_analogy.vectors import sharing

    return sharing.pull(store, repository, name, revision, force)
