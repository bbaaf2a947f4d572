"""A net under test: batches are checked, attacked with noise of their own, and what was computed is kept."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from energy_at.attacks import Attack
from energy_at.evaluation.checks import check_attacks, check_fits, check_images, check_net
from energy_at.evaluation.store import Store, digest, net_sha256, settings
from energy_at.files import safe_name
from energy_at.seeding import seeded_generator
from energy_at.types import Images, Labels, kind_of, require, require_count

# raised when the same attack on the same net gives another result, so that nothing stored before is taken up
RESULTS = "0.1.0"


class Bench:
    """What every study of a net under attack needs.

    Args:
        net: in float32 and evaluation mode, on ``device``.
        attacks: by name.
        store: of earlier results.
        device: where to compute.
        seed: of the attacks' noise, at least 0.
        labelled: whether the images' labels are the net's; where they are not, its prediction takes their place.

    Raises:
        InputError: if the seed is negative, the attacks are none or have no names, or an attack takes the true labels
            for its targets.
    """

    def __init__(
        self,
        net: nn.Module,
        attacks: Mapping[str, Attack],
        store: Store,
        device: torch.device,
        seed: int,
        labelled: bool = True,
    ) -> None:
        require_count("seed", seed, 0, least=0)
        self.labelled = labelled
        self.net, self.attacks, self.store, self.device, self.seed = net, attacks, store, device, seed
        self.classes: int | None = None
        self._settings: dict[str, str] = {}
        check_attacks(attacks, labelled)
        # another version of a library, kind of device or memory format may differ in the last digit
        layout = [parameter.is_contiguous() for parameter in net.parameters()]
        self._net = digest(net_sha256(net), torch.__version__, RESULTS, device.type, layout)[:16]

    def prepared(self, index: int, x: Images, y: Labels) -> tuple[Images, Labels, str]:
        """Batch number ``index`` on the device, floating point in [0, 1], with the hash of images and labels.

        Raises:
            InputError: if the net, the images or the labels are unfit.
        """
        x = x.to(self.device)
        x = x.float() / 255 if x.dtype == torch.uint8 else x.float()
        if self.classes is None:
            self.classes = check_net(self.net, x)
            check_fits(self.attacks, self.net, self.classes)
        check_images(x)
        y = self._checked(index, y.to(self.device), len(x)) if self.labelled else self._predicted(x)
        return x, y, digest(x, y)

    def _checked(self, index: int, y: Labels, images: int) -> Labels:
        y = y if y.is_floating_point() else y.long()
        require(
            y.shape == (images,) and images > 0 and int(y.min()) >= 0 and int(y.max()) < (self.classes or 0),
            f"batch {index} has labels {y.flatten()[:3].tolist()}... for {images} images, and the net {self.classes}"
            " classes; give every image one label below that count",
        )
        return y

    @torch.no_grad()
    def _predicted(self, x: Images) -> Labels:
        return self.net(x).argmax(dim=1)

    def attacked(self, name: str, index: int, x: Images, y: Labels, factor: float = 1.0) -> Images:
        """Images of batch ``index`` under an attack, its lengths multiplied by ``factor``.

        The noise is a function of (seed, name, index), so a result depends neither on what ran before nor on how many
        processes share the work.

        Raises:
            InputError: if the attack leaves [0, 1] or the images' shape.
        """
        attack = self.attacks[name]
        attack = attack if factor == 1 else attack.scaled(factor)
        x_adv = attack(self.net, x, y, generator=self.noise(name, index))
        require(
            x_adv.shape == x.shape and float(x_adv.min()) >= 0 and float(x_adv.max()) <= 1,
            f"attack {name!r} left [0, 1] or the images' shape {list(x.shape)}; correct it",
        )
        return x_adv

    def noise(self, name: str, index: int) -> torch.Generator:
        """An attack's source of noise for one batch; its ``initial_seed()`` is what AutoAttack's library is given."""
        own = int(digest(name, self.attacks[name].seed)[:16], 16)
        return seeded_generator(self.device, self.seed, own, index)

    def setting(self, name: str) -> str:
        """Name of an attack with a hash of all that decides its result but net and images."""
        if name not in self._settings:  # once: an attack with a net of its own has its weights hashed
            attack = self.attacks[name]
            setting = digest(name, type(attack), settings(attack), self.seed)
            self._settings[name] = f"{safe_name(name)}-{setting[:16]}"
        return self._settings[name]

    def kept(self, name: str, compute: Callable[[], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """The result of this name for this net, on the device: from the store, or computed and kept there."""
        name = f"{self._net}/{name}"
        result: Mapping[str, Tensor] | None = self.store.load(name)
        if result is None:
            result = compute()
            self.store.keep(name, result)
        return {key: value.to(self.device) for key, value in result.items()}


def of_rank(
    batches: Iterable[tuple[Images, Labels]], shard: tuple[int, int]
) -> Iterator[tuple[int, tuple[Images, Labels]]]:
    """The batches of one process, with their indices.

    Args:
        batches: all of them, in a fixed order.
        shard: (rank, processes): those whose index is rank modulo processes.

    Raises:
        InputError: if there is no such rank, or if these are no batches.
    """
    rank, processes = shard
    require(0 <= rank < processes, f"shard is {shard}, but a rank lies in 0..processes - 1; write for example (0, 1)")
    require(
        isinstance(batches, Iterable),
        f"batches are {kind_of(batches)}; give a loader, such as a data module's batches()",
    )
    return ((index, _pair(index, batch)) for index, batch in enumerate(batches) if index % processes == rank)


def _pair(index: int, batch: Any) -> tuple[Images, Labels]:
    fits = isinstance(batch, (tuple, list)) and len(batch) == 2
    require(fits, f"batch {index} is no pair of images and labels but {kind_of(batch)}; give [(x, y), ...]")
    x, y = batch
    return x, y
