from dataclasses import replace

import numpy as np
import pytest

from energy_at.evaluation.analysis.classes import class_rows, draw_classes
from energy_at.evaluation.analysis.plate import column, where
from tests.evaluation.analysis import analyses


def test_the_classes_means_weighted_by_their_images_are_the_mean():
    rows = class_rows(analyses())
    for analysis in analyses():
        for case, values in analysis.cases.items():
            classes = where(rows, net=analysis.net, case=case)
            assert [row["name"] for row in classes] == ["ant", "bee", "cat"]
            for key, column_of in (("E_marginal", "E_marginal"), ("E_joint", "E_joint"), ("accuracy", "correct")):
                mean = np.average(column(classes, key), weights=column(classes, "images"))
                assert mean == pytest.approx(values[column_of].mean())


def test_a_classs_mean_is_over_its_own_images():
    found = analyses()[0]
    (row,) = where(class_rows([found]), case="pgd", name="bee")
    assert row["E_joint"] == pytest.approx(found.cases["pgd"]["E_joint"][found.natural["label"] == 1].mean())


def test_the_picture_orders_classes_by_their_natural_energy():
    rows = class_rows(analyses())
    figure = draw_classes(rows)
    panel = figure.axes[1]
    natural, *attacked = panel.lines
    assert (np.diff(natural.get_ydata()) >= 0).all()
    names = [label.get_text() for label in panel.get_xticklabels()]
    for case, line in zip(("fgsm", "pgd", "far"), attacked, strict=True):
        by_name = {row["name"]: row["E_joint"] for row in where(rows, net="first", case=case)}
        np.testing.assert_allclose(line.get_ydata(), [by_name[name] for name in names])


def test_many_classes_are_ranked_without_names():
    found = analyses()[0]
    label = np.arange(37)
    many = replace(found, class_names=(), cases={c: {**v, "label": label} for c, v in found.cases.items()})
    rows = class_rows([many])
    assert {row["name"] for row in rows} == {str(k) for k in range(37)}
    panel = draw_classes(rows).axes[0]
    assert panel.get_xlabel() == "rank of the class"
    for line, values in zip(panel.lines, found.cases.values(), strict=True):
        np.testing.assert_allclose(line.get_ydata(), np.sort(values["E_marginal"]))
