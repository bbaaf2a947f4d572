import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from energy_at.generation.quality import copies as module
from energy_at.generation.quality.copies import copies, nearest
from tests.generation import digits

X, Y = digits()
BYTES = (X * 255).round().byte().flatten(1)


@pytest.mark.parametrize("chunk", [100, 4096])
@pytest.mark.parametrize("kind", ["bytes", "floats"])
def test_it_is_scikit_learns_nearest_neighbour(monkeypatch, chunk, kind):
    monkeypatch.setattr(module, "CHUNK", chunk)
    rows = BYTES if kind == "bytes" else BYTES.float() / 255
    found = nearest(rows[:200], rows[200:])
    search = NearestNeighbors(n_neighbors=1).fit(BYTES[200:].double().numpy() / 255)
    distances, places = search.kneighbors(BYTES[:200].double().numpy() / 255)
    np.testing.assert_allclose(found.distance, distances[:, 0], rtol=1e-4)
    np.testing.assert_array_equal(found.index, places[:, 0])


def test_a_copy_is_found():
    found = nearest(BYTES[700:701], BYTES)
    assert found.index.item() == 700
    assert found.distance.item() < 0.01


def test_copies_are_samples_nearer_than_real_images_ever_are():
    held_out = torch.linspace(1, 2, 1001)  # its first percentile is 1.01
    found = copies(torch.tensor([0.2, 1.005, 1.02, 1.5]), held_out)
    assert found.share_nearer == 0.5
    assert found.median_distance_real == pytest.approx(1.5)
    assert copies(held_out, held_out).share_nearer == pytest.approx(0.01, abs=0.002)
