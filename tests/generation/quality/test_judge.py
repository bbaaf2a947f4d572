import pytest
import torch

from energy_at.generation.quality import judge
from energy_at.generation.quality.features import Features
from energy_at.generation.quality.frechet import frechet_distance
from energy_at.generation.quality.judge import diversity, judged


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("chunk", [7, 2048])
def test_diversity_is_the_mean_over_all_pairs_of_a_class(monkeypatch, chunk):
    monkeypatch.setattr(judge, "CHUNK", chunk)
    vectors, labels = random(61, 5) + 100, torch.arange(61) % 4
    expected = torch.stack([torch.pdist(vectors[labels == label].double()).mean() for label in range(4)]).mean()
    assert diversity(vectors, labels) == pytest.approx(float(expected), rel=1e-5)


def test_equal_images_have_no_diversity_and_a_class_of_one_does_not_count():
    vectors = torch.tensor([[3.0, 4], [3, 4], [0, 0], [6, 8], [7, 7]])
    assert diversity(vectors[:2], torch.tensor([0, 0])) == 0
    assert diversity(vectors, torch.tensor([0, 0, 1, 1, 2])) == pytest.approx(5.0)


def test_a_judgement_compares_with_real_images_of_the_same_classes():
    real = Features(random(200, 6), random(200, 3, seed=1), torch.arange(200) % 3)
    own = torch.arange(90) % 2  # nothing of class 2
    samples = Features(2 * random(90, 6, seed=2), random(90, 3, seed=3), own)
    found = judged(samples, real)
    of_both = real.labels < 2
    assert found.agreement == pytest.approx(sum(samples.logits.argmax(1) == own) / 90)
    assert found.diversity == pytest.approx(diversity(samples.vectors, own))
    expected = diversity(samples.vectors, own) / diversity(real.vectors[of_both], real.labels[of_both])
    assert found.relative_diversity == pytest.approx(expected)
    assert 1.7 < found.relative_diversity < 2.3
    assert found.frechet_distance == pytest.approx(frechet_distance(samples.vectors, real.vectors[of_both]))
