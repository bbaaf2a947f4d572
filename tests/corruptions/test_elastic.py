import numpy as np
from scipy.ndimage import affine_transform, gaussian_filter, map_coordinates

from energy_at.corruptions.elastic import elastic_transform
from tests.corruptions import floats, rng

POINTS = np.array([[26.0, 26], [26, 6], [6, 6]])  # column, row


def test_without_corner_and_strength_nothing_moves():
    np.testing.assert_allclose(elastic_transform(floats(), rng(), 0, 0, 0), floats(), atol=1e-9)


def test_three_points_move_and_the_image_with_them_as_scipy_does_it():
    x = floats()[:3]
    moved = POINTS + rng(5).uniform(-2.56, 2.56, size=(3, 3, 2))
    found = elastic_transform(x, rng(5), 0, 0, 0.08)
    for image, to, result in zip(x, moved, found, strict=True):
        # rows before columns, from the result's pixels to the image's
        back = np.linalg.solve(np.c_[to[:, ::-1], np.ones(3)], POINTS[:, ::-1])
        for channel in range(3):
            expected = affine_transform(image[..., channel], back[:2].T, back[2], order=1, mode="mirror")
            np.testing.assert_allclose(result[..., channel], expected, atol=1e-9)


def test_pixels_follow_a_smooth_field_as_scipy_does_it():
    x = floats()[:2]
    source = rng(6)
    source.uniform(size=(2, 3, 2))
    fields = source.uniform(-1, 1, size=(4, 32, 32))
    found = elastic_transform(x, rng(6), 0.1, 0.03, 0)
    rows, columns = np.mgrid[:32, :32]
    for image in range(2):
        down, right = (3.2 * gaussian_filter(f, 0.96, truncate=3) for f in (fields[image], fields[2 + image]))
        expected = map_coordinates(x[image, ..., 0], [rows + down, columns + right], order=1, mode="reflect")
        np.testing.assert_allclose(found[image, ..., 0], expected, atol=1e-9)
    assert not np.allclose(found, x, atol=0.01)
