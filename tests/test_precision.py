"""Which arithmetic training takes."""

import pytest
import torch

from upbrush.precision import in_bf16


@pytest.mark.parametrize(("able", "expected"), [({"avx512_bf16": True}, True), ({"amx_bf16": True}, True), ({}, False)])
def test_bfloat16_is_taken_where_the_processor_computes_in_it(able, expected, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    cpu = torch.device("cpu")
    assert in_bf16("auto", cpu) is expected
    assert in_bf16("bf16", cpu)
    assert not in_bf16("float32", cpu)
