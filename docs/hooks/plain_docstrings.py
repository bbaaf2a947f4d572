"""Docstrings are plain text: x* is no emphasis, and <stage> no tag; public names and pages are links."""

import ast
import re
from pathlib import Path
from typing import Any

import griffe

import energy_at

CODE = re.compile(r"``(.+?)``", re.DOTALL)
PAGE = re.compile(r"docs/(\w+\.md)")
MARKUP = str.maketrans({"*": "&#42;", "[": "&#91;", "<": "&lt;"})
PACKAGE = Path(energy_at.__file__).parent


def exported(module: str) -> tuple[str, ...]:
    """What ``__all__`` of a module of the package names; nothing where there is none."""
    for statement in tree_of(module).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__":
            return tuple(ast.literal_eval(statement.value))
    return ()


def tree_of(module: str) -> ast.Module:
    """A module's code, which is not run."""
    path = PACKAGE.joinpath(*module.split("."))
    return ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text())


PARTS = {home.removeprefix("energy_at.") for home in energy_at._HOME_OF.values()}
PLACES = {name: f"energy_at.{part}" for part in PARTS for name in exported(part)} | energy_at._HOME_OF


def escaped(text: str) -> str:
    """The text, with what Markdown would take for markup escaped outside of code."""
    parts = CODE.split(text)
    return "".join(code(part) if number % 2 else prose(part) for number, part in enumerate(parts))


def prose(text: str) -> str:
    """What is not code; the pages of the API, which it goes to, lie in a folder of their own."""
    return PAGE.sub(r"[docs/\1](../\1)", text.translate(MARKUP))


def code(text: str) -> str:
    """Code; where it is a public name, with a link to where that is described."""
    return f"[`{text}`][{PLACES[text]}.{text}]" if text in PLACES else f"``{text}``"


class PlainDocstrings(griffe.Extension):
    """Escapes every docstring of the package."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """As soon as an object has its docstring."""
        if obj.docstring is not None and not obj.is_module:
            obj.docstring.value = escaped(obj.docstring.value)
