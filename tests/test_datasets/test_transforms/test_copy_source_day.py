from __future__ import annotations

import numpy as np
from mmseg.registry import TRANSFORMS


def test_the_night_of_the_source_is_its_day_in_arrays_of_its_own() -> None:
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    label = np.array([[0, 1, 2, 255]] * 2, np.uint8)
    day = dict(img=image, gt_seg_map=label, img_shape=(2, 4), seg_fields=['gt_seg_map'])
    results = TRANSFORMS.build(dict(type='CopySourceDay')).transform(dict(source_day=day))
    night = results['source_night']
    assert results['source_day'] is day and night is not day
    np.testing.assert_array_equal(night['img'], image)
    np.testing.assert_array_equal(night['gt_seg_map'], label)
    assert night['img_shape'] == (2, 4) and night['seg_fields'] == ['gt_seg_map']
    night['img'] += 1
    assert image[0, 0, 0] == 0
    night['seg_fields'].append('gt_depth_map')
    assert day['seg_fields'] == ['gt_seg_map']
