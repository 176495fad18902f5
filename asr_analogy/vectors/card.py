"""The card of a stored vector: README.md, as the Hub shows it. Written by us from the record alone."""

import json

from asr_analogy.vectors.record import Record

HOW = """To use it on a model of yours that was fine-tuned from the same base:

    asr-analogy vectors pull <this repository> --name {name}
    asr-analogy merge --to YOUR_MODEL --vector {name} --out MERGED

or, from text alone, put `general: {{vector: {name}}}` into a recipe and run it.
"""


def card(record: Record) -> str:
    """README.md: YAML front matter, what the vector is, its numbers, how to use it."""
    lines = ["---", *_front(record), "---", "", f"# {record.name}", ""]
    relative = f", {100 * record.relative:.2f} % of the base's norm" if record.relative else ""
    lines += [
        f"A task vector for `{record.base.id}`: real minus synthetic speech (Synthetic2Real, arXiv 2406.02925), to be "
        "added to a model fine-tuned from that base on synthetic speech. It is no model by itself.",
        "",
        f"Encoding {record.encoding}, {record.size / 1e6:.1f} MB ({record.exact_size / record.size:.1f} times smaller "
        f"than fp32), norm {record.norm:.4g}{relative}, {100 * record.error:.2f} % of it lost by the encoding.",
        "",
        HOW.format(name=record.name),
    ]
    for title, arm in record.arms.items():
        seed = "" if arm.seed is None else f", seed {arm.seed}"
        lines += [f"- {title}: {arm.speech or 'unknown speech'}{seed}"]
    lines += _scores(record)
    spoken = f" Synthetic speech: {record.voices_licence}" if record.voices_licence else ""
    lines += ["", f"Licence: {record.licence or 'not stated'}.{spoken}"]
    return "\n".join(lines) + "\n"


def _front(record: Record) -> list[str]:
    """The Hub's metadata; JSON strings are YAML strings."""
    found = ["tags: [asr-analogy, task-vector, synthetic2real]", f"base_model: {json.dumps(record.base.id)}"]
    if record.language:
        found.append(f"language: {json.dumps(record.language)}")
    if record.licence:
        found.append(f"license: {json.dumps(record.licence)}")
    return found


def _scores(record: Record) -> list[str]:
    if not record.scores:
        return []
    scale = "" if record.scale is None else f" at scale {record.scale:g}"
    lines = ["", f"Scores of the run it comes from{scale}:", "", "| test | system | WER % | 95 % interval | |"]
    lines.append("|---|---|---|---|---|")
    for score in record.scores:
        low, high = score.interval
        kind = "stand-in, not recorded" if score.stand_in else ""
        lines.append(f"| {score.test} | {score.system} | {score.wer:.2f} | {low:.2f} to {high:.2f} | {kind} |")
    return lines
