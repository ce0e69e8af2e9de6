"""What is known of one iteration: its files, its values, and which of them are not finite."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class StepRecord(NamedTuple):
    """One iteration.

    Attributes:
        iteration: From 1.
        paths: Image files of the batch, by domain.
        values: Loss terms and, where there was a step, ``grad_norm``; tensors on the device until they are checked.
        ends_step: Whether the optimizer was to step here; False while gradients are accumulated.
    """

    iteration: int
    paths: dict[str, list[str]]
    values: dict[str, Any]
    ends_step: bool = True

    def bad_terms(self) -> list[str]:
        """Names of the values that are not finite, once they are on the host."""
        return [key for key, value in self.values.items() if not math.isfinite(value)]


def samples_by_domain(data_batch: Any) -> dict[str, Sequence[Any]]:
    """The data samples of a batch: ``data_samples`` is one list per domain, or a list, whose domain is ``''``."""
    samples = data_batch.get('data_samples') if isinstance(data_batch, Mapping) else None
    return dict(samples) if isinstance(samples, Mapping) else {'': samples or []}


def batch_paths(data_batch: Any) -> dict[str, list[str]]:
    """Image files of a batch, by domain; empty if the samples do not know their files."""
    paths = {
        domain: [str(sample.get('img_path')) for sample in group if sample.get('img_path')]
        for domain, group in samples_by_domain(data_batch).items()
    }
    return {domain: files for domain, files in paths.items() if files}


def whole_step(step: list[StepRecord]) -> StepRecord:
    """The last iteration of a step, with the files of all: any of them may have spoiled the gradient."""
    paths: dict[str, list[str]] = {}
    for record in step:
        for domain, files in record.paths.items():
            paths.setdefault(domain, []).extend(files)
    return step[-1]._replace(paths=paths)
