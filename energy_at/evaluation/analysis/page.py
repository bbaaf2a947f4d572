"""``report.html``: figures, means and conditions in one file without external assets."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from energy_at.evaluation.analysis.means import mean_cells
from energy_at.evaluation.analysis.ood import ood_cells, ood_rows
from energy_at.evaluation.analysis.result import Analysis, Row

STYLE = """
body { font: 16px/1.5 system-ui, "DejaVu Sans", sans-serif; color: #222 }
body { max-width: 66rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .6rem; border-bottom: 1px solid #ccc; break-after: avoid }
figure { margin: 0; break-inside: avoid }
img { max-width: 100%; height: auto }
figcaption, p.note { color: #444; font-size: .88rem }
div.wide { overflow-x: auto }
table { border-collapse: collapse; font-size: .8rem; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .5rem; text-align: right; border-bottom: 1px solid #e4e4e4; white-space: nowrap }
th { border-bottom: 1px solid #888 }
td.text, th.text { text-align: left; vertical-align: top }
td.long { white-space: normal; overflow-wrap: anywhere }
"""
MEANS_NOTE = (
    "Means over all images, energies in nats. dE = E(natural) - E(adversarial): positive where the attack lowers the"
    " energy. KL(p(.|x) || p(.|x*)) is the sum of its conditional term and of dE(x), its marginal term. AUROC: how well"
    " E(x), and 1 - confidence, tell misclassified images from correct ones (0.5: not at all; -: all correct, or none)."
    " ECE: expected calibration error, the mean distance of confidence and accuracy."
)


@dataclass(frozen=True)
class Picture:
    """A figure as the page shows it.

    Args:
        name: of its files.
        title: heading.
        caption: below it.
        png: the image file.
    """

    name: str
    title: str
    caption: str
    png: bytes


def page(analyses: Sequence[Analysis], means: Sequence[Row], pictures: Sequence[Picture]) -> str:
    """The report as HTML.

    Args:
        analyses: of one or several nets.
        means: of ``mean_rows``.
        pictures: in their order.
    """
    title = f"Energies of {', '.join(analysis.net for analysis in analyses)}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        "<h2>Means</h2>",
        _table(*mean_cells(means), text=2),
        f'<p class="note">{escape(MEANS_NOTE)}</p>',
        *map(_figure, pictures),
        *_ood(ood_rows(analyses)),
        "<h2>Conditions</h2>",
        _table(["", *(analysis.net for analysis in analyses)], *_condition_cells(analyses), text=len(analyses) + 1),
        "<h2>Attacks</h2>",
        _table(["name", "settings"], *_attack_cells(analyses[0]), text=2),
    ]
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    body = "\n".join(parts)
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def _ood(rows: Sequence[Row]) -> list[str]:
    return ["<h2>Out-of-distribution images: scores</h2>", _table(*ood_cells(rows), text=3)] if rows else []


def _figure(picture: Picture) -> str:
    source = f"data:image/png;base64,{b64encode(picture.png).decode()}"
    image = f'<img alt="{escape(picture.title)}" src="{source}">'
    caption = f"<figcaption>{escape(picture.caption)} Numbers: {escape(picture.name)}.csv.</figcaption>"
    return f"<h2>{escape(picture.title)}</h2>\n<figure>{image}\n{caption}</figure>"


def _table(headings: Sequence[str], *lines: Sequence[str], text: int) -> str:
    """A table whose first ``text`` columns are text."""
    body = "\n".join(f"<tr>{_cells('td', line, text)}</tr>" for line in lines)
    head = _cells("th", headings, text)
    return f'<div class="wide"><table><tr>{head}</tr>\n{body}</table></div>'


def _cells(tag: str, values: Sequence[str], text: int) -> str:
    kinds = [("text long" if len(value) > 40 else "text") if i < text else "number" for i, value in enumerate(values)]
    return "".join(f'<{tag} class="{kind}">{escape(value)}</{tag}>' for kind, value in zip(kinds, values, strict=True))


def _condition_cells(analyses: Sequence[Analysis]) -> list[list[str]]:
    told = [
        {"images": analysis.images, **_near(analysis), **analysis.conditions, **_others(analysis)}
        for analysis in analyses
    ]
    keys = dict.fromkeys(key for facts in told for key in facts)
    return [[key, *(_plain(facts.get(key)) for facts in told)] for key in keys]


def _near(analysis: Analysis) -> Mapping[str, Any]:
    if analysis.smoothness is None:
        return {}
    return {
        "smoothness: images": len(analysis.near["natural"]["E_marginal"]),
        "smoothness: factors of eps": ", ".join(f"{f:g}" for f in analysis.smoothness.factors),
        "smoothness: t": ", ".join(f"{t:g}" for t in analysis.smoothness.multiples),
    }


def _others(analysis: Analysis) -> Mapping[str, Any]:
    return {
        f"out-of-distribution: {name}": ", ".join(
            str(part) for part in (other.images, other.conditions.get("data"), other.conditions.get("split")) if part
        )
        for name, other in analysis.ood.items()
    }


def _attack_cells(analysis: Analysis) -> list[list[str]]:
    of_others = {
        f"{name}, out of distribution": settings
        for other in analysis.ood.values()
        for name, settings in other.settings.items()
    }
    return [
        [name, ", ".join(f"{key} {_plain(value)}" for key, value in settings.items())]
        for name, settings in ({**analysis.settings, **of_others}).items()
    ]


def _plain(value: Any) -> str:
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
