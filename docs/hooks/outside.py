"""Links work on the site as they do in the repository: to files outside of docs/, to notebooks, and to folders.

What a page links to outside of docs/ becomes a page of its own: text as it is, a folder as the list of its files.
"""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\((?![a-z]+:|#|/)([^)\s#]+)(#[^)\s]*)?\)")
HOME = {"README.md": "index.md"}
LANGUAGES = {".yaml": "yaml", ".py": "python", ".sh": "bash"}


def target_of(page: str, link: str) -> str:
    """Path in the repository that a link of a page means.

    Args:
        page: path of the page on the site.
        link: without anchor.
    """
    origin = f"docs/{page}" if (ROOT / "docs" / page).is_file() else page
    return os.path.normpath(os.path.join(os.path.dirname(origin), link))


def place_of(target: str) -> str:
    """Path on the site of a file or folder of the repository."""
    place = HOME.get(target, target.removeprefix("docs/"))
    if (ROOT / target).is_dir():
        return f"{place}/index.md"
    if target.startswith("docs/") or place.endswith(".md"):
        return place
    return place.removesuffix(".ipynb") + ".md"


def is_made(target: str) -> bool:
    """Whether a target needs a page that nobody else makes."""
    path = ROOT / target
    inside = path.is_relative_to(ROOT) and path.exists() and target not in HOME
    return inside and (path.is_dir() or not target.startswith("docs/")) and path.suffix != ".ipynb"


def relinked(page: str, text: str) -> str:
    """A page's Markdown with its links turned to where their targets are on the site."""

    def turned(match: re.Match) -> str:
        target = target_of(page, match[1])
        if not (ROOT / target).exists():
            return match[0]
        link = os.path.relpath(place_of(target), os.path.dirname(page) or ".")
        return f"]({link}{match[2] or ''})"

    return LINK.sub(turned, text)


def text_of(target: str) -> str:
    """Markdown of the page of a file or folder outside of docs/."""
    path = ROOT / target
    if path.suffix == ".md":
        return path.read_text()
    title = f"---\nsearch: {{exclude: true}}\n---\n\n# {target.removeprefix('docs/')}\n\n"
    if not path.is_dir():
        return f"{title}````{LANGUAGES.get(path.suffix, 'text')}\n{path.read_text().rstrip()}\n````\n"
    return title + "\n".join(f"- [{name}]({name})" for name in listing(path)) + "\n"


def listing(folder: Path) -> list[str]:
    """Names in a folder, files first."""
    found = [path for path in folder.iterdir() if not path.name.startswith((".", "_"))]
    return [path.name for path in sorted(found, key=lambda path: (path.is_dir(), path.name))]


def made(pages: dict[str, Callable[[], str]]) -> Iterator[tuple[str, str]]:
    """Place and Markdown of all that pages link to, and of what that links to.

    Args:
        pages: path of each page on the site, and what reads its Markdown.
    """
    seen: set[str] = set()
    left = [(page, read()) for page, read in pages.items()]
    while left:
        page, text = left.pop()
        targets = {target_of(page, link[1]) for link in LINK.finditer(text)} - seen
        for target in sorted(filter(is_made, targets)):
            seen.add(target)
            left.append((place_of(target), text_of(target)))
            yield left[-1]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what the pages link to."""
    pages = {file.src_uri: lambda file=file: file.content_string for file in files.documentation_pages()}
    for place, text in made(pages):
        files.append(File.generated(config, place, content=text, inclusion=InclusionLevel.NOT_IN_NAV))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn the links of a page."""
    return relinked(page.file.src_uri, markdown)
