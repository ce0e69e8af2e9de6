from __future__ import annotations

from pathlib import Path

import pytest
import torch
from public_dinov2 import random_dinov2
from tool_project import error_of, load_tool, run_tool

from mmseg_ccdistill.models.backbones.dinov2_keys import convert_dinov2_keys
from mmseg_ccdistill.runtime.checkpoint_file import OWN_KEY, load_checkpoint_file

TOOL = 'tools/model_converters/dinov2_to_mmseg.py'


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Old versions of torch read files from elsewhere only if the user asks for it."""
    monkeypatch.setenv('MMSEG_CCDISTILL_TRUST_PICKLE', '1')


def convert(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    return run_tool(load_tool(TOOL), monkeypatch, *map(str, arguments), '--trust-pickle')


def test_writes_what_a_config_starts_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    state = random_dinov2(grid=37)
    torch.save(state, tmp_path / 'public.pth')
    out = tmp_path / 'new/vit.pth'
    options = ('--patch-size', 16, '--image-size', 512)
    assert convert(monkeypatch, tmp_path / 'public.pth', out, *options) == 0
    line = capsys.readouterr().out
    assert line.endswith('vit.pth: 40 tensors, embed_dims=12, patch_size=16, img_size=512\n')
    checkpoint = load_checkpoint_file(out)
    assert OWN_KEY in checkpoint['meta']
    expected = convert_dinov2_keys(state, 16, 512)
    assert checkpoint['state_dict'].keys() == expected.keys()
    assert all(torch.equal(v, expected[k]) for k, v in checkpoint['state_dict'].items())
    assert [path.name for path in out.parent.iterdir()] == ['vit.pth']


def test_a_file_that_exists_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(random_dinov2(), tmp_path / 'public.pth')
    (tmp_path / 'vit.pth').write_bytes(b'mine')
    assert convert(monkeypatch, tmp_path / 'public.pth', tmp_path / 'vit.pth') == 2
    assert error_of(capsys).endswith('vit.pth exists: choose another name or pass --force.')
    assert (tmp_path / 'vit.pth').read_bytes() == b'mine'
    assert convert(monkeypatch, tmp_path / 'public.pth', tmp_path / 'vit.pth', '--force') == 0
    assert len(load_checkpoint_file(tmp_path / 'vit.pth')['state_dict']) == 40


def test_another_network_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({'conv1.weight': torch.zeros(2)}, tmp_path / 'resnet.pth')
    assert convert(monkeypatch, tmp_path / 'resnet.pth', tmp_path / 'vit.pth') == 2
    text = error_of(capsys)
    assert 'resnet.pth: its first tensor is conv1.weight: expected the weights of DINOv2' in text
    assert not (tmp_path / 'vit.pth').exists()
