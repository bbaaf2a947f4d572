"""A net as a folder: weights as safetensors, and a description from which it is rebuilt."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from energy_at.files import write_file
from energy_at.hub.sources import CONFIG, WEIGHTS
from energy_at.reading import readable
from energy_at.types import require

REMEDY = "fetch or write it again"


def write_bundle(folder: Path, state: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    """Write ``model.safetensors`` and ``config.json``.

    Args:
        folder: that receives them.
        state: the net's state_dict.
        config: its description under "net", as ``class_path`` and ``init_args``, and what else is known of it.
    """
    from safetensors.torch import save  # here, because it is needed for this alone

    # copies, because what shares memory or lies in NHWC is refused
    state = {name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in state.items()}
    write_file(folder / WEIGHTS, save(state, metadata={"format": "pt"}))
    write_file(folder / CONFIG, json.dumps(config, indent=2) + "\n")


def read_bundle(path: Path) -> Mapping[str, Any]:
    """What a checkpoint would hold: "state_dict", and the net's description under "hyper_parameters".

    Args:
        path: of safetensors; ``config.json`` beside them is read if it is there. Neither can run code.

    Raises:
        InputError: if a file is damaged.
    """
    from safetensors.torch import load_file

    with readable(path, REMEDY):
        state = load_file(path)
    config = read_config(path.with_name(CONFIG))
    return {"state_dict": state, "hyper_parameters": {key: config[key] for key in ("net",) if key in config}}


def read_config(path: Path) -> Mapping[str, Any]:
    """The description; empty where there is none.

    Raises:
        InputError: if it is damaged.
    """
    if not path.is_file():
        return {}
    with readable(path, REMEDY):
        content = json.loads(path.read_text())
    require(isinstance(content, Mapping), f"{path} holds a {type(content).__name__}, no description; {REMEDY}")
    return content
