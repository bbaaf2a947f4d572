"""Refusals: what cannot be evaluated is turned into one sentence that names the fault and the remedy."""

from collections.abc import Mapping

import torch
from torch import nn

from energy_at.attacks import Attack
from energy_at.attacks.base import caller_state_kept, check_form, check_image_form, check_range
from energy_at.labels import are_shares
from energy_at.net_state import in_mode
from energy_at.types import Images, InputError, Labels, can_be_called, kind_of, require


def check_images(x: Images) -> None:
    """Refuse what are no images in [0, 1].

    Raises:
        InputError: if x is not [N, C, H, W], floating point, finite and in [0, 1].
    """
    check_image_form(x)
    require(len(x) > 0, "there are no images; give at least one")
    check_range(x)


def check_attacks(attacks: Mapping[str, Attack], labelled: bool = True) -> None:
    """Refuse what are no attacks by name, and those that take the labels given to them for the labels to reach.

    Args:
        attacks: by name.
        labelled: whether they are given true labels, and not the net's predictions, which can well be reached.

    Raises:
        InputError: if they are of another form, or if an attack is targeted and chooses no labels itself.
    """
    named = f"attacks are {kind_of(attacks)}; give each a name, such as {{'pgd': PGD()}}"
    require(isinstance(attacks, Mapping), named)
    for name, attack in attacks.items():
        require(
            can_be_called(attack), f"attack {name!r} is {kind_of(attack)}; give an Attack, such as PGD(eps='8/255')"
        )
        require(
            not (labelled and getattr(attack, "targeted", False)),
            f"attack {name!r} is targeted, and would take the true labels for its targets; wrap it: Targeted(attack)",
        )


def check_fits(attacks: Mapping[str, Attack], net: nn.Module, classes: int) -> None:
    """Refuse attacks that cannot attack this net, before one of them has worked for hours.

    Args:
        attacks: by name.
        net: to be attacked.
        classes: K of its logits.

    Raises:
        InputError: as ``Attack.check``, with the attack's name.
    """
    for name, attack in attacks.items():
        try:
            if isinstance(attack, Attack):  # a function will do too
                attack.check(net, classes)
        except InputError as error:
            raise InputError(f"attack {name!r}: {error}") from error


def check_batch(net: nn.Module, x: Images, y: Labels) -> None:
    """Refuse what a net cannot be trained on; see ``check_net``.

    Raises:
        InputError: as ``check_net``, and if y is neither int64 [N] with the net's classes nor their shares [N, K].
    """
    classes = check_net(net, x)
    check_form(x, y, shares=True)
    if are_shares(y):
        whole = y.shape[1] == classes and bool((y >= 0).all()) and torch.allclose(y.sum(dim=1), y.new_ones(len(y)))
        require(whole, f"labels are {kind_of(y)}; give int64 [N], or shares of {classes} classes that add up to 1")
        return
    low, high = int(y.min()), int(y.max())
    require(
        low >= 0 and high < classes,
        f"labels reach from {low} to {high}, but the net has {classes} classes, the first of which is 0; give it more",
    )


def check_net(net: nn.Module, x: Images, num_classes: int | None = None) -> int:
    """Refuse what is no classifier of images in [0, 1]; the net is left as it was found.

    Args:
        net: to be judged.
        x: [N, C, H, W] in [0, 1]; two of them are tried.
        num_classes: K that the logits should have; None takes any.

    Returns:
        K, the number of classes.

    Raises:
        InputError: if x are no such images, or if the net does not answer with finite logits [N, K].
    """
    check_images(x)
    x = x[:2]
    with caller_state_kept(net, x), in_mode(net, False), torch.no_grad():
        try:
            logits = net(x)
        except (RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"the net does not take images {list(x.shape)} ({reason}); give it its own data"
            ) from error
    require(
        isinstance(logits, torch.Tensor), f"the net returns {kind_of(logits)}; wrap it so that it returns logits alone"
    )
    fits = logits.dim() == 2 and len(logits) == len(x) and logits.shape[1] >= 2
    require(fits, f"the net returns {list(logits.shape)} for {len(x)} images; it should return logits [N, K], K >= 2")
    require(
        num_classes in (None, logits.shape[1]),
        f"the net has {logits.shape[1]} classes, but the data {num_classes}; give the net of this data",
    )
    require(bool(logits.isfinite().all()), "the net returns logits that are no finite numbers; check its weights")
    return logits.shape[1]
