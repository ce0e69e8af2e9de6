"""One optimizer that holds several, so that an adversarial method needs no training loop of its own."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from ..errors import UserInputError

#: Key of a saved parameter group that names the part it belongs to.
_PART = 'part'


class JointOptimizer(Optimizer):
    """Several optimizers over disjoint parameters that step together: SGD for networks, Adam for discriminators.

    To everything around it this is one ``torch.optim.Optimizer``: mmengine's stock ``OptimWrapper`` and
    ``AmpOptimWrapper`` (one loss scaler: a step that overflows is skipped in all parts), accumulation, schedulers
    (``param_groups`` are those of the parts, one part after the other), DDP, ``FiniteGuardHook`` and resuming. The
    update is simultaneous: every part steps on the gradients of one backward pass.

    Args:
        parts (Mapping[str, Optimizer]): Optimizers by name, in the order in which they step.

    Raises:
        ValueError: If there is no part, or a parameter is in two of them.
    """

    def __init__(self, parts: Mapping[str, Optimizer]) -> None:
        if not parts:
            raise UserInputError(
                'JointOptimizer: expected at least one optimizer in parts, got none.'
            )
        owners: dict[int, str] = {}
        for name, part in parts.items():
            for group in part.param_groups:
                for parameter in group['params']:
                    owner = owners.setdefault(id(parameter), name)
                    if owner != name:
                        raise UserInputError(
                            f'JointOptimizer: a parameter of shape {tuple(parameter.shape)} is in the parts {owner!r} '
                            f'and {name!r}, so it would be updated twice: give each parameter to one part.'
                        )
        self.parts = dict(parts)
        groups = self._groups()
        # mmengine logs the rate of `defaults` as base_lr. Groups keep their own: each of them has one.
        super().__init__(groups, {'lr': groups[0]['lr']})

    def _groups(self) -> list[dict[str, Any]]:
        """The groups of the parts, the very objects: what a scheduler changes, a part steps with."""
        return [group for part in self.parts.values() for group in part.param_groups]

    @property
    def state(self) -> defaultdict[Tensor, Any]:  # type: ignore[override]
        """State by parameter, of all parts; a fresh mapping to read from."""
        items = [item for part in self.parts.values() for item in part.state.items()]
        return defaultdict(dict, items)

    @state.setter
    def state(self, value: Mapping[Tensor, Any]) -> None:
        """The parts keep their own; what torch's constructor sets here is empty."""

    @property
    def _step_supports_amp_scaling(self) -> bool:
        """Whether a loss scaler may leave the division, and the skipping, to the steps of all parts."""
        return all(
            getattr(part, '_step_supports_amp_scaling', False) for part in self.parts.values()
        )

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Step every part.

        Raises:
            ValueError: If there is a closure.
        """
        if closure is not None:
            raise ValueError(
                'JointOptimizer.step takes no closure: compute the gradients before it.'
            )
        # What a loss scaler or a guard leaves at this optimizer for fused kernels to read.
        flags = {
            name: getattr(self, name) for name in ('grad_scale', 'found_inf') if hasattr(self, name)
        }
        for part in self.parts.values():
            for name, value in flags.items():
                setattr(part, name, value)
            try:
                part.step()
            finally:
                for name in flags:
                    delattr(part, name)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients of every part."""
        for part in self.parts.values():
            part.zero_grad(set_to_none)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Take over a group of a part, as torch's constructor does; no other.

        Raises:
            ValueError: If it belongs to no part, which would never step it.
        """
        if not any(param_group is group for group in self._groups()):
            raise ValueError(
                'JointOptimizer: a group belongs to a part; add it there before the parts are joined.'
            )
        super().add_param_group(param_group)

    def state_dict(self) -> dict[str, Any]:
        """``state`` by part, and ``param_groups`` of all parts, each with its part's name."""
        states = {name: part.state_dict() for name, part in self.parts.items()}
        groups = [
            {**group, _PART: name}
            for name, state in states.items()
            for group in state['param_groups']
        ]
        return {
            'state': {name: state['state'] for name, state in states.items()},
            'param_groups': groups,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore every part.

        Raises:
            ValueError: If it is not of these parts.
        """
        saved = state_dict['state']
        groups = copy.copy(state_dict['param_groups'])
        if set(saved) != set(self.parts) or any(_PART not in group for group in groups):
            raise UserInputError(
                f'the checkpoint holds the optimizers {sorted(map(str, saved)) or "of a single one"}, this run has '
                f'{sorted(self.parts)}: resume with the config of that run, or start anew with load_from.'
            )
        for name, part in self.parts.items():
            own = [
                {key: value for key, value in group.items() if key != _PART}
                for group in groups
                if group[_PART] == name
            ]
            part.load_state_dict({'state': saved[name], 'param_groups': own})
        self.param_groups = self._groups()  # torch has put new objects in their place
