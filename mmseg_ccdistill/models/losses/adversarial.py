"""Losses of a discriminator that tells the source from the target, and of the network that misleads it."""

from __future__ import annotations

from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from ...errors import UserInputError
from ..precision import autocast_off, full_precision

#: Forms of the loss: binary cross-entropy (Goodfellow et al. 2014), and squared error (Mao et al. 2017).
ADVERSARIAL_FORMS = ('vanilla', 'least_squares')

#: Labels of the two domains, as in AdaptSegNet.
_SOURCE, _TARGET = 0.0, 1.0


def domain_error(scores: Tensor, label: float, form: str) -> Tensor:
    """How far a discriminator's scores are from a label.

    Args:
        scores (Tensor): Raw scores of any shape.
        label (float): 0 for the source, 1 for the target.
        form (str): ``'vanilla'``: binary cross-entropy of the scores as logits. ``'least_squares'``: squared error of
            the raw scores.

    Returns:
        Tensor: Mean over all scores, in float32 (float64 stays float64).

    Raises:
        ValueError: On an unknown form.
    """
    if form not in ADVERSARIAL_FORMS:
        raise UserInputError(
            f'the adversarial loss must be one of {ADVERSARIAL_FORMS}, got {form!r}.'
        )
    with autocast_off(scores):
        scores = full_precision(scores)
        if form == 'least_squares':
            return (scores - label).square().mean()
        return (functional.softplus(scores) - label * scores).mean()


def adversarial_loss(target_scores: Tensor, form: str = 'least_squares') -> Tensor:
    """Loss of the network: the target shall look like the source.

    Args:
        target_scores (Tensor): The discriminator's scores on the target, with its parameters as constants.
        form (str): See :func:`domain_error`. Defaults to ``'least_squares'``.

    Returns:
        Tensor: Scalar.
    """
    return domain_error(target_scores, _SOURCE, form)


def discriminator_loss(
    source_scores: Tensor, target_scores: Tensor, form: str = 'least_squares'
) -> Tensor:
    """Loss of the discriminator: half the error on the source plus half the error on the target.

    Args:
        source_scores (Tensor): Scores on the source, without a graph into the network.
        target_scores (Tensor): Scores on the target, the same.
        form (str): See :func:`domain_error`. Defaults to ``'least_squares'``.

    Returns:
        Tensor: Scalar.
    """
    source = domain_error(source_scores, _SOURCE, form)
    return 0.5 * source + 0.5 * domain_error(target_scores, _TARGET, form)


def scores_of_constant(discriminator: nn.Module, maps: Tensor) -> Tensor:
    """Scores of a discriminator whose parameters get no gradient; the maps do.

    Args:
        discriminator (nn.Module): Not changed: distributed training needs ``requires_grad`` as it is.
        maps (Tensor): Class probabilities, ``(B, K, H, W)``.

    Returns:
        Tensor: What the discriminator returns.
    """
    constant = {name: p.detach() for name, p in discriminator.named_parameters()}
    return functional_call(discriminator, constant, (maps,))
