"""The values of mmseg's preprocessor, without the index that it copies to the device for every image."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from domain_batch import domain_batch
from mmseg.models.data_preprocessor import SegDataPreProcessor
from torch.utils._python_dispatch import TorchDispatchMode

from mmseg_ccdistill.domains import DOMAINS
from mmseg_ccdistill.models.data_preprocessors import CrossDomainPreprocessor

NORMALISATION = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
SIZE = (40, 48)


class Operators(TorchDispatchMode):
    """Names of the operators that run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(str(func.overloadpacket))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize('swap', [{}, {'bgr_to_rgb': True}, {'rgb_to_bgr': True}])
@pytest.mark.parametrize('training', [True, False])
def test_values_are_those_of_mmseg(swap: dict[str, bool], training: bool) -> None:
    batch = domain_batch(side=32)
    ours = CrossDomainPreprocessor(**NORMALISATION, **swap, size=SIZE)
    theirs = SegDataPreProcessor(**NORMALISATION, **swap, size=SIZE)
    out = ours(batch, training)
    for domain in DOMAINS:
        part = {key: batch[key][domain] for key in ('inputs', 'data_samples')}
        wanted = theirs(part, training)
        assert torch.equal(out['inputs'][domain], wanted['inputs'])
        assert out['inputs'][domain].shape[2:] == (SIZE if training else (32, 32))
        assert torch.equal(ours(part, training)['inputs'], wanted['inputs'])  # a plain batch


def test_a_swap_takes_red_from_the_last_channel() -> None:
    image = torch.zeros(3, 2, 2, dtype=torch.uint8)
    image[2] = 255
    out = CrossDomainPreprocessor(bgr_to_rgb=True)({'inputs': [image], 'data_samples': None})
    assert out['inputs'][0, :, 0, 0].tolist() == [255, 0, 0]


def test_no_index_is_sent_to_the_device() -> None:
    """Indexing with a list makes a tensor on the host and copies it: on a GPU the host waits for that."""
    batch = domain_batch(side=32)
    ours = CrossDomainPreprocessor(**NORMALISATION, bgr_to_rgb=True, size=SIZE)
    with Operators() as operators:
        ours(batch, training=True)
    assert 'aten.flip' in operators.names
    assert 'aten.index' not in operators.names
