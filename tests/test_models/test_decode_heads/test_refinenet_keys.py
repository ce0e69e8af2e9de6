from __future__ import annotations

import pytest
import torch

from mmseg_ccdistill.models.decode_heads.refinenet_keys import (
    convert_refinenet_keys,
    refinenet_head_keys,
    resnet_keys,
)


def public_state_dict(depth: int = 101) -> dict[str, torch.Tensor]:
    """Every name of a public checkpoint; the values tell the tensors apart."""
    names = resnet_keys(depth) + list(refinenet_head_keys())
    return {name: torch.tensor(float(i)) for i, name in enumerate(names)}


@pytest.mark.parametrize(
    ('public', 'ours'),
    [
        ('conv1.weight', 'backbone.conv1.weight'),
        ('layer3.22.bn3.running_var', 'backbone.layer3.22.bn3.running_var'),
        ('layer4.0.downsample.1.num_batches_tracked', None),
        ('p_ims1d2_outl1_dimred.weight', 'decode_head.blocks.0.dimred.weight'),
        ('p_ims1d2_outl4_dimred.weight', 'decode_head.blocks.3.dimred.weight'),
        ('adapt_stage1_b.0.1_conv.bias', 'decode_head.blocks.0.input_rcus.0.conv1.bias'),
        (
            'adapt_stage2_b.0.2_conv_relu_varout_dimred.weight',
            'decode_head.blocks.1.input_rcus.1.conv2.weight',
        ),
        ('adapt_stage3_b2_joint_varout_dimred.weight', 'decode_head.blocks.2.lateral.weight'),
        ('mflow_conv_g1_pool.0.4_outvar_dimred.weight', 'decode_head.blocks.0.crp.convs.3.weight'),
        ('mflow_conv_g4_b.0.3_conv.weight', 'decode_head.blocks.3.output_rcus.2.conv1.weight'),
        ('mflow_conv_g3_b3_joint_varout_dimred.weight', 'decode_head.blocks.2.out_conv.weight'),
        ('clf_conv.bias', 'decode_head.conv_seg.bias'),
    ],
)
def test_names(public: str, ours: str | None) -> None:
    state = public_state_dict()
    assert convert_refinenet_keys(state)[ours or f'backbone.{public}'] is state[public]


def test_all_tensors_arrive_once() -> None:
    state = public_state_dict()
    converted = convert_refinenet_keys(state)
    assert len(state) == len(converted) == 712
    assert sum(name.startswith('backbone.') for name in converted) == 624
    assert sorted(v.item() for v in converted.values()) == list(range(712))
    assert not any('adapt_stage1_b2' in name or 'g4_b3' in name for name in state)


def test_names_of_the_backbone_are_mmsegs() -> None:
    from mmseg.models.backbones import ResNet

    with torch.device('meta'):
        for depth in (50, 101, 152):
            assert set(resnet_keys(depth)) == set(ResNet(depth, style='pytorch').state_dict())


@pytest.mark.parametrize('depth', [50, 152])
def test_other_depths_are_told_from_the_keys(depth: int) -> None:
    converted = convert_refinenet_keys(public_state_dict(depth))
    assert len(converted) == len(resnet_keys(depth)) + 88


def test_wrapped_and_old_checkpoints() -> None:
    state = public_state_dict()
    expected = list(convert_refinenet_keys(state))
    old = {f'module.{k}': v for k, v in state.items() if not k.endswith('num_batches_tracked')}
    old['module.fc.weight'] = old['module.fc.bias'] = torch.tensor(0.0)
    converted = convert_refinenet_keys(old)
    assert list(converted) == expected
    assert converted['backbone.bn1.num_batches_tracked'].item() == 0


def test_missing_and_unknown_keys_are_named() -> None:
    state = public_state_dict()
    state['do.weight'] = state.pop('clf_conv.weight')
    del state['layer2.1.conv2.weight']
    with pytest.raises(ValueError) as error:
        convert_refinenet_keys(state)
    for part in ('1 unknown keys (do.weight)', '2 missing', 'clf_conv.weight', 'layer2.1.conv2'):
        assert part in str(error.value)
    with pytest.raises(ValueError, match=r'missing keys \(.*, \.\.\.\)'):
        convert_refinenet_keys({'conv1.weight': torch.zeros(1)})
