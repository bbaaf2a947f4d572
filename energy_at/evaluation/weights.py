"""The weights of a file, fitted to the names of a net, whoever's script has written them."""

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from energy_at.types import InputError, require

State = Mapping[str, Tensor]

# where the weights lie in the files of Lightning and of the field's training scripts
CONTAINERS = ("state_dict", "model_state_dict", "model", "net")
# of two nets in one file, of which the user chooses
CHOICES = ("last", "best")
# what DataParallel, DDP, torch.compile, training modules and normalising wrappers put before a net's own names
WRAPPER = re.compile(r"(?:module|model|net|rmodel|_orig_mod|0|1)\.")
# a layer of a Sequential, as the last of the prefixes
SEQUENTIAL = re.compile(r"\d+\.$")
# what the first layer's values are called
STATISTICS = {"mean": "mean", "mu": "mean", "new_mean": "mean", "std": "std", "sigma": "std", "new_std": "std"}
UNSAID = (
    "does not say how its images are normalised; give --net.mean and --net.std (to fit: --model.net.mean, ...), a "
    "number or one a channel, or --net.mean none for images in [0, 1] as they are; docs/weights.md says which source "
    "has which"
)
# the layer in which this package holds a net of torchvision or timm
OWN_WRAPPER = "net."


def state_in(content: Mapping[str, Any], source: object, choice: str | None = None) -> State:
    """The state_dict of a file: its content itself, or under one of the usual names.

    Args:
        content: of the file.
        source: its name.
        choice: "last" or "best", of a file that holds both.

    Raises:
        InputError: if there is none, or a choice is to be made.
    """
    chosen = [key for key in CHOICES if isinstance(content.get(key), Mapping)]
    if chosen:
        remedy = " or ".join(f"{source}:{key}" for key in chosen)
        if choice not in chosen:
            raise InputError(f"{source} holds the weights {' and '.join(chosen)}; write {remedy}")
        return state_in(content[choice], source)
    require(choice is None, f"{source} holds one net, not {choice} and others; write {source}")
    for candidate in _candidates(content):
        if candidate and all(isinstance(value, Tensor) for value in candidate.values()):
            return candidate
    raise InputError(f"{source} holds {_some(content)}, but no weights; save the net's state_dict()")


def apply_weights(net: nn.Module, state: State, source: object, new_head: bool = False) -> None:
    """Copy the weights into the net, whatever wrapper's prefix stands before their names.

    A net of this package gets its normalisation from the file where the file has one, else keeps what it was told.

    Args:
        net: receives them.
        state: of a file.
        source: its name.
        new_head: leave the last layer as it is, with a warning, where the file has another number of classes.

    Raises:
        InputError: if a name is missing or left over, if a shape differs, or if nobody says how images are normalised;
            the net is unchanged then.
    """
    wanted = net.state_dict()
    said = getattr(getattr(net, "normalize", None), "said", None)
    statistics = {} if said is None else dict(_statistics(state, wanted))
    own = set() if said is None else {"normalize.mean", "normalize.std"}
    fitted = stripped(state, wanted.keys() - own)
    foreign = "normalize.mean" not in fitted
    left = getattr(net, "unused", ())
    fitted = {
        name: tensor for name, tensor in fitted.items() if not (name.startswith(left) or (own and _is_statistic(name)))
    }
    fitted |= {**_counters(fitted, wanted), **statistics}
    if own and not statistics:
        require(bool(said), f"{source} {UNSAID}")
        fitted |= {name: wanted[name] for name in own}
    _require_same_names(fitted, wanted, source)
    different = [name for name in wanted if wanted[name].shape != fitted[name].shape]
    if new_head and _is_head(different, fitted, wanted):
        theirs, ours = fitted[different[0]].shape[0], wanted[different[0]].shape[0]
        warnings.warn(f"{source} has {theirs} classes and the net {ours}, so its last layer begins anew", stacklevel=2)
        fitted |= {name: wanted[name] for name in different}
    elif different:
        raise InputError(_shapes(different, fitted, wanted, source))
    _warn(net, state, statistics, source)
    note = getattr(net, "loading_note", None)
    if foreign and note:
        warnings.warn(f"{source}: {note}", stacklevel=2)
    net.load_state_dict(fitted)


def stripped(state: State, wanted: Iterable[str]) -> dict[str, Tensor]:
    """The entries under that prefix which gives most of the names wanted, in the net's own names.

    What lies beside them is another net or an optimizer's, and left out; not so what follows them in a Sequential.

    Args:
        state: of a file.
        wanted: names of the net, without its normalisation's.
    """
    state = {name.replace("_orig_mod.", ""): tensor for name, tensor in state.items()}
    wanted = set(wanted)
    found = [
        {own + name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
        | _layers_beside(state, prefix)
        for own in ("", OWN_WRAPPER)
        for prefix in sorted(_prefixes(state), key=len)
    ]
    return max(found, key=lambda entries: len(entries.keys() & wanted))


def _prefixes(state: Iterable[str]) -> set[str]:
    """Whatever wrappers may stand before a net's names, one or more of them, and none."""
    prefixes = {""}
    for name in state:
        prefix = ""
        while match := WRAPPER.match(name, len(prefix)):
            prefixes.add(prefix := name[: match.end()])
    return prefixes


def _layers_beside(state: State, prefix: str) -> dict[str, Tensor]:
    """The other layers of the Sequential whose layer this prefix is: they are part of what the file computes."""
    layer = SEQUENTIAL.search(prefix)
    if layer is None:
        return {}
    beside = re.compile(re.escape(prefix[: layer.start()]) + r"\d+\.")
    return {
        name: tensor
        for name, tensor in state.items()
        if beside.match(name) and not name.startswith(prefix) and not _is_statistic(name)
    }


def _candidates(content: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for key in CONTAINERS:
        if isinstance(content.get(key), Mapping):
            yield from _candidates(content[key])
    yield content


def _statistics(state: State, wanted: State) -> Iterator[tuple[str, Tensor]]:
    """Mean and std of a normalising layer, whatever it is called, shaped as the net's own."""
    for name, tensor in state.items():
        kind = STATISTICS.get(name.rpartition(".")[2])
        own = f"normalize.{kind}"
        if own in wanted and tensor.numel() in (1, wanted[own].numel()):
            yield own, tensor.to(wanted[own]).reshape(1, -1, 1, 1).expand_as(wanted[own])


def _is_statistic(name: str) -> bool:
    return name.rpartition(".")[2] in STATISTICS


def _warn(net: Any, state: State, statistics: State, source: object) -> None:
    """Say what the file cannot tell, or what the net does not do."""
    normalised = [name for name in state if name.rpartition(".")[2] in ("mean", "mu")]
    if getattr(net, "normalize", None) is None and normalised:
        warnings.warn(f"{source} has a normalisation ({normalised[0]}), and the net is left to its own", stacklevel=3)
    if (
        statistics
        and net.normalize.said
        and any((net.state_dict()[k] - v).abs().max() > 1e-3 for k, v in statistics.items())
    ):
        warnings.warn(f"{source} brings its own normalisation, which is taken in place of the given one", stacklevel=3)


def _counters(state: State, wanted: State) -> State:
    """Batch norm's step counters, which files of old versions of torch lack."""
    lacking = wanted.keys() - state.keys()
    return {name: torch.zeros_like(wanted[name]) for name in lacking if name.endswith(".num_batches_tracked")}


def _require_same_names(state: State, wanted: State, source: object) -> None:
    missing, unexpected = wanted.keys() - state.keys(), state.keys() - wanted.keys()
    problems = [f"lacks {_some(missing)}"] * bool(missing) + [f"has {_some(unexpected)} too many"] * bool(unexpected)
    require(
        not problems, f"{source} does not fit the net: it {' and '.join(problems)}; give the net that it was saved from"
    )


def _is_head(different: list[str], state: State, wanted: State) -> bool:
    """Whether they are a classifier's weight and bias, for another number of classes."""
    same_input = all(state[name].shape[1:] == wanted[name].shape[1:] for name in different)
    return bool(different) and set(different) <= {*list(wanted)[-2:]} and same_input


def _shapes(different: list[str], state: State, wanted: State, source: object) -> str:
    theirs, ours = state[different[0]].shape, wanted[different[0]].shape
    if _is_head(different, state, wanted):
        return f"{source} has {theirs[0]} classes, but the net {ours[0]}; give a net of {theirs[0]} classes"
    return f"{source} does not fit the net: {different[0]} is {list(theirs)}, but {list(ours)} there; give its own net"


def _some(names: Any) -> str:
    shown = ", ".join(islice(sorted(map(str, names)), 3))
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown or "nothing"
