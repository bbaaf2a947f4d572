import pickle

import lightning as L
import pytest
import torch
from torch import nn

from energy_at.evaluation.checkpoints import load_net, read_checkpoint
from energy_at.evaluation.checks import check_net
from energy_at.models import PreActResNet, SmallNet
from energy_at.modules import StandardAT
from energy_at.types import InputError
from tests.attacks import images, linear, mlp, noisy_net
from tests.attacks.test_base import assert_same, state_of, used_net

HERE = "tests.evaluation.test_checkpoints"
NET = linear(torch.eye(4))


def make_net():
    return linear(torch.eye(4))


def make_net_of(width):
    return linear(torch.eye(width))


class WithPath(nn.Module):
    """A net that a file can describe."""

    def __init__(self, width, inner=None, weights="downloaded", pretrained=True):
        super().__init__()
        self.layer, self.inner = nn.Linear(width, 3), inner
        self.arguments = (weights, pretrained)


def saved(path, content):
    torch.save(content, path)
    return path


def trained(tmp_path, net=None):
    """A checkpoint that a training run has written."""
    module = StandardAT(net or SmallNet(num_classes=3, width=4, in_channels=1))
    data = torch.utils.data.DataLoader([(torch.rand(1, 8, 8), 1)] * 2, batch_size=2)
    trainer = L.Trainer(
        max_steps=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    return module, tmp_path / "last.ckpt"


@pytest.mark.filterwarnings("ignore")
def test_a_checkpoint_of_this_package_brings_its_own_net(tmp_path):
    module, path = trained(tmp_path)
    net = load_net(path, num_classes=3)
    assert type(net) is SmallNet
    assert not any(layer.training for layer in net.modules())
    x = torch.rand(2, 1, 8, 8)
    assert torch.equal(net(x), module.net.eval()(x))
    assert (
        load_net(str(path), net=SmallNet(num_classes=3, width=4, in_channels=1)).state_dict().keys()
        == net.state_dict().keys()
    )
    with pytest.raises(InputError, match="the net has 3 classes, but the data 10"):
        load_net(path, num_classes=10)


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "net.", "_orig_mod.", "module.model.", "net._orig_mod."])
@pytest.mark.parametrize("key", [None, "state_dict", "model_state_dict", "model"])
def test_prefixes_of_wrappers_are_stripped(prefix, key, tmp_path):
    source = mlp(4, 3, seed=1, dtype=torch.float32)
    state = {prefix + name: tensor for name, tensor in source.state_dict().items()}
    path = saved(tmp_path / "net.pt", state if key is None else {key: state, "epoch": 3})
    net = load_net(path, mlp(4, 3, dtype=torch.float32))
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), source.parameters(), strict=True))


def test_a_training_modules_other_entries_are_left_out_and_an_inner_net_keeps_its_name(tmp_path):
    inner = nn.ModuleDict({"net": make_net(), "model": make_net()})
    state = {**{f"net.{k}": v for k, v in inner.state_dict().items()}, "loss.weight": torch.ones(1)}
    assert load_net(saved(tmp_path / "a.pt", state), inner) is inner
    compiled = {k.replace("net.", "net._orig_mod."): v for k, v in inner.state_dict().items()}
    assert load_net(saved(tmp_path / "b.pt", compiled), inner) is inner


def test_a_net_of_this_package_has_a_short_path():
    with pytest.raises(InputError, match=r"is no dotted path; write one such as energy_at\.PreAct"):
        load_net(net="PreActResNet")
    assert isinstance(load_net(net="energy_at.PreActResNet"), PreActResNet)


@pytest.mark.parametrize("path", [f"{HERE}.make_net", f"{HERE}.NET"])
def test_a_users_net_comes_by_its_dotted_path(path, tmp_path):
    assert load_net(path, num_classes=4)(torch.eye(4)).shape == (4, 4)
    weights = {"1.weight": 2 * torch.eye(4)}
    assert torch.equal(
        load_net(saved(tmp_path / "w.pt", weights), net=f"{HERE}.make_net")[1].weight, weights["1.weight"]
    )
    assert isinstance(load_net(net=path), nn.Module)
    NET[1].weight.data = torch.eye(4)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("no.such.module", "no.such.module cannot be imported"),
        (f"{HERE}.missing", "cannot be imported"),
        (f"{HERE}.make_net_of", "cannot be called without arguments"),
        (f"{HERE}.HERE", "gives a str; give a torch.nn.Module"),
        ("best.ckpt", "there is no file best.ckpt"),
        ("runs/best", "there is no file runs/best"),
        ("nothing", "there is no file nothing"),
    ],
)
def test_what_is_neither_file_nor_net_is_refused(path, message):
    with pytest.raises(InputError, match=message):
        load_net(path)


def test_neither_checkpoint_nor_net_is_refused():
    with pytest.raises(InputError, match="neither a checkpoint nor a net"):
        load_net()


class Harmful:
    """Would run code when it is unpickled."""

    def __reduce__(self):
        return print, ("harm",)


@pytest.mark.parametrize(
    ("content", "name"),
    [(Harmful(), "print"), ({"state_dict": {}, "extra": Harmful()}, "print"), (make_net(), "torch.nn")],
)
def test_pickled_objects_are_refused_and_never_run(content, name, tmp_path, capsys):
    with pytest.raises(InputError, match=rf"holds pickled objects .{name}.*could run code.* save the net's state_dict"):
        load_net(saved(tmp_path / "net.pt", content), make_net())
    assert "harm" not in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 broken", pickle.dumps({"a": 1})[:-3]])
def test_a_file_that_is_no_checkpoint_is_refused(content, tmp_path):
    path = tmp_path / "net.ckpt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"is no checkpoint that torch can read|holds pickled"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds a list, but no weights"),
        ({"epoch": 3, "lr": 0.1}, "holds epoch, lr, but no weights"),
        ({}, "holds nothing, but no weights"),
    ],
)
def test_a_file_without_weights_is_refused(content, message, tmp_path):
    with pytest.raises(InputError, match=message):
        load_net(saved(tmp_path / "net.pt", content), make_net())


def test_weights_alone_need_a_net(tmp_path):
    with pytest.raises(InputError, match="does not say of which net; give the net too"):
        load_net(saved(tmp_path / "net.pt", make_net().state_dict()))


def described(class_path, **init_args):
    return {"hyper_parameters": {"net": {"class_path": class_path, "init_args": init_args}}, "state_dict": {}}


@pytest.mark.parametrize("class_path", ["os.system", "subprocess.Popen", "builtins.exec", f"{HERE}.make_net"])
def test_a_file_makes_nothing_but_nets(class_path, tmp_path):
    for content in (described(class_path), described(f"{HERE}.WithPath", width=2, inner={"class_path": class_path})):
        with pytest.raises(InputError, match=r"which is no torch\.nn\.Module"):
            load_net(saved(tmp_path / "net.pt", content))


def test_a_described_net_is_made_without_downloads_and_with_its_inner_net(tmp_path):
    inner = {"class_path": "torch.nn.Linear", "init_args": {"in_features": 2, "out_features": 3}}
    content = described(f"{HERE}.WithPath", width=2, inner=inner, weights="DEFAULT", pretrained=True)
    content["state_dict"] = WithPath(2, nn.Linear(2, 3)).state_dict()
    net = load_net(saved(tmp_path / "net.pt", content))
    assert net.arguments == (None, False)
    assert isinstance(net.inner, nn.Linear)
    with pytest.raises(InputError, match="WithPath has changed"):
        load_net(saved(tmp_path / "net.pt", described(f"{HERE}.WithPath", depth=2)))


def test_weights_that_do_not_fit_are_refused_by_name_and_change_nothing(tmp_path):
    net = SmallNet(num_classes=3, width=4, in_channels=1)
    state = net.state_dict()
    names = [name for name in state if not name.endswith("num_batches_tracked")]
    before = {name: tensor.clone() for name, tensor in state.items()}
    few = {name: tensor + 1 for name, tensor in state.items() if name not in sorted(names)[:4]}
    with pytest.raises(InputError, match=f"lacks {', '.join(sorted(names)[:3])} and 1 more; give"):
        load_net(saved(tmp_path / "few.pt", few), net)
    many = {**state, "extra": torch.ones(1)}
    with pytest.raises(InputError, match="it has extra too many"):
        load_net(saved(tmp_path / "many.pt", many), net)
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())


def test_another_class_count_or_shape_is_refused(tmp_path):
    path = saved(tmp_path / "net.pt", mlp(4, 100).state_dict())
    with pytest.raises(InputError, match="has 100 classes, but the net 10; give a net of 100 classes"):
        load_net(path, mlp(4, 10))
    with pytest.raises(InputError, match=r"1.weight is \[32, 4\], but \[32, 9\] there"):
        load_net(path, mlp(9, 100))


def test_to_train_on_a_net_keeps_its_own_last_layer_for_other_classes(tmp_path):
    theirs, net = mlp(4, 100), mlp(4, 10)
    head = net.state_dict()
    with pytest.warns(UserWarning, match="has 100 classes and the net 10, so its last layer begins anew"):
        load_net(saved(tmp_path / "net.pt", theirs.state_dict()), net, new_head=True)
    *below, weight, bias = net.state_dict().items()
    assert all(torch.equal(tensor, theirs.state_dict()[name]) for name, tensor in below)
    assert all(torch.equal(tensor, head[name]) for name, tensor in (weight, bias))
    with pytest.raises(InputError, match=r"1.weight is \[32, 4\], but \[32, 9\] there"):
        load_net(tmp_path / "net.pt", mlp(9, 10), new_head=True)


X = images(3, 1, 4, 4, dtype=torch.float32)


class Answer(nn.Module):
    """Answers with what the function makes of the images."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: (x, x), "the net returns a tuple; wrap it"),
        (lambda x: {"logits": x}, "the net returns a dict"),
        (lambda x: x, r"the net returns \[2, 1, 4, 4\] for 2 images"),
        (lambda x: x.flatten(1)[:1], r"the net returns \[1, 16\] for 2 images"),
        (lambda x: x.flatten(1)[:, :1], r"the net returns \[2, 1\]"),
        (lambda x: x.flatten(1) * torch.nan, "no finite numbers"),
        (lambda x: x @ torch.ones(3, 3), r"does not take images \[2, 1, 4, 4\]"),
    ],
)
def test_a_net_that_is_no_classifier_is_refused(function, message):
    with pytest.raises(InputError, match=message):
        check_net(Answer(function), X)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (X - 0.5, "images reach from -0.5 to 0.5, but lie in .0, 1.; leave normalisation to the net"),
        (X * 255, "images reach from 0 to 255, but lie in .0, 1.; divide them by 255"),
        (X * torch.nan, "images reach from nan"),
        ((X * 255).to(torch.uint8), "images are uint8"),
        (X[0], r"images are float32 \[1, 4, 4\]"),
        (X[:0], "there are no images; give at least one"),
    ],
)
def test_what_are_no_images_is_refused(x, message):
    with pytest.raises(InputError, match=message):
        check_net(mlp(16, 3, dtype=torch.float32), x)


def test_a_fit_net_says_its_classes_and_is_left_as_it_was():
    net = used_net()
    before = state_of(net)
    assert check_net(net, X) == 3
    assert_same(before, state_of(net))
    with pytest.raises(InputError, match="the net has 3 classes, but the data 10"):
        check_net(noisy_net(), X, num_classes=10)
