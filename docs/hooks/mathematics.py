"""Formulas become MathML, which browsers draw by themselves."""

import html
import re

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.+?)\\[)\]]</\1>', re.DOTALL)


def drawn(text: str) -> str:
    """HTML with the formulas that arithmatex has found as MathML."""
    return FORMULA.sub(lambda found: formula(html.unescape(found[2]), found[1] == "div"), text)


def formula(tex: str, alone: bool) -> str:
    """A formula within a line, or one, or several beside each other, on lines of their own."""
    if not alone:
        return convert(tex)
    parts = "".join(convert(part, display="block") for part in tex.split(r"\qquad"))
    return f'<div class="formulas">{parts}</div>'


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Draw the formulas of a page."""
    return drawn(html)
