"""The pages of the API: a page a part of the package, with every public name, and one that lists them all."""

import ast

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from plain_docstrings import escaped, exported, tree_of

import energy_at

# what pages and notebooks name, though not in energy_at itself
ALSO = {
    "baselines": ("aaer_penalty", "grad_align_loss", "gradient_alignment", "local_linearity_error", "mart_loss"),
    "loggers": ("CSVLogger", "WandbLogger"),
}


def public_names() -> dict[str, list[str]]:
    """Public names by the module that has them: those of ``energy_at``, of its packages' ``__all__``, and of ALSO."""
    homes = {module.removeprefix("energy_at."): set() for module in energy_at._HOME_OF.values()}
    for name, module in energy_at._HOME_OF.items():
        homes[module.removeprefix("energy_at.")].add(name)
    homes |= {home: set(names) for home, names in ALSO.items()}
    return {home: sorted(names | {*exported(home)}, key=str.lower) for home, names in homes.items()}


def summary(module: str, name: str = "") -> str:
    """First sentence of the docstring of a module, or of the import that it names, wherever that is defined."""
    tree = tree_of(module)
    if not name:
        return (ast.get_docstring(tree) or "").splitlines()[0]
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return (ast.get_docstring(node) or "").splitlines()[0]
        if isinstance(node, ast.ImportFrom) and name in [alias.asname or alias.name for alias in node.names]:
            return summary(node.module.removeprefix("energy_at."), name)
    raise LookupError(f"energy_at.{module} has no class or function {name}")


def pages() -> dict[str, str]:
    """Path and Markdown of every page."""
    sections: dict[str, list[str]] = {}
    lists: dict[str, list[str]] = {}
    for home, names in public_names().items():
        part = home.split(".")[0]
        sections.setdefault(part, []).extend(f"::: energy_at.{home}.{name}" for name in names)
        lists.setdefault(part, []).extend(listed(home, name) for name in names)
    texts = {f"api/{part}.md": "\n\n".join([heading(part), *body]) + "\n" for part, body in sections.items()}
    tables = [f"## [{part}]({part}.md)\n\n{escaped(summary(part))}\n\n" + "\n".join(lists[part]) for part in sections]
    return {"api/index.md": "\n\n".join([INTRODUCTION, *tables]) + "\n", **texts}


INTRODUCTION = """# API

Every name is imported from `energy_at` (`from energy_at import DER`), those marked with a dot from their part
(`from energy_at.models import Normalize`)."""


def heading(part: str) -> str:
    """Title and introduction of a part's page."""
    return f"---\ntitle: {part}\n---\n\n# energy_at.{part}\n\n{escaped(summary(part))}"


def listed(home: str, name: str) -> str:
    """A line of the list of names."""
    part = home.split(".")[0]
    mark = "" if name in energy_at.__all__ else "."
    return f"- [`{mark}{name}`]({part}.md#energy_at.{home}.{name}): {escaped(summary(home, name))}"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages where the navigation says "api"."""
    for entry in config.nav:
        if entry.get("API") == "api":
            entry["API"] = sorted(pages(), key=lambda path: (path != "api/index.md", path))
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    return files
