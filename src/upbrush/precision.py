"""Whether networks compute in bfloat16 while they are trained."""

from collections.abc import Mapping
from typing import Any

import torch


def in_bf16(precision: str, device: torch.device) -> bool:
    """Whether the networks compute in bfloat16; "auto" asks the device.

    A CPU that only imitates it takes 2.6 times as long as in float32 for the Renderer, and four times for VGG19.
    """
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        able: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # an older torch does not tell
        return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
    return True
