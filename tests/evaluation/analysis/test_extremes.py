"""Which images are shown as those of extreme energies, and what is said of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

from energy_at.evaluation.analysis.extremes import KINDS, LOWEST, Extremes, draw_extremes, extreme_rows
from energy_at.evaluation.analysis.measure import analyze
from energy_at.types import InputError
from tests.evaluation.analysis import analyses, everything, some_attacks, with_others
from tests.evaluation.test_robustness import a_net, batches


def test_of_each_kind_the_most_extreme_of_all_images_in_their_order():
    values = analyses()[0].natural
    cross_entropy = values["E_joint"] - values["E_marginal"]
    found = analyses()[0].extremes
    assert list(found) == ["lowest E(x)", "highest E(x)", "highest cross-entropy"]
    for number, of in zip((values["E_marginal"], -values["E_marginal"], -cross_entropy), found.values(), strict=True):
        assert of["index"].tolist() == number.argsort(kind="stable")[:10].tolist()
        for key in ("label", "prediction", "confidence", "E_marginal", "E_joint"):
            assert np.array_equal(of[key], values[key][of["index"]])
        images = everything()[0][of["index"]]
        assert np.array_equal(of["image"], images.mul(255).round().byte().numpy())


def test_they_do_not_depend_on_the_batches():
    whole = analyze(a_net(0), [everything()], {}, extremes=4)
    parts = analyze(a_net(0), batches(), {}, extremes=4)
    for kind in KINDS:
        assert whole.extremes[kind]["index"].tolist() == parts.extremes[kind]["index"].tolist()
        assert np.array_equal(whole.extremes[kind]["image"], parts.extremes[kind]["image"])


def test_equal_numbers_come_in_the_order_of_the_images():
    x = torch.rand(6, 1, 2, 2)
    same = dict.fromkeys(("label", "prediction", "confidence", "E_marginal", "E_joint"), torch.zeros(3))
    gathered = Extremes(4)
    gathered.add(x[:3], same)
    gathered.add(x[3:], same)
    assert all(of["index"].tolist() == [0, 1, 2, 3] for of in gathered.found().values())


def test_fewer_images_than_are_asked_for_are_all_shown():
    x, y = everything()
    few = analyze(a_net(0), [(x[:3], y[:3])], {}, extremes=10)
    assert all(sorted(of["index"]) == [0, 1, 2] for of in few.extremes.values())


def test_none_are_kept_where_none_are_wanted_or_can_be_shown():
    assert analyze(a_net(0), batches(), {}, extremes=0).extremes == {}
    two_channels = nn.Sequential(nn.Flatten(), nn.Linear(32, 3))
    none = analyze(two_channels, [(torch.rand(5, 2, 4, 4), torch.zeros(5, dtype=torch.long))], {})
    assert none.extremes == {}
    assert none.images == 5
    assert extreme_rows([none]) == []
    with pytest.raises(InputError, match="extremes is -1, but it counts from 0"):
        analyze(a_net(0), batches(), {}, extremes=-1)


def test_the_same_after_a_kill(tmp_path):
    first = analyze(a_net(0), batches(), some_attacks(), store=tmp_path)
    again = analyze(a_net(0), batches(), some_attacks(), store=tmp_path)
    for kind, of in first.extremes.items():
        assert all(np.array_equal(value, again.extremes[kind][key]) for key, value in of.items())


def test_rows_say_which_image_it_is_and_no_label_of_foreign_ones():
    rows = extreme_rows(with_others()[:1])
    own = [row for row in rows if not row["data"]]
    values = with_others()[0].natural
    assert [row["rank"] for row in own] == [*range(10)] * 3
    assert all(row["label"] == values["label"][row["index"]] for row in own)
    assert all(row["E_joint"] == values["E_joint"][row["index"]] for row in own)
    foreign = [row for row in rows if row["data"] == "foreign"]
    energies = with_others()[0].ood["foreign"].natural["E_marginal"]
    assert {(row["kind"], row["label"]) for row in foreign} == {(LOWEST, None)}
    assert [row["E_marginal"] for row in foreign] == sorted(energies)[:10]


def words(figure: Figure) -> list[list[str]]:
    return [[label.get_text() for label in axes.get_xticklabels()] for axes in figure.axes]


def test_the_picture_names_label_and_prediction_and_the_number():
    analysis = with_others()[0]
    named = replace(analysis, class_names=("$ant$", "bee_1", "a very long name"))
    figure = draw_extremes(extreme_rows([named]))
    figure.canvas.draw()
    rows = words(figure)
    names = ["$ant$", "bee_1", "a very long "]
    assert len(rows) == 3 + 2
    lowest, costs = (analysis.extremes[kind] for kind in (LOWEST, "highest cross-entropy"))
    for text, label, prediction, energy in zip(
        rows[0], lowest["label"], lowest["prediction"], lowest["E_marginal"], strict=True
    ):
        said = names[label] if label == prediction else f"{names[label]}\nas {names[prediction]}"
        assert text == f"{said}\n{energy:.2f}"
    assert rows[2][0].endswith(f"\n{costs['E_joint'][0] - costs['E_marginal'][0]:.2f}")
    assert all(text.startswith("as ") for text in rows[3])
    assert figure.axes[3].get_yticklabels()[0].get_text() == "foreign\nlowest E(x)"


def test_without_names_labels_are_numbers():
    analysis = replace(analyses()[1], class_names=())
    assert words(draw_extremes(extreme_rows([analysis])))[0][0].split("\n")[0] == str(
        analysis.extremes[LOWEST]["label"][0]
    )


def test_several_nets_stand_in_one_picture_each_with_its_name():
    figure = draw_extremes(extreme_rows(analyses()))
    told = [axes.get_yticklabels()[0].get_text() for axes in figure.axes]
    assert told == [f"{net}\n{kind}" for net in ("first", "second") for kind in KINDS]
