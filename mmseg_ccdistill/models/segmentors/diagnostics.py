"""What a run shows about its embeddings, pseudo labels and light. No key contains ``loss``: none is optimised."""

from __future__ import annotations

import torch
from torch import Tensor

from ...domains import DomainTensors
from ..losses import correlation_maps
from ..precision import autocast_off


def content_contrast(e_a: Tensor, e_b: Tensor) -> Tensor:
    """How much better an embedding matches its own place than another place of the same image.

    Mean cosine at matched positions minus its expectation over random permutations of the positions, which is the
    mean over all pairs: ``mean_p e_a(p)·e_b(p) - (mean_p e_a(p))·(mean_q e_b(q))``. A head that emits one vector
    everywhere has 0, whatever its Cor maps say.

    Args:
        e_a (Tensor): Unit vectors ``(B, C, h, w)``.
        e_b (Tensor): Unit vectors ``(B, C, h, w)``.

    Returns:
        Tensor: Scalar in [-2, 2].
    """
    matched = (e_a * e_b).sum(1).mean()
    permuted = (e_a.mean((2, 3)) * e_b.mean((2, 3))).sum(1).mean()
    return matched - permuted


def effective_rank(embeddings: Tensor) -> Tensor:
    """Number of directions in use: exponential of the entropy of the normalised spectrum (Roy & Vetterli, 2007).

    Args:
        embeddings (Tensor): Unit vectors ``(B, C, h, w)``.

    Returns:
        Tensor: Scalar from 1 (one embedding for everything) to min(C, number of positions).
    """
    vectors = embeddings.flatten(2).transpose(1, 2).reshape(-1, embeddings.shape[1]).float()
    with autocast_off(vectors):  # half precision has no eigenvalues on a GPU
        if vectors.shape[0] > vectors.shape[1]:
            second_moment = vectors.t() @ vectors
        else:
            second_moment = vectors @ vectors.t()
        spectrum = torch.linalg.eigvalsh(second_moment).clamp_min(0)
    spectrum = spectrum / spectrum.sum().clamp_min(1e-12)
    return torch.exp(-torch.special.xlogy(spectrum, spectrum).sum())


@torch.no_grad()
def correlation_diagnostics(embeddings: DomainTensors) -> dict[str, Tensor]:
    """Means and spatial standard deviations of the four Cor maps, content contrast and effective rank.

    Args:
        embeddings (dict[str, Tensor]): e_D of the four domains, unit vectors ``(B, C, h, w)``.

    Returns:
        dict[str, Tensor]: Scalars, keys ``cor.<map>_mean``, ``cor.<map>_std``, ``cor.contrast_source``,
        ``cor.contrast_target``, ``cor.effective_rank``.
    """
    log = {}
    for name, cor in correlation_maps(embeddings).items():
        log[f'cor.{name}_mean'] = cor.mean()
        log[f'cor.{name}_std'] = cor.flatten(1).std(1, unbiased=False).mean()
    for world in ('source', 'target'):
        log[f'cor.contrast_{world}'] = content_contrast(
            embeddings[f'{world}_day'], embeddings[f'{world}_night']
        )
    log['cor.effective_rank'] = effective_rank(torch.cat(list(embeddings.values())))
    return log


@torch.no_grad()
def style_diagnostics(correlations: DomainTensors) -> dict[str, Tensor]:
    """Means of Cor_G over the batch.

    Args:
        correlations (dict[str, Tensor]): Cor_G of ``source`` and ``target``, ``(B,)`` each.

    Returns:
        dict[str, Tensor]: Scalars ``cor.gram_source`` and ``cor.gram_target``.
    """
    return {f'cor.gram_{world}': value.mean() for world, value in correlations.items()}


@torch.no_grad()
def pseudo_label_diagnostics(
    labels: Tensor, num_classes: int, ignore_index: int = 255
) -> dict[str, Tensor]:
    """Share of pixels with a pseudo label and the largest class's share of those.

    Args:
        labels (Tensor): ``(B, H, W)`` int64.
        num_classes (int): Number of classes.
        ignore_index (int): Value of pixels without a label. Defaults to 255.

    Returns:
        dict[str, Tensor]: ``pseudo.share`` and ``pseudo.largest_class``, in [0, 1].
    """
    counts = torch.stack(
        [(labels == k).sum() for k in range(num_classes) if k != ignore_index]
    ).float()
    total = counts.sum()
    return {
        'pseudo.share': total / labels.numel(),
        'pseudo.largest_class': counts.max() / total.clamp_min(1.0),
    }


@torch.no_grad()
def largest_class(logits: Tensor) -> Tensor:
    """Share of the positions that the most frequent predicted class has.

    Args:
        logits (Tensor): ``(B, K, h, w)``.

    Returns:
        Tensor: Scalar from 1 / K to 1.
    """
    classes = logits.argmax(1, keepdim=True)
    numbers = torch.arange(logits.shape[1], device=classes.device).view(1, -1, 1, 1)
    return (classes == numbers).sum((0, 2, 3)).max() / classes.numel()


@torch.no_grad()
def light_diagnostics(
    images: DomainTensors, changes: DomainTensors, level: Tensor
) -> dict[str, Tensor]:
    """How much a relighting network changes, and how far the domains are from the common brightness.

    Args:
        images (dict[str, Tensor]): x by domain, normalised, ``(B, 3, H, W)``.
        changes (dict[str, Tensor]): r by domain, ``(B, 3, H, W)``, in (-1, 1).
        level (Tensor): E, scalar, the brightness that the light loss asks for.

    Returns:
        dict[str, Tensor]: Scalars: ``light.level`` (E), and by domain ``light.<domain>_level`` (mean of x + r),
        ``light.<domain>_change`` (mean magnitude of r) and ``light.<domain>_saturated`` (share of r beyond 0.95).
    """
    log = {'light.level': level}
    for domain, change in changes.items():
        size = change.abs()
        log[f'light.{domain}_level'] = (images[domain] + change).mean()
        log[f'light.{domain}_change'] = size.mean()
        log[f'light.{domain}_saturated'] = (size > 0.95).to(size.dtype).mean()
    return log
