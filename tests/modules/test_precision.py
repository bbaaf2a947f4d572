import lightning as L
import pytest
import torch

from energy_at import Digits, SmallNet, StandardAT
from energy_at.modules.precision import check_precision, has_bf16
from energy_at.types import InputError

OLD_CPU = {"architecture": "x86_64", "avx512_bw": False}
NEW_CPU = {"architecture": "x86_64", "avx512_bw": True}
ARM_CPU = {"architecture": "aarch64"}


def test_a_device_without_float64_is_refused():
    with pytest.raises(InputError, match="summed in float64, which MPS lacks; write accelerator: cpu"):
        check_precision(torch.device("mps"), "32-true")


@pytest.mark.parametrize(("cpu", "has"), [(OLD_CPU, False), (NEW_CPU, True), (ARM_CPU, True)])
def test_a_cpu_says_whether_it_has_bfloat16(cpu, has, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: cpu)
    assert has_bf16(torch.device("cpu")) == has


def test_this_cpu_says_what_oneDNN_says_of_it():
    if torch.cpu.get_capabilities()["architecture"] != "x86_64":
        pytest.skip("of other CPUs nothing is known")
    assert has_bf16(torch.device("cpu")) == torch.ops.mkldnn._is_mkldnn_bf16_supported()


@pytest.mark.parametrize(("capability", "has"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_a_gpu_has_bfloat16_from_ampere_on(capability, has, monkeypatch):
    properties = type("Properties", (), {"major": capability[0], "minor": capability[1]})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda *_: properties)
    assert has_bf16(torch.device("cuda")) == has


@pytest.mark.parametrize(("precision", "told"), [("bf16-mixed", 1), ("32-true", 0)])
def test_a_training_in_emulated_bfloat16_is_warned_of(precision, told, monkeypatch, recwarn):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: OLD_CPU)
    quiet = {"enable_progress_bar": False, "enable_checkpointing": False, "enable_model_summary": False}
    trainer = L.Trainer(fast_dev_run=True, accelerator="cpu", precision=precision, **quiet)
    trainer.fit(StandardAT(SmallNet(width=4)), Digits())
    words = "this CPU has no bfloat16 of its own and emulates it slowly; write precision: 32-true"
    assert [str(warning.message) for warning in recwarn].count(words) == told
