"""Whether a device can compute in the precision that a training asks for, at a gain."""

import torch
from lightning.pytorch.utilities import rank_zero_warn

from energy_at.types import require

KINDS = {"cuda": ("GPU", "16-mixed"), "cpu": ("CPU", "32-true")}  # with the precision that is faster


def check_precision(device: torch.device, precision: object) -> None:
    """Refuse a device without float64, and warn where bfloat16 has to be emulated.

    Args:
        device: of the training.
        precision: as Lightning's trainer has it.

    Raises:
        InputError: if the device has no float64.
    """
    require(device.type != "mps", "energies are summed in float64, which MPS lacks; write accelerator: cpu")
    if precision == "bf16-mixed" and not has_bf16(device):
        kind, faster = KINDS[device.type]
        rank_zero_warn(f"this {kind} has no bfloat16 of its own and emulates it slowly; write precision: {faster}")


def has_bf16(device: torch.device) -> bool:
    """Whether a device computes in bfloat16; true of those of which nothing is known.

    NVIDIA's do from compute capability 8.0 on (not V100, T4 and RTX 20), Intel's and AMD's CPUs with AVX-512.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    known = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return known.get("architecture") != "x86_64" or bool(known["avx512_bw"])
