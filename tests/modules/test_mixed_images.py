"""Trainings on mixed images, whose labels are shares of classes."""

import lightning as L
import pytest
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset
from torchvision.transforms import v2

from energy_at.attacks import FGSM, PGD, RSFGSM, CarliniWagner
from energy_at.attacks.losses import margin
from energy_at.callbacks import EnergyLogger, Recovery
from energy_at.data import Digits
from energy_at.energy import joint_energy, marginal_energy
from energy_at.modules import AAER, AWP, DER, ELLE, MART, PGI, TRADES, WEAT, DualAT, GradAlign, LinearDER, StandardAT
from energy_at.types import InputError
from tests.modules.test_micro_batch import net as net_without_batch_norm
from tests.modules.test_steps import EPS, STEP, STEPS, assert_same_step, batch, gradients, net
from tests.modules.test_training import fit, same_weights, small_net, trainer

__all__ = ["batch"]

KL = {"eps": EPS, "alpha": STEP, "steps": STEPS, "loss": "kl", "start": "gaussian"}
OBJECTIVES = {
    "at": lambda: StandardAT(net(), attack=PGD(eps=EPS, steps=2, restarts=2), label_smoothing=0.1),
    "trades": lambda: TRADES(net(), attack=PGD(**KL)),
    "weat": lambda: WEAT(net(), variant="adv", attack=PGD(**KL)),
    "der": lambda: DER(net(), terms="both", attack=RSFGSM(eps=EPS)),
    "linear der": lambda: LinearDER(net(), attack=RSFGSM(eps=EPS)),
    "elle": lambda: ELLE(net(), attack=FGSM(eps=EPS)),
    "grad align": lambda: GradAlign(net(), attack=FGSM(eps=EPS)),
    "aaer": lambda: AAER(net(), attack=RSFGSM(eps=EPS)),
    "pgi": lambda: PGI(net(), attack=FGSM(eps=EPS)),
    "joint energy": lambda: StandardAT(net(), attack=PGD(eps=EPS, steps=2, loss="raise_joint_energy")),
}


def shares_of(y, seed=1):
    drawn = torch.rand(len(y), 1, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return drawn * F.one_hot(y, 10) + (1 - drawn) * F.one_hot(y.roll(1), 10)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_share_of_one_is_a_label(batch, objective):
    x, y = batch
    labelled, mixed = OBJECTIVES[objective](), OBJECTIVES[objective]()
    expected, found = labelled.objective(x, y), mixed.objective(x, F.one_hot(y, 10).double())
    expected["loss"].backward()
    found["loss"].backward()
    assert found["loss"].item() == pytest.approx(expected["loss"].item(), rel=1e-12)
    for name, gradient in gradients(labelled.net).items():
        torch.testing.assert_close(gradients(mixed.net)[name], gradient, rtol=1e-9, atol=1e-12)


def test_a_step_on_mixed_images_weighs_the_cross_entropies_of_both_labels(batch):
    x, y = batch
    shares, plain = shares_of(y), net()

    def weighed(logits):
        rows = range(len(y))
        first, second = (F.cross_entropy(logits, labels, reduction="none") for labels in (y, y.roll(1)))
        share = torch.stack([shares[i, y[i]] for i in rows])
        return torch.where(y == y.roll(1), first, share * first + (1 - share) * second)

    x_grad = x.clone().requires_grad_()
    shadow = net()
    (grad,) = torch.autograd.grad(weighed(shadow(x_grad)).sum(), x_grad)
    x_adv = (x + EPS * grad.sign()).clamp(0, 1)
    module = StandardAT(net(), attack=FGSM(eps=EPS))
    assert_same_step(module, plain, weighed(plain(x_adv)).mean(), (x, shares))


def test_the_energy_of_shares_is_the_mean_of_the_labels_energies(batch):
    y, logits = batch[1], torch.randn(12, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    shares = shares_of(y)
    each = torch.stack([joint_energy(logits, torch.full((12,), k)) for k in range(10)], dim=1)
    torch.testing.assert_close(joint_energy(logits, shares), (shares * each).sum(dim=1))
    cross_entropy = F.cross_entropy(logits, shares, reduction="none")
    torch.testing.assert_close(joint_energy(logits, shares) - marginal_energy(logits), cross_entropy)


def run(module, folder, epochs=2, **options):
    data = Digits(augment=True, mix=v2.RandomChoice([v2.CutMix(), v2.MixUp()]))
    return fit(module, folder, epochs, data=data, **options)


def der(**options):
    return DER(small_net(), attack=RSFGSM(eps=0.2), **options)


def test_a_training_on_mixed_images_resumed_within_an_epoch_is_the_same(tmp_path):
    straight, resumed, unmixed = der(), der(), der()
    save = L.pytorch.callbacks.ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=2, save_top_k=-1)
    whole = run(straight, tmp_path / "whole", callbacks=[save])
    second = run(resumed, tmp_path / "second", ckpt_path=tmp_path / "step=2.ckpt")
    assert same_weights(straight, resumed)
    assert whole.callback_metrics["train/E_joint"] == second.callback_metrics["train/E_joint"]
    fit(unmixed, tmp_path / "third", epochs=2)
    assert not same_weights(straight, unmixed)


def test_parts_of_a_mixed_batch_are_the_whole(tmp_path):
    whole, parted = (
        run(
            StandardAT(net_without_batch_norm(), attack=RSFGSM(eps=0.1), micro_batch=size),
            tmp_path / str(size),
            precision="64-true",
        )
        for size in (None, 6)
    )
    for name, value in whole.callback_metrics.items():
        torch.testing.assert_close(parted.callback_metrics[name], value, rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.parametrize("options", [{"awp": AWP(gamma=0.01, warmup=0)}, {"channels_last": True}])
def test_what_stands_beside_an_objective_takes_mixed_images(tmp_path, options):
    module = StandardAT(small_net(), attack=RSFGSM(eps=0.2), **options)
    found = run(module, tmp_path, epochs=1, callbacks=[Recovery(every_n_steps=2), EnergyLogger(every_n_steps=1)])
    assert 0 <= found.callback_metrics["train/robust_acc"] <= 1
    assert found.callback_metrics["train/E_joint"].isfinite()


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (lambda: MART(small_net()), "MART takes one label an image, and these images are mixed; leave data.mix out"),
        (lambda: DualAT(small_net()), "DualAT takes one label an image, and these images are mixed"),
        (
            lambda: StandardAT(small_net(), attack=PGD(eps=0.2, loss="margin")),
            r"labels are shares of classes, float32 \[64, 10\], where one is needed; give int64 \[64\]",
        ),
        (lambda: StandardAT(small_net(), attack=PGD(eps=0.2, loss=margin)), "labels are shares of classes"),
        (lambda: StandardAT(small_net(), attack=CarliniWagner(eps=0.2)), "labels are shares of classes"),
    ],
    ids=["mart", "dual", "margin", "margin function", "carlini-wagner"],
)
def test_what_needs_one_label_an_image_refuses_mixed_ones(tmp_path, module, words):
    with pytest.raises(InputError, match=words):
        run(module(), tmp_path)


@pytest.mark.parametrize(
    "shares",
    [torch.ones(20, 10), torch.full((20, 9), 1 / 9), torch.tensor([[1.5, -0.5] + 8 * [0.0]]).repeat(20, 1)],
    ids=["sum", "classes", "negative"],
)
def test_shares_that_are_none_are_refused(tmp_path, shares):
    given = DataLoader(TensorDataset(torch.rand(20, 1, 8, 8), shares), 20)
    words = r"labels are float32 \[20, \d+\]; give int64 \[N\], or shares of 10 classes that add up to 1"
    with pytest.raises(InputError, match=words):
        trainer(tmp_path, 1).fit(StandardAT(small_net(), attack=FGSM(eps=0.1)), given)
