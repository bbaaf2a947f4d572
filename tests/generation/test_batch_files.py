import pytest
import torch

from energy_at.generation.batch_files import Batch, BatchFiles
from energy_at.types import InputError

SETTINGS = {"sampler": {"steps": 3, "step_size": 0.2}, "seed": 0}


def batch_of(index):
    """A batch that holds nothing but what its indices say."""
    n = len(index)
    pictured = torch.arange(0, n, 2)
    stages = index[pictured].view(-1, 1, 1, 1, 1).expand(-1, 3, 1, 2, 2).to(torch.uint8)
    image = index.view(n, 1, 1, 1).expand(n, 1, 2, 2).to(torch.uint8)
    numbers = index.float()
    return Batch(index, image, index % 10, numbers, -numbers, index, numbers.unsqueeze(1), pictured, stages)


def files_with(folder, *ranges):
    files = BatchFiles(folder, SETTINGS)
    for first, last in ranges:
        files.keep(batch_of(torch.arange(first, last + 1)))
    return files


def lists(batches):
    return [batch.tolist() for batch in batches]


def test_what_is_kept_returns(tmp_path):
    files = files_with(tmp_path, (0, 4))
    (found,) = files.read(5)
    assert all(torch.equal(a, b) for a, b in zip(found, batch_of(torch.arange(5)), strict=True))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000000-00000004.npz", "settings.json"]


def test_only_what_is_missing_is_asked_for(tmp_path):
    assert lists(files_with(tmp_path).missing(7, 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert lists(files_with(tmp_path, (3, 5)).missing(7, 3)) == [[0, 1, 2], [6]]
    assert lists(files_with(tmp_path).missing(7, 4)) == [[0, 1, 2], [6]]  # with another batch size
    assert lists(files_with(tmp_path, (0, 2)).missing(6, 3)) == []
    assert lists(files_with(tmp_path).missing(9, 9)) == [[6, 7, 8]]


def test_gaps_in_the_middle_are_batches_of_their_own(tmp_path):
    assert lists(files_with(tmp_path, (2, 2), (5, 6)).missing(9, 9)) == [[0, 1], [3, 4], [7, 8]]


@pytest.mark.parametrize("processes", [1, 2, 5])
@pytest.mark.parametrize("done", [(), ((4, 7),), ((0, 3), (9, 10))])
def test_processes_share_what_is_missing(tmp_path, processes, done):
    files = files_with(tmp_path, *done)
    shares = [files.missing(30, 4, (rank, processes)) for rank in range(processes)]
    asked = sorted(i for share in shares for batch in share for i in batch.tolist())
    assert asked == [i for i in range(30) if not any(first <= i <= last for first, last in done)]


def test_a_share_does_not_depend_on_what_others_have_done_meanwhile(tmp_path):
    before = files_with(tmp_path).missing(20, 2, (1, 2))
    after = files_with(tmp_path, (0, 1), (4, 5)).missing(20, 2, (1, 2))
    assert lists(before) == lists(after)


def test_samples_are_read_once_and_in_order(tmp_path):
    files = files_with(tmp_path, (4, 9), (0, 3), (10, 14))
    found = torch.cat([batch.index for batch in files.read(12)])
    assert torch.equal(found, torch.arange(12))


def test_files_that_overlap_give_each_sample_once(tmp_path):
    files = files_with(tmp_path, (0, 5), (3, 9), (7, 8))
    batches = list(files.read(10))
    assert torch.equal(torch.cat([batch.index for batch in batches]), torch.arange(10))
    for batch in batches:
        assert torch.equal(batch.stages[:, 0, 0, 0, 0].long(), batch.index[batch.pictured])


def test_missing_samples_are_named(tmp_path):
    with pytest.raises(InputError, match="samples 3 to 5 are missing in"):
        list(files_with(tmp_path, (0, 2), (6, 8)).read(9))
    with pytest.raises(InputError, match="samples 9 to 11 are missing in"):
        list(files_with(tmp_path, (3, 5)).read(12))


def test_a_damaged_file_is_named(tmp_path):
    files = files_with(tmp_path, (0, 2))
    path = tmp_path / "00000000-00000002.npz"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(InputError, match=r"00000000-00000002\.npz is damaged"):
        list(files.read(3))


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    files = files_with(tmp_path)

    def full(file, **arrays):
        file.write(b"half of it")
        raise OSError("no space left on device")

    monkeypatch.setattr("numpy.savez", full)
    with pytest.raises(OSError, match="no space"):
        files.keep(batch_of(torch.arange(3)))
    assert [path.name for path in tmp_path.iterdir()] == ["settings.json"]


def test_samples_of_two_settings_are_never_mixed(tmp_path):
    files_with(tmp_path, (0, 2))
    BatchFiles(tmp_path, {"seed": 0, "sampler": {"step_size": 0.2, "steps": 3}})
    with pytest.raises(InputError, match=r"holds samples with sampler\.steps 3, not 4; choose another output folder"):
        BatchFiles(tmp_path, SETTINGS | {"sampler": {"steps": 4, "step_size": 0.2}})
    with pytest.raises(InputError, match="with targets None, not abc"):
        BatchFiles(tmp_path, SETTINGS | {"targets": "abc"})
