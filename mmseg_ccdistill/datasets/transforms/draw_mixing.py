"""The random numbers that self-training mixes a batch with, drawn with the sample."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from ...errors import UserInputError
from ...runtime.random_state import side_stream

#: Key of the results, and names of the fields of the packed sample.
MIX_DRAWS = 'mix_draws'
#: Streams of the random numbers of each domain.
_STREAMS = {'target_night': 10, 'target_day': 11}
_SOURCES = {'target_night': 'source_night', 'target_day': 'source_day'}


def patch_grid(size: Sequence[int], block: int) -> tuple[int, int]:
    """Rows and columns, at least 1, of the grid of patches of ``block`` pixels that may be hidden (MIC)."""
    height, width = (max(round(side / block), 1) for side in size[:2])
    return height, width


@TRANSFORMS.register_module()
class DrawMixing(BaseTransform):
    """Draw what ``SelfTraining`` mixes with: which classes, which change of look, which patches.

    The numbers belong to the draw like the crop, so neither workers nor ranks matter and a resumed run goes on exactly.
    They come from streams of their own: all other random numbers of the sample are what they are without. Put it
    before ``PackCrossDomainInputs``.

    Added Keys (in each target domain there is):

    - mix_draws (dict of float32 arrays: ``mix_classes`` ``(K,)`` in [0, 1), ``mix_look`` ``(5,)``, see
      ``models/self_training/changed_look.py``, ``mix_patches`` ``(h, w)`` in [0, 1))

    Args:
        num_classes: Number of classes K. Defaults to 19.
        jitter: Largest change of brightness, contrast and saturation, and of the hue in turns. Defaults to 0.2.
        jitter_prob: How often colours are changed. Defaults to 0.8, what the code of DAFormer amounts to.
        blur_sigma: Range of the blur's standard deviation in pixels. Defaults to (0.15, 1.15).
        blur_prob: How often there is blur. Defaults to 0.5.
        block: Side of the patches that may be hidden, in pixels. Defaults to 64; MIC takes 32 at half resolution.

    Raises:
        UserInputError: On a number out of its range.
    """

    def __init__(
        self,
        num_classes: int = 19,
        jitter: float = 0.2,
        jitter_prob: float = 0.8,
        blur_sigma: Sequence[float] = (0.15, 1.15),
        blur_prob: float = 0.5,
        block: int = 64,
    ) -> None:
        for name, value in (
            ('jitter', jitter),
            ('jitter_prob', jitter_prob),
            ('blur_prob', blur_prob),
        ):
            if not 0 <= value <= 1:
                raise UserInputError(f'DrawMixing: {name} must be from 0 to 1, got {value}.')
        if len(blur_sigma) != 2 or not 0 <= blur_sigma[0] <= blur_sigma[1] <= 1.25:
            raise UserInputError(
                f'DrawMixing: blur_sigma must be two rising numbers from 0 to 1.25 pixels, got {blur_sigma}.'
            )
        if num_classes < 2 or block < 1:
            raise UserInputError(
                f'DrawMixing: num_classes must be at least 2 and block at least 1, got {num_classes} and {block}.'
            )
        self.num_classes = num_classes
        self.jitter = jitter
        self.jitter_prob = jitter_prob
        self.blur_sigma = tuple(blur_sigma)
        self.blur_prob = blur_prob
        self.block = block

    def transform(self, results: dict) -> dict:
        """Draw for each target domain.

        Raises:
            UserInputError: If the source that would be pasted has no labels.
        """
        for domain, stream in _STREAMS.items():
            if domain not in results:
                continue
            source = results.get(_SOURCES[domain])
            if source is not None and 'gt_seg_map' not in source:
                raise UserInputError(
                    f'DrawMixing: {_SOURCES[domain]} has no labels, so nothing of it can be pasted: expected '
                    "LoadAnnotations in the source's pipeline and a seg_map_path in its data_prefix; add both, or "
                    'take DrawMixing and model.self_training out.'
                )
            shape = results[domain]['img'].shape
            results[domain][MIX_DRAWS] = self._draw(side_stream(stream), shape)
        return results

    def _draw(self, stream: np.random.RandomState, shape: Sequence[int]) -> dict[str, np.ndarray]:
        """Always the same numbers in the same order, whatever is made of them."""
        classes = stream.random_sample(self.num_classes)
        is_jittered, is_blurred = stream.random_sample(2) < (self.jitter_prob, self.blur_prob)
        change = self.jitter * stream.uniform(-1, 1, 4)
        sigma = stream.uniform(self.blur_sigma[0], self.blur_sigma[1])
        look = [*(is_jittered * change + (1, 1, 1, 0)), is_blurred * sigma]
        patches = stream.random_sample(patch_grid(shape, self.block))
        return {
            'mix_classes': classes.astype(np.float32),
            'mix_look': np.array(look, dtype=np.float32),
            'mix_patches': patches.astype(np.float32),
        }

    def __repr__(self) -> str:
        """Name the transform and its arguments."""
        return (
            f'{type(self).__name__}(num_classes={self.num_classes}, jitter={self.jitter}, '
            f'jitter_prob={self.jitter_prob}, blur_sigma={self.blur_sigma}, blur_prob={self.blur_prob}, '
            f'block={self.block})'
        )
