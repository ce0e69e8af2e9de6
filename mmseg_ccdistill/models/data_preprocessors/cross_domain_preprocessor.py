"""Normalisation and padding of the four domains of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmseg.models.data_preprocessor import SegDataPreProcessor
from mmseg.registry import MODELS


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
            domain: self._one_list({'inputs': images, 'data_samples': samples.get(domain)}, training)
            for domain, images in data['inputs'].items()
        }
        return {
            key: {domain: part[key] for domain, part in domains.items()}
            for key in ('inputs', 'data_samples')
        }
