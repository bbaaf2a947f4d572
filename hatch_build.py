"""Puts configs/ into the wheel (an editable install reads the checkout's own), and addresses into what PyPI shows."""

import os
import re
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

RELATIVE = r"(?!\w+:|#)([^)\s\"]+)"
LINK = re.compile(rf"(\]\(|href=\"){RELATIVE}")
PICTURE = re.compile(rf"(!\[[^\]]*\]\(|src=\"){RELATIVE}")


class ConfigsHook(BuildHookInterface):
    """Adds the packaged configs to standard wheels only."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """See hatchling."""
        if version == "standard":
            build_data["force_include"]["configs"] = "energy_at/configs"


class AddressHook(MetadataHookInterface):
    """Turns the README's relative links to REPO_URL, which the release's workflow says; without it they stay."""

    def update(self, metadata: dict[str, Any]) -> None:
        """See hatchling."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        repository, ref = os.environ.get("REPO_URL"), os.environ.get("GITHUB_REF_NAME", "main")
        metadata["urls"] = {}
        if repository:
            text = turned(text, repository, ref)
            metadata["urls"] = {"Repository": repository, "Changelog": f"{repository}/blob/{ref}/CHANGELOG.md"}
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def turned(text: str, repository: str, ref: str) -> str:
    """A page of the repository's root with its relative links and pictures made absolute.

    Args:
        text: in Markdown.
        repository: its address on GitHub.
        ref: branch or tag.
    """
    text = PICTURE.sub(rf"\1{repository}/raw/{ref}/\2", text)
    return LINK.sub(rf"\1{repository}/blob/{ref}/\2", text)
