"""Checkpoints as a training leaves them, and small videos."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest
import torch
from mmengine.config import Config
from mmseg.datasets import CityscapesDataset
from tool_project import photo

from mmseg_ccdistill import __version__


def class_facts() -> dict:
    info = CityscapesDataset.METAINFO
    return {'classes': tuple(info['classes']), 'palette': [list(c) for c in info['palette']]}


def save_trained(path: Path, state: dict, config: Config | str | None, meta: dict | None) -> Path:
    """A checkpoint with the text of its config and its classes, as mmengine saves them."""
    facts = {'mmseg_ccdistill_version': __version__}
    if config is not None:
        facts['cfg'] = config if isinstance(config, str) else config.pretty_text
    if meta is not None:
        facts['dataset_meta'] = meta
    torch.save({'state_dict': state, 'meta': facts}, path)
    return path


def write_video(path: Path, frames: int, rate: float = 10) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'mp4v'), rate, (96, 64))
    if not writer.isOpened():
        pytest.skip('this OpenCV writes no MP4')
    for number in range(frames):
        writer.write(photo(number))
    writer.release()
    return path
