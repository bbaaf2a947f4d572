"""Every link within the built site leads somewhere, also those that MkDocs does not look at (API, theme, pictures)."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError

ORIGIN = "http://site.invalid/"


class References(HTMLParser):
    """What a page links to, and the anchors that it has.

    Args:
        text: HTML.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See ``HTMLParser``."""
        given = {name: value or "" for name, value in attrs}
        self.links |= {given[name] for name in ("href", "src") if name in given}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}


def broken_links(site: Path) -> list[str]:
    """A line for each link of a page to a file or anchor of the site that is not there.

    Args:
        site: folder with the built site; its 404.html is left out, for its links start at the server's root.
    """
    pages = {path: References(path.read_text()) for path in site.rglob("*.html") if path != site / "404.html"}
    return sorted(
        f"{path.relative_to(site)}: {link}"
        for path, references in pages.items()
        for link in references.links
        if not leads_somewhere(site, pages, path, link)
    )


def leads_somewhere(site: Path, pages: dict[Path, References], page: Path, link: str) -> bool:
    """Whether a link's target is there; links to other sites are taken at their word."""
    url = urlsplit(urljoin(ORIGIN + page.relative_to(site).as_posix(), link))
    if url.netloc != "site.invalid":
        return True
    target = site / unquote(url.path).lstrip("/")
    target = target / "index.html" if target.is_dir() else target
    if not url.fragment or target not in pages:
        return target.is_file()
    return unquote(url.fragment) in pages[target].anchors


def on_post_build(config: MkDocsConfig) -> None:
    """Refuse a site with broken links.

    Raises:
        PluginError: if there are any.
    """
    broken = broken_links(Path(config.site_dir))
    if broken:
        raise PluginError("links that lead nowhere:\n" + "\n".join(broken))
