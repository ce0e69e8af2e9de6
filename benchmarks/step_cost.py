"""What training steps of a config cost, counted on the meta device: exact, the same everywhere, without data.

A k x k convolution costs 2 * C_in * C_out * k^2 * H_out * W_out FLOP forward, and as much again for each of its two
gradients. GiB is 2^30 bytes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest import mock

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mmseg_ccdistill.datasets.transforms.draw_mixing import DrawMixing
from mmseg_ccdistill.runtime.meta_device import meta_device

GIB = 2**30


class StepCost(NamedTuple):
    """Cost of one iteration of one process.

    Attributes:
        flops: Floating-point operations of convolutions and matrix products, two per multiply-add.
        saved_bytes: The most bytes of activations that autograd keeps at once for the backward pass.
    """

    flops: float
    saved_bytes: int


class Kept:
    """Bytes that autograd keeps for the backward pass, each storage once and without the parameters.

    Attributes:
        now: Bytes at present.
        most: The most that there were at once.
    """

    def __init__(self, model: nn.Module) -> None:
        self.now = self.most = 0
        self._parameters = {p.untyped_storage()._cdata for p in model.parameters()}
        self._uses: Counter[int] = Counter()

    def take(self, storage: torch.UntypedStorage) -> None:
        """Count a tensor that is kept."""
        if storage._cdata in self._parameters:
            return
        self._uses[storage._cdata] += 1
        if self._uses[storage._cdata] == 1:
            self.now += storage.nbytes()
            self.most = max(self.most, self.now)

    def drop(self, storage: torch.UntypedStorage) -> None:
        """Count a tensor that is no longer kept."""
        if storage._cdata in self._parameters:
            return
        self._uses[storage._cdata] -= 1
        if not self._uses[storage._cdata]:
            self.now -= storage.nbytes()


class _KeptTensor:
    """What autograd holds in the place of a tensor: as long as it does, the tensor counts."""

    def __init__(self, tensor: Tensor, kept: Kept) -> None:
        self.tensor, self.kept = tensor, kept
        kept.take(tensor.untyped_storage())

    def __del__(self) -> None:
        self.kept.drop(self.tensor.untyped_storage())


@contextmanager
def saved_for_backward(model: nn.Module) -> Iterator[Kept]:
    """What autograd keeps while the forward pass runs.

    Args:
        model: The model.
    """
    kept = Kept(model)
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: _KeptTensor(tensor, kept), lambda held: held.tensor
    ):
        yield kept


class _NoModules:
    """Stands in for the tracker of modules: everything belongs to the whole."""

    parents = frozenset({'Global'})

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def flop_counter() -> FlopCounterMode:
    """Torch's counter without a sum for each module: the hooks for that forbid a gradient within the forward pass."""
    counter = FlopCounterMode(display=False)
    if hasattr(counter, 'mod_tracker'):
        counter.mod_tracker = _NoModules()  # type: ignore[assignment]
    return counter


def count_step(model: Any, inputs: Any, samples: Any) -> StepCost:
    """Count the forward and the backward pass of one iteration; a read of a value would raise.

    Args:
        model: Model on the meta device, in training mode.
        inputs: Normalised images, or those of each domain.
        samples: Their samples.
    """
    # What mmseg logs as accuracy reads values, and has neither convolutions nor a gradient.
    accuracy = mock.patch('mmseg.models.decode_heads.decode_head.accuracy', _no_accuracy)
    with accuracy, flop_counter() as counter, saved_for_backward(model) as saved:
        total, _ = model.parse_losses(model(inputs, samples, mode='loss'))
        kept = saved.most
        total.backward()
    return StepCost(counter.get_total_flops(), kept)


def _no_accuracy(*_: Any, **__: Any) -> Tensor:
    return torch.zeros((), device='meta')


def count_run(config: Config, max_iters: int) -> StepCost:
    """Cost of a training: the mean over its iterations, and the most that one keeps.

    Self-training begins on the way, and may take over from the static loss, so iterations differ; each kind is counted
    once.

    Args:
        config: Config of the training.
        max_iters: Its iterations.
    """
    init_default_scope('mmseg')
    with meta_device():
        model = MODELS.build(config.model).to('meta').train()
    if hasattr(model, 'diagnostics_interval'):
        model.diagnostics_interval = 0
    first: dict[tuple[bool, ...], int] = {}
    kinds: Counter[tuple[bool, ...]] = Counter()
    for iteration in range(max_iters):
        kind = _kind(model, iteration, max_iters)
        first.setdefault(kind, iteration)
        kinds[kind] += 1
    costs = {}
    for kind, iteration in first.items():
        _kind(model, iteration, max_iters)
        costs[kind] = count_step(model, *meta_batch(config, model))
    flops = math.fsum(number * costs[kind].flops for kind, number in kinds.items())
    return StepCost(flops / max_iters, max(cost.saved_bytes for cost in costs.values()))


def _kind(model: Any, iteration: int, max_iters: int) -> tuple[bool, ...]:
    """Move the model to an iteration, and say which of its terms are on there."""
    if not hasattr(model, 'set_iteration'):
        return ()
    model.set_iteration(iteration, max_iters)
    training = getattr(model, 'self_training', None)
    return () if training is None else (training.hand_over.share > 0, model.pseudo_share > 0)


def meta_batch(config: Config, model: nn.Module) -> tuple[Any, Any]:
    """A training batch without values, as the data preprocessor hands it to the model.

    Args:
        config: Config of the training.
        model: Its model.

    Returns:
        Images and samples; of an adaptation those of each domain that it reads.
    """
    loader = config.train_dataloader
    batch, size = int(loader.batch_size), tuple(config.model.data_preprocessor.size)
    images = torch.empty(batch, 3, *size, device='meta')
    domains = getattr(model, 'domains', None)
    if domains is None:
        return images, meta_samples(batch, size)
    target_is_labelled = _is_labelled(loader.dataset.target)
    draws = _draws(loader.dataset.get('pipeline') or (), size)
    samples = {}
    for domain in domains:
        is_target = domain.startswith('target')
        samples[domain] = meta_samples(
            batch, size, target_is_labelled or not is_target, draws if is_target else {}
        )
    return {domain: images.clone() for domain in domains}, samples


def meta_samples(
    batch: int,
    size: tuple[int, ...],
    labelled: bool = True,
    draws: Mapping[str, tuple[int, ...]] | None = None,
) -> list[SegDataSample]:
    """Samples whose tensors have no values.

    Args:
        batch: Their number.
        size: Height and width.
        labelled: Whether they have ``gt_sem_seg``.
        draws: Shapes of further fields by name.
    """
    samples = [SegDataSample() for _ in range(batch)]
    for sample in samples:
        if labelled:
            label = torch.empty(1, *size, dtype=torch.uint8, device='meta')
            sample.gt_sem_seg = PixelData(data=label)
        for name, shape in (draws or {}).items():
            sample.set_field(torch.empty(shape, device='meta'), name)
    return samples


def _is_labelled(dataset: Mapping[str, Any]) -> bool:
    """Whether a target has labels: pseudo labels of a folder, or those of an oracle."""
    steps = [step.get('type') for step in dataset.get('pipeline') or ()]
    return (
        'LoadAnnotations' in steps
        or dataset.get('type') == 'LabelledPairs'
        or bool(dataset.get('night_label_dir'))
    )


def _draws(pipeline: Any, size: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Shapes of the random numbers that ``DrawMixing`` of a pipeline adds to a target."""
    for step in pipeline:
        if step.get('type') == 'DrawMixing':
            settings = {key: value for key, value in step.items() if key != 'type'}
            image = dict(img=torch.empty(*size, 3, device='meta'))
            drawn = DrawMixing(**settings).transform({'target_night': image})
            return {name: value.shape for name, value in drawn['target_night']['mix_draws'].items()}
    return {}
