"""What a checkpoint says of the objects that made it, and they of themselves: class and arguments as plain values.

Objects follow one convention: every constructor argument is an attribute of the same name. So a checkpoint holds no
pickled object and loads with ``weights_only=True``.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from energy_at.types import InputError, Ratio

UNKNOWN = object()


class Described:
    """Shows itself as the call that makes it, such as ``RSFGSM(eps=8/255, norm='Linf', ...)``."""

    def __repr__(self) -> str:
        """Name and arguments; those that the object does not keep are left out."""
        arguments = {name: getattr(self, name, UNKNOWN) for name in init_parameters(type(self)) or ()}
        shown = [f"{name}={_shown(value)}" for name, value in arguments.items() if value is not UNKNOWN]
        return f"{type(self).__name__}({', '.join(shown)})"


def describe(value: Any) -> Any:
    """Plain form of a value: numbers, text, lists and dicts as they are, an object as class_path and init_args.

    Returns:
        The description, or ``UNKNOWN`` where an object does not keep its constructor's arguments.
    """
    if isinstance(value, Ratio):
        return str(value) if "/" in str(value) else float(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {key: describe(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [describe(item) for item in value]
    if value is UNKNOWN or inspect.isroutine(value) or inspect.isclass(value):
        return UNKNOWN
    arguments = init_arguments(value)
    if arguments is None:
        return UNKNOWN
    return {"class_path": class_path(value), "init_args": arguments}


def class_path(instance: object) -> str:
    """The dotted path of an object's class."""
    return f"{type(instance).__module__}.{type(instance).__qualname__}"


def init_arguments(instance: object) -> dict[str, Any] | None:
    """Described constructor arguments of an object; None if it does not keep them all."""
    parameters = init_parameters(type(instance))
    described = {name: describe(getattr(instance, name, UNKNOWN)) for name in parameters or ()}
    return None if parameters is None or UNKNOWN in described.values() else described


def own_arguments(module: object) -> dict[str, Any]:
    """Described constructor arguments of a module; those that cannot be described are left out.

    Raises:
        InputError: if its constructor takes ``*args``, which have no names.
    """
    names = init_parameters(type(module))
    if names is None:
        raise InputError(
            f"{type(module).__name__} takes *args, which a checkpoint cannot name; give its arguments names"
        )
    arguments = {name: describe(getattr(module, name, UNKNOWN)) for name in names}
    return {name: value for name, value in arguments.items() if value is not UNKNOWN}


def init_parameters(cls: type) -> dict[str, inspect.Parameter] | None:
    """The constructor's parameters by name, those that ``**kwargs`` hands to the base class included.

    Returns:
        The parameters; None if the constructor takes ``*args``, which have no names.
    """
    found: dict[str, inspect.Parameter] = {}
    for base in cls.__mro__:
        if "__init__" not in vars(base):
            continue
        own = list(inspect.signature(vars(base)["__init__"]).parameters.values())[1:]
        kinds = {parameter.kind for parameter in own}
        if inspect.Parameter.VAR_POSITIONAL in kinds:
            return None
        found |= {p.name: p for p in own if p.kind is not p.VAR_KEYWORD and p.name not in found}
        if inspect.Parameter.VAR_KEYWORD not in kinds:
            break
    return found


def _shown(value: Any) -> str:
    """A ratio as it was written, a net without its layers."""
    if isinstance(value, nn.Module):
        return f"{type(value).__name__}(...)"
    return str(value) if isinstance(value, Ratio) else repr(value)
