import numpy as np
import pytest
from PIL import Image, ImageOps

from energy_at import unlabelled_images
from energy_at.types import InputError


@pytest.fixture
def folder(tmp_path):
    """Eight images of several sizes and kinds, in subfolders and beside them."""
    rng = np.random.default_rng(0)
    for i in range(8):
        path = tmp_path / ("deep/er" if i % 2 else ".") / f"{i}.{'png' if i < 5 else 'bmp'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (12 + i, 20, 3) if i else (12, 20)
        Image.fromarray(rng.integers(0, 256, shape).astype(np.uint8)).save(path)
    (tmp_path / "readme.txt").write_text("no image")
    return tmp_path


def images_of(loader):
    return np.concatenate([x.numpy() for x, _ in loader])


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_every_image_below_is_cropped_and_resized(folder, channels, mode):
    loader = unlabelled_images(folder, (channels, 6, 8), batch_size=3)
    batches = list(loader)
    assert [len(y) for _, y in batches] == loader.sampler.sizes == [3, 3, 2]
    assert not any(y.any() for _, y in batches)
    paths = sorted(path for path in folder.rglob("*.*") if path.suffix in (".png", ".bmp"))
    expected = [np.asarray(ImageOps.fit(Image.open(path).convert(mode), (8, 6))) for path in paths]
    np.testing.assert_array_equal(
        images_of(loader), np.stack(expected).reshape(8, 6, 8, channels).transpose(0, 3, 1, 2)
    )


def test_some_are_drawn_as_the_seed_says_and_never_more_than_there_are(folder):
    everything = images_of(unlabelled_images(folder, (3, 6, 8)))
    some = [images_of(unlabelled_images(folder, (3, 6, 8), count=3, seed=seed)) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(some[0], some[1])
    assert not np.array_equal(some[0], some[2])
    assert all(any(np.array_equal(image, other) for other in everything) for image in some[2])
    np.testing.assert_array_equal(images_of(unlabelled_images(folder, (3, 6, 8), count=99)), everything)


def test_the_images_of_an_npz_file_come_as_they_are(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (7, 6, 8, 3)).astype(np.uint8)
    np.savez(tmp_path / "images.npz", image=images, label=np.arange(7))
    loader = unlabelled_images(tmp_path / "images.npz", (3, 6, 8), batch_size=4)
    np.testing.assert_array_equal(images_of(loader), images.transpose(0, 3, 1, 2))
    some = images_of(unlabelled_images(tmp_path / "images.npz", (3, 6, 8), count=2, seed=1))
    assert len(some) == 2
    with pytest.raises(InputError, match=r"expected \(channels first\) uint8 \[N, 3, 6, 6\]"):
        unlabelled_images(tmp_path / "images.npz", (3, 6, 6))
    np.savez(tmp_path / "other.npz", images=images)
    with pytest.raises(InputError, match="give an npz file with the array 'image'"):
        unlabelled_images(tmp_path / "other.npz", (3, 6, 8))


def test_a_folder_of_generate_is_more_than_its_images(folder):
    (folder / "generation.json").write_text("{}")
    with pytest.raises(InputError, match=r"more than the images that were generated; give .*images\.npz or .*images$"):
        unlabelled_images(folder, (3, 6, 8))


def test_what_cannot_be_read_is_refused(folder):
    with pytest.raises(InputError, match=r"nowhere holds no \.jpg"):
        unlabelled_images("nowhere", (3, 6, 8))
    with pytest.raises(InputError, match="count is 0; ask for at least 1"):
        unlabelled_images(folder, (3, 6, 8), count=0)
    (folder / "2.png").write_bytes((folder / "2.png").read_bytes()[:90])
    with pytest.raises(InputError, match=r"2.png is missing or damaged"):
        images_of(unlabelled_images(folder, (3, 6, 8)))
