"""Small nets run faster on one thread, and side by side with whatever else the machine does."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import matplotlib
import torch

matplotlib.use("Agg")
torch.set_num_threads(1)


def pytest_collection_modifyitems(items):
    """Notebooks first: they take longest, and one process would end alone with them."""
    items.sort(key=lambda item: "test_notebooks" not in item.nodeid)
