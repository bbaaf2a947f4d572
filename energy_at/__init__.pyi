"""What ``energy_at`` names, by its homes: read by type checkers, and when a name is first used."""

__version__: str
__all__: list[str]

from energy_at.attacks import (
    FGSM as FGSM,
    NFGSM as NFGSM,
    PGD as PGD,
    RSFGSM as RSFGSM,
    Attack as Attack,
    AutoAttack as AutoAttack,
    CarliniWagner as CarliniWagner,
    Corruption as Corruption,
    DiffPGD as DiffPGD,
    GaussianNoise as GaussianNoise,
    Targeted as Targeted,
    ThroughDefense as ThroughDefense,
    Transfer as Transfer,
)
from energy_at.callbacks import (
    SWA as SWA,
    AdversarialExamples as AdversarialExamples,
    ContrastMonitor as ContrastMonitor,
    EnergyLogger as EnergyLogger,
    EnergyPlot as EnergyPlot,
    OverfittingMonitor as OverfittingMonitor,
    ProgressBar as ProgressBar,
    Recovery as Recovery,
    SampleGrid as SampleGrid,
)
from energy_at.data import (
    CIFAR10 as CIFAR10,
    CIFAR100 as CIFAR100,
    SVHN as SVHN,
    Corrupted as Corrupted,
    Digits as Digits,
    FashionMNIST as FashionMNIST,
    ImageFolder as ImageFolder,
    ImageNet as ImageNet,
    TinyImageNet as TinyImageNet,
)
from energy_at.data.unlabelled import unlabelled_images as unlabelled_images
from energy_at.defense import EnergyDescent as EnergyDescent
from energy_at.energy import (
    cross_entropy_terms as cross_entropy_terms,
    delta_joint_energy as delta_joint_energy,
    delta_marginal_energy as delta_marginal_energy,
    joint_energy as joint_energy,
    kl_divergence as kl_divergence,
    marginal_energy as marginal_energy,
    trades_kl_terms as trades_kl_terms,
)
from energy_at.evaluation.analysis.measure import analyze as analyze
from energy_at.evaluation.analysis.report import write_report as write_report
from energy_at.evaluation.analysis.result import Analysis as Analysis
from energy_at.evaluation.analysis.smoothness import Smoothness as Smoothness
from energy_at.evaluation.analysis.surface import draw_surfaces as draw_surfaces, energy_surface as energy_surface
from energy_at.evaluation.checkpoints import load_net as load_net
from energy_at.evaluation.checks import check_net as check_net
from energy_at.evaluation.report import Report as Report
from energy_at.evaluation.robustness import evaluate as evaluate
from energy_at.evaluation.training_run import TrainingRun as TrainingRun, read_run as read_run
from energy_at.generation import (
    ClassInit as ClassInit,
    ClassPCA as ClassPCA,
    EnergyTargets as EnergyTargets,
    FolderInit as FolderInit,
    GaussianInit as GaussianInit,
    LangevinSampler as LangevinSampler,
    LocalPCA as LocalPCA,
    Samples as Samples,
    UniformInit as UniformInit,
    generate as generate,
    sample_seeds as sample_seeds,
)
from energy_at.metrics import EnergyStatistics as EnergyStatistics
from energy_at.models import (
    DMPreActResNet as DMPreActResNet,
    DMWideResNet as DMWideResNet,
    PreActResNet as PreActResNet,
    ResNet as ResNet,
    SmallNet as SmallNet,
    TimmNet as TimmNet,
    TorchvisionNet as TorchvisionNet,
    WideResNet as WideResNet,
)
from energy_at.modules import (
    AAER as AAER,
    AWP as AWP,
    DER as DER,
    ELLE as ELLE,
    MART as MART,
    PGI as PGI,
    TRADES as TRADES,
    WEAT as WEAT,
    AdversarialTraining as AdversarialTraining,
    DualAT as DualAT,
    GradAlign as GradAlign,
    LinearDER as LinearDER,
    StandardAT as StandardAT,
)
from energy_at.objectives import (
    at_loss as at_loss,
    delta_energy_penalty as delta_energy_penalty,
    der_loss as der_loss,
    trades_loss as trades_loss,
    weat_loss as weat_loss,
    weat_weights as weat_weights,
)
from energy_at.types import InputError as InputError, Ratio as Ratio
