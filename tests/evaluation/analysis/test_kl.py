import numpy as np
import pytest

from energy_at.evaluation.analysis.kl import draw_kl, kl_rows
from energy_at.evaluation.analysis.plate import column, where
from tests.evaluation.analysis import analyses


def test_the_two_terms_add_up_to_the_kl():
    rows = kl_rows(analyses())
    assert len(rows) == 2 * 3
    for row in rows:
        assert row["kl_conditional"] + row["dE_marginal"] == pytest.approx(row["kl"], abs=1e-12)
        assert row["kl"] > 0
    spread = analyses()[0].attacks["pgd"]["kl"].std() / 37**0.5
    assert where(rows, net="first", attack="pgd")[0]["kl_error"] == pytest.approx(spread)


@pytest.mark.parametrize("nets", [1, 2, 3])
def test_the_picture_has_two_bars_an_attack_and_their_sum(nets):
    rows = (
        kl_rows((*analyses(), analyses()[0])[:nets])
        if nets < 3
        else [row | {"net": name} for name in ("a", "b", "c") for row in kl_rows(analyses()[:1])]
    )
    figure = draw_kl(rows)
    shown = [panel for panel in figure.axes if panel.axison]
    assert len(shown) == nets
    for panel in shown:
        bars = where(rows, net=panel.get_title())
        heights = [patch.get_height() for patch in panel.patches]
        np.testing.assert_allclose(heights, [*column(bars, "kl_conditional"), *column(bars, "dE_marginal")])
        (total,) = (line for line in panel.lines if line.get_marker() == "D")
        np.testing.assert_allclose(total.get_ydata(), np.add(*np.split(np.array(heights), 2)))
