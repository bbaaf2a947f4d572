"""Phases of curves whose breakpoints are known, against every other cut and another library's fits."""

from itertools import combinations, pairwise

import numpy as np
import pytest

from energy_at.evaluation.phases import FEWEST, LEAST, three_phases, unexplained
from energy_at.types import InputError


def broken_line(lengths, slopes, jumps=(0, 0, 0)):
    """Values of consecutive straight lines, each of which starts ``jump`` off the last one's end."""
    values, level = [], 0.0
    for length, slope, jump in zip(lengths, slopes, jumps, strict=True):
        level += jump
        values += [level + slope * i for i in range(length)]
        level += slope * length
    return np.array(values)


@pytest.mark.parametrize("lengths", [(10, 20, 15), (3, 6, 3), (50, 3, 7), (90, 60, 50)])
@pytest.mark.parametrize("slopes", [(0.3, -0.01, -0.2), (-1.0, 1.0, -1.0), (0.0, 0.5, 0.0)])
def test_jumps_between_noiseless_lines_are_found_exactly(lengths, slopes):
    values = broken_line(lengths, slopes, jumps=(0, 5, -7))
    phases = three_phases(range(len(values)), values)
    firsts = np.cumsum((0, *lengths))
    assert [phase.first for phase in phases] == list(firsts[:3])
    assert [phase.last for phase in phases] == list(firsts[1:] - 1)
    np.testing.assert_allclose([phase.slope for phase in phases], slopes, atol=1e-12)
    np.testing.assert_allclose([phase(phase.last) for phase in phases], values[firsts[1:] - 1], atol=1e-10)
    assert unexplained(range(len(values)), values, phases) < 1e-20


def test_bends_under_noise_are_found_within_two_epochs():
    values = broken_line((60, 80, 60), (0.02, 0.0, -0.03))
    noisy = values + np.random.default_rng(0).normal(scale=0.03, size=len(values))
    first, second, third = three_phases(range(len(noisy)), noisy)
    assert abs(second.first - 60) <= 2
    assert abs(third.first - 140) <= 2
    np.testing.assert_allclose([first.slope, second.slope, third.slope], [0.02, 0.0, -0.03], atol=2e-3)
    assert unexplained(range(len(noisy)), noisy, (first, second, third)) < 0.05


@pytest.mark.parametrize("seed", range(5))
def test_no_other_cut_leaves_less(seed):
    rng = np.random.default_rng(seed)
    x = np.cumsum(rng.integers(1, 4, size=17))
    y = rng.normal(size=17).cumsum()

    def left(cut):
        return sum(np.polyfit(x[a:b], y[a:b], 1, full=True)[1].sum() for a, b in pairwise((0, *cut, 17)))

    cuts = [cut for cut in combinations(range(17), 2) if min(np.diff((0, *cut, 17))) >= LEAST]
    phases = three_phases(x, y)
    found = tuple(int(np.searchsorted(x, phase.first)) for phase in phases[1:])
    assert found == min(cuts, key=left)
    one = np.polyfit(x, y, 1, full=True)[1].sum()
    assert unexplained(x, y, phases) == pytest.approx(left(found) / one)


def test_where_noiseless_lines_meet_in_a_point_the_earlier_cut_is_taken():
    values = [*range(10), *range(10, 0, -1), *range(10)]  # 10 and 0 lie on two lines each
    assert [phase.first for phase in three_phases(range(30), values)] == [0, 10, 20]


@pytest.mark.parametrize("epochs", [0, 1, FEWEST - 1])
def test_too_few_epochs_have_no_phases(epochs):
    assert three_phases(range(epochs), np.arange(epochs) ** 2) is None
    assert three_phases(range(FEWEST), np.arange(FEWEST) ** 2) is not None


@pytest.mark.parametrize("values", [[1.0] * 20, [0.0] * 20, list(np.linspace(0.1, 0.7, 20))])
def test_phases_of_a_straight_line_explain_nothing(values):
    assert unexplained(range(20), values, three_phases(range(20), values)) == 1.0


@pytest.mark.parametrize(
    ("epochs", "values", "message"), [([0, 2, 1], [1, 2, 3], "do not rise"), ([0, 1], [1, np.nan], "no finite numbers")]
)
def test_what_is_no_curve_is_refused(epochs, values, message):
    with pytest.raises(InputError, match=message):
        three_phases(epochs, values)
