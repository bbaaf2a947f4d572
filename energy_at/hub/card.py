"""The model card, filled in from what is known."""

import html
import re
from collections.abc import Iterable, Sequence

from energy_at.hub.facts import Accuracy, Facts
from energy_at.hub.recipe import short
from energy_at.hub.sources import HUB

# where the methods were published
SOURCES = {
    "StandardAT": "arXiv:1706.06083",
    "TRADES": "arXiv:1901.08573",
    "WEAT": "arXiv:2407.06315",
    "DER": "arXiv:2505.22486",
    "GradAlign": "arXiv:2007.02617",
    "ELLE": "arXiv:2401.11618",
    "AAER": "arXiv:2404.08154",
    "MART": "https://openreview.net/forum?id=rklOg6EFwS",
    "PGI": "arXiv:2207.08859",
    "DualAT": "arXiv:2510.13872",
}
RELATIVES = {"LinearDER": SOURCES["ELLE"]}  # what methods without a paper of their own owe most to
BESIDE = {  # what stands in a recipe, whatever the method
    "Recovery": "arXiv:2006.03089",
    "AWP": "arXiv:2004.05884",
    "CutMix": "arXiv:1905.04899",
    "MixUp": "arXiv:1710.09412",
    "cutout": "arXiv:1708.04552",
}
LENS = ("arXiv:2407.06315", "arXiv:2505.22486")  # adversarial training seen in energies
UNSAID = "not said"
TEXT = """\
{front}
# {title}

{net}, trained by {method} with energy_at. It classifies, and its logits are
energies: E(x, y) = -f(x)[y] and E(x) = -log sum_k exp f(x)[k], so that it can also be analysed and drawn from.
Images are in [0, 1], float32 [N, C, H, W]; the net normalises inside.

## Use

```
{use}
```

## Training

| | |
|---|---|
{training}

## Accuracy

{accuracy}
{picture}
## What it is not

Robustness is measured against these attacks, within these balls, on this data; nothing is promised beyond them.

## Licence and citation

Licence of the weights: {license}. The data have their own.

Please cite {citation}.
"""
PICTURE = """
![Energies and accuracies of the training](energies.png)

*Energies of natural and adversarial images, their difference dE, and robust accuracy during the training.*
"""


def model_card(facts: Facts, repo: str | None, license: str | None, has_picture: bool) -> str:
    """Text of ``README.md``, with the hub's metadata in front.

    Args:
        facts: of the net; all that users have named in them is text in the card, never markup.
        repo: ``USER/NAME`` on the hub; None for a folder.
        license: of the weights, as the hub abbreviates it; None if nobody has said it.
        has_picture: whether ``energies.png`` lies beside it.
    """
    title = repo.partition("/")[2] if repo else f"{facts.method} on {facts.data or 'images'}"
    return TEXT.format(
        front=_front(facts, title, license),
        title=escaped(title),
        net=escaped(short(facts.net["class_path"])),
        method=escaped(facts.method),
        use=_use(f"hf://{repo}" if repo else "FOLDER"),
        training="\n".join(f"| {name} | {value} |" for name, value in _training(facts)),
        accuracy=_accuracy_table(facts.accuracies, facts.protocol),
        picture=PICTURE if has_picture else "",
        license=escaped(license or UNSAID),
        citation=_citation(facts.method, re.findall(r"\w+", " ".join(facts.recipe.values()))),
    )


def escaped(text: object) -> str:
    """Text that stands in a card as it is: neither HTML nor Markdown, and on one line."""
    return re.sub(r"([\\`*_{}\[\]()#+!|~$<>])", r"\\\1", " ".join(html.escape(str(text)).split()))


def _front(facts: Facts, title: str, license: str | None) -> str:
    from huggingface_hub import EvalResult, ModelCardData  # here, because they are needed for this alone

    results = [
        EvalResult("image-classification", facts.data or UNSAID, facts.data or UNSAID, "accuracy", round(row.value, 4),
                   metric_name=" ".join(filter(None, [row.attack, row.threat])))
        for row in facts.accuracies
    ]  # fmt: skip
    data = ModelCardData(
        library_name="energy_at",
        license=license,
        base_model=_repo(facts.begun_with),
        pipeline_tag="image-classification",
        tags=["adversarial-training", "robustness", "energy-based-model", "pytorch", "safetensors"],
        model_name=title if results else None,
        eval_results=results or None,
    )
    return f"---\n{data.to_yaml()}\n---"


def _repo(source: str) -> str | None:
    """Of the hub, whose page then names the net among those that were trained on."""
    found = HUB.fullmatch(source)
    return found["repo"] if found else None


def _use(source: str) -> str:
    return (
        f"energy-at evaluate -c CONFIG --ckpt_path {source}\n"
        f"python -c \"from energy_at import load_net; net = load_net('{source}')\""
    )


def _training(facts: Facts) -> Iterable[tuple[str, str]]:
    yield "data", escaped(facts.data or UNSAID)
    if facts.class_names:
        yield "classes", ", ".join(map(escaped, facts.class_names))
    yield "method", f"{escaped(facts.method)}{_source(facts.method)}"
    yield "training attack", _attack(facts)
    yield from ((name, escaped(told)) for name, told in facts.recipe.items())
    if facts.begun_with:
        yield "begun with", escaped(facts.begun_with)
    yield "epochs", str(facts.epochs)
    arguments = facts.net.get("init_args", {})
    yield "net", escaped(f"{facts.net['class_path']}({', '.join(f'{k}={v}' for k, v in arguments.items())})")


def _attack(facts: Facts) -> str:
    arguments = facts.attack.get("init_args", {})
    shown = [f"{key} {arguments[key]}" for key in ("norm", "eps", "alpha", "steps") if arguments.get(key) is not None]
    return escaped(", ".join([short(facts.attack.get("class_path", UNSAID)), *shown]))


def _source(method: str) -> str:
    return f" ({SOURCES[method]})" if method in SOURCES else ""


def _accuracy_table(rows: Sequence[Accuracy], protocol: str) -> str:
    if not rows:
        return "Not measured by who shared it: `energy-at evaluate` does."
    lines = [f"| {escaped(r.attack)} | {escaped(r.threat)} | {100 * r.value:.2f} % |" for r in rows]
    return "\n".join(["| attack | ball | accuracy |", "|---|---|---|", *lines, "", f"Protocol: {protocol}."])


def _citation(method: str, recipe: Sequence[str]) -> str:
    owed = [papers[method] for papers in (SOURCES, RELATIVES) if method in papers]
    beside = [paper for name, paper in BESIDE.items() if name in recipe]
    papers = ", ".join(dict.fromkeys([*owed, *beside, *LENS]))
    if method not in SOURCES:
        return f"the papers that it rests on: {papers}"
    others = ", those of what was used with it and of" if beside else " and those of"
    return f"{escaped(method)}'s paper{others} its energies: {papers}"
