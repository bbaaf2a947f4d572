"""Where a command leaves its results."""

from pathlib import Path

from torch import nn

from energy_at.data.base import ImageData, Split
from energy_at.evaluation.checkpoints import path_and_choice
from energy_at.files import safe_name
from energy_at.hub.sources import is_elsewhere, plain_name


def kind_of(kind: str, data: ImageData, split: Split) -> str:
    """Of results on these images: those on corrupted test images lie beside the others, and do not replace them."""
    title = data.title(split)
    return kind if title == split else f"{kind}-{safe_name(title)}"


def output_folder(output: str | None, ckpt_path: str | None, net: nn.Module, kind: str) -> Path:
    """The folder of a command's results.

    Args:
        output: as the user gave it.
        ckpt_path: a checkpoint, beside which it lies otherwise: ``best.ckpt`` has ``best-evaluation``. Of a net that
            lies elsewhere it is in ``runs``, under that net's name.
        net: without a checkpoint it lies in ``runs``, under the net's name.
        kind: of results.
    """
    if output is not None:
        return Path(output)
    if ckpt_path is not None and is_elsewhere(ckpt_path):
        return Path("runs") / f"{safe_name(plain_name(ckpt_path))}-{kind}"
    if ckpt_path is not None:
        path, choice = path_and_choice(ckpt_path)
        return path.with_name("-".join(filter(None, [path.stem, choice, kind])))
    return Path("runs") / f"{type(net).__name__}-{kind}"
