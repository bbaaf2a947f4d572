import numpy as np
import torch

from energy_at.generation import LangevinSampler
from energy_at.generation.chain import Chain, Snapshots, along, to_bytes
from energy_at.generation.langevin import Step
from energy_at.generation.noise import uniform
from tests.generation import ConvNet, reference

N, STEPS = 12, 10
X0, Y, SEEDS = uniform(torch.arange(N), -9, (1, 8, 8)), torch.arange(N) % 10, torch.arange(N)
SAMPLER = LangevinSampler(step_size=0.02, steps=STEPS)
NET = ConvNet().eval()
END = SAMPLER(NET, X0, Y, SEEDS).energies
STOP = SAMPLER(NET, X0, Y, SEEDS, torch.full((N,), 1e6)).energies  # those of the starts
STOP = STOP + (END - STOP) * torch.linspace(-0.1, 1.1, N)


def after(steps, row):
    """A sample as it is after so many steps, by the plain equations."""
    sampler = LangevinSampler(step_size=0.02, steps=steps)
    return reference(sampler, NET, X0[row], Y[row], SEEDS[row], STOP[row])


def test_energies_are_those_of_each_step_up_to_the_end():
    chain = Chain(N, STEPS, torch.arange(0))
    steps = SAMPLER(NET, X0, Y, SEEDS, STOP, chain).steps
    assert len(steps.unique()) > 4
    for row in range(N):
        own = chain.energies[row, : steps[row] + 1]
        torch.testing.assert_close(own, torch.tensor([after(t, row)[1] for t in range(len(own))]), atol=1e-4, rtol=0)
        assert chain.energies[row, steps[row] + 1 :].isnan().all()
    assert chain.stages().shape == (0, 3, 1, 8, 8)


def test_stages_are_start_middle_and_end_of_each_samples_own_chain():
    pictured = torch.tensor([1, 4, 7, 11])
    chain = Chain(N, STEPS, pictured)
    samples = SAMPLER(NET, X0, Y, SEEDS, STOP, chain)
    for stages, row in zip(chain.stages(), pictured.tolist(), strict=True):
        taken = int(samples.steps[row])
        expected = [to_bytes(after(step, row)[0]) for step in (0, taken // 2, taken)]
        assert (stages.int() - torch.stack(expected).int()).abs().max() <= 1  # rounding may fall on either side
        assert torch.equal(stages[2], to_bytes(samples.x[row]))


def test_snapshots_are_runs_of_fewer_steps():
    snapshots = Snapshots([0, 3, STEPS])
    SAMPLER(NET, X0, Y, SEEDS, STOP, snapshots)
    for steps, images in snapshots.images().items():
        expected = torch.stack([after(steps, row)[0] for row in range(N)])
        torch.testing.assert_close(images, expected, atol=1e-5, rtol=0)


def test_snapshots_after_all_have_finished():
    snapshots = Snapshots([0, 9])
    samples = SAMPLER(NET, X0, Y, SEEDS, torch.full((N,), 1e6), snapshots)
    assert samples.steps.eq(0).all()
    assert torch.equal(snapshots.images()[9], X0)


def test_a_summary_keeps_a_finished_samples_last_energy():
    energies = torch.tensor([[1.0, 0.0, -1.0], [3.0, torch.nan, torch.nan], [2.0, 1.0, torch.nan]])
    found = along(energies)
    frozen = np.array([[1, 0, -1], [3, 3, 3], [2, 1, 1]])
    assert found.moving.tolist() == [3, 2, 1]
    np.testing.assert_allclose(found.mean, frozen.mean(0))
    for quantile, values in ((0.1, found.low), (0.5, found.middle), (0.9, found.high)):
        np.testing.assert_allclose(values, np.quantile(frozen, quantile, axis=0))


def test_bytes_are_the_nearest_levels():
    levels = torch.arange(256) / 255
    assert torch.equal(to_bytes(levels), torch.arange(256, dtype=torch.uint8))
    assert torch.equal(to_bytes((levels + 0.4 / 255).clamp(max=1)), torch.arange(256, dtype=torch.uint8))
    x = levels.clone()
    to_bytes(x)
    assert torch.equal(x, levels)


def test_frames_of_a_step_belong_to_their_samples():
    chain = Chain(3, 2, torch.tensor([0, 2]))
    images = torch.rand(3, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    chain(Step(0, torch.tensor([0, 1, 2]), images, torch.zeros(3)))
    chain(Step(1, torch.tensor([2]), images[1:2], torch.zeros(1)))
    stages = chain.stages()
    assert torch.equal(stages[0], to_bytes(images[[0, 0, 0]]))
    assert torch.equal(stages[1], to_bytes(images[[2, 2, 1]]))
