"""Any network of torchvision or timm, by name, for images in [0, 1]."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from energy_at.models.checks import require_known
from energy_at.models.normalize import Normalize, Statistic, plain
from energy_at.types import Images, InputError, Logits, require_count

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean and std
AUXILIARY_HEADS = {"googlenet": ("aux1", "aux2"), "inception_v3": ("AuxLogits",)}


class TorchvisionNet(nn.Module):
    """A classification network of torchvision behind our normalisation.

    Args:
        name: as in ``torchvision.models.list_models()``, for example "resnet50".
        num_classes: K, at least 1; with ``weights``, a K other than theirs gets a new last layer.
        weights: name of pretrained weights, for example "IMAGENET1K_V2" or "DEFAULT"; None for random ones.
        mean: of the data in [0, 1], one value or one a channel, by default ImageNet's; pretrained weights need their
            own.
        std: likewise, above 0.
        options: further arguments of the network's builder, for example ``{"image_size": 32}`` of a "vit_b_16".

    Raises:
        InputError: if the network or its weights are unknown, or cannot be downloaded.
    """

    def __init__(
        self,
        name: str = "resnet50",
        num_classes: int = 1000,
        weights: str | None = None,
        mean: Statistic = None,
        std: Statistic = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        from torchvision import models

        super().__init__()
        require_count("num_classes", num_classes, 10)
        require_known("torchvision network", name, models.list_models(module=models))
        if weights is not None:
            require_known(f"weights of {name}", weights, models.get_model_weights(name).__members__)
        self.name, self.num_classes, self.weights, self.options = name, num_classes, weights, options
        self.mean, self.std = plain(mean), plain(std)
        self.normalize = Normalize(mean, std, 3, IMAGENET)
        self.net = _network(name, num_classes, weights, options or {})

    def forward(self, x: Images) -> Logits:
        """Logits [N, K] of images [N, 3, H, W] in [0, 1]."""
        return self.net(self.normalize(x))


class TimmNet(nn.Module):
    """A network of timm behind our normalisation.

    Args:
        name: as in ``timm.list_models()``, for example "resnet18"; also "hf-hub:..." and "local-dir:...".
        num_classes: K, at least 1; with ``pretrained``, a K other than the weights' gets a new last layer.
        pretrained: download the weights.
        mean: of the data in [0, 1], one value or one a channel, by default ImageNet's; pretrained weights need their
            own, and many vision transformers' are (0.5,).
        std: likewise, above 0.
        options: further arguments of ``timm.create_model``, for example ``{"img_size": 32, "in_chans": 1}``.

    Raises:
        InputError: if the network is unknown, or its weights cannot be downloaded.
    """

    def __init__(
        self,
        name: str = "resnet18",
        num_classes: int = 1000,
        pretrained: bool = False,
        mean: Statistic = None,
        std: Statistic = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        import timm

        super().__init__()
        require_count("num_classes", num_classes, 10)
        if ":" not in name and not timm.is_model(name):  # list_models leaves out old names that still work
            require_known("timm network", name, timm.list_models())
        self.name, self.num_classes, self.pretrained, self.options = name, num_classes, pretrained, options
        self.mean, self.std = plain(mean), plain(std)
        self.normalize = Normalize(mean, std, (options or {}).get("in_chans", 3), IMAGENET)
        with _downloading(f"the weights of timm's {name}", "HF_HOME"):
            self.net = timm.create_model(name, pretrained=pretrained, num_classes=num_classes, **(options or {}))

    def forward(self, x: Images) -> Logits:
        """Logits [N, K] of images [N, C, H, W] in [0, 1]."""
        return self.net(self.normalize(x))


def _network(name: str, num_classes: int, weights: str | None, options: dict[str, Any]) -> nn.Module:
    """The builder's, without heads that would turn the logits of training into a tuple."""
    from torchvision import models

    heads = AUXILIARY_HEADS.get(name, ())
    if heads:  # their weights are for images that the net itself brings from ImageNet's normalisation to another
        options = {"transform_input": True, **options}
    fresh = models.get_model(name, num_classes=num_classes, **(options | {"aux_logits": False} if heads else options))
    if weights is None:
        return fresh
    with _downloading(f"{weights} of torchvision's {name}", "TORCH_HOME"):
        pretrained = models.get_model(name, weights=weights, **options)
    for head in heads:
        setattr(pretrained, head, None)
    pretrained.aux_logits = False
    return _with_layers_of(pretrained, fresh)


@contextmanager
def _downloading(what: str, folder: str) -> Iterator[None]:
    """Says what to do where there is no network, as on a cluster's compute nodes."""
    try:
        yield
    except OSError as error:
        reason = " ".join(str(error).split())
        remedy = f"make the net once where there is a network, with the same {folder}, and it is kept there"
        raise InputError(f"{what} cannot be downloaded ({reason}); {remedy}") from error


def _with_layers_of(pretrained: nn.Module, fresh: nn.Module) -> nn.Module:
    """The pretrained net, in which layers of another shape are the fresh one's: the last, for another K."""
    own = pretrained.state_dict()
    for name, layer in fresh.named_modules():
        weights = layer.named_parameters(recurse=False)
        if any(weight.shape != own[f"{name}.{key}"].shape for key, weight in weights):
            pretrained.set_submodule(name, layer)
    return pretrained
