"""The parsers behind every command: configs found by name, mistakes answered in one line."""

import re
import sys
from typing import Any, NoReturn

from jsonargparse import ActionConfigFile, ArgumentParser
from lightning.pytorch.cli import LightningArgumentParser

from energy_at.cli.config_files import find_config
from energy_at.cli.messages import one_line

CONFIG = {"help": "a config: path, or name of a packaged one"}


class ConfigFile(ActionConfigFile):
    """A config by path or by the name of a packaged one."""

    def __call__(self, parser: Any, cfg: Any, values: str, option_string: str | None = None) -> None:
        """See argparse."""
        super().__call__(parser, cfg, str(find_config(values)), option_string)


class _OneLine(ArgumentParser):
    """A parser whose errors are one line, and whose help names this package's classes only."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Say what is wrong and exit with code 2."""
        print(f"energy-at: {one_line(message)}", file=sys.stderr)
        sys.exit(2)

    def format_help(self) -> str:
        """See argparse; torch alone has some hundred subclasses of Module."""
        return re.sub(r"known\s+subclasses:\s[^)]*", _own_classes, super().format_help())


class Parser(_OneLine, LightningArgumentParser):
    """For Lightning's commands."""


class FunctionParser(_OneLine):
    """For commands that are plain functions."""


def link_net_to_data(parser: ArgumentParser, net: str, *names: str) -> None:
    """What a net learns from the data set: classes and channels, and more.

    Args:
        parser: that has ``data`` and the net.
        net: key of the net.
        names: of further arguments; a net that is trained learns "mean" and "std", one that is judged has its own.
    """
    for name in ("num_classes", *names):
        parser.link_arguments(f"data.{name}", f"{net}.init_args.{name}", apply_on="instantiate")
    channels = f"{net}.init_args.in_channels"
    parser.link_arguments("data.image_shape", channels, lambda shape: shape[0], apply_on="instantiate")


def _own_classes(match: re.Match) -> str:
    # argparse breaks a long name at the line's end
    listed = re.sub(r"\s+", "", match[0].split(":", 1)[1]).split(",")
    own = [name.removeprefix("energy_at.") for name in listed if name.startswith("energy_at.") and name.count(".") == 1]
    return f"for example {', '.join(own)}" if own else "see there"
