import torch
from scipy import stats

from energy_at.generation import UniformInit
from tests.generation import digits


def test_uniform_starts_are_uniform_noise_of_the_images_shape():
    x0 = UniformInit().fit(*digits()).sample(torch.zeros(200, dtype=torch.int64), torch.arange(200))
    assert stats.kstest(x0.flatten().numpy(), "uniform").pvalue > 0.01


def test_starts_are_made_where_the_fit_is():
    init = UniformInit().fit(*digits())
    assert init.device == torch.device("cpu")
    assert init.to("meta").device == torch.device("meta")
