"""Inception Score, FID, KID, precision and recall as torch-fidelity computes them."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, KEY_METRIC_ISC_STD, isc_features_to_metric
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kid_features_to_metric
from torch_fidelity.metric_prc import KEY_METRIC_PRECISION, KEY_METRIC_RECALL, prc_features_to_metric

from energy_at.generation.quality.features import Features
from energy_at.types import Images, InputError, require

SPLITS, SUBSET, NEIGHBOURS = 10, 1000, 3  # torch-fidelity's own
ROWS = 2000  # of distances in memory at a time


class Inception(nn.Module):
    """torch-fidelity's InceptionV3, whose weights are those of the published FID.

    Args:
        weights: file of the weights; None means torch's cache, or a download of 91 MB into it.

    Raises:
        InputError: if the weights are not to be had.
    """

    def __init__(self, weights: str | Path | None = None) -> None:
        super().__init__()
        if weights is not None:
            _require_weights(Path(weights))
        try:
            self.net = FeatureExtractorInceptionV3(
                "inception-v3-compat", ["2048", "logits_unbiased"], weights and str(weights), verbose=False
            )
        except (OSError, RuntimeError) as error:  # no connection, a broken download, or another net's weights
            reason = str(error).splitlines()[0]
            raise InputError(
                f"Inception's weights are not to be had ({reason}); give their file by inception_weights,"
                " or a feature network of your own"
            ) from error

    def forward(self, x: Images) -> tuple[Tensor, Tensor]:
        """Features [N, 2048] and logits [N, 1008] of images [N, 1 or 3, H, W] in [0, 1], taken to 256 levels."""
        levels = x.mul(255).round().to(torch.uint8)
        return self.net(levels.expand(-1, 3, -1, -1))


def fidelity(samples: Features, real: Features, device: torch.device | None = None) -> dict[str, Any]:
    """Every metric that the sets of features allow, with the options that decide its value.

    Args:
        samples: of a feature network.
        real: likewise, of the training images.
        device: where the distances of precision and recall are computed.

    Returns:
        ``fid``; ``kid`` and ``kid_std`` with ``kid_subset_size``; ``precision`` and ``recall``, of more than
        ``prc_neighbours`` images; ``inception_score`` and ``inception_score_std`` over ``isc_splits``, where there are
        logits.
    """
    scores = _fid(samples.vectors, real.vectors) | _kid(samples.vectors, real.vectors)
    if min(len(samples.vectors), len(real.vectors)) > NEIGHBOURS:
        scores |= _precision_recall(samples.vectors.to(device), real.vectors.to(device))
    if samples.logits.shape[1] and len(samples.logits) >= SPLITS:
        scores |= _inception_score(samples.logits)
    return scores


def _fid(samples: Tensor, real: Tensor) -> dict[str, Any]:
    statistics = (fid_features_to_statistics(vectors) for vectors in (samples, real))
    return {"fid": fid_statistics_to_metric(*statistics, verbose=False)[KEY_METRIC_FID]}


def _kid(samples: Tensor, real: Tensor) -> dict[str, Any]:
    subset = min(SUBSET, len(samples), len(real))
    found = kid_features_to_metric(samples, real, kid_subset_size=subset, verbose=False)
    return {"kid": found[KEY_METRIC_KID_MEAN], "kid_std": found[KEY_METRIC_KID_STD], "kid_subset_size": subset}


def _precision_recall(samples: Tensor, real: Tensor) -> dict[str, Any]:
    options = {"prc_neighborhood": NEIGHBOURS, "prc_batch_size": ROWS, "save_cpu_ram": True, "verbose": False}
    found = prc_features_to_metric(samples, real, **options)
    return {
        "precision": found[KEY_METRIC_PRECISION],
        "recall": found[KEY_METRIC_RECALL],
        "prc_neighbours": NEIGHBOURS,
    }


def _inception_score(logits: Tensor) -> dict[str, Any]:
    found = isc_features_to_metric(logits, splits=SPLITS)
    return {
        "inception_score": found[KEY_METRIC_ISC_MEAN],
        "inception_score_std": found[KEY_METRIC_ISC_STD],
        "isc_splits": SPLITS,
    }


def _require_weights(path: Path) -> None:
    require(path.is_file(), f"there is no file {path}; give inception_weights the file of torch-fidelity's InceptionV3")
    try:  # torch-fidelity's own reading could run code from the file
        torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(f"{path} holds no plain weights; give torch-fidelity's own file") from error
