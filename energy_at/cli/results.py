"""Where a command leaves its results."""

from pathlib import Path

from torch import nn

from energy_at.evaluation.checkpoints import path_and_choice


def output_folder(output: str | None, ckpt_path: str | None, net: nn.Module, kind: str) -> Path:
    """The folder of a command's results.

    Args:
        output: as the user gave it.
        ckpt_path: a checkpoint, beside which it lies otherwise: ``best.ckpt`` has ``best-evaluation``.
        net: without a checkpoint it lies in ``runs``, under the net's name.
        kind: of results.
    """
    if output is not None:
        return Path(output)
    if ckpt_path is not None:
        path, choice = path_and_choice(ckpt_path)
        return path.with_name("-".join(filter(None, [path.stem, choice, kind])))
    return Path("runs") / f"{type(net).__name__}-{kind}"
