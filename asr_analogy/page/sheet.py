"""A page from its template: everything inside one file, every text escaped."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

HERE = Path(__file__).parent


def rendered(template: str, content: Mapping[str, Any]) -> str:
    """The HTML of a template of this folder; what is no Markup is escaped, a name that is missing is an error."""
    loader = FileSystemLoader(HERE, encoding="utf-8")
    sheets = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    own = {"style": own_file("page.css"), "theme": own_file("theme.js"), "script": own_file("transcripts.js")}
    return sheets.get_template(template).render({**own, **content}).lstrip()


def own_file(name: str) -> Markup:
    """A style sheet or a script of ours, as it is."""
    return Markup((HERE / name).read_text(encoding="utf-8"))
