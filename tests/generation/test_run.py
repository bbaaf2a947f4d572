import gc
import signal
import subprocess
import sys
import time
from math import inf
from pathlib import Path

import numpy as np
import pytest
import torch

from energy_at.generation import ClassPCA, EnergyTargets, LangevinSampler, sample_seeds
from energy_at.generation.batch_files import BatchFiles
from energy_at.generation.run import PICTURED, Recipe, run
from energy_at.types import InputError
from tests.generation import ConvNet, digits

X, Y = digits()
INIT = ClassPCA().fit(X, Y)
N = 60


def recipe(steps=6, targets=True, classes=range(10)):
    net = ConvNet()
    fitted = EnergyTargets().fit(net, X, Y) if targets else None
    return Recipe(net, INIT, LangevinSampler(step_size=0.02, steps=steps), fitted, classes, 3)


def joined(files, n=N):
    return [torch.cat(parts) for parts in zip(*(batch[:7] for batch in files.read(n)), strict=True)]


def made(folder, batch_size, processes=1, n=N, **options):
    files = BatchFiles(folder, {})
    for rank in range(processes):
        run(recipe(**options), files, n, batch_size, (rank, processes))
    return files


def test_samples_are_those_of_sampler_starts_and_targets(tmp_path):
    its = recipe()
    index, image, label, energy, target, steps, chain = joined(made(tmp_path, 25))
    seeds = sample_seeds(3, index)
    stop = its.targets.sample(label, seeds)
    samples = its.sampler(its.net, INIT.sample(label, seeds), label, seeds, stop)
    assert torch.equal(index, torch.arange(N))
    assert torch.equal(label, index % 10)
    assert torch.equal(target, stop)
    assert torch.equal(steps, samples.steps)
    torch.testing.assert_close(energy, samples.energies)
    assert (image.float() / 255 - samples.x).abs().max() < 0.5001 / 255 + 1e-5
    assert torch.equal((~chain.isnan()).sum(1) - 1, steps)
    torch.testing.assert_close(chain.gather(1, steps[:, None])[:, 0], energy)


@pytest.mark.parametrize(("batch_size", "processes"), [(7, 1), (60, 1), (7, 2), (10, 4)])
def test_images_do_not_depend_on_batch_size_or_processes(tmp_path, batch_size, processes):
    expected = joined(made(tmp_path / "one", 20))
    found = joined(made(tmp_path / "other", batch_size, processes))
    assert (found[1].int() - expected[1].int()).abs().max() <= 1  # rounding may fall on either side of a level
    assert torch.equal(found[2], expected[2])
    assert torch.equal(found[5], expected[5])


def test_a_run_goes_on_and_a_larger_one_adds_samples(tmp_path):
    expected = joined(made(tmp_path / "whole", 10))
    files = made(tmp_path / "parts", 10, n=20)
    first = {path: path.stat().st_mtime_ns for path in files.folder.iterdir()}
    done = []
    run(recipe(), files, N, 10, on_batch=done.append)
    assert done == [10] * 4
    assert all(path.stat().st_mtime_ns == time for path, time in first.items())
    assert all(torch.equal(a, b) or a.isnan().any() for a, b in zip(joined(files), expected, strict=True))


def test_without_targets_every_sample_takes_every_step(tmp_path):
    *_, target, steps, _ = joined(made(tmp_path, 30, targets=False, steps=4))
    assert steps.eq(4).all()
    assert target.eq(-inf).all()


def test_some_classes_alone(tmp_path):
    label = joined(made(tmp_path, 30, classes=[7, 2]))[2]
    assert label.tolist() == [7, 2] * 30


def test_the_first_samples_of_each_class_are_pictured(tmp_path):
    files = made(tmp_path, 30, classes=[7, 2], n=50)
    labels = torch.cat([batch.label[batch.pictured] for batch in files.read(50)])
    assert labels.tolist() == [7, 2] * PICTURED
    assert [len(batch.stages) for batch in files.read(50)] == [20, 0]


def test_no_more_than_a_batch_is_in_memory(tmp_path):
    its, files, held = recipe(steps=2), BatchFiles(tmp_path, {}), []

    def count(_):
        gc.collect()
        held.append(sum(t.nbytes for t in gc.get_objects() if type(t) is torch.Tensor))

    run(its, files, 200, 20, on_batch=count)
    assert len(held) == 10
    assert max(held) - min(held) < 10 * 20 * 64  # what the images alone would take, in bytes


def test_impossible_values_are_named(tmp_path):
    with pytest.raises(InputError, match="n is 0"):
        run(recipe(), BatchFiles(tmp_path, {}), 0)
    with pytest.raises(InputError, match="batch_size is 0"):
        run(recipe(), BatchFiles(tmp_path, {}), 5, 0)


SCRIPT = """
import sys
from energy_at.generation.batch_files import BatchFiles
from energy_at.generation.run import run
from tests.generation.test_run import recipe
run(recipe(steps=40), BatchFiles(sys.argv[1], {}), 300, 5, (int(sys.argv[2]), int(sys.argv[3])))
"""


def started(folder, rank=0, processes=1):
    command = [sys.executable, "-c", SCRIPT, str(folder), str(rank), str(processes)]
    return subprocess.Popen(command, cwd=Path(__file__).parents[2])


def contents(folder):
    return {
        path.name: {name: array.tobytes() for name, array in np.load(path).items()} for path in folder.glob("*.npz")
    }


def test_a_killed_run_goes_on_to_the_same_images_and_so_do_two_processes(tmp_path):
    whole, killed, shared = tmp_path / "whole", tmp_path / "killed", tmp_path / "shared"
    made(whole, 5, n=300, steps=40)
    process = started(killed)
    while process.poll() is None and len(list(killed.glob("*.npz"))) < 3:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert 3 <= len(contents(killed)) < 60
    made(killed, 5, n=300, steps=40)
    assert contents(killed) == contents(whole)
    assert [process.wait() for process in (started(shared, 0, 2), started(shared, 1, 2))] == [0, 0]
    assert contents(shared) == contents(whole)
