"""An analysis against a plain loop; its store, its shards, and what it leaves untouched."""

import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from energy_at.attacks import CarliniWagner
from energy_at.evaluation.analysis.measure import analyze
from energy_at.evaluation.analysis.quantities import adversarial_values, natural_values
from energy_at.evaluation.analysis.smoothness import Smoothness
from energy_at.types import InputError
from tests.attacks import noisy_net
from tests.attacks.test_base import assert_same, state_of, used_net
from tests.evaluation.analysis import AROUND, analyses, everything, some_attacks
from tests.evaluation.test_robustness import ROOT, SIZES, a_net, attacks, batches, calls_made, files_in


def same(one, other):
    """Whether two analyses agree in every number."""
    np.testing.assert_equal(dict(one.cases), dict(other.cases))
    np.testing.assert_equal(dict(one.near), dict(other.near))


def slopes(net, x):
    """One image at a time."""
    found = []
    for image in x.split(1):
        at = image.clone().requires_grad_()
        torch.logsumexp(net(at), dim=1).sum().backward()
        found.append(at.grad.double().norm())
    return {"gradient_norm": torch.stack(found)}


def test_every_value_is_that_of_a_plain_loop():
    net, (x, y), found = a_net(), everything(), analyses()[0]
    assert list(found.cases) == ["natural", "fgsm", "pgd", "far"]
    expected = {"natural": natural_values(net(x), y) | slopes(net, x)}
    for name, attack in some_attacks().items():
        x_adv = attack(net, x, y)
        expected[name] = adversarial_values(net(x), net(x_adv), y) | slopes(net, x_adv)
    for case, values in expected.items():
        assert found.cases[case].keys() == values.keys()
        for key, value in values.items():
            np.testing.assert_allclose(found.cases[case][key], value, atol=2e-6, err_msg=f"{case} {key}")
    assert found.images == 37


def test_around_an_image_lie_the_energies_that_were_measured_at_it():
    found = analyses()[0]
    place = np.cumsum([0, *SIZES[:-1]])
    near = np.concatenate([AROUND.chosen(i, 5, size) + place[i] for i, size in enumerate(SIZES)])
    assert len(near) == 12
    zero, one = AROUND.multiples.index(0.0), AROUND.multiples.index(1.0)
    for kind in ("marginal", "joint"):
        np.testing.assert_array_equal(found.near["natural"][f"E_{kind}"], found.natural[f"E_{kind}"][near])
        for case, values in found.near.items():
            line = values[f"line_E_{kind}"]
            np.testing.assert_allclose(line[:, zero], found.natural[f"E_{kind}"][near], atol=2e-6)
            if case != "natural":
                reached = found.cases[case][f"E_{kind}"][near]
                np.testing.assert_allclose(line[:, one], reached, atol=2e-6)
                np.testing.assert_allclose(values[f"sweep_E_{kind}"][:, 1], reached, atol=2e-6)
                assert np.abs(values[f"sweep_E_{kind}"][:, 0] - reached).max() > 1e-3
    assert "sweep_E_joint" not in found.near["natural"]


def test_each_attack_runs_once_a_batch_whatever_is_measured(monkeypatch):
    calls = calls_made(monkeypatch)
    attack = {"pgd": attacks()["pgd"]}
    analyze(a_net(), batches(), attack)
    assert len(calls) == len(SIZES)
    analyze(a_net(), batches(), attack, smoothness=AROUND)
    assert len(calls) == len(SIZES) * (2 + 1)  # another factor of eps is another attack, on some of the images


def test_an_attack_without_a_radius_has_lines_but_no_sweep():
    endless = CarliniWagner(steps=3, binary_search_steps=1, initial_const=10)
    found = analyze(a_net(), batches()[:2], {"cw": endless}, smoothness=AROUND)
    assert found.near["cw"].keys() == {"line_E_marginal", "line_E_joint"}
    assert found.near["natural"].keys() == {"E_marginal", "E_joint"}  # no ball that a random direction could have


def test_numbers_depend_on_seed_name_and_batch_alone(tmp_path):
    full = analyze(a_net(), batches(), attacks(), smoothness=AROUND)
    same(analyze(a_net(), batches(), attacks(), smoothness=AROUND), full)
    alone = analyze(a_net(), batches(), {"pgd": attacks()["pgd"]})
    np.testing.assert_equal(dict(alone.cases["pgd"]), dict(full.cases["pgd"]))
    other = analyze(a_net(), batches(), attacks(), smoothness=AROUND, seed=1)
    assert (other.cases["pgd"]["E_joint"] != full.cases["pgd"]["E_joint"]).any()
    assert (other.near["natural"]["line_E_joint"] != full.near["natural"]["line_E_joint"]).any()


def test_what_the_store_holds_is_not_computed_again(tmp_path, monkeypatch):
    first = analyze(a_net(), batches(), attacks(), smoothness=AROUND, store=tmp_path)
    calls = calls_made(monkeypatch)
    same(analyze(a_net(), batches(), attacks(), smoothness=AROUND, store=tmp_path), first)
    assert calls == []
    same(
        analyze(a_net(), batches(), attacks(), smoothness=None, store=tmp_path), analyze(a_net(), batches(), attacks())
    )
    assert len(calls) > 0


@pytest.mark.parametrize(
    "change",
    [
        {"net": a_net(1)},
        {"batches": batches(1)},
        {"seed": 1},
        {"smoothness": Smoothness(12, (0.5, 1.0), (-1.0, 0.0, 0.6, 1.0))},
        {"smoothness": Smoothness(13, AROUND.factors, AROUND.multiples)},
        {"smoothness": None},
        {"attacks": {"pgd": some_attacks()["far"]}},
    ],
    ids=["net", "images", "seed", "multiples", "count", "none", "attack"],
)
def test_another_question_never_reuses_a_result(change, tmp_path):
    question = {"net": a_net(), "batches": batches(), "attacks": {"pgd": attacks()["pgd"]}, "smoothness": AROUND}
    analyze(**question, store=tmp_path)
    same(analyze(**{**question, **change}, store=tmp_path), analyze(**{**question, **change}))


def test_processes_that_share_a_store_fill_it_together(tmp_path, monkeypatch):
    question = (a_net(), batches(), attacks(), "net", AROUND, ())
    parts = [analyze(*question, tmp_path, shard=(rank, 3)) for rank in range(3)]
    assert [part.images for part in parts] == [16, 13, 8]
    calls = calls_made(monkeypatch)
    whole = analyze(*question, tmp_path)
    assert calls == []
    same(whole, analyze(*question))
    assert analyze(a_net(), batches()[:1], {}, shard=(1, 2)).cases["natural"] == {}


KILLED = """
import os, signal, sys
import torch
torch.set_num_threads(1)
from energy_at.attacks import PGD
from energy_at.evaluation.analysis.measure import analyze
from tests.evaluation.analysis import AROUND
from tests.evaluation.test_robustness import a_net, attacks, batches
original, calls = PGD.perturb, []
def perturb(self, *args):
    calls.append(1)
    if len(calls) == 10:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(self, *args)
PGD.perturb = perturb
analyze(a_net(), batches(), attacks(), smoothness=AROUND, store=sys.argv[1])
"""


def test_a_killed_analysis_goes_on_and_gives_the_same_numbers(tmp_path, monkeypatch):
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    kept = files_in(tmp_path)
    assert len(kept) == 6  # natural and three attacks, natural and one; in the sweep of the second it fell
    calls = calls_made(monkeypatch)
    resumed = analyze(a_net(), batches(), attacks(), smoothness=AROUND, store=tmp_path)
    assert len(calls) == (3 * len(SIZES) - 4) * 2
    same(resumed, analyze(a_net(), batches(), attacks(), smoothness=AROUND))


def test_the_net_its_mode_and_the_random_state_are_left_as_they_were():
    net, every = used_net(), batches()
    before = state_of(net)
    found = analyze(net, every, attacks(), smoothness=AROUND)
    assert_same(before, state_of(net))
    same(analyze(net.eval(), every, attacks(), smoothness=AROUND), found)


def test_half_precision_nets_and_uint8_images_are_measured_in_float32():
    net, rounded = noisy_net().eval(), noisy_net().eval()
    rounded.load_state_dict({k: v.bfloat16() for k, v in net.state_dict().items()})
    every = [((x * 255).to(torch.uint8), y) for x, y in batches()]
    floats = [(x.float() / 255, y) for x, y in every]
    same(analyze(net.bfloat16(), every, attacks()), analyze(rounded, floats, attacks()))
    assert net[0].weight.dtype == torch.bfloat16


def test_progress_is_reported_after_every_batch_and_attack():
    seen = []
    analyze(a_net(), batches(), attacks(), on_batch=lambda case, values: seen.append((case, len(values["label"]))))
    assert seen == [(case, size) for size in SIZES for case in ("natural", *attacks())]


def test_the_conditions_say_what_was_measured():
    found = analyze(a_net(), batches(), attacks(), conditions={"split": "test"}, channels_last=True)
    assert found.conditions.items() >= {"seed": 0, "dtype": "float32", "split": "test", "channels_last": True}.items()
    assert found.conditions.keys() >= {"torch", "weights_sha256", "data_sha256", "device"}
    assert found.settings["pgd"]["steps"] == 5
    assert found.settings["pgd"]["class"] == "PGD"


class Infinite(nn.Module):
    """Logits that are no numbers where a pixel was moved away from 0.5."""

    def forward(self, x):
        return torch.where((x != 0.5).flatten(1).any(1)[:, None], torch.inf, x.flatten(1)[:, :3])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attacks": {"natural": attacks()["pgd"]}}, "an attack is called 'natural'"),
        ({"attacks": [attacks()["pgd"]]}, "attacks are a list; give each a name"),
        ({"batches": []}, "no images to analyze"),
        ({"batches": iter(batches()), "smoothness": AROUND}, "these have no length"),
        ({"seed": -1}, "seed is -1"),
        ({"shard": (2, 2)}, "shard is"),
        (
            {"net": Infinite(), "batches": [(torch.full((2, 1, 2, 2), 0.5), torch.tensor([0, 1]))]},
            r"no finite numbers in batch 0 \(pgd\)",
        ),
    ],
)
def test_unfit_arguments_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        analyze(**{"net": a_net(), "batches": batches(), "attacks": {"pgd": attacks()["pgd"]}, **change})
