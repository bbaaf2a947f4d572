"""What is published: wheel and sdist have all that they need and nothing else, and say the version of the tag."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "energy_at"
REPOSITORY = "https://github.com/OWNER/NAME"
LARGEST = 3_000_000  # bytes of the wheel: configs, code, and one small net
JUNK = (
    ".venv/lib/x.py",
    "data/x.png",
    "dist/x.whl",
    "energy_at/__pycache__/x.pyc",
    "nets/x/model.safetensors",
    "runs/x/last.ckpt",
    "tests/.pytest_cache/x",
)
IGNORED = {"__pycache__", ".ipynb_checkpoints", ".pytest_cache"}
GIT = ["git", "-c", "user.name=x", "-c", "user.email=x@x", "-c", "commit.gpgsign=false"]
LINK = re.compile(r"(?:\]\(|(?:src|href)=\")([^)\s\"]+)")
SECTION = re.compile(r"^## (\S+) \(([\d-]+)\)$", re.MULTILINE)


def call(command, folder, **env):
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), **env}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def hatchling(folder, *args, **env):
    return call([sys.executable, "-m", "hatchling", *args], folder, **env)


def fields(metadata):
    return Parser().parsestr(metadata)


def sdist(folder, output, **env):
    """The sdist of a folder, unpacked."""
    hatchling(folder, "build", "-t", "sdist", "-d", str(output), **env)
    (path,) = output.glob("*.tar.gz")
    unpack(path, output)
    return output / path.name.removesuffix(".tar.gz")


def unpack(path, output):
    with tarfile.open(path) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # which 3.11.2, of Debian 12, lacks
        archive.extractall(output)


def litter(folder):
    for name in JUNK:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("junk")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The sdist of version 1.2.3, unpacked; it was made of a littered folder."""
    plain = sdist(ROOT, tmp_path_factory.mktemp("plain"))
    (plain / "PKG-INFO").unlink()  # it has the version that the files are of
    litter(plain)
    env = {"SETUPTOOLS_SCM_PRETEND_VERSION": "1.2.3", "REPO_URL": REPOSITORY, "GITHUB_REF_NAME": "v1.2.3"}
    return sdist(plain, tmp_path_factory.mktemp("sdist"), **env)


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    """The wheel of that sdist, as ``python -m build`` makes it; the folder was littered again."""
    littered = tmp_path_factory.mktemp("wheel") / "source"
    shutil.copytree(source, littered)
    litter(littered)
    hatchling(littered, "build", "-t", "wheel")
    with zipfile.ZipFile(littered / "dist/energy_at-1.2.3-py3-none-any.whl") as archive:
        yield archive


def files(folder):
    kept = (path for path in folder.rglob("*") if path.is_file() and not IGNORED & set(path.parts))
    return {str(path.relative_to(folder)) for path in kept}


def test_the_wheel_has_the_package_with_configs_and_the_pretrained_net_and_nothing_else(wheel):
    package = {f"energy_at/{name}" for name in files(PACKAGE)}
    configs = {f"energy_at/configs/{name}" for name in files(ROOT / "configs")}
    needed = {"py.typed", "evaluation/dashboard.yaml", "pretrained/digits/model.safetensors"}
    assert {f"energy_at/{name}" for name in needed} | {"energy_at/configs/parts/wandb.yaml"} <= package | configs
    names = {name for name in wheel.namelist() if not name.startswith("energy_at-1.2.3.dist-info/")}
    assert names == package | configs
    assert (
        wheel.read("energy_at/configs/digits_rsfgsm_der.yaml") == (ROOT / "configs/digits_rsfgsm_der.yaml").read_bytes()
    )
    assert "energy_at-1.2.3.dist-info/licenses/LICENSE" in wheel.namelist()
    assert Path(wheel.filename).stat().st_size < LARGEST


def test_the_sdist_has_what_the_tests_need_and_nothing_that_lies_about(source):
    for folder in ("benchmarks", "configs", "docs", "energy_at", "notebooks", "tests", ".ci", ".github"):
        assert files(source / folder) == files(ROOT / folder)
    names = {path.name for path in ROOT.iterdir() if path.is_file()} - {".git"}
    assert names | {"PKG-INFO"} == {path.name for path in source.iterdir() if path.is_file()}
    assert not [name for name in JUNK if (source / name).exists()]


def test_what_pypi_shows(source, wheel):
    metadata = fields(wheel.read("energy_at-1.2.3.dist-info/METADATA").decode())
    assert (metadata["Name"], metadata["Version"], metadata["License-Expression"]) == ("energy-at", "1.2.3", "MIT")
    assert {"eval", "diffusion", "dashboard", "docs", "dev"} == set(metadata.get_all("Provides-Extra"))
    page, readme = metadata.get_payload(), (ROOT / "README.md").read_text()
    assert len(LINK.findall(page)) == len(LINK.findall(readme)) > 20
    assert [link for link in LINK.findall(page) if not link.startswith(("https://", "#"))] == []


def test_the_page_on_pypi_leads_to_the_tag(source):
    metadata = fields((source / "PKG-INFO").read_text())
    assert f"Repository, {REPOSITORY}" in metadata.get_all("Project-URL")
    page = metadata.get_payload()
    own = [link for link in LINK.findall(page) if link.startswith(REPOSITORY)]
    assert own
    for link in own:
        path = re.fullmatch(rf"{REPOSITORY}/(?:raw|blob)/v1\.2\.3/([^#]+)(?:#.*)?", link)[1]
        assert (ROOT / path).exists(), link


@pytest.fixture
def checkout(tmp_path):
    """A repository with what the build needs to know its version, and the tag v3.2.1."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in ("pyproject.toml", "hatch_build.py", "README.md", ".git_archival.txt", ".gitattributes"):
        shutil.copy(ROOT / name, folder)
    commit(folder, "init", "-q", "-b", "main")
    commit(folder, "add", "-A")
    commit(folder, "commit", "-qm", "first")
    commit(folder, "tag", "v3.2.1")
    return folder


def commit(folder, *args):
    return call([*GIT, *args], folder)


def test_the_version_is_that_of_the_tag(checkout):
    assert hatchling(checkout, "version") == "3.2.1"
    commit(checkout, "commit", "-qm", "second", "--allow-empty")
    assert re.fullmatch(r"3\.2\.2\.dev1\+g[0-9a-f]+", hatchling(checkout, "version"))


def test_an_archive_of_the_tag_knows_it_without_git_and_a_plain_copy_does_not(checkout, tmp_path):
    commit(checkout, "archive", "--output", str(tmp_path / "source.tar"), "HEAD")
    archived = tmp_path / "archived"
    unpack(tmp_path / "source.tar", archived)
    assert hatchling(archived, "version") == "3.2.1"
    shutil.rmtree(checkout / ".git")
    assert hatchling(checkout, "version") == "0.0"


def test_citation_and_changelog_name_the_same_release():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    version, date = SECTION.findall((ROOT / "CHANGELOG.md").read_text())[0]
    assert (citation["version"], str(citation["date-released"])) == (version, date)
    assert citation["license"] == "MIT"


@pytest.mark.parametrize("nets", [(), ("digits-trades", "cifar10-der")])
def test_a_release_has_notes_and_a_zip_of_each_net(nets, tmp_path):
    for name in (".ci/assets", "CHANGELOG.md", "CITATION.cff"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for net in nets:
        (tmp_path / "nets" / net).mkdir(parents=True)
        for name in ("model.safetensors", "config.json"):
            (tmp_path / "nets" / net / name).write_text(net)
    text = (ROOT / "CHANGELOG.md").read_text()
    version = SECTION.findall(text)[0][0]
    call([".ci/assets", version, "out"], tmp_path)
    notes = (tmp_path / "out/notes.md").read_text()
    assert notes.strip() in text
    assert "## " not in notes.replace("### ", "")
    assert {path.name for path in (tmp_path / "out/files").iterdir()} == {"CITATION.cff", *(f"{n}.zip" for n in nets)}
    for net in nets:
        with zipfile.ZipFile(tmp_path / "out/files" / f"{net}.zip") as archive:
            assert archive.read(f"{net}/model.safetensors") == net.encode()
            assert f"{net}/config.json" in archive.namelist()
    with pytest.raises(AssertionError, match=r"no section: ## 99\.0 \(YYYY-MM-DD\)"):
        call([".ci/assets", "99.0", "out"], tmp_path)


def test_only_the_jobs_that_publish_may_write():
    jobs = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"]
    permissions = {name: job.get("permissions", {}) for name, job in jobs.items()}
    assert permissions["pypi"] == {"id-token": "write"}
    assert permissions["github"] == {"contents": "write"}
    assert "write" not in {right for name in jobs.keys() - {"pypi", "github"} for right in permissions[name].values()}
    for path in (ROOT / ".github/workflows").glob("*.yml"):
        assert "permissions" in yaml.safe_load(path.read_text()), path.name


@pytest.mark.parametrize("path", sorted((ROOT / ".github/workflows").glob("*.yml")), ids=lambda path: path.stem)
def test_every_job_of_ci_ends_within_the_hour(path):
    jobs = yaml.safe_load(path.read_text())["jobs"]
    assert all(job.get("timeout-minutes", 360) <= 60 for job in jobs.values())


def test_the_image_is_built_when_what_it_holds_changes():
    workflow = yaml.safe_load((ROOT / ".github/workflows/docker.yml").read_text())
    for event in workflow[True].values():  # YAML takes the word "on" for a truth value
        assert {"Dockerfile", "pyproject.toml", "energy_at/**", "configs/**"} <= set(event["paths"])


def test_the_image_has_the_lowest_torch_that_the_package_takes():
    base = re.search(r"^FROM pytorch/pytorch:([\d.]+)-cuda", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[1]
    lowest = re.search(r'"torch>=([\d.]+)"', (ROOT / "pyproject.toml").read_text())[1]
    assert base == f"{lowest}.0"


def test_commits_are_checked_by_what_ci_runs():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    run = (ROOT / ".ci/run").read_text()
    for hook in hooks:
        assert hook["entry"].replace(" --force-exclude", "") in run
