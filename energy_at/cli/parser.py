"""The parsers behind every command: configs found by name, mistakes answered in one line."""

import re
import sys
from collections.abc import Iterator
from difflib import get_close_matches
from numbers import Number
from typing import Any, NoReturn

from jsonargparse import ActionConfigFile, ArgumentParser, Namespace  # type: ignore[attr-defined] # public, not in __all__
from jsonargparse.typing import register_type
from lightning.pytorch.cli import LightningArgumentParser

from energy_at.cli.config_files import find_config
from energy_at.cli.first_look import with_values
from energy_at.cli.messages import one_line
from energy_at.cli.net_links import NetLinks

CONFIG: dict[str, Any] = {"help": "a config: path, or name of a packaged one"}

# arguments of torchvision's transforms are annotated so, which the parser would take for a class of the user's
register_type(Number, serializer=float, deserializer=float)


class ConfigFile(ActionConfigFile):
    """A config by path or by the name of a packaged one."""

    def __call__(self, parser: Any, cfg: Any, values: Any, option_string: str | None = None) -> None:
        """See argparse."""
        super().__call__(parser, cfg, str(find_config(values)), option_string)  # type: ignore[no-untyped-call]


class _OneLine(ArgumentParser):
    """A parser whose errors are one line, and whose help names this package's classes only."""

    net_links: NetLinks | None = None
    built: type | None = None  # the class whose arguments these are, of the parser that the library makes for one

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # an abbreviation means something else as soon as there is another option that begins so
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Say what is wrong and exit with code 2."""
        print(f"energy-at: {self._needed(message) or self._meant(message) or one_line(message)}", file=sys.stderr)
        sys.exit(2)

    def add_class_arguments(self, theclass: type, nested_key: str | None = None, *args: Any, **kwargs: Any) -> Any:
        """See jsonargparse."""
        if nested_key is None:
            self.built = theclass
        return super().add_class_arguments(theclass, nested_key, *args, **kwargs)

    def instantiate(self, namespace: Namespace, *args: Any, **kwargs: Any) -> Namespace:
        """See jsonargparse."""
        if self.net_links is not None:
            self.net_links.look(namespace)
        return super().instantiate(namespace, *args, **kwargs)

    def dump(self, namespace: Namespace, *args: Any, **kwargs: Any) -> str:
        """See jsonargparse."""
        text = super().dump(namespace, *args, **kwargs)
        return text if self.net_links is None else self.net_links.told(namespace, text)

    def _needed(self, message: str) -> str:
        """A sentence with the class that lacks an argument, and where to write it."""
        missing = re.search(r"the following arguments are required: (.+)", message)
        if missing is None or self.built is None:
            return ""
        name = self.built.__name__
        flag = _flag_of(name)
        remedy = f"write {flag}.{missing[1].split(', ')[0]}" if flag else "write it into init_args below the class_path"
        return f"{name} needs {missing[1]}; {remedy}"

    def _meant(self, message: str) -> str:
        """A sentence with the option of which an unknown one is the beginning or a misspelling."""
        unknown = re.search(r"unrecognized arguments: (--[^\s=]+)", message)
        if unknown is None:
            return ""
        options = list(options_of(self))
        begun = [option for option in options if option.startswith(unknown[1])]
        close = begun or get_close_matches(unknown[1], options, n=1, cutoff=0.85)
        return f"there is no option {unknown[1]}; did you mean {close[0]}?" if close else ""

    def format_help(self, *args: Any) -> str:
        """See argparse; torch alone has some hundred subclasses of Module."""
        return re.sub(r"known\s+subclasses:\s[^)]*", _own_classes, super().format_help(*args))


def _flag_of(name: str) -> str:
    """The flag that names a class; empty where a config does."""
    named = (flag for flag, value in with_values(sys.argv) if value and value.rpartition(".")[2] == name)
    return next((flag.rstrip("+") for flag in named if flag.startswith("--")), "")


def options_of(parser: Any) -> Iterator[str]:
    """All of a parser and its subcommands."""
    yield from parser._option_string_actions
    for action in parser._actions:
        for subparser in (action.choices or {}).values() if isinstance(action.choices, dict) else ():
            yield from options_of(subparser)


class Parser(_OneLine, LightningArgumentParser):
    """For Lightning's commands."""


class FunctionParser(_OneLine):
    """For commands that are plain functions."""


def _own_classes(match: re.Match[str]) -> str:
    # argparse breaks a long name at the line's end
    listed = re.sub(r"\s+", "", match[0].split(":", 1)[1]).split(",")
    own = [name.removeprefix("energy_at.") for name in listed if name.startswith("energy_at.") and name.count(".") == 1]
    return f"for example {', '.join(own)}" if own else "see there"
