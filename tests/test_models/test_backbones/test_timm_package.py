from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader

from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.models.backbones import timm_package
from mmseg_ccdistill.models.backbones.timm_package import import_timm

ADDRESS = 'timm://vit_small_patch16_dinov3.lvd1689m'


def hub(monkeypatch: pytest.MonkeyPatch, answer: Any) -> list[str]:
    """A timm whose hub answers with a value or an error; returns what it is asked for."""
    asked: list[str] = []

    def load_state_dict_from_hf(name: str) -> Any:
        asked.append(name)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(
        timm_package,
        'import_module',
        lambda name: SimpleNamespace(load_state_dict_from_hf=load_state_dict_from_hf),
    )
    return asked


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f'No module named {name!r}', name=name)

    monkeypatch.setattr(timm_package, 'import_module', missing)
    sentence = (
        'ReinDINOv3 needs the package timm, which is not installed; install it with pip install '
        "'mmseg-ccdistill[timm]'"
    )
    with pytest.raises(UserInputError, match=f'^{re.escape(sentence)}$'):
        import_timm('ReinDINOv3')


@pytest.mark.parametrize(
    'error',
    [
        ModuleNotFoundError("No module named 'torchvision'", name='torchvision'),
        RuntimeError('operator torchvision::nms does not exist\nand more'),
    ],
    ids=['missing', 'of another build'],
)
def test_a_torchvision_that_does_not_fit_is_named(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(name: str) -> Any:
        raise error

    monkeypatch.setattr(timm_package, 'import_module', fails)
    reason = str(error).splitlines()[0]
    sentence = (
        f'ReinDINOv3 needs the package timm, whose import fails ({reason}): expected timm 1.0.20 or later, and the '
        'torchvision that belongs to the installed torch; install that torchvision from where torch came'
    )
    with pytest.raises(UserInputError, match=f'^{re.escape(sentence)}$'):
        import_timm('ReinDINOv3')


def test_mmengine_loads_weights_by_timms_name(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = {'cls_token': torch.ones(1)}
    asked = hub(monkeypatch, weights)
    assert CheckpointLoader.load_checkpoint(ADDRESS, map_location='cpu', logger=None) is weights
    assert asked == ['timm/vit_small_patch16_dinov3.lvd1689m']


@pytest.mark.parametrize(
    'error', [OSError('no route\nat all'), RuntimeError('huggingface_hub'), ValueError('name')]
)
def test_weights_out_of_reach_are_one_sentence(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    hub(monkeypatch, error)
    sentence = (
        f'{ADDRESS}: the weights cannot be fetched ({str(error).splitlines()[0]}): expected the name of weights of '
        'timm, and a way to its hub; correct the name, or download model.safetensors elsewhere and name that file as '
        'checkpoint'
    )
    with pytest.raises(UserInputError, match=f'^{re.escape(sentence)}$'):
        CheckpointLoader.load_checkpoint(ADDRESS, map_location='cpu', logger=None)
