"""Notebooks become pages, with the outputs that they are kept with."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

FOLDER = Path(__file__).parents[2] / "notebooks"


def markdown(notebook: dict[str, Any], name: str) -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown, and its pictures by their file names.

    Args:
        notebook: as it is kept, JSON.
        name: of its file, without suffix.
    """
    texts, pictures = [], {}
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        texts.append(source if cell["cell_type"] == "markdown" else fenced(source, "python"))
        for output in cell.get("outputs", []):
            text, picture = shown(output)
            if picture:
                file = f"{name}-{len(pictures) + 1}.png"
                pictures[file] = picture
                text = f"![What the code above draws]({file})"
            texts.append(text)
    top, rest = texts[0].split("\n", 1)
    return "\n\n".join([top, f"*This page as a [notebook]({name}.ipynb).*", rest, *texts[1:]]) + "\n", pictures


def shown(output: dict[str, Any]) -> tuple[str, bytes]:
    """Text and picture of an output; one of them is empty."""
    data = output.get("data", {})
    if "image/png" in data:
        return "", base64.b64decode(data["image/png"])
    return fenced("".join(output.get("text") or data["text/plain"]).rstrip(), "text"), b""


def fenced(code: str, language: str) -> str:
    """A block of code, or of what it has printed."""
    return f"````{language}\n{code}\n````"


def notebooks() -> Iterator[Path]:
    """Their files, in order."""
    return iter(sorted(FOLDER.glob("*.ipynb")))


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages where the navigation says "notebooks"."""
    for entry in config.nav:
        if entry.get("Tutorials") == "notebooks":
            entry["Tutorials"] = [f"notebooks/{path.stem}.md" for path in notebooks()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages, their pictures, and the notebooks themselves."""
    for path in notebooks():
        text, pictures = markdown(json.loads(path.read_text()), path.stem)
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=text))
        files.append(File.generated(config, f"notebooks/{path.name}", abs_src_path=str(path)))
        for name, picture in pictures.items():
            files.append(File.generated(config, f"notebooks/{name}", content=picture))
    return files
