"""The table of means: a row a net and case."""

from collections.abc import Sequence

from energy_at.evaluation.analysis.calibration import expected_calibration_error
from energy_at.evaluation.analysis.confidence import auroc
from energy_at.evaluation.analysis.result import Analysis, Row

MEANS = ("E_marginal", "E_joint", "dE_marginal", "dE_joint", "kl_conditional", "kl", "gradient_norm")
CELLS = {
    "net": ("net", ""),
    "case": ("images", ""),
    "accuracy": ("accuracy", ".4f"),
    "confidence": ("confidence", ".4f"),
    "ece": ("ECE", ".3f"),
    "E_marginal": ("E(x)", ".3f"),
    "E_joint": ("E(x, y)", ".3f"),
    "dE_marginal": ("dE(x)", "+.3f"),
    "dE_joint": ("dE(x, y)", "+.3f"),
    "kl_conditional": ("KL cond.", ".3f"),
    "kl": ("KL", ".3f"),
    "auroc_energy": ("AUROC E(x)", ".3f"),
    "auroc_confidence": ("AUROC conf.", ".3f"),
}


def mean_rows(analyses: Sequence[Analysis]) -> list[Row]:
    """Net, case, images, accuracy, mean confidence, energies, deltas, KL terms, slope, calibration error, two AUROCs.

    "ece" is ``expected_calibration_error``. "auroc_energy" and "auroc_confidence" say how well E(x), and 1 -
    confidence, tell misclassified images from correct ones. What does not apply is None.
    """
    return [
        {
            "net": analysis.net,
            "case": case,
            "images": analysis.images,
            "accuracy": float(values["correct"].mean()),
            "confidence": float(values["confidence"].mean()),
            "ece": expected_calibration_error(values["confidence"], values["correct"]),
            **{key: float(values[key].mean()) if key in values else None for key in MEANS},
            "auroc_energy": auroc(values["E_marginal"], ~values["correct"]),
            "auroc_confidence": auroc(-values["confidence"], ~values["correct"]),
        }
        for analysis in analyses
        for case, values in analysis.cases.items()
    ]


def mean_cells(rows: Sequence[Row]) -> list[list[str]]:
    """The table as text: headings, then a line a row; "-" for what does not apply.

    Args:
        rows: of ``mean_rows``.
    """
    headings = [heading for heading, _ in CELLS.values()]
    lines = [["-" if row[key] is None else format(row[key], form) for key, (_, form) in CELLS.items()] for row in rows]
    return [headings, *lines]
