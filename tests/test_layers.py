"""Who may import whom, and what every file of the package owes its reader."""

import ast
import importlib
import inspect
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import energy_at

PACKAGE = Path(energy_at.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
PLUMBING = {"describe", "files", "reading", "lengths", "seeding", "net_state", "step_log", "undeclared"}
FOUNDATION = PLUMBING | {"types", "labels"}
MATHEMATICS = FOUNDATION | {"energy", "objectives", "baselines", "corruptions", "attacks", "defense"}
MAY_IMPORT = {
    "types": set(),
    "labels": {"types"},
    "describe": {"types"},
    "files": {"types"},
    "reading": {"types", "files"},
    "lengths": {"types"},
    "seeding": {"types"},
    "net_state": set(),
    "step_log": set(),
    "undeclared": set(),
    "energy": FOUNDATION,
    "objectives": FOUNDATION | {"energy"},
    "baselines": FOUNDATION | {"energy", "objectives"},
    "corruptions": FOUNDATION,
    "attacks": FOUNDATION | {"energy", "corruptions"},
    "defense": FOUNDATION | {"energy"},
    "generation": FOUNDATION | {"energy"},
    "hub": FOUNDATION,
    "evaluation": MATHEMATICS | {"generation", "hub"},
    "models": FOUNDATION,
    "data": FOUNDATION | {"corruptions"},
    "modules": MATHEMATICS | {"generation", "evaluation"},
    "metrics": FOUNDATION | {"energy"},
    "callbacks": MATHEMATICS | {"generation", "evaluation", "metrics"},
    "loggers": MATHEMATICS | {"evaluation"},
    "cli": MATHEMATICS | {"generation", "evaluation", "hub", "models", "data", "modules", "callbacks", "loggers"},
    "__main__": {"cli"},
    "": set(),  # energy_at/__init__.py names everything, and imports it when it is used
}
LIGHTNING = {"lightning", "pytorch_lightning", "lightning_fabric", "torchmetrics"}
HEAVY = LIGHTNING | {"torch", "torchvision", "timm", "matplotlib", "sklearn", "scipy", "jsonargparse"}
LIGHT_FILES = ("__init__.py", "cli/__init__.py", "cli/first_look.py", "cli/config_files.py")


def name_of(path):
    return str(path.relative_to(PACKAGE))


def module_of(path):
    """Dotted name of the package or module that a file is, and whether it is a package."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts), parts[-1] == "__init__"


def imports(tree, module, is_package):
    """Dotted names that the code imports anywhere, lazily too, with relative names made absolute."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                parts = parts[: len(parts) - node.level + is_package]
                base = ".".join([*parts, *([node.module] if node.module else [])])
            # "from energy_at import models" may mean a module, which then counts as itself
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and imports_by_name(node):
            yield node.args[0].value


def imports_by_name(call):
    """Whether a call is import_module("...") or __import__("...")."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return name in ("import_module", "__import__") and call.args and isinstance(call.args[0], ast.Constant)


def at_import_time(tree):
    """The code that runs when a module is imported: all but the bodies of functions."""
    tree = ast.parse(ast.unparse(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [ast.Pass()]
    return tree


def parse(path):
    return ast.parse(path.read_text())


def layer_of(dotted):
    """Layer of a module of the package: its first part, or "" for what the package itself names."""
    part = dotted.split(".")[1] if "." in dotted else ""
    return part if (PACKAGE / part).is_dir() or (PACKAGE / f"{part}.py").is_file() else ""


def layers_imported(path):
    module, is_package = module_of(path)
    dotted = [name for name in imports(parse(path), module, is_package) if name.split(".")[0] == "energy_at"]
    return {layer_of(name) for name in dotted} - {layer_of(module)}, dotted


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_point_one_way(path):
    layer = layer_of(module_of(path)[0])
    assert layer in MAY_IMPORT, f"{layer} has no place among the layers yet; give it one in this file"
    layers, dotted = layers_imported(path)
    if layer != "cli":  # the package itself names every layer, so only the last may use it
        assert {name for name in dotted if layer_of(name) == ""} <= {"energy_at.__version__"}
    assert layers - {""} <= MAY_IMPORT[layer]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_the_mathematics_never_imports_lightning(path):
    module, is_package = module_of(path)
    if layer_of(module) in MATHEMATICS | {"generation", "evaluation", "models"}:
        assert not {name.split(".")[0] for name in imports(parse(path), module, is_package)} & LIGHTNING


def test_the_layers_have_an_order():
    placed, left = [], dict(MAY_IMPORT)
    while left:
        free = [layer for layer, needed in left.items() if needed <= set(placed)]
        assert free, f"{sorted(left)} import each other"
        placed += free
        left = {layer: needed for layer, needed in left.items() if layer not in free}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import torch.nn as nn, os", {"torch.nn", "os"}),
        ("from ..types import Ratio", {"energy_at.types.Ratio"}),
        ("from . import base", {"energy_at.attacks.base"}),
        ("from .base import Attack", {"energy_at.attacks.base.Attack"}),
        ("def f():\n    from energy_at import modules", {"energy_at.modules"}),
        ("def f():\n    importlib.import_module('lightning')", {"lightning"}),
    ],
)
def test_relative_and_lazy_imports_are_seen(source, expected):
    assert set(imports(ast.parse(source), "energy_at.attacks.pgd", False)) == expected


def test_relative_imports_of_a_package_start_at_itself():
    assert set(imports(ast.parse("from .base import Attack"), "energy_at.attacks", True)) == {
        "energy_at.attacks.base.Attack"
    }


@pytest.mark.parametrize("name", LIGHT_FILES)
def test_what_answers_first_imports_nothing_heavy(name):
    path = PACKAGE / name
    found = {dotted.split(".")[0] for dotted in imports(at_import_time(parse(path)), *module_of(path))}
    assert not found & HEAVY


def test_importing_the_package_and_its_command_line_imports_no_heavy_library():
    code = f"import sys, energy_at, energy_at.cli; print(sorted(set(sys.modules) & {HEAVY!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_the_mathematics_imports_no_lightning():
    code = f"import sys, energy_at.objectives, energy_at.attacks; print(sorted(set(sys.modules) & {LIGHTNING!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def public_definitions(tree):
    """Modules, public classes and functions, and public methods of public classes."""
    yield "module", tree
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, node
            if isinstance(node, ast.ClassDef):
                methods = [n for n in node.body if isinstance(n, ast.FunctionDef)]
                yield from ((f"{node.name}.{n.name}", n) for n in methods if not n.name.startswith("_"))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_everything_public_has_a_docstring(path):
    assert not [name for name, node in public_definitions(parse(path)) if not ast.get_docstring(node)]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_can_be_read_in_one_sitting(path):
    assert len(path.read_text().splitlines()) <= 300


@pytest.mark.parametrize("name", energy_at.__all__)
def test_every_public_name_is_there_and_documented(name):
    value = getattr(energy_at, name)
    assert value.__name__ == name
    assert inspect.getdoc(value)
    assert name in dir(energy_at)


def test_public_names_are_those_of_their_homes():
    for name, home in energy_at._HOME_OF.items():
        assert getattr(energy_at, name) is getattr(importlib.import_module(home), name)


def test_the_version_is_that_of_the_installation(monkeypatch):
    assert energy_at.__version__ == metadata.version("energy-at")

    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    assert energy_at.__version__ == "0.0"


def test_an_unknown_public_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'energy_at' has no attribute 'Adversary'"):
        _ = energy_at.Adversary
