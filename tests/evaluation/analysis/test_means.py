import numpy as np
import pytest
from torch.nn import functional as F

from energy_at.evaluation.analysis.means import mean_cells, mean_rows
from energy_at.evaluation.analysis.plate import where
from tests.evaluation.analysis import analyses, everything
from tests.evaluation.test_robustness import a_net


def test_a_row_a_net_and_case_whose_numbers_hang_together():
    rows = mean_rows(analyses())
    assert [(row["net"], row["case"]) for row in rows[:4]] == [("first", c) for c in ("natural", "fgsm", "pgd", "far")]
    (natural,) = where(rows, net="first", case="natural")
    x, y = everything()
    cross_entropy = F.cross_entropy(a_net()(x), y).item()
    assert natural["E_joint"] - natural["E_marginal"] == pytest.approx(cross_entropy, abs=1e-5)
    assert (natural["dE_marginal"], natural["kl"]) == (None, None)
    for row in where(rows, net="first")[1:]:
        assert row["dE_marginal"] == pytest.approx(natural["E_marginal"] - row["E_marginal"])
        assert row["dE_joint"] == pytest.approx(natural["E_joint"] - row["E_joint"])
        assert row["kl"] == pytest.approx(row["kl_conditional"] + row["dE_marginal"])
        assert row["accuracy"] < natural["accuracy"]


def test_as_text_every_row_has_every_column():
    rows = mean_rows(analyses())
    headings, *lines = mean_cells(rows)
    assert {len(line) for line in lines} == {len(headings)}
    first = dict(zip(headings, lines[0], strict=True))
    assert (first["net"], first["images"], first["dE(x)"]) == ("first", "natural", "-")
    assert float(first["E(x)"]) == pytest.approx(rows[0]["E_marginal"], abs=6e-4)
    assert np.isclose(float(lines[1][headings.index("dE(x)")]), rows[1]["dE_marginal"], atol=6e-4)
