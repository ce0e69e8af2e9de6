"""Builds a :class:`JointOptimizer` from a config that gives children of the model to optimizers."""

from __future__ import annotations

import copy
from typing import Any

from mmengine.model import is_model_wrapper
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmseg.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS
from torch import nn
from torch.optim import Optimizer

from ..errors import UserInputError
from .joint_optimizer import JointOptimizer


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class JointOptimWrapperConstructor:
    """Gives each part of a model an optimizer of its own, all behind one stock ``OptimWrapper``.

    .. code-block:: python

        optim_wrapper = dict(
            constructor='JointOptimWrapperConstructor',
            optimizer=dict(
                night=dict(type='SGD', lr=2.5e-4, momentum=0.9, weight_decay=5e-4),
                discriminators=dict(type='Adam', lr=1e-4, betas=(0.9, 0.99))))

    A key of ``optimizer`` is a child of the model, or several joined by ``+``; its value is an optimizer's config, with
    a ``paramwise_cfg`` of its own if it needs one (names are matched with the child's prefix).

    Args:
        optim_wrapper_cfg (dict): As in mmengine, with ``optimizer`` as above.
        paramwise_cfg (dict, optional): Not taken here: each part has its own. Defaults to None.

    Raises:
        UserInputError: If there is no part, or ``paramwise_cfg`` is given for all of them.
    """

    def __init__(
        self, optim_wrapper_cfg: dict[str, Any], paramwise_cfg: dict | None = None
    ) -> None:
        if paramwise_cfg:
            raise UserInputError(
                'JointOptimWrapperConstructor: expected paramwise_cfg inside each part, got one for all: move it to '
                'optim_wrapper.optimizer.<part>.paramwise_cfg.'
            )
        self.wrapper_cfg = copy.deepcopy(dict(optim_wrapper_cfg))
        self.part_cfgs = dict(self.wrapper_cfg.pop('optimizer', None) or {})
        if not self.part_cfgs or not all(isinstance(cfg, dict) for cfg in self.part_cfgs.values()):
            raise UserInputError(
                'JointOptimWrapperConstructor: expected optim_wrapper.optimizer to map children of the model to '
                f'optimizers, e.g. night=dict(type="SGD", lr=2.5e-4), got {self.part_cfgs}.'
            )

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the wrapper.

        Raises:
            UserInputError: If a part names no child, has nothing to train, or a trainable parameter is in no part.
        """
        inner: Any = model.module if is_model_wrapper(model) else model
        parts = {name: self._part(inner, name, cfg) for name, cfg in self.part_cfgs.items()}
        joint = JointOptimizer(parts)
        held = {id(p) for group in joint.param_groups for p in group['params']}
        left = [n for n, p in inner.named_parameters() if p.requires_grad and id(p) not in held]
        if left:
            raise UserInputError(
                f'optim_wrapper.optimizer trains {sorted(parts)}, so {left[0]} and {len(left) - 1} more parameters '
                'would never change: give their child an optimizer, or freeze it.'
            )
        self.wrapper_cfg.setdefault('type', 'OptimWrapper')
        return OPTIM_WRAPPERS.build(self.wrapper_cfg, default_args=dict(optimizer=joint))

    def _part(self, model: nn.Module, name: str, cfg: dict[str, Any]) -> Optimizer:
        """The optimizer of one part."""
        children = dict(model.named_children())
        missing = [child for child in name.split('+') if child not in children]
        if missing:
            raise UserInputError(
                f'optim_wrapper.optimizer.{name}: the model has no child {missing[0]!r}, expected one of '
                f'{sorted(children)}.'
            )
        cfg = dict(cfg)
        recipe = DefaultOptimWrapperConstructor(
            dict(type='OptimWrapper', optimizer=cfg), cfg.pop('paramwise_cfg', None)
        )
        groups: list[dict[str, Any]] = []
        for child in name.split('+'):
            if recipe.paramwise_cfg:
                recipe.add_params(groups, children[child], prefix=child)
            else:
                groups.append(dict(params=list(children[child].parameters())))
        for group in groups:
            group['params'] = [p for p in group['params'] if p.requires_grad]
        groups = [group for group in groups if group['params']]
        if not groups:
            raise UserInputError(
                f'optim_wrapper.optimizer.{name}: every parameter of it is frozen; leave the part out.'
            )
        return OPTIMIZERS.build({**cfg, 'params': groups})
