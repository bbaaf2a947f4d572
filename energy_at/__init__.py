"""energy-at: adversarial training understood through energy-based models.

Everything that ``__init__.pyi`` names is imported when first used, so that ``import energy_at`` costs nothing.
"""

import ast
from importlib import import_module
from pathlib import Path
from typing import Any

_NAMED = ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8")).body
_IMPORTS = [node for node in _NAMED if isinstance(node, ast.ImportFrom)]
_HOME_OF = {alias.name: str(node.module) for node in _IMPORTS for alias in node.names}
_PARTS = {home.split(".")[1] for home in _HOME_OF.values()}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    """Import a part, or the home of a public name; the version is that of the installation."""
    if name == "__version__":
        return _version()
    if name in _PARTS:
        return import_module(f"energy_at.{name}")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'energy_at' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("energy-at")
    except PackageNotFoundError:  # files that nobody installed
        return "0.0"


def __dir__() -> list[str]:
    """The public names."""
    return sorted([*__all__, "__version__"])
