"""What mixes a whole training batch, images and labels, repeated by a resumed run."""

from collections.abc import Callable
from typing import TypeAlias

from torch.nn import functional as F

from energy_at.data.sampling import generator
from energy_at.data.transform import check_callable, drawing_from
from energy_at.types import Images, Labels, kind_of, require

Mix: TypeAlias = Callable[[Images, Labels], tuple[Images, Labels]]


def check_mix(mix: object) -> None:
    """Refuse what cannot mix a batch.

    Raises:
        InputError: if ``mix`` is neither None nor an instance that can be called.
    """
    check_callable("mix", mix, "torchvision.transforms.v2.CutMix()")


def mixing_seed(seed: int, epoch: int, step: int, rank: int) -> int:
    """What a batch is mixed by; each process mixes its own images."""
    return int(generator(seed, epoch, 1 + step, 2, 1 + rank).integers(2**32))


def mixed(mix: Mix, images: Images, labels: Labels, num_classes: int, seed: int) -> tuple[Images, Labels]:
    """Mix a batch on its own device; other random numbers are left alone.

    Args:
        mix: makes of images ``[N, C, H, W]`` and labels, float ``[N, K]`` with a 1 each, others of the same form. What
            it draws with the CPU's generators, of torch, numpy or Python, is repeated by a resumed run.
        images: ``[N, C, H, W]`` in [0, 1].
        labels: int64 ``[N]``.
        num_classes: K.
        seed: of what is drawn.

    Returns:
        Images of the same shape, and the share of each class in each of them, ``[N, K]``.

    Raises:
        InputError: if ``mix`` makes something else.
    """
    one_hot = F.one_hot(labels, num_classes).to(images.dtype)
    with drawing_from(seed):
        made = mix(images, one_hot)
    told = " and ".join(kind_of(part) for part in made) if isinstance(made, (tuple, list)) else kind_of(made)
    given = f"{kind_of(images)} and {kind_of(one_hot)}"
    require(told == given, f"mix makes {told} of images and labels {given}; let it keep types and shapes")
    return made
