"""Several processes, one a device, as Lightning Fabric starts them; on a cluster, as its scheduler has started them."""

import torch
from lightning.fabric import Fabric

from energy_at.cli.messages import plain_reasons


def launched(accelerator: str, devices: int | str, num_nodes: int) -> Fabric:
    """Start the other processes of this command; all of them return from here.

    Args:
        accelerator: "cpu", "cuda" or "auto".
        devices: processes on each node, one a device; "auto" means all there are.
        num_nodes: machines.

    Raises:
        InputError: if there are no such devices.
    """
    with plain_reasons():
        fabric = Fabric(accelerator=accelerator, devices=devices, num_nodes=num_nodes)
    fabric.launch()
    return fabric


def gathered(part: object) -> list:
    """What every process gives, in the order of their ranks; on every process."""
    if not torch.distributed.is_initialized():
        return [part]
    parts = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(parts, part)
    return parts
