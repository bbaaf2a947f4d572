"""A corruption as a row beside the attacks."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from energy_at import FGSM, Corruption, GaussianNoise, InputError, Transfer
from energy_at.corruptions import KINDS
from energy_at.evaluation.report import merged
from energy_at.evaluation.robustness import evaluate
from tests.corruptions import photographs

X, Y = torch.from_numpy(photographs()) / 255, torch.arange(16) % 3
RIGHT = torch.zeros(16, dtype=torch.long)
ANY = torch.nn.Identity()  # a corruption does not look at the net


class SeesContrast(torch.nn.Module):
    """Class 0 for images that are not much greyer than the greyest of X."""

    def forward(self, x):
        least = 0.9 * X.flatten(1).std(dim=1).min()
        beyond = x.flatten(1).std(dim=1) - least
        return torch.stack([beyond, -beyond, torch.full_like(beyond, -9)], dim=1)


def made(x=X, **options):
    return Corruption(**{"kind": "fog", **options})(ANY, x, Y[: len(x)])


@pytest.fixture
def ice(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 250, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
def test_it_keeps_the_contract_of_attacks(kind, ice):
    options = {"photographs": str(ice)} if kind == "frost" else {}
    x = X.clone().requires_grad_()
    state = torch.get_rng_state()
    found = made(x, kind=kind, severity=5, **options)
    assert (found.shape, found.dtype, found.requires_grad) == (x.shape, x.dtype, False)
    assert not torch.equal(found, X)
    assert 0 <= found.min() <= found.max() <= 1
    assert torch.equal((found * 255).round() / 255, found)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(x, X)


def test_the_dtype_is_that_of_the_images():
    double = made(X.double())
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), made())
    assert made(X.half()).dtype == torch.float16


def test_draws_follow_the_seed_or_the_generator_and_go_on():
    assert torch.equal(made(), made())
    assert not torch.equal(made(), made(seed=1))
    attack = Corruption("fog")
    first, second = (attack(ANY, X, Y) for _ in range(2))
    assert not torch.equal(first, second)
    given = [Corruption("fog")(ANY, X, Y, generator=torch.Generator().manual_seed(seed)) for seed in (5, 5, 6)]
    assert torch.equal(given[0], given[1])
    assert not torch.equal(given[0], given[2])


def test_a_start_is_corrupted_in_place_of_the_image():
    found = Corruption("contrast", 5)(ANY, X, Y, start=X.flip(0))
    assert torch.equal(found, made(kind="contrast", severity=5).flip(0))


def test_it_has_no_lengths_and_can_be_had_at_another_severity():
    attack = Corruption("fog", 2, seed=4)
    assert attack.scaled(0.5) is attack
    other = attack.at(5)
    assert (other.kind, other.severity, other.seed) == ("fog", 5, 4)
    assert torch.equal(other(ANY, X, Y), made(severity=5, seed=4))


def test_no_worst_case_depends_on_it():
    rows = {"noise": GaussianNoise(std=1.0), "contrast": Corruption("contrast", 5), "fgsm": FGSM(eps=0.002)}
    alone = evaluate(SeesContrast(), [(X, RIGHT)], {"fgsm": rows["fgsm"]})
    for worst_case_only in (False, True):
        report = evaluate(SeesContrast(), [(X, RIGHT)], rows, worst_case_only)
        assert report.worst_case_correct == alone.worst_case_correct == 16
        assert report.attacks[1].correct == 0
        assert report.attacks[0].images == report.attacks[1].images == 16
        assert [row.adversarial for row in report.attacks] == [False, False, True]
    only = evaluate(SeesContrast(), [(X, RIGHT)], {"contrast": rows["contrast"]})
    assert only.worst_case_correct == only.clean_correct == 16
    assert only.worst_case_accuracy == 1


def test_where_nothing_looks_for_mistakes_there_is_no_worst_case():
    report = evaluate(SeesContrast(), [(X, RIGHT)], {"noise": GaussianNoise(), "fog": Corruption("fog", 1)})
    assert [row["name"] for row in json.loads(report.to_json())["results"]] == ["clean", "noise", "fog"]
    assert "worst case" not in report.table() + report.to_csv()
    assert "no attack" in report.table().splitlines()[3]


def test_what_is_no_attack_spares_no_image_to_those_after_it():
    rows = {"contrast": Corruption("contrast", 5), "fgsm": FGSM(eps=0.002)}
    report = evaluate(SeesContrast(), [(X, RIGHT)], rows, worst_case_only=True)
    assert [row.images for row in report.attacks] == [16, 16]


def test_a_report_says_that_it_is_no_attack_and_has_the_mean():
    rows = {"contrast-5": Corruption("contrast", 5), "fog-1": Corruption("fog", 1), "fgsm": FGSM(eps=0.1)}
    report = evaluate(SeesContrast(), [(X, RIGHT)], rows)
    one, two, _ = (row.accuracy for row in report.attacks)
    assert one == 0 < two
    assert report.mean_corruption_accuracy == (one + two) / 2
    lines = report.table().splitlines()
    assert lines[2].split()[:3] == ["contrast-5", "no", "attack"]
    assert lines[-2].split()[:4] == ["worst", "case", "Linf", "0.1"]
    assert lines[-1].split()[-2:] == [f"{100 * (one + two) / 2:.2f}", "%"]
    assert '"mean_corruption_accuracy": ' in report.to_json()
    assert '"adversarial": false' in report.to_json()
    without = evaluate(SeesContrast(), [(X, RIGHT)], {"fgsm": FGSM(eps=0.1), "noise": GaussianNoise()})
    assert without.mean_corruption_accuracy is None
    assert "mean" not in without.table() + without.to_json()


def test_shards_add_up_to_the_whole():
    batches = [(X[:6], Y[:6]), (X[6:11], Y[6:11]), (X[11:], Y[11:])]
    rows = {"snow": Corruption("snow", 5)}
    parts = [evaluate(SeesContrast(), batches, rows, shard=(rank, 2)) for rank in range(2)]
    assert merged(parts) == evaluate(SeesContrast(), batches, rows)


def test_a_transferred_corruption_is_no_attack_either():
    assert not Transfer(Corruption("fog"), SeesContrast()).adversarial
    assert Transfer(FGSM(), SeesContrast()).adversarial


def test_results_of_other_photographs_are_kept_apart_and_no_folder_is_told(ice, tmp_path):
    rows = {"frost": Corruption("frost", photographs=str(ice))}
    first = evaluate(SeesContrast(), [(X, Y)], rows, store=tmp_path / "kept")
    assert str(ice) not in first.to_json()
    Image.fromarray(np.full((200, 250, 3), 255, np.uint8)).save(ice / "a.png")
    evaluate(SeesContrast(), [(X, Y)], {"frost": Corruption("frost", photographs=str(ice))}, store=tmp_path / "kept")
    assert len(list((tmp_path / "kept").rglob("frost-*"))) == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kind": "frost"}, "frost is made of photographs, which energy-at does not have"),
        ({"kind": "rain"}, "kind 'rain' is unknown"),
        ({"kind": "fog", "severity": 6}, "severity is 6"),
    ],
)
def test_what_is_no_corruption_is_refused_where_it_is_set(options, words):
    with pytest.raises(InputError, match=words):
        Corruption(**options)
