"""What L_CDC and L_CDS cost beside the projection head, which no implementation can leave out."""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.performance.ratio import compare
from benchmarks.performance.sizes import Sizes
from mmseg_ccdistill.domains import DOMAINS
from mmseg_ccdistill.models.losses import CDCLoss, CDSLoss
from mmseg_ccdistill.models.necks import ProjectionHead


def terms_row(sizes: Sizes) -> dict[str, Any]:
    """Forward and backward of head, CDC and CDS on F_D of all domains, over those of the head alone."""
    generator = torch.Generator().manual_seed(0)
    head = ProjectionHead(sizes.channels, embedding_norm='standardize')
    shape = (2, sizes.channels, sizes.grid, sizes.grid)
    features = {
        domain: torch.randn(shape, generator=generator).relu().requires_grad_()
        for domain in DOMAINS
    }
    slopes = torch.randn(2, 256, sizes.grid, sizes.grid, generator=generator)
    cdc, cds = CDCLoss(), CDSLoss()

    def reset() -> None:
        head.zero_grad()
        for feature in features.values():
            feature.grad = None

    def head_alone() -> None:
        reset()
        embeddings = [head(feature) for feature in features.values()]
        torch.autograd.backward(embeddings, [slopes] * len(embeddings))

    def all_terms() -> None:
        reset()
        terms = cdc({domain: head(feature) for domain, feature in features.items()})
        terms.update(cds(features))
        torch.stack(list(terms.values())).sum().backward()

    return compare({'terms': all_terms, 'head': head_alone}, sizes, base='head')
