"""The vocabulary shared by every part: tensor aliases, ratios such as ``8/255``, and the one error for bad input.

Shapes: images ``[N, C, H, W]`` in [0, 1]; logits ``[N, K]``; labels ``[N]`` (int64), or ``[N, K]``
of mixed images (``energy_at.labels``); per-sample values ``[N]``.
"""

from collections.abc import Iterable
from fractions import Fraction
from math import inf
from numbers import Integral, Real
from typing import TYPE_CHECKING, TypeAlias

from jsonargparse.typing import register_type
from torch import Tensor

Images: TypeAlias = Tensor
Logits: TypeAlias = Tensor
Labels: TypeAlias = Tensor
PerSample: TypeAlias = Tensor


class InputError(ValueError):
    """What the user gave cannot work; the message is one sentence that ends with the remedy."""


def require(condition: bool, message: str) -> None:
    """Raise ``InputError(message)`` unless ``condition`` holds.

    Raises:
        InputError: if ``condition`` is false.
    """
    if not condition:
        raise InputError(message)


def kind_of(value: object) -> str:
    """What a value is, for a message: ``float32 [2, 3]`` of a tensor, else such as ``an int``."""
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
    name = type(value).__name__
    return f"the class {value.__name__}" if isinstance(value, type) else f"a{'n' * (name[0] in 'aeiouAEIO')} {name}"


def can_be_called(value: object) -> bool:
    """Whether it is an instance that can be called, and not its class."""
    return callable(value) and not isinstance(value, type)


def require_one_of(name: str, value: object, options: Iterable[str]) -> None:
    """Raise ``InputError`` unless the argument ``name`` has one of these values.

    Raises:
        InputError: if ``value`` is not among ``options``.
    """
    options = list(options)
    if value not in options:
        told = [repr(option) if "," in option else option for option in options]
        use = " or ".join(filter(None, [", ".join(told[:-1]), *told[-1:]]))
        raise InputError(f"{name} {value!r} is unknown; {f'use {use}' if use else 'there is none'}")


def require_count(name: str, value: object, example: int, least: int = 1) -> None:
    """Raise ``InputError``, with an example of what works, unless the argument ``name`` is a whole number.

    Raises:
        InputError: if ``value`` is no integer, or below ``least``.
    """
    counts = isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least
    require(counts, f"{name} is {value!r}, but it counts from {least}; write for example {name}: {example}")


def require_weight(name: str, value: float, example: float = 1) -> None:
    """Raise ``InputError``, with an example of what works, unless the argument ``name`` can weigh a penalty.

    Raises:
        InputError: if ``value`` is negative or not finite.
    """
    require(
        isinstance(value, Real) and 0 <= value < inf,
        f"{name} is {value!r}, but a penalty's weight is finite and at least 0; write for example {name}: {example}",
    )


def require_share(share: float) -> None:
    """Raise ``InputError`` unless ``share`` is a part of the batch.

    Raises:
        InputError: if ``share`` is not in (0, 1].
    """
    require(0 < share <= 1, f"share is {share}, but it is a part of the batch in (0, 1]; write share: 1")


class Ratio(float):
    """A float that also reads ``"8/255"`` and prints as it was written: of a number, or of text such as ``"0.03"``.

    Raises:
        InputError: if the text is neither a number nor a ratio of two numbers.
    """

    text: str

    def __new__(cls, value: "float | str") -> "Ratio":
        """Read the value; see the class."""
        try:
            ratio = super().__new__(cls, _parse(value) if isinstance(value, str) else value)
        except (TypeError, ValueError, ArithmeticError):  # None, 1/0, and what is too large for a float
            raise InputError(f"{value!r} is not a number; write 0.03 or 8/255") from None
        ratio.text = _text(value)
        return ratio

    def __reduce__(self) -> tuple[type["Ratio"], tuple[str]]:
        """Pickle by the written form, so that a copy prints alike."""
        return Ratio, (self.text,)

    def __str__(self) -> str:
        """The value as it was written."""
        return self.text


def _parse(text: str) -> float:
    if "/" not in text:
        return float(text)
    numerator, denominator = (Fraction(part.strip()) for part in text.split("/"))
    return float(numerator / denominator)


def _text(value: float | str) -> str:
    if isinstance(value, Ratio):
        return value.text
    return "".join(value.split()) if isinstance(value, str) else repr(float(value))


if TYPE_CHECKING:
    RatioLike: TypeAlias = Ratio | float | str
else:  # the command line's parser makes a Ratio of text, and names the argument that is none
    RatioLike = Ratio | float

# jsonargparse must know how a configuration writes a Ratio, also where a checkpoint is loaded without the command line
register_type(Ratio, serializer=lambda ratio: ratio.text if "/" in ratio.text else float(ratio), deserializer=Ratio)
