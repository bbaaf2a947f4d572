"""Analyses of small nets for the tests of their figures."""

from functools import cache

import torch

from energy_at.attacks import FGSM, PGD, Targeted
from energy_at.evaluation.analysis.measure import analyze
from energy_at.evaluation.analysis.smoothness import Smoothness
from tests.evaluation.test_robustness import a_net, batches

AROUND = Smoothness(images=12, factors=(0.5, 1.0), multiples=(-1.0, 0.0, 0.5, 1.0))


def some_attacks():
    """Without noise, so that a number does not depend on the batch."""
    return {
        "fgsm": FGSM(0.05),
        "pgd": PGD(0.05, steps=4, start="zero"),
        "far": Targeted(PGD(0.05, steps=4, start="zero", targeted=True), target="least_likely"),
    }


@cache
def analyses():
    """Two nets, the second of which is right less often."""
    return tuple(
        analyze(a_net(seed), batches(), some_attacks(), name, AROUND, ("ant", "bee", "cat"))
        for seed, name in enumerate(("first", "second"))
    )


ON_OTHERS = {
    "lower": PGD(0.05, steps=4, start="zero", loss="lower_marginal_energy"),
    "sure": PGD(0.05, steps=4, start="zero", targeted=True),
}


def other_images():
    """Of labels that the nets have not."""
    x = torch.rand(24, *everything()[0].shape[1:], generator=torch.Generator().manual_seed(7))
    return [(part, torch.full((len(part),), 77)) for part in x.split(10)]


@cache
def with_others():
    """``analyses`` beside those of foreign images, and of the nets' own as if they were foreign."""
    return tuple(
        analysis.with_ood(
            {
                "foreign": analyze(a_net(seed), other_images(), ON_OTHERS, "foreign", labelled=False),
                "same": analyze(a_net(seed), [everything()], {}, "same", labelled=False),
            }
        )
        for seed, analysis in enumerate(analyses())
    )


def everything():
    """All images and labels of ``batches``."""
    return tuple(torch.cat(parts) for parts in zip(*batches(), strict=True))
