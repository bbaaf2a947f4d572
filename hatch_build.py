"""Puts configs/ into the wheel; an editable install reads the checkout's own."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ConfigsHook(BuildHookInterface):
    """Adds the packaged configs to standard wheels only."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """See hatchling."""
        if version == "standard":
            build_data["force_include"]["configs"] = "energy_at/configs"
