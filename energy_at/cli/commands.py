"""Commands that are plain functions: signature and docstring make the flags and their help."""

import inspect
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from lightning.pytorch.utilities.exceptions import MisconfigurationException

from energy_at.cli.messages import root_reason
from energy_at.cli.parser import CONFIG, ConfigFile, FunctionParser
from energy_at.types import InputError

# what a net learns from the data set, and the argument that takes it
FROM_DATA = {
    "num_classes": "num_classes",
    "mean": "mean",
    "std": "std",
    "image_shape": "in_channels",
}


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
    try:
        arguments = parser.instantiate(config)
    except (ValueError, TypeError, MisconfigurationException) as error:
        raise InputError(root_reason(error)) from error
    function(**vars(arguments))


def command_parser(function: Callable[..., Any]) -> FunctionParser:
    """The parser of a function's parameters.

    Args:
        function: typed, and documented in Google's style.
    """
    purpose = inspect.getdoc(function).splitlines()[0]
    parser = FunctionParser(prog=f"energy-at {function.__name__}", description=purpose)
    parser.add_argument("-c", "--config", action=ConfigFile, **CONFIG)
    parser.add_function_arguments(function, as_group=False)
    if {"data", "net"} <= inspect.signature(function).parameters.keys():
        for source, target in FROM_DATA.items():
            channels = (lambda shape: shape[0],) if source == "image_shape" else ()
            parser.link_arguments(f"data.{source}", f"net.init_args.{target}", *channels, apply_on="instantiate")
    return parser
