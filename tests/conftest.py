"""Small nets run faster on one thread, and side by side with whatever else the machine does."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import matplotlib
import pytest
import torch

matplotlib.use("Agg")
torch.set_num_threads(1)


def pytest_collection_modifyitems(items):
    """Notebooks first: they take longest, and one process would end alone with them."""
    items.sort(key=lambda item: "test_notebooks" not in item.nodeid)


def pytest_sessionstart(session):
    session.config.found = _in_checkout(session)


def pytest_sessionfinish(session):
    """A test writes into its own folders alone."""
    left = _in_checkout(session) - session.config.found
    if left and not hasattr(session.config, "workerinput"):
        print(f"\nfailed: tests have left {', '.join(sorted(left))} in the checkout")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _in_checkout(session):
    return {path.name for path in session.config.rootpath.iterdir() if path.name[0] not in "._" and path.name != "runs"}
