"""Weights as .safetensors, which hold no code."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from mmengine.runner import load_checkpoint

import mmseg_ccdistill  # noqa: F401
from mmseg_ccdistill.runtime.checkpoint_file import (
    CheckpointFileError,
    load_checkpoint_file,
    read_checkpoint,
)


def test_weights_and_what_they_say_of_themselves(tmp_path: Path) -> None:
    safetensors = pytest.importorskip('safetensors.torch')
    path = tmp_path / 'weights.safetensors'
    state = {'module.weight': torch.arange(2.0)[None], 'module.bias': torch.ones(1)}
    safetensors.save_file(state, path, metadata=dict(classes='["road"]', author='Gao'))

    checkpoint = read_checkpoint(path)
    assert torch.equal(checkpoint['state_dict']['weight'], torch.tensor([[0.0, 1.0]]))
    assert checkpoint['meta'] == dict(classes=['road'], author='Gao')
    model = torch.nn.Linear(2, 1)
    load_checkpoint(model, str(path), strict=True)  # as load_from and init_model do
    assert torch.equal(model.bias, torch.ones(1))

    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(CheckpointFileError, match='weights.safetensors: expected a checkpoint'):
        read_checkpoint(path)


def test_without_the_package_the_user_is_told(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / 'a.safetensors').touch()
    monkeypatch.setitem(sys.modules, 'safetensors', None)
    with pytest.raises(CheckpointFileError, match='pip install safetensors'):
        load_checkpoint_file(tmp_path / 'a.safetensors')
