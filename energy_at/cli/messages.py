"""Warnings, and error messages of parser and libraries, reduced to the line that helps."""

import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from inspect import isabstract
from pathlib import Path
from traceback import walk_tb

from lightning.fabric.utilities.exceptions import MisconfigurationException

import energy_at
from energy_at.describe import init_parameters
from energy_at.types import InputError

PARTS = ("attacks", "callbacks", "data", "generation", "loggers", "models", "modules")
PLACES = tuple(f"energy_at.{part}" for part in PARTS)
KINDS = {  # of options of which the parser's message does not say what they want
    "net": ("torch.nn", "Module"),
    "init": ("energy_at.generation", "ClassInit"),
    "attacks": ("energy_at.attacks", "Attack"),
}
BETWEEN = {"energy_at", "lightning", "torch", "contextlib", "functools"}  # a command and what Lightning refuses
SHOW = "--print_config shows every option"
UNKNOWN_OPTION = (
    r"Option '([^']+)' is not accepted",
    r"unrecognized arguments: (\S+)",
    r"(?:does not accept (?:option|nested key)|Key) '([^']+)'",
)


@contextmanager
def plain_reasons() -> Iterator[None]:
    """Turns what parser, Lightning and constructors complain of into an InputError of one sentence."""
    try:
        yield
    except (ValueError, TypeError, MisconfigurationException, ModuleNotFoundError) as error:
        raise InputError(root_reason(error)) from error


def is_refusal_of_lightning(error: BaseException) -> bool:
    """Whether Lightning has raised it itself, of an option and not of what a user's own code does."""
    frames = [frame.f_globals.get("__name__", "") for frame, _ in walk_tb(error.__traceback__)]
    packages = [name.partition(".")[0] for name in frames]
    return packages[-1] == "lightning" and BETWEEN.issuperset(packages)


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Shows what this package warns of in one line, as its errors are; the warnings of others as they were."""
    others = warnings.formatwarning
    package = Path(energy_at.__file__).parent

    def plain(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
    ) -> str:
        if Path(filename).is_relative_to(package):
            return f"energy-at: warning: {' '.join(str(message).split())}\n"
        return others(message, category, filename, lineno, line)

    warnings.formatwarning = plain
    try:
        yield
    finally:
        warnings.formatwarning = others


def root_reason(error: BaseException) -> str:
    """The sentence of the InputError that an exception goes back to, else the reason of the exception itself."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, InputError):
            return str(cause)
        cause = cause.__cause__ or cause.__context__
    return one_line(str(error))


def one_line(message: str) -> str:
    """The reason at the heart of a nested parser message, with the option that it concerns."""
    values = re.findall(r"(?:Given|Got) value: (.*)$", message, re.MULTILINE)
    message, *values = (re.sub(r"\S{200,}", _short, " ".join(text.split())) for text in (message, *values))
    key = _found(r'Parser key "(?!None")([^"]+)"', message)
    named = f"{key}: " if key else ""
    if missing := _found(r"the following arguments are required: (.+)", message):
        return f"{missing} must be given; give a config that does, as -c FILE.yaml, or --{missing.split(',')[0]}"
    for pattern in UNKNOWN_OPTION:
        if name := _found(pattern, message):
            return _no_such_option(name)
    return _about_a_class(message, named) or _about_a_value(message, key, values) or message


def _about_a_class(message: str, named: str) -> str | None:
    if name := _found(r"Expected a dot import path string: (\S+)", message):
        return f"{named}{_no_such_class(name, message)}"
    if several := re.search(r"Multiple subclasses with name (\w+)\..*?ambiguity: ([\w., ]+)\.", message):
        ours_first = sorted(several[2].split(", "), key=lambda path: not path.startswith("energy_at."))
        return f"{named}several classes are called {several[1]}; write {_some_of(ours_first)}"
    if "linked_targets" in message:
        return (
            f"{named}that is a function, expected a class; for a net of torchvision write TorchvisionNet and its name"
        )
    if "Expected an instantiatable class" in message:
        return f"{named}options are given under a name that no config gives; name its class too"
    for pattern in (r"Problem with given class_path '[^']+': (.+?)(?: - |$)", r"Not of type \w+: (.+?) - Expected"):
        if reason := _found(pattern, message):
            return f"{named}{reason}"
    return None


def _about_a_value(message: str, key: str | None, values: Sequence[str]) -> str | None:
    if key and "Given value: {" in message and "class_path" not in message.rsplit("Given value: ", 1)[1]:
        return f"{key} has no class_path; name the class, or put the config that does before this one"
    expected = [_plain(kind) for kind in re.findall(r"Expected a (<class '[^']+'>|typing\.Literal\[[^]]+\])", message)]
    kinds = " or ".join(kind for kind in expected if kind != "NoneType")
    if not (key and values and expected):
        return None
    value = values[-1].strip('"')
    if kinds == "dict":
        return f"{key} is {value}, but each one has a name; write for example --{key}.NAME {value}"
    kinds += f'; write "[{value}]"' if kinds == "list" and not value.startswith("[") else ""
    return f"{key} is {value}, expected {kinds}" if kinds else f"{key} cannot be {value}; {SHOW}"


def _short(match: re.Match[str]) -> str:
    """The beginning of what nobody reads to its end."""
    return f"{match[0][:60]}..."


def _no_such_option(name: str) -> str:
    """With the option of a class of this package that was perhaps meant."""
    if not name.startswith("-") and name in sys.argv:
        return f"{name} belongs to no option; write -c before a config, and -- before an option"
    classes = [value for value in map(energy_at.__getattr__, energy_at.__all__) if isinstance(value, type)]
    known = {option for cls in classes for option in init_parameters(cls) or ()}
    plain = name.lstrip("-").partition("=")[0]
    if plain in known:
        owners = [cls.__name__ for cls in classes if plain in (init_parameters(cls) or ()) and not isabstract(cls)]
        return f"there is no option {name} at this place, but of {_some_of(owners)}; {SHOW}"
    close = [] if name.startswith("-") else get_close_matches(name, known, n=1, cutoff=0.65)
    return f"there is no option {name}; {f'did you mean {close[0]}? ' if close else ''}{SHOW}"


def _no_such_class(name: str, message: str) -> str:
    if name in energy_at.__all__:
        return f"{name} is a class of another kind; {SHOW}"
    fitting = _fitting(message)
    close = get_close_matches(name, fitting, n=1) or get_close_matches(name, energy_at.__all__, n=1)
    one_of = _some_of(fitting) if fitting else "a class of energy_at"
    remedy = f"did you mean {close[0]}?" if close else f"write {one_of}, or a dotted path to your own"
    return f"there is no class {name}; {remedy}"


def _fitting(message: str) -> list[str]:
    """Names of this package's classes that the parser would take."""
    kinds = re.findall(r"<class '((?:energy_at|lightning|torch)\.[\w.]+)\.(\w+)'>", message)
    kinds += [kind for key, kind in KINDS.items() if f'Parser key "{key}"' in message]
    bases = [getattr(import_module(module), name) for module, name in kinds]
    found = {cls for base in bases for cls in _subclasses(base) if cls.__module__.startswith(PLACES)}
    nets = {cls for cls in found if cls.__module__.startswith("energy_at.models.")}
    public = {cls.__name__ for cls in nets or found if not isabstract(cls)}
    return sorted(public & {*energy_at.__all__} or public)


def _subclasses(cls: type) -> Iterator[type]:
    below: type
    for below in type.__subclasses__(cls):
        yield below
        yield from _subclasses(below)


def _some_of(names: Sequence[str], most: int = 8) -> str:
    shown = [*names[:most], "another"] if len(names) > most else list(names)
    return " or ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]]))


def _plain(kind: str) -> str:
    if inner := _found(r"Literal\[(.+)\]", kind):
        return "one of " + inner.replace("'", "")
    return (_found(r"'([^']+)'", kind) or kind).rsplit(".")[-1]


def _found(pattern: str, text: str) -> str | None:
    match = re.search(pattern, text)
    return match.group(1) if match else None
