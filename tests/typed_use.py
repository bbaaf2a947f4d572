"""What a type checker sees of the public names; mypy reads this file with the package, and pytest does not run it."""

from collections.abc import Callable
from typing import assert_type

import torch
from torch import Tensor

from energy_at import CIFAR10, DER, PGD, RSFGSM, EnergyLogger, PreActResNet, Report, evaluate, marginal_energy

data = CIFAR10("data", batch_size=128)
net = PreActResNet(num_classes=10, mean=data.mean, std=data.std)
module = DER(net, attack=RSFGSM(eps="8/255"))
callbacks = [EnergyLogger(every_n_steps=10)]
x, y = torch.rand(2, 3, 32, 32), torch.zeros(2, dtype=torch.int64)
assert_type(PGD(eps="8/255", steps=10)(net, x, y), Tensor)
assert_type(marginal_energy(net(x)), Tensor)
energy: Callable[[Tensor], Tensor] = marginal_energy
assert_type(evaluate(net.eval(), data.batches("test", count=100), {"pgd": PGD(eps=8 / 255)}), Report)
