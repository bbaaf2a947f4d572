"""Commands that are plain functions: signature and docstring make the flags and their help."""

import inspect
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from energy_at.cli.first_look import SHORT_FORMS
from energy_at.cli.messages import plain_reasons
from energy_at.cli.net_links import NetLinks
from energy_at.cli.parser import CONFIG, ConfigFile, FunctionParser


def run_command(name: str, args: Sequence[str]) -> None:
    """Parse the arguments of a command and call its function, ``energy_at.cli.NAME.NAME``.

    Args:
        name: of the command.
        args: what follows it.

    Raises:
        InputError: the reason why an argument does not fit.
    """
    function = getattr(import_module(f"energy_at.cli.{name}"), name)
    parser = command_parser(function)
    config = parser.parse_args(list(args))
    del config["config"]
    with plain_reasons():
        arguments = parser.instantiate(config)
    function(**vars(arguments))


def command_parser(function: Callable[..., Any]) -> FunctionParser:
    """The parser of a function's parameters.

    Args:
        function: typed, and documented in Google's style.
    """
    purpose = (inspect.getdoc(function) or "").partition("\n")[0]
    name = function.__name__
    parser = FunctionParser(prog=f"energy-at {name}", description=purpose, epilog=SHORT_FORMS.get(name))
    parser.add_argument("-c", "--config", action=ConfigFile, **CONFIG)
    added = parser.add_function_arguments(function, as_group=False)
    if {"data", "net"} <= set(added):
        parser.net_links = NetLinks(parser, "net", statistics=False)
    return parser
