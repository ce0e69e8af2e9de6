"""Parameter names of the public PyTorch RefineNet, translated to ours."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import Tensor

from ...errors import UserInputError

#: Bottlenecks per stage of the ResNets that RefineNet was published with, by depth.
_RESNET_STAGES = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}

_BN_KEYS = ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')


def refinenet_head_keys() -> dict[str, str]:
    """Names of the 88 decoder tensors: public name to ours.

    The public names (DrSleep/refinenet-pytorch, W-zx-Y/DANNet) count blocks and units from 1, ours
    from 0. Block 1 reads the deepest map in both.

    Returns:
        dict[str, str]: E.g. ``p_ims1d2_outl1_dimred.weight`` to
            ``decode_head.blocks.0.dimred.weight``.
    """
    names: dict[str, str] = {}
    for b in range(1, 5):
        block = f'decode_head.blocks.{b - 1}'
        names[f'p_ims1d2_outl{b}_dimred.weight'] = f'{block}.dimred.weight'
        for public, ours, count in (
            (f'adapt_stage{b}_b.0', f'{block}.input_rcus', 2),
            (f'mflow_conv_g{b}_b.0', f'{block}.output_rcus', 3),
        ):
            for i in range(1, count + 1):
                names[f'{public}.{i}_conv.weight'] = f'{ours}.{i - 1}.conv1.weight'
                names[f'{public}.{i}_conv.bias'] = f'{ours}.{i - 1}.conv1.bias'
                names[f'{public}.{i}_conv_relu_varout_dimred.weight'] = (
                    f'{ours}.{i - 1}.conv2.weight'
                )
        for k in range(1, 5):
            names[f'mflow_conv_g{b}_pool.0.{k}_outvar_dimred.weight'] = (
                f'{block}.crp.convs.{k - 1}.weight'
            )
        if b > 1:
            names[f'adapt_stage{b}_b2_joint_varout_dimred.weight'] = f'{block}.lateral.weight'
        if b < 4:
            names[f'mflow_conv_g{b}_b3_joint_varout_dimred.weight'] = f'{block}.out_conv.weight'
    names['clf_conv.weight'] = 'decode_head.conv_seg.weight'
    names['clf_conv.bias'] = 'decode_head.conv_seg.bias'
    return names


def resnet_keys(depth: int) -> list[str]:
    """Names of the tensors of a torchvision-style bottleneck ResNet without its classifier.

    Args:
        depth (int): 50, 101 or 152.

    Returns:
        list[str]: 624 names for 101 layers.
    """
    layers = ['conv1', 'bn1']
    for stage, blocks in enumerate(_RESNET_STAGES[depth], start=1):
        for block in range(blocks):
            prefix = f'layer{stage}.{block}'
            for i in (1, 2, 3):
                layers += [f'{prefix}.conv{i}', f'{prefix}.bn{i}']
            if block == 0:
                layers += [f'{prefix}.downsample.0', f'{prefix}.downsample.1']
    keys = []
    for layer in layers:
        is_norm = 'bn' in layer or layer.endswith('downsample.1')
        keys += [f'{layer}.{name}' for name in (_BN_KEYS if is_norm else ('weight',))]
    return keys


def convert_refinenet_keys(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A public RefineNet state dict under the names of an mmseg ``EncoderDecoder``.

    The ResNet depth is told from the keys. A ``module.`` prefix on every key and an ImageNet
    classifier (``fc.*``) are dropped. ``num_batches_tracked``, which old checkpoints lack, is
    filled in as 0.

    Args:
        state_dict (Mapping[str, Tensor]): Public names to tensors.

    Returns:
        dict[str, Tensor]: The same tensors under ``backbone.*`` and ``decode_head.*``, the latter
        those of ``RefineNetHead``; 712 for ResNet-101.

    Raises:
        UserInputError: If a key is unknown or missing; the message names them.
    """
    prefix = 'module.'
    if state_dict and all(key.startswith(prefix) for key in state_dict):
        state_dict = {key[len(prefix) :]: value for key, value in state_dict.items()}
    source = {key: value for key, value in state_dict.items() if not key.startswith('fc.')}
    head = refinenet_head_keys()
    depth = _resnet_depth(source)
    names = {key: f'backbone.{key}' for key in resnet_keys(depth)}
    names.update(head)
    unknown = sorted(set(source) - set(names))
    missing = sorted(
        key for key in names if key not in source and not key.endswith('num_batches_tracked')
    )
    if unknown or missing:
        raise UserInputError(
            f'not a checkpoint of the public RefineNet-R{depth}: '
            + '; '.join(
                f'{len(keys)} {kind} keys ({", ".join(keys[:8])}{", ..." if len(keys) > 8 else ""})'
                for kind, keys in (('unknown', unknown), ('missing', missing))
                if keys
            )
            + '.'
        )
    return OrderedDict(
        (ours, source[public] if public in source else torch.tensor(0))
        for public, ours in names.items()
    )


def _resnet_depth(state_dict: Mapping[str, Tensor]) -> int:
    """Deepest ResNet whose third stage, the one that grows, is all there; 101 if none is."""
    for depth in sorted(_RESNET_STAGES, reverse=True):
        if f'layer3.{_RESNET_STAGES[depth][2] - 1}.conv1.weight' in state_dict:
            return depth
    return 101
