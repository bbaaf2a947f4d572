"""A stronger training attack where the single step is answered alone, and no trace of the looks in between."""

import lightning as L
import pytest
import torch

from energy_at import FGSM, PGD, RSFGSM, Digits, InputError, SmallNet, StandardAT
from energy_at.callbacks import Recovery


class Watching(L.Callback):
    """What the recovery did in every step, and what a look would have found after it."""

    def __init__(self):
        self.against, self.found = [], []

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self.against.append(module.scheduled_attack())

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        attacks = module.attack, PGD(module.attack.eps, module.attack.eps / 4, steps=5)
        self.found.append([float(module.accuracy_under(attack, batch)) for attack in attacks])


def fitted(callbacks, epochs=2, ckpt_path=None, attack=None, folder=None, accumulate=1, **options):
    torch.manual_seed(0)
    trainer = L.Trainer(
        max_epochs=epochs,
        limit_train_batches=8,
        limit_val_batches=1,
        callbacks=callbacks,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        accelerator="cpu",
        default_root_dir=folder,
        accumulate_grad_batches=accumulate,
    )
    module = StandardAT(SmallNet(width=4), attack=attack or FGSM(0.35), **options)
    trainer.fit(module, Digits(batch_size=64), ckpt_path=ckpt_path)
    return trainer, module


def weights(module):
    return torch.cat([value.flatten().double() for value in module.net.state_dict().values()])


def test_pgd_is_trained_against_from_a_look_that_finds_too_little_to_one_that_finds_enough():
    watching, recovery = Watching(), Recovery(every_n_steps=3, steps=5, ratio=0.7)
    trainer, module = fitted([recovery, watching], epochs=4)
    expected, now = [], False
    for step, (single, several) in enumerate(watching.found):
        expected.append(now)
        if (step + 1) % 3 == 0:
            now = several < 0.7 * single
    at_work = [isinstance(attack, PGD) and attack.steps == 5 for attack in watching.against]
    assert at_work == expected
    assert {True, False} == set(expected)
    assert all(attack is module.attack for attack, other in zip(watching.against, at_work, strict=True) if not other)
    assert float(trainer.callback_metrics["overfitting/recovery"]) == pytest.approx(sum(expected[-8:]) / 8)
    assert module.substitute is None  # after the training


def test_the_last_steps_are_trained_against_pgd_whatever_the_looks_find():
    watching = Watching()
    fitted([Recovery(every_n_steps=100, steps=5, last_steps=6), watching], accumulate=2)
    assert [getattr(attack, "steps", 1) == 5 for attack in watching.against] == 10 * [False] + 6 * [True]


def test_the_substitute_is_what_the_step_is_attacked_by():
    module = StandardAT(SmallNet(width=4).train(), attack=FGSM(0.35))
    x, y = torch.rand(6, 1, 8, 8), torch.arange(6)
    single = module.perturb(x, y)
    module.substitute = module.multi_step_attack(5)
    expected = PGD(0.35, 0.35 / 4, steps=5)(module.net, x, y, generator=module.step_generator())
    assert torch.equal(module.perturb(x, y), expected)
    assert not torch.equal(single, expected)


def test_looks_alone_leave_no_trace():
    _, plain = fitted([], attack=RSFGSM(0.02))
    looking = Recovery(every_n_steps=1, ratio=1e-9)
    _, watched = fitted([looking], attack=RSFGSM(0.02))
    assert not looking.announced
    assert torch.equal(weights(plain), weights(watched))


@pytest.mark.parametrize(("at", "last"), [(5, 0), (8, 0), (13, 5)])
def test_a_resumed_training_goes_on_as_it_would_have(at, last, tmp_path):
    def recovery():
        return Recovery(every_n_steps=4, ratio=0.9, last_steps=last)

    class Stopping(L.Callback):
        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            if trainer.global_step == at:
                trainer.save_checkpoint(tmp_path / "kept.ckpt")

    whole = fitted([kept := recovery(), Stopping()], folder=tmp_path)
    assert kept.announced
    rest = fitted([recovery()], ckpt_path=tmp_path / "kept.ckpt", folder=tmp_path)
    assert torch.equal(weights(whole[1]), weights(rest[1]))
    name = "overfitting/recovery"
    assert whole[0].callback_metrics[name] == rest[0].callback_metrics[name] > 0


def test_it_says_so_once_and_nothing_where_nothing_happens():
    with pytest.warns(UserWarning, match=r"^Recovery: in step \d+ the accuracy under PGD-10 is 0\.\d+ against") as said:
        fitted([Recovery(every_n_steps=2, ratio=0.99)])
    assert sum("Recovery" in str(warning.message) for warning in said) == 1


def test_a_growing_radius_is_waited_for():
    watching = Watching()
    fitted([Recovery(every_n_steps=1, steps=5, ratio=0.99), watching], epochs=2, eps_warmup=1)
    at_work = [attack.steps == 5 for attack in watching.against]
    assert not any(at_work[:9])
    assert any(at_work[9:])


def test_what_it_cannot_help_is_refused():
    with pytest.raises(InputError, match="for training attacks of a single step, and this one is PGD; leave it out"):
        fitted([Recovery()], attack=PGD(0.3, steps=2))
    for name, value, words in (
        ("every_n_steps", 0, "every_n_steps is 0, but it counts from 1"),
        ("steps", 1, "steps is 1, but it counts from 2"),
        ("ratio", 1.0, r"ratio is 1.0, but it is a share in \(0, 1\)"),
        ("last_steps", -1, "last_steps is -1, but it counts from 0"),
    ):
        with pytest.raises(InputError, match=words):
            Recovery(**{name: value})
