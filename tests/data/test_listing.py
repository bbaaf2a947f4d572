"""Listings that are kept beside a million files: the same as a new one, and never older than the folders."""

import os
import time

import pytest

from energy_at.data import listing
from energy_at.data.listing import listed
from energy_at.files import WriteError
from tests.data import standins

CACHE = "cache"


def names(folder, **about):
    files = listed(folder / "train", folder / CACHE, **about)
    return [files.name(index) for index in range(len(files.labels))], files.labels.tolist()


def settle(folder):
    """As if nothing had changed for long."""
    long_ago = time.time() - 100
    for path in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        os.utime(path, (long_ago, long_ago))


@pytest.fixture
def counted(monkeypatch):
    """The times that a folder was listed anew."""
    times = []
    anew = listing._listed
    monkeypatch.setattr(listing, "_listed", lambda *args: times.append(args) or anew(*args))
    return times


def test_a_listing_is_made_once_and_again_when_a_folder_changes(tmp_path, counted):
    standins.write_image_folder(tmp_path, n_train=3)
    settle(tmp_path / "train")
    wanted = [f"{name}/{i:04d}.png" for name, first in (("cat", 0), ("dog", 3)) for i in range(first, first + 3)]
    assert names(tmp_path) == names(tmp_path) == (wanted, [0, 0, 0, 1, 1, 1])
    assert len(counted) == 1
    os.rename(tmp_path / "train/dog/0004.png", tmp_path / "train/dog/zz é.png")
    settle(tmp_path / "train/cat")
    assert names(tmp_path)[0] == [*wanted[:4], "dog/0005.png", "dog/zz é.png"]
    os.rename(tmp_path / "train/cat", tmp_path / "train/ant")
    assert names(tmp_path)[0][0] == "ant/0000.png"
    assert len(counted) == 3


def test_what_changed_within_the_clocks_last_tick_is_listed_again(tmp_path, counted):
    standins.write_image_folder(tmp_path, n_train=3)
    assert names(tmp_path) == names(tmp_path)  # the folders are as young as their listing
    assert len(counted) == 2


def test_a_damaged_listing_is_made_anew(tmp_path, counted):
    standins.write_image_folder(tmp_path, n_train=3)
    settle(tmp_path / "train")
    wanted = names(tmp_path)
    (kept,) = (tmp_path / CACHE).iterdir()
    kept.write_bytes(kept.read_bytes()[:-100])
    assert names(tmp_path) == wanted
    assert len(counted) == 2


def test_where_nothing_can_be_kept_it_goes_on_with_a_warning(tmp_path, monkeypatch):
    def refuse(*args):
        raise WriteError(28, "the disk is full")

    standins.write_image_folder(tmp_path, n_train=3)
    monkeypatch.setattr(listing, "write_arrays", refuse)
    with pytest.warns(UserWarning, match=r"the listing of .*train is not kept in .*cache \(the disk is full\)"):
        assert len(names(tmp_path)[0]) == 6
