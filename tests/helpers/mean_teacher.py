"""A method of a few lines that keeps a moving average of its network, for tests."""

from __future__ import annotations

from typing import Any

import torch
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_ccdistill.models.segmentors import AdaptationSegmentor, EMATeacher


@MODELS.register_module(force=True)
class MeanTeacher(AdaptationSegmentor):
    """M_n on S_d, and on T_n with the hard labels of its own moving average."""

    networks = ('night', 'teacher')
    frozen = ('teacher',)
    routes = {'source_day': 'night', 'target_night': 'night'}

    def __init__(self, segmentor: dict, **kwargs: Any) -> None:
        super().__init__(segmentor, **kwargs)
        self.ema = EMATeacher(lag=0.25)

    def loss(self, inputs: dict[str, Tensor], data_samples: dict[str, list]) -> dict[str, Tensor]:
        self.ema.update(self.night, self.teacher)
        maps = self.encode(self.night, inputs['source_day'])
        logits = self.night.decode_head(maps.head_inputs)
        labels = self.ground_truth(data_samples['source_day'])
        log = self.supervised_loss(self.night, 'source_day', maps.head_inputs, logits, labels)
        target = inputs['target_night']
        with torch.no_grad():
            taught = self.teacher.decode_head(self.encode(self.teacher, target).head_inputs)
            taught = self.upsample(self.teacher.decode_head, taught, target.shape[2:]).argmax(1)
        head = self.night.decode_head
        student = head(self.encode(self.night, target).head_inputs)
        log['target_night.loss_self'] = self.head_loss(head, student, taught)
        return log
