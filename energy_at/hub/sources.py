"""Where a net lies that is not a file at hand: on the Hugging Face Hub, in this package, or in a folder."""

import re
from pathlib import Path
from typing import Final

from energy_at.types import InputError, require

WEIGHTS: Final = "model.safetensors"
CONFIG: Final = "config.json"
HUB = re.compile(r"hf://(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")
PRETRAINED: Final = "pretrained:"
OF_A_RUN = ("checkpoints/best.ckpt", "checkpoints/last.ckpt")  # the second where no image was held out
SHELF = Path(__file__).parents[1] / "pretrained"


def located(source: str | Path) -> Path:
    """The file of a net's weights.

    Args:
        source: ``hf://USER/NAME`` or ``hf://USER/NAME@REVISION``, which is downloaded once; ``pretrained:NAME``; a
            folder with ``model.safetensors``; that of a run; or the file itself.

    Raises:
        InputError: if the hub has no such net or cannot be reached, or if this package has none of this name.
    """
    text = str(source)
    if text.startswith("hf:"):
        return _downloaded(text)
    if text.startswith(PRETRAINED):
        return _on_the_shelf(text.removeprefix(PRETRAINED))
    path = best_of(source)
    return path / WEIGHTS if (path / WEIGHTS).is_file() else path


def best_of(source: str | Path) -> Path:
    """The best checkpoint of a run where its folder is given, the last one without a best; any other path as it is."""
    path = Path(source)
    return next((path / name for name in OF_A_RUN if (path / name).is_file()), path)


def is_elsewhere(source: str | Path) -> bool:
    """Whether a net lies where nothing of the user's is written: on the hub, or in this package."""
    return str(source).startswith(("hf:", PRETRAINED))


def plain_name(source: str | Path) -> str:
    """A name for what is made of a net that lies elsewhere: ``USER-NAME`` of the hub's, else the name itself."""
    return str(source).removeprefix("hf://").removeprefix(PRETRAINED).replace("/", "-")


def _on_the_shelf(name: str) -> Path:
    names = sorted(path.parent.name for path in SHELF.glob(f"*/{WEIGHTS}"))
    require(name in names, f"there is no pretrained net {name!r}; this package has {', '.join(names)}")
    return SHELF / name / WEIGHTS


def _downloaded(source: str) -> Path:
    match = HUB.fullmatch(source)
    if match is None:
        raise InputError(f"{source} names no net of the hub; write hf://USER/NAME or hf://USER/NAME@REVISION")
    from huggingface_hub import snapshot_download  # here, so that nobody waits for it who does not use it

    try:
        folder = snapshot_download(match["repo"], revision=match["revision"], allow_patterns=[WEIGHTS, CONFIG])
    except Exception as error:  # of the client, of its HTTP library, or of the disk
        raise InputError(f"{source} cannot be downloaded: {hub_reason(error)}") from error
    require((Path(folder) / WEIGHTS).is_file(), f"{source} holds no {WEIGHTS}, and nothing else is read from there")
    return Path(folder) / WEIGHTS


def hub_reason(error: BaseException) -> str:
    """What the hub or the way there says, with the remedy."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    name = type(error).__name__
    if status in (401, 403) or name in ("GatedRepoError", "LocalTokenNotFoundError"):
        return "the hub refuses it; check the name, and log in with hf auth login or HF_TOKEN if it is private or yours"
    if name in ("RepositoryNotFoundError", "RevisionNotFoundError") or status == 404:
        return "the hub has no such name or revision; check both, and log in with hf auth login if it is private"
    if name in ("ConnectError", "ConnectTimeout", "ConnectionError", "LocalEntryNotFoundError", "ReadTimeout"):
        return (
            "the hub cannot be reached and nothing is kept from before; check network, HF_ENDPOINT and HF_HUB_OFFLINE"
        )
    return f"{name}: {' '.join(str(error).split())}; check the name, and the network"
