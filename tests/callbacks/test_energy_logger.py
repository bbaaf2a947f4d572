"""What EnergyLogger logs, against energies computed from the same images by hand."""

import lightning as L
import pytest
import torch

from energy_at import FGSM, PGD, TRADES, Digits, DualAT, EnergyLogger, InputError, StandardAT
from energy_at.energy import energy_overlap
from energy_at.metrics import QUANTITIES, SHARES, energies
from energy_at.models import SmallNet


def frozen(params):
    """Steps that change nothing, so that the whole epoch sees one net."""
    return torch.optim.SGD(params, lr=0.0)


class Recorder(L.pytorch.loggers.CSVLogger):
    """Keeps what it is given."""

    def __init__(self, folder):
        super().__init__(folder)
        self.rows, self.histograms = [], []

    def log_metrics(self, metrics, step=None):
        self.rows.append((step, dict(metrics)))

    def log_histogram(self, name, counts, edges, step):
        self.histograms.append((name, counts, edges, step))


def fit(module, logger, callback, **options):
    trainer = L.Trainer(
        max_epochs=1,
        limit_train_batches=6,
        log_every_n_steps=2,
        logger=logger,
        callbacks=[callback],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
        **options,
    )
    trainer.fit(module, Digits(batch_size=32))
    return trainer


def net():
    torch.manual_seed(0)
    return SmallNet(width=4)


@pytest.fixture
def trades():
    """Attacks without noise, so that the test can repeat them."""
    return TRADES(
        net(),
        attack=PGD(eps=0.2, steps=2, start="zero", loss="margin"),
        val_attack=PGD(eps=0.2, steps=2, start="zero"),
        optimizer=frozen,
    )


def seen_outputs(monkeypatch, module):
    seen = []
    original = module.training_step

    def watching(batch, batch_idx):
        seen.append(original(batch, batch_idx))
        return seen[-1]

    monkeypatch.setattr(module, "training_step", watching)
    return seen


def test_epoch_means_and_deviations_are_those_of_all_training_images(tmp_path, monkeypatch, trades):
    seen = seen_outputs(monkeypatch, trades)
    metrics = fit(trades, Recorder(tmp_path), EnergyLogger()).callback_metrics
    logits, logits_adv, y = (torch.cat([step[key] for step in seen]).detach() for key in ("logits", "logits_adv", "y"))
    marginal, marginal_adv = -logits.exp().sum(1).log(), -logits_adv.exp().sum(1).log()
    rows = torch.arange(len(y))
    joint, joint_adv = -logits[rows, y], -logits_adv[rows, y]
    expected = {
        "E_marginal": marginal,
        "E_marginal_adv": marginal_adv,
        "dE_marginal": marginal - marginal_adv,
        "E_joint": joint,
        "E_joint_adv": joint_adv,
        "dE_joint": joint - joint_adv,
    }
    assert len(y) == 6 * 32
    for name, values in expected.items():
        assert float(metrics[f"train/{name}"]) == pytest.approx(values.mean().item(), rel=1e-4, abs=1e-6)
        assert float(metrics[f"train/{name}_std"]) == pytest.approx(values.std(correction=0).item(), rel=1e-3)


def test_validation_energies_are_those_of_the_held_out_images_in_evaluation_mode(tmp_path, trades):
    data = Digits(batch_size=32)
    metrics = fit(trades, Recorder(tmp_path), EnergyLogger()).callback_metrics
    images, y = data.arrays("val")
    x = images.float() / 255
    trades.eval()
    x_adv = trades.val_attack(trades.net, x, y)
    with torch.no_grad():
        expected = energies(trades(x), trades(x_adv), y).mean(1)
    for name, value in zip(QUANTITIES + SHARES, expected, strict=True):
        assert float(metrics[f"val/{name}"]) == pytest.approx(value.item(), rel=1e-4, abs=1e-5)


def test_abnormal_images_are_those_whose_loss_or_energy_the_attack_lowers():
    logits = torch.zeros(4, 3)
    logits_adv = torch.tensor([[1.0, 0, 0], [-1, 0, 0], [1, 2, 0], [0, 0, 0]])
    y = torch.zeros(4, dtype=torch.long)
    found = dict(zip(QUANTITIES + SHARES, energies(logits, logits_adv, y), strict=True))
    ce = [torch.nn.functional.cross_entropy(f, y, reduction="none") for f in (logits, logits_adv)]
    assert found["AAE_loss"].tolist() == (ce[1] < ce[0]).float().tolist() == [1, 0, 0, 0]
    assert found["AAE_joint"].tolist() == [1, 0, 1, 0]  # E(x, y) = -f[y] falls where the label's logit rises


def test_steps_without_natural_logits_are_sampled(tmp_path, monkeypatch):
    module = StandardAT(net(), attack=FGSM(eps=0.2), optimizer=frozen)
    seen = seen_outputs(monkeypatch, module)
    fit(module, Recorder(tmp_path), EnergyLogger(every_n_steps=3))
    assert ["logits" in step for step in seen] == [True, False, True, False, False, True]


def test_sampled_steps_reach_the_logger_when_it_writes(tmp_path):
    module = StandardAT(net(), attack=FGSM(eps=0.2))
    logger = Recorder(tmp_path)
    fit(module, logger, EnergyLogger(every_n_steps=2))
    assert [step for step, row in logger.rows if "train_step/dE_marginal" in row] == [1, 3, 5]


def test_histograms_go_to_every_logger_that_takes_them_and_hold_every_image(tmp_path, trades):
    logger = Recorder(tmp_path)
    fit(trades, [logger, L.pytorch.loggers.CSVLogger(tmp_path / "plain")], EnergyLogger())
    names = {name for name, *_ in logger.histograms}
    assert names == {f"{stage}/{name}" for stage in ("train", "val") for name in QUANTITIES}
    sizes = {name.split("/")[0]: int(counts.sum()) for name, counts, _, _ in logger.histograms}
    assert sizes == {"train": 6 * 32, "val": 144}


def test_no_histograms_where_none_are_wanted(tmp_path, trades):
    logger = Recorder(tmp_path)
    trainer = fit(trades, logger, EnergyLogger(histograms=False))
    assert not logger.histograms
    assert "val/dE_joint" in trainer.callback_metrics


@pytest.mark.parametrize("options", [{"every_n_steps": 0}, {"max_samples": 0}])
def test_impossible_counts_are_refused(options):
    with pytest.raises(InputError, match=r"is 0, but it counts from 1; write"):
        EnergyLogger(**options)


def test_contrastive_energies_and_their_overlap_are_those_of_the_steps(tmp_path, monkeypatch):
    module = DualAT(net(), attack=PGD(eps=0.5, steps=1, norm="L2"), steps=2, optimizer=frozen)
    seen, logger = seen_outputs(monkeypatch, module), Recorder(tmp_path)
    fit(module, logger, EnergyLogger(every_n_steps=1))
    real, contrast = (torch.cat([-torch.logsumexp(o[name], 1) for o in seen]) for name in ("logits", "logits_contrast"))
    logged = next(row for _, row in logger.rows if "train/E_marginal_contrast" in row)
    assert float(logged["train/E_marginal_contrast"]) == pytest.approx(contrast.mean().item(), rel=1e-5)
    assert float(logged["train/E_marginal_contrast_std"]) == pytest.approx(contrast.std(correction=0).item(), rel=1e-4)
    assert float(logged["train/E_marginal_overlap"]) == pytest.approx(energy_overlap(real, contrast).item(), rel=1e-5)
    counts = [sum(c) for name, c, *_ in logger.histograms if name == "train/E_marginal_contrast"]
    assert counts == [len(contrast)]
    assert not any("AAE" in name for name, *_ in logger.histograms)
    assert "val/E_marginal_overlap" not in set().union(*(row for _, row in logger.rows))


class Foreign(L.LightningModule):
    """Of no class of this package; its steps return what is asked for, or nothing."""

    def __init__(self, returns):
        super().__init__()
        self.net, self.returns = net(), returns

    def step(self, batch):
        x, y = batch
        logits, logits_adv = self.net(x), self.net(FGSM(eps=0.1)(self.net, x, y))
        loss = torch.nn.functional.cross_entropy(logits_adv, y)
        return loss, {"logits": logits, "logits_adv": logits_adv, "y": y} if self.returns else {}

    def training_step(self, batch, batch_idx):
        loss, outputs = self.step(batch)
        return {"loss": loss, **outputs} if self.returns else loss

    def validation_step(self, batch, batch_idx):
        return self.step(batch)[1] or None

    def configure_optimizers(self):
        return frozen(self.parameters())


def test_any_module_has_its_energies_logged_by_what_its_steps_return(tmp_path):
    module, logger = Foreign(returns=True), Recorder(tmp_path)
    trainer = fit(module, logger, EnergyLogger())
    batches = [trainer.datamodule.on_after_batch_transfer(batch, 0) for batch in trainer.val_dataloaders]
    module.eval()
    parts = [module.step(batch) for batch in batches]
    values = torch.cat([energies(o["logits"], o["logits_adv"], o["y"]) for _, o in parts], dim=1)
    logged = {key: value for _, row in logger.rows for key, value in row.items()}
    for name, mean in zip(QUANTITIES, values.mean(dim=1), strict=False):
        assert logged[f"val/{name}"] == pytest.approx(float(mean), abs=1e-5)
        assert f"train/{name}_std" in logged


@pytest.mark.parametrize("returns", [True, False])
def test_where_no_step_returns_logits_a_warning_says_so_once(returns, tmp_path, recwarn):
    fit(Foreign(returns), Recorder(tmp_path), EnergyLogger(), limit_val_batches=1)
    told = [str(warning.message) for warning in recwarn if "nothing to log" in str(warning.message)]
    assert len(told) == (not returns)
