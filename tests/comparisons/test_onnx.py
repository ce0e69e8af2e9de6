"""The exported night segmentor in another runtime: torch's ONNX exporter and onnxruntime."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest
import torch
from adaptation_run import REFINENET, SEGFORMER, build, run_config, save
from torch import Tensor, nn

from mmseg_ccdistill.export.branch_export import export_files, load_plain

SIZE = (64, 96)


class Logits(nn.Module):
    """A segmentor as a plain function from a normalised image to logits at the image's size."""

    def __init__(self, segmentor: nn.Module) -> None:
        super().__init__()
        self.segmentor = segmentor

    def forward(self, image: Tensor) -> Tensor:
        logits = self.segmentor._forward(image)
        return nn.functional.interpolate(logits, SIZE, mode='bilinear', align_corners=False)


@pytest.mark.parametrize('segmentor', [REFINENET, SEGFORMER], ids=['refinenet', 'segformer'])
def test_onnxruntime_predicts_the_labels_of_the_exported_branch(tmp_path: Path, segmentor) -> None:
    pytest.importorskip('onnx', reason='extra comparisons: onnx')
    runtime = pytest.importorskip('onnxruntime', reason='extra comparisons: onnxruntime')
    config = run_config(segmentor)
    save(build(config), tmp_path / 'iter_2.pth')
    report = export_files(config, tmp_path / 'iter_2.pth', tmp_path / 'night')
    model = Logits(load_plain(report.checkpoint, report.config)).eval()
    image = torch.randn(1, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    # The exporter that needs no more packages, where torch has two.
    options = (
        dict(dynamo=False) if 'dynamo' in inspect.signature(torch.onnx.export).parameters else {}
    )
    file = str(tmp_path / 'night.onnx')
    torch.onnx.export(
        model, (image,), file, input_names=['image'], output_names=['logits'], opset_version=17,
        **options,
    )  # fmt: skip
    session = runtime.InferenceSession(file, providers=['CPUExecutionProvider'])

    (theirs,) = session.run(['logits'], {'image': image.numpy()})

    with torch.no_grad():
        ours = model(image).numpy()
    assert theirs.shape == ours.shape == (1, 19, *SIZE)
    assert len(np.unique(ours.argmax(1))) > 1  # labels that could differ
    np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-5 * np.abs(ours).max())
    top = np.sort(ours, axis=1)
    clear = top[:, -1] - top[:, -2] > 1e-4 * np.abs(ours).max()  # no tie within rounding
    assert clear.mean() > 0.95
    assert np.array_equal(theirs.argmax(1)[clear], ours.argmax(1)[clear])
