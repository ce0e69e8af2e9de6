"""BDL-LAB: BDL's segmentation half and self-training (Li et al., CVPR 2019), with LAB statistics for its CycleGAN."""

from __future__ import annotations

from typing import Any

from mmseg.registry import MODELS
from mmseg.utils import ConfigType, SampleList
from torch import Tensor

from ...domains import DomainSamples, DomainTensors
from ...errors import UserInputError
from .adaptsegnet_segmentor import AdaptSegNetSegmentor


@MODELS.register_module()
class BDLSegmentor(AdaptSegNetSegmentor):
    r"""AdaptSegNet of a single level on S_n, and cross-entropy with the pseudo labels of T_n.

    .. math:: L_G = CE(S_n) + w \, CE(T_n, \hat{y}) + \lambda \, \ell(D(p_T), 0), \qquad
        L_D = \tfrac{1}{2} \ell(D(p_{S_n}), 0) + \tfrac{1}{2} \ell(D(p_T), 1)

    S_n is the labelled day in the colours of a night, as ``LABTransfer`` makes it with the T_n of the same sample; S_d
    itself is not shown. BDL trains a CycleGAN and a perceptual loss in place of it, and repeats everything: neither is
    here, so this is BDL-LAB and not BDL. The labels are made by ``tools/pseudo_label.py`` between two trainings and
    stay what they are during one. A pixel of 255 has none.

    Args:
        segmentor (dict): See :class:`AdaptSegNetSegmentor`.
        discriminator (dict): See there.
        adversarial_form (str): Defaults to ``'vanilla'``, as published.
        adversarial_weight (float): λ. Defaults to 0.001, as published.
        pseudo_label_weight (float): w; 1 in the published code. Needs ``night_label_dir`` of the target data set.
            Defaults to 0, the first training, which has no labels yet.
        **kwargs: See :class:`AdaptationSegmentor`.

    Raises:
        ValueError: If ``pseudo_label_weight`` is negative, and as :class:`AdaptSegNetSegmentor`.
    """

    source = 'source_night'
    routes = {'source_night': 'night', 'target_night': 'night'}

    def __init__(
        self,
        segmentor: ConfigType,
        discriminator: ConfigType,
        adversarial_form: str = 'vanilla',
        adversarial_weight: float = 0.001,
        pseudo_label_weight: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(segmentor, discriminator, adversarial_form, adversarial_weight, **kwargs)
        if not pseudo_label_weight >= 0:
            raise UserInputError(
                f'pseudo_label_weight must not be negative, got {pseudo_label_weight}: 0 trains without pseudo labels.'
            )
        self.pseudo_label_weight = pseudo_label_weight

    @property
    def missing_labels(self) -> str:
        """What is said where T_n has no labels; empty if none are needed."""
        if not self.pseudo_label_weight:
            return ''
        return (
            f'pseudo_label_weight={self.pseudo_label_weight} needs labels of target_night, and the training set has '
            'none: set train_dataloader.dataset.target.night_label_dir to a folder of tools/pseudo_label.py, or '
            'model.pseudo_label_weight=0.'
        )

    def loss(self, inputs: DomainTensors, data_samples: DomainSamples) -> dict[str, Tensor]:
        """Losses and diagnostics of one iteration.

        Args:
            inputs (dict[str, Tensor]): Normalised images ``(B, 3, H, W)`` of ``source_night`` and ``target_night``.
            data_samples (dict[str, list]): Samples per domain; S_n carries ``gt_sem_seg``, with a weight T_n, too.

        Returns:
            dict[str, Tensor]: Weighted terms whose keys contain ``loss``, and the diagnostics of the discriminator.

        Raises:
            UserInputError: If there is a weight and T_n has no labels.
        """
        source = self.output_levels(inputs['source_night'])
        log = self.labelled_loss('source_night', source, data_samples['source_night'])
        target = self.output_levels(inputs['target_night'])
        log |= self.adaptation_losses(source, target)
        if self.pseudo_label_weight:
            samples = self._labelled(data_samples['target_night'])
            terms = self.labelled_loss('target_night', target, samples)
            log |= {key: self.pseudo_label_weight * term for key, term in terms.items()}
        return log

    def _labelled(self, samples: SampleList) -> SampleList:
        """The samples of T_n, if they have labels."""
        if all('gt_sem_seg' in sample for sample in samples):
            return samples
        raise UserInputError(self.missing_labels)
