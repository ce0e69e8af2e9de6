"""A small adaptation as a training leaves it, the same exported, and pictures of many kinds."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest
import torch
from mmengine.config import Config
from tool_project import load_tool, make_project, photo, save_checkpoint
from trained_file import class_facts, save_trained

from mmseg_ccdistill import Segmenter
from mmseg_ccdistill.runtime.checkpoint_file import read_checkpoint


@pytest.fixture(scope='session')
def project(tmp_path_factory) -> Path:
    root = make_project(tmp_path_factory.mktemp('prediction'))
    state = read_checkpoint(root / 'tiny.pth')['state_dict']
    generator = torch.Generator().manual_seed(5)
    for name in sorted(state):
        if 'conv_seg' in name:  # so that several classes win, and others by day than by night
            state[name] = 2 * torch.randn(state[name].shape, generator=generator)
    config = Config.fromfile(str(root / 'tiny.py'))
    save_trained(root / 'trained.pth', state, config, class_facts())
    save_checkpoint(root / 'bare.pth', state)
    return root


@pytest.fixture(scope='session')
def trained_file(project) -> Path:
    return project / 'trained.pth'


@pytest.fixture(scope='session')
def segmenter(trained_file) -> Segmenter:
    return Segmenter.from_pretrained(trained_file, device='cpu')


@pytest.fixture(scope='session')
def exported(project) -> Path:
    """``night.pth``, ``night.py``, ``night.safetensors`` and ``night.json``."""
    pytest.importorskip('safetensors')
    tool = load_tool('tools/model_converters/night2mmseg.py')
    out = project / 'exported/night'
    arguments = [project / 'tiny.py', project / 'trained.pth', out, '--safetensors']
    tool.main([str(argument) for argument in arguments])
    return out


@pytest.fixture
def photos(tmp_path) -> Path:
    folder = tmp_path / 'photos'
    (folder / 'b').mkdir(parents=True)
    cv2.imwrite(str(folder / 'one.png'), photo(1))
    cv2.imwrite(str(folder / 'two.jpg'), photo(2)[:50, :70])
    cv2.imwrite(str(folder / 'b/one.png'), photo(3))
    return folder
