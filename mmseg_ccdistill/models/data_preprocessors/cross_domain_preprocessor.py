"""Normalisation and padding of the four domains of a batch."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from mmseg.models.data_preprocessor import SegDataPreProcessor
from mmseg.registry import MODELS

from ...errors import UserInputError

#: Settings that may differ: how far a training batch is padded follows the crop, not the network.
_OF_THE_CROP = ('type', 'size', 'size_divisor')


@MODELS.register_module()
class CrossDomainPreprocessor(SegDataPreProcessor):
    """mmseg's ``SegDataPreProcessor``, applied to each domain of a cross-domain batch.

    A batch of ``CrossDomainDataset`` is ``{'inputs': {domain: [uint8 (3, H, W)]}, 'data_samples': {domain: [...]}}``;
    each domain is cast, normalised and stacked on the device. A plain batch, as in validation and test, goes through
    as usual, so arguments are those of ``SegDataPreProcessor``.

    The values are mmseg's to the last bit, but the host never waits for the device: mmseg swaps the channels by
    indexing with a list, which is copied to the device anew for each image, behind all work that is queued there.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._non_blocking = True  # copies overlap with compute where the loader pins its memory
        # the fork's name, else upstream's: mmseg's own swap is off
        name = (
            '_channel_conversion' if hasattr(self, '_channel_conversion') else 'channel_conversion'
        )
        self._swaps_channels = getattr(self, name)
        setattr(self, name, False)

    def _one_list(self, data: dict[str, Any], training: bool) -> dict[str, Any]:
        """One list of images, its channels swapped on the device if the config says so."""
        images = self.cast_data(data['inputs'])
        if self._swaps_channels and images[0].size(0) == 3:
            images = [image.flip(0) for image in images]
        return super().forward(dict(data, inputs=images), training)

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Preprocess one batch.

        Args:
            data (dict): A cross-domain or a plain batch.
            training (bool): Whether to pad to the training size. Defaults to False.

        Returns:
            dict: ``inputs`` and ``data_samples`` of the same structure; inputs are float ``(B, 3, H, W)``.
        """
        if not isinstance(data['inputs'], Mapping):
            return self._one_list(data, training)
        samples = data.get('data_samples') or {}
        domains = {
            domain: self._one_list(
                {'inputs': images, 'data_samples': samples.get(domain)}, training
            )
            for domain, images in data['inputs'].items()
        }
        return {
            key: {domain: part[key] for domain, part in domains.items()}
            for key in ('inputs', 'data_samples')
        }


def check_preprocessors_agree(outer: Any, inner: Any) -> None:
    """Check that a segmentor that states its preprocessing gets it.

    An adaptation normalises all domains once, before either branch, so what the segmentor's own
    config states would be passed over in silence.

    Args:
        outer: ``model.data_preprocessor``: a config, None, or a module, which is taken as it is.
        inner: ``model.segmentor.data_preprocessor``, or None.

    Raises:
        UserInputError: If they differ in anything but the type and the size of a training batch.
    """
    if not isinstance(inner, Mapping) or not (outer is None or isinstance(outer, Mapping)):
        return
    fix = (
        "set model.data_preprocessor=dict(model.segmentor.data_preprocessor, type='CrossDomainPreprocessor'), "
        'or take model.segmentor.data_preprocessor out'
    )
    if outer is None:
        raise UserInputError(
            'model.segmentor.data_preprocessor states how images are normalised, but model.data_preprocessor, '
            f'which does it for all domains, is missing: expected both alike; {fix}.'
        )
    signature = inspect.signature(SegDataPreProcessor.__init__).parameters
    defaults = {name: parameter.default for name, parameter in signature.items()}
    for name in dict.fromkeys([*outer, *inner]):
        if name in _OF_THE_CROP:
            continue
        ours, theirs = (_plain(config.get(name, defaults.get(name))) for config in (outer, inner))
        if ours != theirs:
            raise UserInputError(
                f'model.data_preprocessor has {name}={ours}, but model.segmentor.data_preprocessor has '
                f'{name}={theirs}: expected both alike, those with which the weights were trained; {fix}.'
            )


def _plain(value: Any) -> Any:
    """A value of a config as JSON knows it, so that a tuple equals a list."""
    if isinstance(value, Mapping):
        return {key: _plain(child) for key, child in value.items()}
    return [_plain(child) for child in value] if isinstance(value, (list, tuple)) else value
