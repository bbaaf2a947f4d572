"""The pages say what is so: their commands parse, their code runs, and the site has every public name and no dead link.

What the site is made of by itself (API, notebooks, files outside of docs/) is made in docs/hooks.
"""

import ast
import os
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import wandb

import energy_at
from energy_at.cli import main
from energy_at.cli.app import parser_options
from energy_at.cli.commands import command_parser
from energy_at.cli.first_look import FUNCTIONS, expanded
from energy_at.modules import AdversarialTraining
from tests.test_configs import OnlyParsing

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# pages whose code needs nothing that they do not have
RUN = ("own_attack", "own_data", "own_net", "own_objective", "wandb")
PARTS = ("attacks", "callbacks", "data", "generation", "models", "modules")
BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
# what stands for something of the reader's, and what serves instead
PLACEHOLDERS = {
    "CONFIG": "digits_pgd_at.yaml",
    "mine.yaml": "co-digits",
    "--resume runs/NAME/version_0": "-c digits_pgd_at.yaml",
}


class OnlyArguments(OnlyParsing):
    """Looks for no file that a command names."""

    def before_instantiate_classes(self):
        """See above."""


def blocks(page, *languages):
    return [text for language, text in BLOCK.findall(page.read_text()) if language in languages]


def commands(page, *programs):
    """What follows the program in each line of a page that calls it."""
    lines = "\n".join(blocks(page, "", "bash")).replace("\\\n", " ").splitlines()
    called = (re.split(rf"(?:{'|'.join(programs)}) ", line.split(" #")[0], maxsplit=1) for line in lines)
    return [parts[1].strip() for parts in called if len(parts) == 2]


def write_modules(page, folder):
    """The blocks that begin with the name of a file, as files; returns the other ones."""
    others = []
    for code in blocks(page, "python"):
        name = re.match(r"# (\w+\.py)\n", code)
        (folder / name[1]).write_text(code) if name else others.append(code)
    return others


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty current folder, whose modules are found."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    wandb.finish()  # else the next logger of this process would go on with this run
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(path.stem, None)


def parse(command):
    for placeholder, serves in PLACEHOLDERS.items():
        command = command.replace(placeholder, serves)
    name, *args = expanded(shlex.split(command))
    if name in FUNCTIONS:
        command_parser(getattr(import_module(f"energy_at.cli.{name}"), name)).parse_args(args)
    elif "--print_config" in args:
        with pytest.raises(SystemExit, match="0"):
            OnlyArguments(**parser_options(), args=[name, *args])
    else:
        OnlyArguments(**parser_options(), args=[name, *args])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_its_commands_parse_and_its_code_compiles(page, folder):
    write_modules(page, folder)
    for command in commands(page, "energy-at", "python -m energy_at"):
        parse(command)
    for code in blocks(page, "python"):
        ast.parse(code)


def test_commands_are_found():
    assert "fit --config digits_rsfgsm_der.yaml" in commands(ROOT / "README.md", "energy-at")
    assert sum(len(commands(page, "energy-at")) for page in PAGES) > 50


def test_the_readme_counts_and_links_what_there_is():
    classes = [c for c in (getattr(energy_at, name) for name in energy_at.__all__) if isinstance(c, type)]
    objectives = {c for c in classes if issubclass(c, AdversarialTraining)} - {AdversarialTraining}
    attacks = {c for c in classes if issubclass(c, energy_at.Attack)} - {energy_at.Attack}
    disturbances = {energy_at.GaussianNoise, energy_at.Corruption}
    around = {energy_at.Targeted, energy_at.ThroughDefense, energy_at.Transfer}
    readme, methods = (ROOT / "README.md").read_text(), (ROOT / "docs/methods.md").read_text()
    assert f"| training objectives | [{len(objectives)}](docs/methods.md): " in readme
    assert f"| attacks | {len(attacks - around - disturbances)}, " in readme
    assert [c.__name__ for c in objectives | attacks if f"`{c.__name__}`" not in methods] == []
    links = re.findall(r'(?:\]\(|src=")(?!http)([^)"#]+)', readme)
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("name", RUN)
def test_its_code_and_its_commands_run(name, folder, monkeypatch, capfd):
    monkeypatch.setenv("WANDB_MODE", "offline")
    (folder / "FOLDER").mkdir()
    rng = np.random.default_rng(0)
    for split, count in (("train", 90), ("test", 30)):
        images = rng.integers(0, 256, (count, 1, 16, 16), dtype=np.uint8)
        np.savez(folder / "FOLDER" / f"{split}.npz", image=images, label=np.arange(count) % 3)
    page = ROOT / "docs" / f"{name}.md"
    for code in write_modules(page, folder):
        exec(compile(code, page.name, "exec"), {"__name__": page.stem})
    for command in commands(page, "python -m energy_at"):
        assert main(shlex.split(command)) == 0, capfd.readouterr().err


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built without network and with warnings as errors."""
    folder = tmp_path_factory.mktemp("site")
    dead = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, **dead, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def test_every_public_name_is_described(site):
    anchors = set(re.findall(r'<h2 id="(energy_at\.[\w.]+)"', "".join(map(Path.read_text, site.glob("api/*/*.html")))))
    own = {f"{home}.{name}" for name, home in energy_at._HOME_OF.items()}
    parts = {f"energy_at.{part}.{name}" for part in PARTS for name in import_module(f"energy_at.{part}").__all__}
    assert {name.rsplit(".", 1)[1] for name in own} == set(energy_at.__all__)
    assert own | parts <= anchors
    listed = (site / "api/index.html").read_text()
    assert [name for name in energy_at.__all__ if f'.{name}"' not in listed] == []


def test_notebooks_are_there_with_their_pictures_and_formulas(site):
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        page = (site / "notebooks" / path.stem / "index.html").read_text()
        assert f"../{path.stem}-1.png" in page
        assert (site / "notebooks" / f"{path.stem}-1.png").read_bytes().startswith(b"\x89PNG")
        assert "<math" in page
        assert "arithmatex" not in page
        assert (site / "notebooks" / path.name).read_bytes() == path.read_bytes()


def test_what_lies_outside_of_docs_is_there(site):
    assert "digits_rsfgsm_der.yaml" in (site / "configs/index.html").read_text()
    assert "reproduce" in (site / "configs/index.html").read_text()
    assert "RSFGSM" in (site / "configs/digits_rsfgsm_der.yaml/index.html").read_text()
    assert "FGSM-seed0.csv" in (site / "results/co-digits/index.html").read_text()
    assert not (site / "hooks").exists()


def test_nothing_is_loaded_from_elsewhere(site):
    for path in site.rglob("*.html"):
        loaded = re.findall(r'<(?:script|img|link rel="stylesheet")[^>]+(?:src|href)="?([^" >]+)', path.read_text())
        assert not [url for url in loaded if "//" in url and not url.startswith("data:")]


def hook(name):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "docs/hooks")
        return import_module(name)


def test_links_are_turned_to_where_their_targets_are():
    relinked = hook("outside").relinked
    assert relinked("usage.md", "[a](../configs) [b](results.md#cost)") == "[a](configs/index.md) [b](results.md#cost)"
    assert relinked("usage.md", "[a](../notebooks/01_energy.ipynb)") == "[a](notebooks/01_energy.md)"
    assert relinked("notebooks/04_dual.md", "[a](../docs/usage.md#x)") == "[a](../usage.md#x)"
    assert relinked("results.md", "[a](results/co-digits)") == "[a](results/co-digits/index.md)"
    kept = "[a](https://arxiv.org) [b](#cost) [c](nowhere.md) ![d](images/co-full.png)"
    assert relinked("results.md", kept) == kept


def test_broken_links_are_found(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/index.html").write_text('<h1 id="top"><a href="../b.html#there">1</a><img src="../no.png">')
    (tmp_path / "b.html").write_text(
        '<i id="there"><a href="a/#top"></a><a href="a/#bottom"></a><a href="http://x.y/z">'
    )
    assert hook("links").broken_links(tmp_path) == ["a/index.html: ../no.png", "b.html: a/#bottom"]


def test_docstrings_are_shown_as_they_are_written():
    escaped = hook("plain_docstrings").escaped
    assert escaped("E(x*) - ``a*b`` [N, K](y)") == "E(x&#42;) - ``a*b`` &#91;N, K](y)"
    assert escaped("see ``PGD``") == "see [`PGD`][energy_at.attacks.PGD]"


def test_formulas_are_drawn():
    drawn = hook("mathematics").drawn
    assert drawn(r'<span class="arithmatex">\(a &lt; b\)</span>').count("<math") == 1
    assert drawn(r'<div class="arithmatex">\[a \qquad b\]</div>').count('display="block"') == 2
    assert drawn("plain") == "plain"
