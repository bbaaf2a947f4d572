"""Files that are there as a whole or not at all."""

import os
import re
from pathlib import Path


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file, and its folder where there is none, under a temporary name first.

    Args:
        path: of the file.
        content: text in UTF-8, or bytes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}")
    temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    os.replace(temporary, path)


def safe_name(name: str) -> str:
    """A name as part of a file's name."""
    return re.sub("[^a-zA-Z0-9_.+-]", "_", name)
