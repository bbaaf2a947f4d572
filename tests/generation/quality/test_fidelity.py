import pytest
import torch
from torch.utils.data import Dataset
from torch_fidelity import FeatureExtractorBase, calculate_metrics, register_feature_extractor
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torchmetrics.image.fid import NoTrainInceptionV3

from energy_at.generation.quality.features import Features, Penultimate, extract
from energy_at.generation.quality.fidelity import Inception, fidelity
from energy_at.types import InputError
from tests.generation import ConvNet, digits

X, Y = digits()
BYTES = (X[:300] * 255).round().byte()
NOISY = (BYTES.float() + 40 * torch.randn(BYTES.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 255).byte()
CPU = torch.device("cpu")
NAMES = {
    "fid": "frechet_inception_distance",
    "kid": "kernel_inception_distance_mean",
    "kid_std": "kernel_inception_distance_std",
    "precision": "precision",
    "recall": "recall",
    "inception_score": "inception_score_mean",
    "inception_score_std": "inception_score_std",
}


class Images(Dataset):
    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index]


class NetFeatures(FeatureExtractorBase):
    """Our features under torch-fidelity's own interface."""

    def __init__(self, name, features_list, **kwargs):
        super().__init__(name, features_list)
        self.net = Penultimate(ConvNet())

    @staticmethod
    def get_provided_features_list():
        return ("features", "logits")

    @staticmethod
    def get_default_feature_layer_for_metric(metric):
        return "logits" if metric == "isc" else "features"

    def forward(self, images):
        found = dict(zip(("features", "logits"), self.net(images.float() / 255), strict=True))
        return tuple(found[name] for name in self.features_list)


def features(net, images):
    return extract(net, zip(images.split(128), Y[: len(images)].split(128), strict=True), CPU)


def test_the_numbers_are_torch_fidelitys_own():
    register_feature_extractor("energy-at-test", NetFeatures)
    options = dict.fromkeys(("isc", "fid", "kid", "prc"), True)
    inputs = {"input1": Images(NOISY), "input2": Images(BYTES), "feature_extractor": "energy-at-test"}
    options |= {"cuda": False, "cache": False, "verbose": False, "save_cpu_ram": True, "kid_subset_size": 300}
    expected = calculate_metrics(**inputs, **options)
    net = Penultimate(ConvNet())
    found = fidelity(features(net, NOISY), features(net, BYTES))
    for ours, theirs in NAMES.items():
        assert found[ours] == pytest.approx(expected[theirs], rel=1e-4, abs=1e-6), ours
    assert found["fid"] > 0.01
    assert found["kid_subset_size"] == 300


def test_without_logits_there_is_no_inception_score_and_small_sets_say_their_subset():
    real = Features(torch.rand(60, 4), torch.empty(60, 0), torch.zeros(60))
    samples = Features(torch.rand(40, 4), torch.empty(40, 0), torch.zeros(40))
    found = fidelity(samples, real)
    assert "inception_score" not in found
    assert found["kid_subset_size"] == 40


def _no_network(*args, **options):
    raise OSError("no network here")


def a_weight(name, shape):
    """Random kernels that keep the size of what passes through them; normalisation that does nothing."""
    if len(shape) > 1:
        random = torch.Generator().manual_seed(0)
        return torch.randn(shape, generator=random) * (2 / shape[1:].numel()) ** 0.5
    return torch.ones(shape) if name.endswith(("bn.weight", "running_var")) else torch.zeros(shape)


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A file of InceptionV3 weights, random ones, in torch-fidelity's format; nothing is downloaded."""
    module = "torch_fidelity.feature_extractor_inceptionv3"
    with monkeypatch.context() as patch:
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        patch.setattr(f"{module}.load_state_dict_from_url", lambda *args, **options: {})
        shapes = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], verbose=False).state_dict()
    monkeypatch.setattr(f"{module}.load_state_dict_from_url", _no_network)
    tensors = {name: a_weight(name, tensor.shape) for name, tensor in shapes.items()}
    torch.save(tensors, tmp_path / "inception.pth")
    return tmp_path / "inception.pth"


def test_inception_from_a_local_file_sees_what_torch_fidelitys_sees(weights):
    images = BYTES[:4]
    net = Inception(weights)
    found = extract(net, [(images, Y[:4])], CPU)
    theirs = FeatureExtractorInceptionV3("inception-v3-compat", ["2048", "logits_unbiased"], str(weights))
    vectors, logits = theirs(images.expand(-1, 3, -1, -1))
    assert torch.equal(found.vectors, vectors)
    assert torch.equal(found.logits, logits)
    assert found.vectors.shape == (4, 2048)
    assert 1e-3 < found.vectors.std(0).max() < 1e3  # the features do tell images apart


def test_torchmetrics_sees_the_same_without_antialiasing(weights):
    theirs = NoTrainInceptionV3("inception-v3-compat", ["2048"], str(weights), antialias=False)
    found = extract(Inception(weights), [(BYTES[:3], Y[:3])], CPU)
    torch.testing.assert_close(found.vectors, theirs(BYTES[:3].expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-6)


def test_weights_that_are_not_to_be_had_are_one_clear_sentence(weights, tmp_path):
    with pytest.raises(InputError, match=r"not to be had \(no network here\); give their file by inception_weights"):
        Inception()
    with pytest.raises(InputError, match="there is no file"):
        Inception(tmp_path / "absent.pth")
    weights.write_bytes(b"not weights")
    with pytest.raises(InputError, match="holds no plain weights"):
        Inception(weights)
    torch.save(ConvNet().state_dict(), weights)
    with pytest.raises(InputError, match="not to be had"):
        Inception(weights)
