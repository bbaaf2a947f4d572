"""``compile`` and ``cuda_graph``: what a CPU can show of them."""

import lightning as L
import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounter

from energy_at import FGSM, PGD, TRADES, AutoAttack, Digits, StandardAT
from energy_at.attacks.cuda_graph import CudaGraphs
from energy_at.models import SmallNet
from energy_at.modules.compilation import Compilation, frozen
from energy_at.types import InputError


class Counted(SmallNet):
    """Compiled by a backend that counts, and runs what it is given as it is."""

    def __init__(self, counter):
        torch.manual_seed(0)
        super().__init__(width=4)
        self.__dict__["counter"] = counter

    def compile(self, **options):
        nn.Module.compile(self, backend=self.counter, **options)


def fit(module, epochs=2):
    torch._dynamo.reset()
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        limit_train_batches=3,
        limit_val_batches=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, Digits())
    return module


@pytest.mark.parametrize(("kind", "most"), [(StandardAT, 2), (TRADES, 3)])
def test_training_compiles_each_kind_of_pass_once_and_changes_nothing(kind, most):
    counter = CompileCounter()
    plain = fit(kind(Counted(counter), attack=None))
    assert counter.frame_count == 0
    compiled = fit(kind(Counted(counter), attack=None, compile=True))
    assert 1 <= counter.frame_count <= most
    assert plain.state_dict().keys() == compiled.state_dict().keys()
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(compiled.state_dict()[name], value)
    assert compiled.net._compiled_call_impl is None


def test_batches_of_another_shape_run_as_they_are_written():
    torch._dynamo.reset()
    counter, compilation = CompileCounter(), Compilation(True)
    net = Counted(counter)
    compilation.begin(net)
    for count in (4, 3, 2, 4):
        x = torch.rand(count, 1, 8, 8)
        with compilation.for_batch(x):
            net(x)
        with compilation.eager():
            net(torch.rand(count + 10, 1, 8, 8))
    assert counter.frame_count == 1


def test_frozen_parameters_are_as_they_were_afterwards():
    net = SmallNet(width=4)
    net.linear.bias.requires_grad_(False)
    before = [parameter.requires_grad for parameter in net.parameters()]
    with pytest.raises(ZeroDivisionError), frozen(net):
        1 / any(parameter.requires_grad for parameter in net.parameters())
    assert [parameter.requires_grad for parameter in net.parameters()] == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attack": PGD(restarts=2)}, "the attack is PGD with restarts; write cuda_graph: false"),
        ({"attack": AutoAttack()}, "the attack is AutoAttack; write cuda_graph: false"),
    ],
)
def test_what_no_graph_can_hold_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        StandardAT(SmallNet(width=4), cuda_graph=True, **options)


def test_an_attack_is_recorded_once_its_radius_has_grown():
    module, recorded = StandardAT(SmallNet(width=4), attack=FGSM(eps=0.2), cuda_graph=True, eps_warmup=1.5), []

    class Graphs(CudaGraphs):
        def __call__(self, attack, *arguments):
            recorded.append((module.current_epoch, module.global_step, float(attack.eps)))
            return attack(*arguments)

    module.on_fit_start, module._graphs = (lambda: None), Graphs()  # as if this were a CUDA device
    fit(module, epochs=3)
    assert recorded == [(1, 5, 0.2), (2, 6, 0.2), (2, 7, 0.2), (2, 8, 0.2)]


def test_a_graph_needs_a_cuda_device():
    with pytest.raises(InputError, match="this is a cpu; write cuda_graph: false"):
        fit(StandardAT(SmallNet(width=4), attack=FGSM(), cuda_graph=True))
