"""Which images are drawn, when, and for whom; what is drawn of them is tested in tests/evaluation/test_examples.py."""

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from energy_at import FGSM, AdversarialExamples, Digits, InputError, SmallNet, StandardAT
from energy_at.evaluation.examples import examples_of


class Keeper(L.pytorch.loggers.CSVLogger):
    """Keeps the examples that it is given."""

    def __init__(self, folder):
        super().__init__(folder)
        self.given = []

    def log_examples(self, examples, step):
        self.given.append((step, examples))


class Bare(L.LightningModule):
    """Has a net, and nothing to attack it with."""

    def __init__(self):
        super().__init__()
        self.net = SmallNet(width=2)

    def training_step(self, batch, batch_idx):
        return self.net(batch[0]).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


def trainer(folder, callback, epochs):
    return L.Trainer(
        max_epochs=epochs,
        limit_train_batches=2,
        limit_val_batches=1,
        logger=Keeper(folder),
        callbacks=[callback],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
    )


def test_every_few_epochs_the_same_held_out_images_are_drawn_and_handed_to_the_loggers(tmp_path):
    module = StandardAT(SmallNet(width=2), attack=FGSM(eps=0.1), optimizer=lambda params: torch.optim.SGD(params, lr=0))
    training, data = trainer(tmp_path, AdversarialExamples(every_n_epochs=2, count=6), epochs=4), Digits(batch_size=32)
    training.fit(module, data)
    drawn = sorted(path.name for path in tmp_path.rglob("examples/epoch_*.png"))
    assert drawn == ["epoch_0001.png", "epoch_0003.png"]
    (first, early), (second, late) = training.loggers[0].given
    assert (first, second) == (4, 8)
    assert torch.equal(early.x, late.x)
    assert torch.equal(early.y, late.y)
    images, labels = (torch.cat(parts) for parts in zip(*data.batches("val", 6), strict=True))
    expected = examples_of(module.net, images / 255, labels, module.val_attack)
    assert torch.equal(late.x_adv, expected.x_adv)
    torch.testing.assert_close(late.logits_adv, expected.logits_adv)


def test_what_cannot_be_drawn_is_refused_when_the_training_begins(tmp_path):
    with pytest.raises(InputError, match="by its val_attack, and Bare lacks one; set them in its constructor, such as"):
        trainer(tmp_path, AdversarialExamples(), 1).fit(Bare(), Digits())
    loader = DataLoader(TensorDataset(torch.rand(8, 1, 8, 8), torch.arange(8)), 4)
    with pytest.raises(InputError, match="draws images of a data module of this package; leave it out, or"):
        trainer(tmp_path, AdversarialExamples(), 1).fit(StandardAT(SmallNet(width=2)), loader)
