"""What a checkpoint says of the objects that made it: class and arguments as plain values.

Objects follow one convention: every constructor argument is an attribute of the same name. So a checkpoint holds no
pickled object and loads with ``weights_only=True``.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from energy_at.types import Ratio

UNKNOWN = object()


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
        return _known({key: describe(item) for key, item in value.items()})
    if isinstance(value, Sequence):
        return [describe(item) for item in value]
    if inspect.isfunction(value) or inspect.isclass(value):
        return UNKNOWN
    arguments = init_arguments(value)
    if arguments is None:
        return UNKNOWN
    return {"class_path": f"{type(value).__module__}.{type(value).__qualname__}", "init_args": arguments}


def init_arguments(instance: object) -> dict[str, Any] | None:
    """Described constructor arguments of an object; None if one without a default cannot be told."""
    parameters = init_parameters(type(instance))
    described = {name: describe(getattr(instance, name, UNKNOWN)) for name in parameters}
    missing = [n for n, p in parameters.items() if described[n] is UNKNOWN and p.default is inspect.Parameter.empty]
    return None if missing else _known(described)


def init_parameters(cls: type) -> dict[str, inspect.Parameter]:
    """Named constructor parameters, those that ``**kwargs`` hands to the base class included."""
    parameters: dict[str, inspect.Parameter] = {}
    for base in cls.__mro__:
        if "__init__" not in vars(base):
            continue
        own = list(inspect.signature(base.__init__).parameters.values())[1:]
        for parameter in own:
            if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                parameters.setdefault(parameter.name, parameter)
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in own):
            break
    return parameters


def _known(items: dict[str, Any]) -> dict[str, Any]:
    return {key: item for key, item in items.items() if item is not UNKNOWN}
