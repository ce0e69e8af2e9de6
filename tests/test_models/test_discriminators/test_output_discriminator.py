from __future__ import annotations

import torch
from torch import nn

from mmseg_ccdistill.models.discriminators import OutputDiscriminator


def _kept_bytes(net: nn.Module, maps: torch.Tensor) -> int:
    """Bytes of the tensors that the backward pass of a map keeps, each storage once, without the weights."""
    weights = {p.data_ptr() for p in net.parameters()}
    storages = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.data_ptr() not in weights:
            storage = tensor.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        kept_alive = net(maps)
    del kept_alive
    return sum(storages.values())


def test_each_layer_keeps_one_map() -> None:
    """The input, and one map behind each activation; the convolutions' own results are not kept beside them."""
    maps = torch.rand(1, 19, 64, 64)
    outputs = 4 * (64 * 32**2 + 128 * 16**2 + 256 * 8**2 + 512 * 4**2)
    assert _kept_bytes(OutputDiscriminator(), maps) == 4 * maps.numel() + outputs
