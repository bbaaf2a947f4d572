"""The files of a report, and that its page needs nothing else."""

import csv
import json
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from energy_at.evaluation.analysis.report import PLATES, per_image_csv, write_report
from energy_at.evaluation.training_run import TrainingRun
from energy_at.types import InputError
from tests.evaluation.analysis import analyses, with_others

NAMES = ["distributions", "deltas", "confidence", "calibration", "kl", "smoothness", "classes", "ood", "extremes"]
RUN = TrainingRun("slow one", [{"epoch": i, "train/dE_marginal": 0.1 * i} for i in range(3)])


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.images, self.cells = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        self.links += [attrs[key] for key in ("src", "href", "srcset", "data") if key in attrs]
        if tag == "img":
            self.images.append(b64decode(attrs["src"].removeprefix("data:image/png;base64,")))

    def handle_data(self, data):
        self.cells.append(data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "new"
    assert write_report(with_others(), folder, runs=[RUN]) == folder / "report.html"
    return folder


def test_every_figure_has_its_picture_and_its_numbers(folder):
    assert [plate.name for plate in PLATES] == NAMES
    figures = {f"{name}.{kind}" for name in (*NAMES, "training-slow_one") for kind in ("png", "csv")}
    images = {f"{net}{of}.images.csv" for net in ("first", "second") for of in ("", ".foreign", ".same")}
    others = {"report.html", "means.csv", "conditions.json"} | images
    assert {path.name for path in folder.iterdir()} == figures | others
    for plate in PLATES:
        with (folder / f"{plate.name}.csv").open(newline="") as file:
            written = list(csv.DictReader(file))
        expected = plate.rows(with_others())
        assert len(written) == len(expected)
        for row, wanted in zip(written, expected, strict=True):
            wanted.pop("image", None)
            assert "image" not in row
            assert all(row[key] == ("" if value is None else str(value)) for key, value in wanted.items())


def test_the_page_needs_no_other_file(folder):
    page = Page((folder / "report.html").read_text())
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    names = (*NAMES, "training-slow_one")
    assert page.images == [(folder / f"{name}.png").read_bytes() for name in names]
    assert all(image.startswith(b"\x89PNG") for image in page.images)


def test_the_page_tells_means_captions_and_conditions(folder):
    cells = Page((folder / "report.html").read_text()).cells
    for analysis in with_others():
        assert f"{analysis.cases['pgd']['dE_marginal'].mean():+.3f}" in cells
        assert analysis.conditions["weights_sha256"] in cells
    text = " ".join(cells)
    for plate in PLATES:
        assert plate.title in text
        assert plate.caption in text
    assert {"seed", "dtype", "float32", "torch", "data_sha256", "smoothness: images", "12"} <= set(cells)
    assert any("eps 0.05" in cell and "steps 4" in cell for cell in cells)
    told = json.loads((folder / "conditions.json").read_text())
    assert told["nets"]["second"]["images"] == 37
    assert told["attacks"]["pgd"]["steps"] == 4


def test_the_per_image_file_holds_every_value():
    found = with_others()[0]
    header, *lines = per_image_csv(found).splitlines()
    table = dict(zip(header.split(","), np.array([line.split(",") for line in lines], float).T, strict=True))
    np.testing.assert_array_equal(table["index"], range(37))
    np.testing.assert_array_equal(table["label"], found.natural["label"])
    np.testing.assert_array_equal(table["pgd:correct"], found.cases["pgd"]["correct"])
    for attack, values in found.attacks.items():
        for key in ("E_marginal", "dE_joint", "kl", "kl_conditional", "confidence"):
            np.testing.assert_allclose(table[f"{attack}:{key}"], values[key], rtol=1e-6, atol=1e-12)
    assert len(table) == 1 + 7 + 3 * 10


def test_figures_can_be_chosen_and_those_without_content_are_left_out(tmp_path):
    bare = replace(analyses()[0], cases={"natural": analyses()[0].natural}, near={}, smoothness=None)
    write_report([bare], tmp_path)
    assert {path.stem for path in tmp_path.glob("*.png")} == {
        "distributions",
        "confidence",
        "calibration",
        "classes",
        "extremes",
    }
    write_report(with_others(), tmp_path / "few", plates=PLATES[4:5])
    assert {path.stem for path in (tmp_path / "few").glob("*.png")} == {"kl"}


@pytest.mark.parametrize(("count", "kind"), [(0, "a list"), (1, "an Analysis")])
def test_what_is_no_list_of_analyses_is_refused(count, kind, tmp_path):
    with pytest.raises(InputError, match=f"analyses are {kind}; give a list of at least one"):
        write_report(analyses()[0] if count else [], tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("names", [("first", "first.foreign"), ("second", "second")])
def test_two_analyses_never_share_a_file(names, tmp_path):
    named = [replace(analysis, net=name) for analysis, name in zip(with_others(), names, strict=True)]
    with pytest.raises(InputError, match=rf"two analyses would be written to {names[1]}\.images\.csv; name a net"):
        write_report(named, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_names_are_text_and_never_markup_or_paths(tmp_path):
    odd = replace(analyses()[0], net="<b>&/../x")
    write_report([odd], tmp_path, plates=())
    assert "<b>&/" not in (tmp_path / "report.html").read_text()
    assert "&lt;b&gt;&amp;/../x" in (tmp_path / "report.html").read_text()
    files = {path.name for path in tmp_path.iterdir()}
    assert files == {"report.html", "means.csv", "conditions.json", "_b___.._x.images.csv"}


def test_a_class_folders_name_is_text_whatever_it_is(tmp_path):
    hostile = r"<img src=x onerror=alert(1)> $\bad$"
    analysis = replace(analyses()[0], net="<script>alert(1)</script>", class_names=(hostile, "bee", "cat"))
    page = write_report([analysis], tmp_path, [plate for plate in PLATES if plate.name == "classes"])
    assert Page(page.read_text()).tags.count("img") == 1  # the figure
    assert "script" not in Page(page.read_text()).tags
    with (tmp_path / "classes.csv").open(newline="") as file:
        assert hostile in {row["name"] for row in csv.DictReader(file)}
