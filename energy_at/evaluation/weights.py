"""The weights of a file, fitted to the names of a net."""

import re
from collections.abc import Mapping
from itertools import islice
from typing import Any

from torch import Tensor, nn

from energy_at.types import InputError, require

State = Mapping[str, Tensor]

# where the weights lie in the files of Lightning and of the field's training scripts
STATE_KEYS = ("state_dict", "model_state_dict", "model", "net")
# what DistributedDataParallel, torch.compile and training modules put before a net's own names
WRAPPER = re.compile(r"(?:module|model|net|_orig_mod)\.")


def state_in(content: Mapping[str, Any], source: object) -> State:
    """The state_dict of a file: its content itself, or under one of the usual names.

    Raises:
        InputError: if there is none.
    """
    for candidate in (*(content.get(key) for key in STATE_KEYS), content):
        if isinstance(candidate, Mapping) and candidate and all(isinstance(v, Tensor) for v in candidate.values()):
            return candidate
    raise InputError(f"{source} holds {_some(content)}, but no weights; save the net's state_dict()")


def apply_weights(net: nn.Module, state: State, source: object) -> None:
    """Copy the weights into the net, whatever wrapper's prefix stands before their names.

    Raises:
        InputError: if a name is missing or left over, or if a shape differs; the net is unchanged then.
    """
    wanted = net.state_dict()
    state = _unwrapped(state, wanted)
    missing, unexpected = wanted.keys() - state.keys(), state.keys() - wanted.keys()
    problems = [f"lacks {_some(missing)}"] * bool(missing) + [f"has {_some(unexpected)} too many"] * bool(unexpected)
    require(
        not problems, f"{source} does not fit the net: it {' and '.join(problems)}; give the net that it was saved from"
    )
    different = [name for name in wanted if wanted[name].shape != state[name].shape]
    require(not different, _shapes(different, state, wanted, source))
    net.load_state_dict(state)


def _unwrapped(state: State, wanted: State) -> State:
    """The entries under that prefix which gives most of the names wanted, without it."""
    state = {name.replace("_orig_mod.", ""): tensor for name, tensor in state.items()}
    prefixes = {""}
    for name in state:
        prefix = ""
        while match := WRAPPER.match(name, len(prefix)):
            prefixes.add(prefix := name[: match.end()])
    stripped = [
        {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
        for prefix in sorted(prefixes, key=len)
    ]
    return max(stripped, key=lambda entries: len(entries.keys() & wanted.keys()))


def _shapes(different: list[str], state: State, wanted: State, source: object) -> str:
    if not different:
        return ""
    theirs, ours = state[different[0]].shape, wanted[different[0]].shape
    last = list(wanted)[-2:]  # a classifier's weight and bias
    if set(different) <= set(last) and theirs[1:] == ours[1:]:
        return f"{source} has {theirs[0]} classes, but the net {ours[0]}; give a net of {theirs[0]} classes"
    return f"{source} does not fit the net: {different[0]} is {list(theirs)}, but {list(ours)} there; give its own net"


def _some(names: Any) -> str:
    shown = ", ".join(islice(sorted(map(str, names)), 3))
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown or "nothing"
