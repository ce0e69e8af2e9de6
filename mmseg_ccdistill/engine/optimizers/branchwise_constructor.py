"""Recipes that read the whole parameter name, applied to a model of several networks."""

from __future__ import annotations

from typing import Any

from mmengine.optim import DefaultOptimWrapperConstructor
from mmseg.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn

from ...errors import UserInputError
from ...models.segmentors import AdaptationSegmentor


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class BranchwiseOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Gives each network of an adaptation the parameter groups that another constructor gives a plain segmentor.

    ``custom_keys`` match any part of a parameter's name, so they see through the prefix ``day.`` or
    ``night.`` and need none of this. mmseg's layer-wise learning-rate decay
    (``LearningRateDecayOptimizerConstructor``, ``LayerDecayOptimizerConstructor``) reads names from
    their start and looks for ``model.backbone``: an adaptation has neither. Here it runs on one
    network after the other. All other parameters (the projection head) get the optimizer's own rate
    and weight decay. A plain segmentor gets the plain recipe, so both stages can share one
    config:

    .. code-block:: python

        optim_wrapper = dict(
            constructor='BranchwiseOptimWrapperConstructor',
            paramwise_cfg=dict(
                constructor='LearningRateDecayOptimizerConstructor',
                decay_rate=0.9, decay_type='stage_wise', num_layers=12))

    Args:
        optim_wrapper_cfg (dict): As in mmengine's ``DefaultOptimWrapperConstructor``.
        paramwise_cfg (dict): ``constructor``, the registered name of the recipe's own constructor,
            and what that one takes as ``paramwise_cfg``.

    Raises:
        UserInputError: If ``paramwise_cfg`` names no constructor.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        if not paramwise_cfg or 'constructor' not in paramwise_cfg:
            raise UserInputError(
                'BranchwiseOptimWrapperConstructor: paramwise_cfg must name the constructor of the '
                "plain recipe, e.g. constructor='LearningRateDecayOptimizerConstructor', "
                f'got {paramwise_cfg!r}.'
            )
        super().__init__(optim_wrapper_cfg, paramwise_cfg)
        recipe = {key: value for key, value in paramwise_cfg.items() if key != 'constructor'}
        self.plain = OPTIM_WRAPPER_CONSTRUCTORS.build(
            dict(
                type=paramwise_cfg['constructor'],
                optim_wrapper_cfg=optim_wrapper_cfg,
                paramwise_cfg=recipe,
            )
        )

    def add_params(self, params: list[dict], module: nn.Module, **kwargs: Any) -> None:
        """Append the parameter groups of a model."""
        if not isinstance(module, AdaptationSegmentor):
            self.plain.add_params(params, module, **kwargs)
            return
        for name in module.networks:
            self.plain.add_params(params, module.network(name), **kwargs)
        grouped = {id(parameter) for group in params for parameter in group['params']}
        rest = [p for p in module.parameters() if p.requires_grad and id(p) not in grouped]
        if rest:
            params.append(dict(params=rest))
        # torch wants names for all groups or for none, and the plain recipe's lack the network.
        names = {id(parameter): name for name, parameter in module.named_parameters()}
        for group in params:
            group['param_names'] = [names[id(parameter)] for parameter in group['params']]
