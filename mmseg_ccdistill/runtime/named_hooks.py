"""The runner of the shipped configs: guards are named hooks, which a config keeps or turns off by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import RUNNERS
from torch import nn

from ..errors import UserInputError
from .compiled_parts import compile_networks, compile_options
from .memory_layout import lay_out_like_weights, lay_out_weights, use_channels_last
from .run_setup import by_name

#: The hooks of ``Runner.register_default_hooks``, which have a type even where the config gives none.
STOCK_HOOKS = frozenset(
    {'runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint'}
)

#: Guards by their name in ``default_hooks``, in the order of configs/_base_/default_runtime.py.
GUARDS = {
    'dataset_check': 'DatasetCheckHook',
    'checkpoint_match': 'CheckpointMatchHook',
    'exact_resume': 'ExactResumeHook',
    'finite_guard': 'FiniteGuardHook',
    'collapse_alarm': 'CollapseAlarmHook',
    'data_guard': 'DataGuardHook',
    'loading_limit': 'LoadingLimitHook',
    'restart': 'RestartHook',
    'safe_stop': 'SafeStopHook',
}

#: All names that ``default_hooks`` has in the shipped configs.
HOOK_NAMES = STOCK_HOOKS | {'progress', 'visualization'} | set(GUARDS)


@RUNNERS.register_module()
class NamedHooksRunner(Runner):
    """A ``Runner`` of which any named hook is turned off with None, and in which no guard stands twice.

    ``channels_last`` and ``compile`` of a config are switches of the step, see :mod:`memory_layout` and
    :mod:`compiled_parts`.

    mmengine takes further names in ``default_hooks``, but fails where one of them is None. The config
    names this runner (``runner_type``), so MMSegmentation's own tools build it, too.
    """

    def register_default_hooks(
        self, hooks: Mapping[str, Hook | dict[str, Any] | None] | None = None
    ) -> None:
        """Register the named hooks; those that are None are left out."""
        named = dict(hooks or {})
        super().register_default_hooks(
            {name: hook for name, hook in named.items() if hook is not None or name in STOCK_HOOKS}
        )

    def register_custom_hooks(self, hooks: Sequence[Hook | dict[str, Any]]) -> None:
        """Register the hooks of the user.

        Raises:
            UserInputError: If a guard is there twice.
        """
        super().register_custom_hooks(list(hooks))
        counts = Counter(type(hook).__name__ for hook in self.hooks)
        for name, guard in GUARDS.items():
            if counts[guard] > 1:
                raise UserInputError(
                    f'the config has {counts[guard]} hooks of type {guard}: expected one, default_hooks.{name}; '
                    f'give its settings as default_hooks=dict({name}=dict(...)) and take it out of custom_hooks'
                )

    def wrap_model(self, model_wrapper_cfg: dict[str, Any] | None, model: nn.Module) -> nn.Module:
        """Wrap the model for distributed training, laid out first as the config says."""
        if self.cfg.get('channels_last'):
            use_channels_last(getattr(model, 'module', model))
        return super().wrap_model(model_wrapper_cfg, model)

    def _init_model_weights(self) -> None:
        """Initialise weights; random numbers are drawn in the order of memory, so the layout comes after them."""
        model: Any = getattr(self.model, 'module', self.model)
        if self.cfg.get('channels_last'):
            lay_out_weights(model, torch.contiguous_format)
        super()._init_model_weights()
        if self.cfg.get('channels_last'):
            lay_out_weights(model, torch.channels_last)

    def _maybe_compile(self, target: str) -> None:
        """Compile the parts of the networks if the config says so; mmengine compiles the step that is named."""
        options = compile_options(self.cfg)
        if options is not None:
            count = compile_networks(self.model, options)
            self.logger.info(
                f'{count} parts of the networks are compiled at their first use, which takes minutes.'
            )

    def resume(self, filename: str, *args: Any, **kwargs: Any) -> None:
        """Resume; the optimizer's state takes the layout of the weights."""
        super().resume(filename, *args, **kwargs)
        for wrapper in by_name(self.optim_wrapper).values():
            lay_out_like_weights(wrapper.optimizer)
