import numpy as np
import pytest
from scipy.stats import norm

from energy_at.corruptions.spatter import MUD, WATER, _distances, _equalized, edges, spatter
from tests.corruptions import floats, rng

LEVELS = """
136 147 118 105  83  88 107  95  74  69 120 166
138 142 103  70  61  80  81  76  93 106 149 209
128 132  94  56  72 111  91  76 117 146 173 220
 63 103 101  79 101 131  98  86 142 173 175 187
 27  84 120 121 122 117  84  97 164 188 161 136
 62  78 111 127 132 122 108 131 169 163 120  85
126  93  90  94 117 140 148 147 131  99  73  51
129  95  85  79  96 130 146 128  90  55  46  38
113  90  78  76  92 122 134 111  84  64  58  46
155 119  83  66  82 110 102  69  58  64  73  68
209 179 140 106 104 112  83  39  25  38  50  53
255 229 200 170 161 162 124  59  19  20  13   0
"""
# what OpenCV's Canny finds there between 50 and 150
EDGES = """
..#####.#.##
..#......##.
.##.###.##..
##.##...#...
.#.....#....
####..#.#.##
...##...###.
.#..#..##...
##...#.#...#
.#..#.##....
#####.#..###
...#..#.....
"""
BLOBS = (0.65, 0.3, 1, 0.69, 0.5)


def an_image():
    return np.array([line.split() for line in LEVELS.split("\n")[1:-1]], dtype=np.uint8)


def test_edges_are_opencvs_and_images_do_not_touch_each_other():
    image = an_image()
    expected = np.array([list(line) for line in EDGES.split()]) == "#"
    found = edges(np.stack([image, 0 * image, image.T, image]), 50, 150)
    assert np.array_equal(found[0], expected)
    assert np.array_equal(found[3], expected)
    assert not found[1].any()


def test_distances_are_to_the_edges_of_the_same_image():
    one = np.zeros((3, 5, 5), bool)
    one[0, 2, 2] = True
    found = _distances(one)
    assert found[0, 0, 0] == pytest.approx(np.sqrt(8))
    assert found[0, 2, 4] == 2
    assert found[1:].min() > 1000


def test_equalised_levels_are_spread_by_their_shares_and_one_level_stays():
    levels = np.array([[[0, 0], [5, 20]], [[7, 7], [7, 7]]])
    assert _equalized(levels).tolist() == [[[0, 0], [128, 255]], [[7, 7], [7, 7]]]


def test_where_no_drop_falls_nothing_changes():
    x = floats()
    assert np.array_equal(spatter(x, rng(), -9, 0.1, 0.7, 0.7, 0.5, False), x)
    assert np.array_equal(spatter(x, rng(), -9, 0.1, 0.7, 0.7, 0.6, True), x)


def test_water_adds_its_colour_up_to_its_strength():
    x = floats()
    shine = (spatter(x, rng(), *BLOBS, False) - x) / WATER
    np.testing.assert_allclose(shine[..., 0], shine[..., 2], atol=1e-12)
    np.testing.assert_allclose(shine.max(axis=(1, 2, 3)), 0.5)
    assert shine.min() >= -1e-12


def test_mud_covers_by_four_fifths_at_least_or_not_at_all():
    x = floats() + 1  # lighter than any mud, so that the cover can be read off
    found = spatter(x, rng(), *BLOBS, True)
    cover = (x - found) / (x - MUD)
    np.testing.assert_allclose(cover[..., 0], cover[..., 2], atol=1e-9)
    assert ((cover < 1e-9) | ((cover > 0.8) & (cover < 1 + 1e-9))).all()
    blobs = norm.sf(0.69, 0.65, 0.3 * 0.2821)  # a Gaussian of sigma 1 leaves 1 / (2 sqrt(pi)) of white noise
    assert 0.3 * blobs < (cover > 0.5).mean() < blobs
