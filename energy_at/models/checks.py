"""Checks of the networks' arguments."""

from collections.abc import Iterable
from difflib import get_close_matches

from energy_at.types import require


def require_known(kind: str, name: str, known: Iterable[str]) -> None:
    """The name is one of the known.

    Raises:
        InputError: if it is not, naming those that are close, or the first ones where none is.
    """
    known = list(known)
    near = get_close_matches(name, known, n=3, cutoff=0.5) or known[:3]
    require(name in known, f"{kind} {name!r} is unknown; use for example {', '.join(near)}")
