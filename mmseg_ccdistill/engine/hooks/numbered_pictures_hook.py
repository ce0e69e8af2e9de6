"""Hook that paints the predictions of a test, one picture for each image."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import mmcv
from mmengine.fileio import get
from mmseg.engine.hooks import SegVisualizationHook
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample


@HOOKS.register_module()
class NumberedPicturesHook(SegVisualizationHook):
    """``SegVisualizationHook`` whose pictures of a test are numbered, so that none replaces another.

    Upstream's own names them after the file and the iteration, which stands still in a test: images of one
    name in several folders leave one picture. In training and validation it is the stock hook.

    Args:
        *args: As for ``SegVisualizationHook``.
        **kwargs: As for ``SegVisualizationHook``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._number = 0

    def after_test_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[SegDataSample] | None = None,
    ) -> None:
        """Paint a batch."""
        for sample in (outputs or ()) if self.draw else ():
            self._number += 1
            image = mmcv.imfrombytes(
                get(sample.img_path, backend_args=self.backend_args), channel_order='rgb'
            )
            self._visualizer.add_datasample(
                f'test_{os.path.basename(sample.img_path)}',
                image,
                data_sample=sample,
                show=self.show,
                wait_time=self.wait_time,
                step=self._number,
            )
