"""Machines that pretend to be others."""

import torch


def pretend_cpu(monkeypatch, has_bfloat16):
    """Pretend that this CPU computes bfloat16 natively, or does not, and that oneDNN may use all that it has."""
    for variable in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_bfloat16, raising=False)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)


def pretend_gpus(monkeypatch, count):
    """Pretend that there are so many CUDA GPUs, which compute bfloat16 natively."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
