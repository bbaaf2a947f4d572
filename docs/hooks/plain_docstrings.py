"""Docstrings are plain text: x* is no emphasis, and <stage> no tag; public names and pages are links."""

import re
from typing import Any

import griffe

from energy_at import _HOME_OF

CODE = re.compile(r"``(.+?)``", re.DOTALL)
PAGE = re.compile(r"docs/(\w+\.md)")
MARKUP = str.maketrans({"*": "&#42;", "[": "&#91;", "<": "&lt;"})


def escaped(text: str) -> str:
    """The text, with what Markdown would take for markup escaped outside of code."""
    parts = CODE.split(text)
    return "".join(code(part) if number % 2 else prose(part) for number, part in enumerate(parts))


def prose(text: str) -> str:
    """What is not code; the pages of the API, which it goes to, lie in a folder of their own."""
    return PAGE.sub(r"[docs/\1](../\1)", text.translate(MARKUP))


def code(text: str) -> str:
    """Code; where it is a public name, with a link to where that is described."""
    return f"[`{text}`][{_HOME_OF[text]}.{text}]" if text in _HOME_OF else f"``{text}``"


class PlainDocstrings(griffe.Extension):
    """Escapes every docstring of the package."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """As soon as an object has its docstring."""
        if obj.docstring is not None and not obj.is_module:
            obj.docstring.value = escaped(obj.docstring.value)
