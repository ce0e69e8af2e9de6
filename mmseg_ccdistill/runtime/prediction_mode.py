"""How a segmentor predicts, whole images or windows: checked before a training, which tests only later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS

from ..errors import UserInputError

_MODES = ('whole', 'slide')


def check_prediction_mode(config: Config, path: str) -> None:
    """Check ``test_cfg`` of the segmentors that predict as mmseg's ``EncoderDecoder`` does.

    Args:
        config: Config; one that tests nothing is left alone.
        path: Its file, for the message.

    Raises:
        UserInputError: If the mode is unknown, or windows lack their size or stride or leave gaps.
    """
    if config.get('val_dataloader') is None and config.get('test_dataloader') is None:
        return
    for key, settings in _test_settings(config.get('model')):
        problem = _problem(key, settings)
        if problem is not None:
            raise UserInputError(f'The config {path!r} has {problem}.')


def _test_settings(model: Any) -> Iterator[tuple[str, Any]]:
    """Dotted key and value of the ``test_cfg`` of each segmentor; that of the whole model goes first."""
    if not isinstance(model, Mapping):
        return
    if _predicts_as_mmseg(model):
        yield 'model.test_cfg', model.get('test_cfg')
    elif _predicts_as_mmseg(model.get('segmentor')):
        outer = model.get('test_cfg') is not None
        yield (
            ('model.test_cfg', model['test_cfg'])
            if outer
            else ('model.segmentor.test_cfg', model['segmentor'].get('test_cfg'))
        )


def _predicts_as_mmseg(node: Any) -> bool:
    if not isinstance(node, Mapping):
        return False
    kind = node.get('type')
    kind = kind if isinstance(kind, type) else MODELS.get(str(kind))
    is_segmentor = isinstance(kind, type) and issubclass(kind, EncoderDecoder)
    return is_segmentor and getattr(kind, 'inference', None) is EncoderDecoder.inference


def _problem(key: str, settings: Any) -> str | None:
    """What is wrong, what is expected and how to fix it; None if nothing is wrong."""
    if not isinstance(settings, Mapping) or settings.get('mode') not in _MODES:
        given = settings.get('mode') if isinstance(settings, Mapping) else None
        return f"{key}.mode={given!r}: expected 'whole' or 'slide'; set it, for example {key}=dict(mode='whole')"
    if settings['mode'] == 'whole':
        return None
    for name in ('crop_size', 'stride'):
        if not _is_pair(settings.get(name)):
            return (
                f"{key}.mode='slide' and {name}={settings.get(name)!r}: expected two positive whole numbers, height "
                f"and width of the window or its step; set {key}.crop_size and {key}.stride, or take mode='whole'"
            )
    crop, stride = tuple(settings['crop_size']), tuple(settings['stride'])
    if any(step > side for step, side in zip(stride, crop, strict=True)):
        return (
            f'{key}.stride={stride} above crop_size={crop}, so the windows leave gaps: expected a stride of at most '
            f'the window; make {key}.stride smaller'
        )
    return None


def _is_pair(value: Any) -> bool:
    is_sequence = isinstance(value, list | tuple) and len(value) == 2
    return is_sequence and all(type(side) is int and side > 0 for side in value)
