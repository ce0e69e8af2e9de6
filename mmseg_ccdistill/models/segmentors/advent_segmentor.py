"""AdvEnt: adversarial adaptation of the entropy (Vu et al., ADVENT, CVPR 2019)."""

from __future__ import annotations

from typing import Any

from mmseg.registry import MODELS
from mmseg.utils import ConfigType
from torch import Tensor

from ..losses.entropy import self_information
from .adaptsegnet_segmentor import AdaptSegNetSegmentor
from .output_space_segmentor import OutputLevels


@MODELS.register_module()
class AdvEntSegmentor(AdaptSegNetSegmentor):
    """AdaptSegNet whose discriminators see self-information in place of probabilities.

    Sure predictions are 0 in all channels of such a map, so the discriminators tell the domains apart by how sure the
    network is, and the night shall become as sure as the day. The other adaptation of the paper is
    :class:`MinEntSegmentor`.

    Args:
        segmentor (dict): See :class:`AdaptSegNetSegmentor`.
        discriminator (dict): See there.
        adversarial_form (str): Defaults to ``'vanilla'``, as published.
        adversarial_weight (float): λ of the decode head. Defaults to 0.001, as published.
        auxiliary_weight (float, optional): λ of the auxiliary head; 0.0002 in the published code. Defaults to None, a
            single level.
        **kwargs: See :class:`AdaptationSegmentor`.
    """

    def __init__(
        self,
        segmentor: ConfigType,
        discriminator: ConfigType,
        adversarial_form: str = 'vanilla',
        adversarial_weight: float = 0.001,
        auxiliary_weight: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            segmentor,
            discriminator,
            adversarial_form,
            adversarial_weight,
            auxiliary_weight,
            **kwargs,
        )

    def seen_map(self, outputs: OutputLevels, level: str) -> Tensor:
        """What the discriminator sees: self-information ``(B, K, H, W)`` at the size of the images."""
        return self_information(self.full_logits(outputs, level))
