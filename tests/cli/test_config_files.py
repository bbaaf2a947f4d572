"""Configs are found in the current folder first, then among the packaged ones."""

import pytest

from energy_at.cli.config_files import ConfigNotFoundError, find_config, packaged_configs


def test_a_packaged_config_is_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_config("digits_rsfgsm_der.yaml") == packaged_configs() / "digits_rsfgsm_der.yaml"
    assert find_config("parts/wandb.yaml").read_text()


def test_a_file_of_the_current_folder_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits_rsfgsm_der.yaml").write_text("trainer: {}\n")
    assert find_config("digits_rsfgsm_der.yaml").resolve() == tmp_path / "digits_rsfgsm_der.yaml"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("co-jpeg16.yaml", r"give reproduce/co-jpeg16\.yaml$"),
        ("configs/wandb.yaml", r"give parts/wandb\.yaml$"),
        ("co-jpg16.yaml", r"give reproduce/co-jpeg16\.yaml or "),
    ],
)
def test_a_name_without_its_folder_is_answered_with_the_whole_of_it(name, words):
    with pytest.raises(ConfigNotFoundError, match=words):
        find_config(name)


def test_no_two_configs_share_a_file_name():
    names = [path.name for path in packaged_configs().rglob("*.yaml")]
    assert len(names) == len(set(names))


def test_an_unknown_name_is_answered_with_the_closest():
    with pytest.raises(ConfigNotFoundError, match=r"no config digits_rsfgsm_dre\.yaml; give .*digits_rsfgsm_der\.yaml"):
        find_config("digits_rsfgsm_dre.yaml")
