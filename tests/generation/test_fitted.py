import pytest
import torch

from energy_at.generation import ClassPCA, EnergyTargets, GaussianInit, LocalPCA, UniformInit
from energy_at.generation.fitted import class_table
from energy_at.types import InputError
from tests.generation import digits

X, Y = digits()
INITS = [UniformInit(), GaussianInit(), ClassPCA(0.9, 0.5), ClassPCA(components=3), LocalPCA(12, 0.9, 0.5)]
LABELS, SEEDS = torch.arange(30) % 10, torch.arange(30)


def by_kind(init):
    return type(init).__name__


def test_a_table_lists_each_class():
    labels = torch.tensor([2, 0, 1, 2, 0])
    table = class_table(labels)
    assert [table.members(label).tolist() for label in range(3)] == [[1, 4], [2], [0, 3]]


@pytest.mark.parametrize("init", INITS, ids=by_kind)
def test_a_fit_returns_from_its_file(init, tmp_path):
    init.fit(X, Y).save(tmp_path / "fit.pt")
    loaded = type(init).load(tmp_path / "fit.pt")
    assert torch.equal(loaded.sample(LABELS, SEEDS), init.sample(LABELS, SEEDS))
    assert all(getattr(loaded, name) == getattr(init, name) for name in init.option_names)
    assert [path.name for path in tmp_path.iterdir()] == ["fit.pt"]


def test_the_file_holds_plain_tensors_only(tmp_path):
    ClassPCA().fit(X, Y).save(tmp_path / "fit.pt")
    content = torch.load(tmp_path / "fit.pt", weights_only=True)
    assert content["options"] == {"variance": 0.95, "scale": 1.0, "components": None}


def test_an_interrupted_write_leaves_the_earlier_file(tmp_path, monkeypatch):
    init = UniformInit().fit(X, Y)
    init.save(tmp_path / "fit.pt")

    def full(content, file):
        file.write(b"half of it")
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="no space"):
        init.save(tmp_path / "fit.pt")
    assert [path.name for path in tmp_path.iterdir()] == ["fit.pt"]
    assert UniformInit.load(tmp_path / "fit.pt").sample(LABELS, SEEDS).shape == (30, 1, 8, 8)


@pytest.mark.parametrize("init", INITS, ids=by_kind)
def test_starts_are_images_and_depend_on_label_and_seed_alone(init):
    init.fit(X, Y)
    state = torch.get_rng_state()
    x0 = init.sample(LABELS, SEEDS)
    assert x0.shape == (30, 1, 8, 8)
    assert x0.dtype == torch.float32
    assert x0.min() >= 0
    assert x0.max() <= 1
    assert not torch.equal(x0[0], x0[10])  # the same class, another seed
    parts = [init.sample(LABELS[rows], SEEDS[rows]) for rows in (slice(0, 1), slice(1, 18), slice(18, 30))]
    torch.testing.assert_close(torch.cat(parts), x0, atol=1e-5, rtol=0)
    order = torch.arange(29, -1, -1)
    torch.testing.assert_close(init.sample(LABELS[order], SEEDS[order]), x0[order], atol=1e-5, rtol=0)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("init", INITS, ids=by_kind)
def test_no_sample_is_an_empty_batch(init):
    assert init.fit(X, Y).sample(LABELS[:0], SEEDS[:0]).shape == (0, 1, 8, 8)


@pytest.mark.parametrize("init", INITS, ids=by_kind)
def test_a_class_without_images_is_named(init):
    with pytest.raises(InputError, match=r"class 4 has 0 images, but .* needs at least"):
        type(init)().fit(X[Y != 4], Y[Y != 4])


@pytest.mark.parametrize(
    ("init", "count", "message"),
    [
        (GaussianInit(), 1, "class 7 has 1 images, but a covariance needs at least 2; give more images of the class$"),
        (ClassPCA(), 1, "class 7 has 1 images, but a covariance needs at least 2; give more images of the class$"),
        (
            ClassPCA(components=20),
            20,
            "class 7 has 20 images, but a PCA with 20 components needs at least 21; .*, or lower components",
        ),
        (
            LocalPCA(neighbours=15),
            14,
            "class 7 has 14 images, but a neighbourhood of 15 needs at least 15; .*, or lower neighbours",
        ),
    ],
)
def test_a_class_with_too_few_images_is_named_with_the_remedy(init, count, message):
    rows = (Y != 7) | ((Y == 7).cumsum(0) <= count)
    with pytest.raises(InputError, match=message):
        init.fit(X[rows], Y[rows])


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (X * 255, Y, r"images lie in \[0, 255\]; scale them"),
        (X.squeeze(1), Y, "give floating point .N, C, H, W."),
        ((X * 255).byte(), Y, "images are uint8"),
        (X, Y[:5], r"labels are int64 \[5\]"),
        (X, Y.float(), "labels are float32"),
        (X.numpy(), Y, "images are a ndarray; give"),
        (X, Y.tolist(), "labels are a list; give"),
        (X, Y - 1, "at least 0"),
    ],
)
def test_data_of_another_form_are_refused(images, labels, message):
    with pytest.raises(InputError, match=message):
        UniformInit().fit(images, labels)


def test_a_request_before_the_fit_is_refused(tmp_path):
    with pytest.raises(InputError, match="this ClassPCA is not fitted yet; call fit"):
        ClassPCA().sample(LABELS, SEEDS)
    with pytest.raises(InputError, match="this EnergyTargets is not fitted yet"):
        EnergyTargets().save(tmp_path / "targets.pt")


@pytest.mark.parametrize("label", [10, -1])
def test_an_unknown_label_is_named(label):
    with pytest.raises(InputError, match=f"label {label} was asked for, but the fit has the classes 0 to 9"):
        UniformInit().fit(X, Y).sample(torch.tensor([0, label]), torch.arange(2))


def test_labels_without_seeds_are_refused():
    with pytest.raises(InputError, match="give tensors with one of each a sample"):
        UniformInit().fit(X, Y).sample(LABELS, SEEDS[:3])
    with pytest.raises(InputError, match="labels are a list and seeds an int; give tensors"):
        UniformInit().fit(X, Y).sample([0, 1], 0)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "fit.pt"
    with pytest.raises(InputError, match="there is no file"):
        ClassPCA.load(path)
    UniformInit().fit(X, Y).save(path)
    with pytest.raises(InputError, match=r"holds a fit of UniformInit, not of ClassPCA; load it with UniformInit.load"):
        ClassPCA.load(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match="is no fit"):
        ClassPCA.load(path)
    torch.save({"weights": torch.ones(3)}, path)
    with pytest.raises(InputError, match="is no fit"):
        ClassPCA.load(path)


def test_a_fit_is_made_once_and_then_read(tmp_path):
    path, fits = tmp_path / "cache" / "fit.pt", []

    def reused(init):
        return init.reuse(path, lambda: (fits.append(init), init.fit(X, Y)))

    first = reused(ClassPCA(scale=0.5))
    again = reused(ClassPCA(scale=0.5))
    assert fits == [first]
    assert torch.equal(again.sample(LABELS, SEEDS), first.sample(LABELS, SEEDS))
    wider = reused(ClassPCA(scale=1.0))  # what the fit does not depend on is the object's own
    assert len(fits) == 1
    assert wider.scale == 1.0
    assert torch.equal(wider.sample(LABELS, SEEDS), ClassPCA(scale=1.0).fit(X, Y).sample(LABELS, SEEDS))


def test_a_damaged_file_is_fitted_anew(tmp_path):
    path = tmp_path / "fit.pt"
    path.write_bytes(b"half of it")
    init = ClassPCA()
    init.reuse(path, lambda: init.fit(X, Y))
    assert torch.equal(ClassPCA.load(path).sample(LABELS, SEEDS), init.sample(LABELS, SEEDS))


@pytest.mark.parametrize("init", INITS, ids=by_kind)
def test_a_fit_depends_on_its_fit_options_alone(init):
    others = {"variance": 0.7, "scale": 0.1, "neighbours": 5, "components": 2}
    changed = {name: others[name] for name in set(init.option_names) - set(init.fit_options)}
    kept = {name: getattr(init, name) for name in init.fit_options}
    before, after = init.fit(X, Y)._tensors, type(init)(**changed, **kept).fit(X, Y)._tensors
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
