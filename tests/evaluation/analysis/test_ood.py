import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from energy_at.evaluation.analysis.measure import analyze
from energy_at.evaluation.analysis.ood import KEPT, OWN, SCORES, draw_ood, fpr95, ood_cells, ood_rows
from energy_at.evaluation.analysis.plate import column, where
from energy_at.evaluation.analysis.report import write_report
from energy_at.types import InputError
from tests.evaluation.analysis import ON_OTHERS, analyses, everything, other_images, with_others
from tests.evaluation.test_robustness import a_net


@pytest.mark.parametrize("seed", range(3))
def test_the_rate_is_the_least_at_which_enough_of_the_own_images_pass(seed):
    rng = np.random.default_rng(seed)
    score, ood = rng.integers(0, 30, size=150).astype(float), rng.random(150) < 0.4
    rates = [(score[ood] <= t).mean() for t in score if (score[~ood] <= t).mean() >= KEPT]
    assert fpr95(score, ood) == pytest.approx(min(rates))


def test_images_of_other_labels_are_measured_by_the_nets_prediction():
    x = torch.cat([x for x, _ in other_images()])
    logits = a_net()(x).detach().double()
    foreign = with_others()[0].ood["foreign"]
    values = foreign.natural
    np.testing.assert_array_equal(values["label"], logits.argmax(dim=1))
    assert values["correct"].all()
    scores = {name: score(values) for name, score in SCORES.items()}
    np.testing.assert_allclose(scores["energy"], -logits.logsumexp(dim=1), atol=1e-6)
    np.testing.assert_allclose(scores["confidence"], -logits.softmax(dim=1).amax(dim=1), atol=1e-6)
    np.testing.assert_allclose(scores["max_logit"], -logits.amax(dim=1), atol=1e-6)
    np.testing.assert_allclose(values["E_joint"], scores["max_logit"], atol=1e-6)
    at = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(-a_net()(at).logsumexp(dim=1).sum(), at)
    np.testing.assert_allclose(scores["gradient"], slope.square().sum(dim=(1, 2, 3)).sqrt(), rtol=1e-5)
    assert (foreign.cases["lower"]["E_marginal"] < values["E_marginal"]).all()
    assert (foreign.cases["sure"]["confidence"] > values["confidence"]).all()


def test_labels_of_other_classes_and_targeted_attacks_are_refused_where_labels_count():
    with pytest.raises(InputError, match="give every image one label below that count"):
        analyze(a_net(), other_images(), {})
    with pytest.raises(InputError, match="would take the true labels for its targets"):
        analyze(a_net(), [everything()], ON_OTHERS)


def test_a_score_tells_nothing_of_the_nets_own_images_and_what_sklearn_says_of_others():
    analysis = with_others()[0]
    rows = ood_rows([analysis])
    for row in where(rows, data="same"):
        if row["score"]:
            assert row["auroc"] == 0.5
            assert row["fpr95"] >= KEPT
    for row in where(rows, data="foreign"):
        if row["score"]:
            values = [SCORES[row["score"]](v) for v in (analysis.natural, analysis.ood["foreign"].cases[row["case"]])]
            kind = np.repeat([0, 1], [len(part) for part in values])
            assert row["auroc"] == pytest.approx(roc_auc_score(kind, np.concatenate(values)))
            assert row["images"] == 24
    areas = {row["case"]: row["auroc"] for row in where(rows, data="foreign", score="energy")}
    assert areas["lower"] < areas["natural"]


def test_nothing_is_shown_without_other_images():
    assert ood_rows(analyses()) == []


def test_the_picture_has_a_panel_a_net_and_data_set_with_every_image_in_it():
    rows = ood_rows(with_others())
    for case, images in ((OWN, 37), ("natural", 24), ("lower", 24), ("sure", 24)):
        assert column(where(rows, net="second", data="foreign", case=case, score=""), "images").sum() == images
    panels = draw_ood(rows).axes
    assert [panel.get_title() for panel in panels] == [
        "first: foreign",
        "first: same",
        "second: foreign",
        "second: same",
    ]
    area = where(rows, net="first", data="foreign", case="lower", score="energy")[0]["auroc"]
    told = [text.get_text() for text in panels[0].get_legend().get_texts()]
    assert told[0] == OWN
    assert told[2] == f"lower: AUROC {area:.3f}"


def test_the_table_and_the_report_have_every_number(tmp_path):
    rows = ood_rows(with_others()[:1])
    headings, *lines = ood_cells(rows)
    assert {len(line) for line in lines} == {len(headings)}
    assert [line[:3] for line in lines] == [["first", "foreign", c] for c in ("natural", "lower", "sure")] + [
        ["first", "same", "natural"]
    ]
    wanted = where(rows, data="foreign", case="sure", score="gradient")[0]
    assert lines[2][-2:] == [f"{wanted['auroc']:.3f}", f"{wanted['fpr95']:.3f}"]
    page = write_report(with_others()[:1], tmp_path).read_text()
    assert all(f">{cell}<" in page for cell in lines[2])
    assert "lower_marginal_energy" in page
    table = np.genfromtxt(tmp_path / "first.foreign.images.csv", delimiter=",", names=True)
    assert len(table) == 24
    assert (tmp_path / "ood.png").is_file()
