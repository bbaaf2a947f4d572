import os
from pathlib import Path

import pytest
import torch

REHEARSAL = os.environ.get("CUDA_REHEARSAL") == "1"
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.cuda)
            if not (torch.cuda.is_available() or REHEARSAL):
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture
def device():
    """The GPU, or in a rehearsal the CPU."""
    return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")


@pytest.fixture
def gpu(device):
    """The GPU, for what a CPU cannot rehearse."""
    if device.type != "cuda":
        pytest.skip("a CPU has nothing of the kind")
    return device


@pytest.fixture(autouse=True)
def exact_kernels():
    """Single precision in full, and the same bits each time."""
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.use_deterministic_algorithms(torch.cuda.is_available())
    yield
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.allow_tf32 = True
