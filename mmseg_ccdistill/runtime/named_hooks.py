"""The runner of the shipped configs: guards are named hooks, which a config keeps or turns off by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import RUNNERS

from ..errors import UserInputError

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
