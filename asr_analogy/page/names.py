"""What systems are called where people read about them, and which colour they have in charts."""

SHORT = {
    "base": "base",
    "general-real": "B general-real",
    "domain-synthetic": "C synthetic",
    "average": "average of B and C",
    "addition": "addition B + C - base",
    "prompted": "prompted base",
    "joint": "joint",
    "general-mixed": "mixed",
    "continued": "continued",
    "merged": "merged",
    "domain-real": "oracle",
}
"""A name that fits beside a bar or over a column."""

MEANINGS = {
    "base": "the pretrained model as it came",
    "general-real": "B: fine-tuned on real general speech",
    "domain-synthetic": "C: fine-tuned on synthetic speech of the domain's text; what one would ship without the vector",
    "average": "mean of the weights of B and C",
    "addition": "B + C - base, task addition",
    "prompted": "the base with the domain's terms as its prompt",
    "joint": "one fine-tune on real general and synthetic domain speech together",
    "general-mixed": "fine-tuned on real and synthetic general speech together",
    "continued": "fine-tuned on the domain after a general arm",
    "merged": "C plus the Synthetic2Real vector: scale * (B - A)",
    "domain-real": "fine-tuned on real speech of the domain: what recordings would bring",
}
"""What stands behind a name, in a line."""

COLOURS = {"base": "base", "domain-synthetic": "c", "merged": "merged", "domain-real": "oracle"}


def short(system: str) -> str:
    """The short name of a system; its own where it has none."""
    return SHORT.get(system, system)


def colour(system: str) -> str:
    """The class that gives a system its colour."""
    return COLOURS.get(system, "other")
