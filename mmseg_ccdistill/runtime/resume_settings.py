"""A resumed run goes on with the optimizer and schedule settings of its config, or is refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from ..errors import UserInputError
from .config_parts import arguments_of
from .run_setup import SETUP_KEY, by_name
from .schedule_replay import Replay, replay_schedules

# How a step is computed, not what it computes: torch and the gradient guard set these.
_SWITCHES = {'params', 'foreach', 'fused', 'capturable', 'differentiable'}
# Added to existing optimizers by later versions of torch, so a saved group may lack them.
_ADDED_BY_TORCH = {'maximize', 'decoupled_weight_decay'}
# Gathered values that have the shape of their parameter.
_SHAPED = {'momentum_buffer', 'exp_avg'}
# What changes in a scheduler as it steps; the last four belong to ReduceOnPlateau.
_SCHEDULER_STATE = {
    *('optimizer', 'verbose', 'base_values', 'last_step', '_global_step', '_last_value'),
    *('best', 'cooldown_counter', 'num_bad_epochs', 'min_values'),
}
_OWN_RUN = 'or start a run of its own from these weights: load_from=CHECKPOINT, another work dir, no resume'


class _Part(NamedTuple):
    """One optimizer of the run and what a checkpoint holds of it.

    Attributes:
        where: Its name and a dot, for messages; empty for the only one.
        wrapper: mmengine's wrapper around it, fresh.
        schedulers: Its schedulers, fresh.
        groups: Saved parameter groups, the checkpoint's own objects; None if the optimizer was not saved.
        gathered: What it had gathered for each parameter, by its number.
        states: Saved states of its schedulers.
        optimizer_type: Saved name of its class; None in checkpoints that do not tell.
        scheduler_types: Likewise, of its schedulers.
    """

    where: str
    wrapper: Any
    schedulers: list[Any]
    groups: list[dict[str, Any]] | None
    gathered: Mapping[Any, Any]
    states: list[dict[str, Any]]
    optimizer_type: str | None
    scheduler_types: list[str]


def settle_settings(runner: Any, checkpoint: dict[str, Any]) -> list[str]:
    """Put the configured optimizer and schedule settings into a checkpoint that is about to be resumed.

    Where all are those that were saved, nothing is changed. Else the settings of the parameter groups (weight decay,
    momentum, …) are replaced, and a changed schedule or base rate is replayed to the checkpoint's iteration: the run
    goes on at the rate that a run with the new settings would have there. What the optimizer has gathered is kept.

    Args:
        runner: The runner, with fresh optimizer and schedulers.
        checkpoint: ``optimizer`` and ``param_schedulers`` are changed in place.

    Returns:
        One text per change, such as ``'weight_decay 0.0005 -> 0.001'``; empty if nothing has changed.

    Raises:
        UserInputError: If the saved state cannot go on with the configured settings: another type of optimizer, other
            parameter groups, a setting that needs state which was not kept, or a change beside a schedule that
            follows metrics.
    """
    meta = checkpoint.get('meta') or {}
    progress = (meta.get('iter', 0), meta.get('epoch', 0), len(runner.train_dataloader))
    changes: list[str] = []
    for name, part in _parts(runner, checkpoint).items():
        texts, replay = _settle(part, progress)
        changes += [part.where + text for text in texts]
        if replay is not None and name:
            checkpoint.setdefault('param_schedulers', {})[name] = replay.states
        elif replay is not None:
            checkpoint['param_schedulers'] = replay.states
    return changes


def _parts(runner: Any, checkpoint: Mapping[str, Any]) -> dict[str, _Part]:
    """Match the run's optimizers with those of the checkpoint."""
    wrappers, schedulers = by_name(runner.optim_wrapper), by_name(runner.param_schedulers or [])
    saved = checkpoint.get('optimizer')
    single = saved is None or 'param_groups' in saved
    optimizers: dict[str, Any] = {'': saved} if single else dict(saved or {})
    if saved is not None and set(optimizers) != set(wrappers):
        raise UserInputError(
            f'the checkpoint has {_names(optimizers)}, the config makes {_names(wrappers)} (optim_wrapper): its state '
            f'does not fit; configure what the checkpoint has, {_OWN_RUN}'
        )
    states = checkpoint.get('param_schedulers') or []
    states = {'': states} if isinstance(states, list | tuple) else states
    setup = (checkpoint.get('meta') or {}).get(SETUP_KEY) or {}
    types, scheduler_types = setup.get('optimizers') or {}, setup.get('schedulers') or {}
    return {
        name: _Part(
            where=f'{name}: ' if name else '',
            wrapper=wrapper,
            schedulers=list(schedulers.get(name) or []),
            groups=None if saved is None else _saved_groups(optimizers[name], wrapper),
            gathered={} if saved is None else optimizers[name].get('state') or {},
            states=list(states.get(name) or []),
            optimizer_type=types.get(name),
            scheduler_types=list(scheduler_types.get(name) or []),
        )
        for name, wrapper in wrappers.items()
    }


def _settle(part: _Part, progress: tuple[int, int, int]) -> tuple[list[str], Replay | None]:
    """Settle one optimizer; gives the changes, and the schedules where they were replayed."""
    fresh = part.wrapper.param_groups
    saved = fresh if part.groups is None else part.groups
    if part.groups is not None:
        _check_optimizer(part)
    initial = {key for key in fresh[0] if key.startswith('initial_')}
    driven = {key.removeprefix('initial_') for key in initial} | initial
    second_beta: list[str] = []
    if any(getattr(scheduler, 'use_betas', False) for scheduler in part.schedulers):
        driven.add('betas')  # the first is the scheduled momentum
        old, new = ([{'second beta': g['betas'][1]} for g in groups] for groups in (saved, fresh))
        second_beta += _changes(old, new, ['second beta']).values()
    fixed = _changes(saved, fresh, set(fresh[0]) - driven - _SWITCHES)
    _check_state(part, saved, fixed)
    schedule = [
        *_schedule_changes(part),
        *_changes(saved, fresh, initial).values(),
        *second_beta,
    ]
    texts = [*schedule, *fixed.values()]
    replay = None
    if schedule or (part.groups is None and part.schedulers):
        _check_replayable(part, texts)
        replay = replay_schedules(part.schedulers, fresh, *progress)
        rates = [_numbers(group['lr'] for group in groups) for groups in (saved, replay.groups)]
        if rates[0] != rates[1]:
            texts.append(f'the learning rate is now {rates[1]}, not {rates[0]}')
        _put(saved, replay.groups, set(replay.groups[0]) - _SWITCHES)
    elif part.groups is not None:
        _put(saved, fresh, fixed)
    if part.groups is None:
        texts.append('the checkpoint has no optimizer state, so momentum begins at zero')
    return texts, replay


def _saved_groups(state: dict[str, Any], wrapper: Any) -> list[dict[str, Any]]:
    """The saved parameter groups in the order of the wrapper's, mmengine's group of base settings last."""
    base = getattr(wrapper, 'base_param_settings', None)
    extra = [] if base is None else [state.setdefault('base_param_settings', dict(base))]
    return [*state['param_groups'], *extra]


def _check_optimizer(part: _Part) -> None:
    """Refuse the state of another type of optimizer, of other parameter groups or of another model."""
    optimizer, saved = part.wrapper.optimizer, part.groups or []
    now, before = type(optimizer).__name__, part.optimizer_type
    missing = set(optimizer.defaults) - _SWITCHES - _ADDED_BY_TORCH - set(saved[0])
    if (before is not None and before != now) or (before is None and missing):
        was = before or f'of another type (it has no {", ".join(sorted(missing))})'
        raise UserInputError(
            f'{part.where}the optimizer of the checkpoint is {was}, that of the config (optim_wrapper.optimizer.type) '
            f"is {now}: its state does not fit; configure the checkpoint's optimizer, {_OWN_RUN}"
        )
    sizes = [len(group['params']) for group in optimizer.param_groups]
    saved_sizes = [len(group['params']) for group in saved[: len(saved) - (len(sizes) > 1)]]
    if sizes != saved_sizes:
        raise UserInputError(
            f'{part.where}the optimizer of the checkpoint has {_sizes(saved_sizes)}, that of the config '
            f'{_sizes(sizes)}: its state does not fit; configure the model and optim_wrapper.paramwise_cfg as they '
            f'were, {_OWN_RUN}'
        )
    parameters = [p for group in optimizer.param_groups for p in group['params']]
    numbers = [number for group in saved[: len(sizes)] for number in group['params']]
    for number, parameter in zip(numbers, parameters, strict=True):
        for key in _SHAPED & set(part.gathered.get(number) or {}):
            shape = getattr(part.gathered[number][key], 'shape', parameter.shape)
            if shape != parameter.shape:
                raise UserInputError(
                    f'{part.where}the optimizer of the checkpoint holds a parameter of shape {tuple(shape)} where the '
                    f'model has {tuple(parameter.shape)}: configure the model as it was, {_OWN_RUN}'
                )


def _check_state(part: _Part, saved: Sequence[Mapping[str, Any]], changed: Collection[str]) -> None:
    """Refuse to switch on what needs state that the optimizer has not gathered."""
    needs = {'amsgrad', 'centered'}
    if 'nesterov' not in part.wrapper.optimizer.defaults:  # SGD begins its momentum by itself
        needs.add('momentum')
    for key in sorted(needs & set(changed)):
        if not any(group.get(key) for group in saved):
            raise UserInputError(
                f'{part.where}the checkpoint was trained without {key} (optim_wrapper.optimizer.{key}), so it has no '
                f'state for it: leave {key} off, {_OWN_RUN}'
            )


def _check_replayable(part: _Part, texts: Sequence[str]) -> None:
    """Refuse a change where a schedule depends on what happened in the run."""
    for scheduler in part.schedulers:
        if getattr(scheduler, 'need_val_args', False):
            raise UserInputError(
                f'{part.where}{type(scheduler).__name__} follows the metrics of the run, so other settings cannot be '
                f'set up in the middle of it ({"; ".join(texts)}): configure what the checkpoint has, {_OWN_RUN}'
            )


def _schedule_changes(part: _Part) -> list[str]:
    """One text per setting in which the configured schedules differ from the saved ones."""
    if len(part.schedulers) != len(part.states):
        names = [type(scheduler).__name__ for scheduler in part.schedulers]
        saved = part.scheduler_types or ['another'] * len(part.states)
        return [f'param_scheduler {", ".join(saved) or "none"} -> {", ".join(names) or "none"}']
    texts = []
    types = part.scheduler_types or [''] * len(part.states)
    for index, (scheduler, state) in enumerate(zip(part.schedulers, part.states, strict=True)):
        now, before = _schedule_settings(scheduler.state_dict()), _schedule_settings(state)
        name = type(scheduler).__name__
        if types[index] != name and (types[index] or set(now) != set(before)):
            was = types[index] or 'another type'
            texts.append(f'param_scheduler.{index}.type {was} -> {name}')
            continue
        # of one type, only another version of mmengine may keep other values
        differing = [key for key in now if key in before and not _same(now[key], before[key])]
        arguments = arguments_of(type(scheduler)).names
        shown = [key for key in differing if key in arguments] or differing
        texts += [
            f'param_scheduler.{index}.{key} {_text(before[key])} -> {_text(now[key])}'
            for key in shown
        ]
    return texts


def _schedule_settings(state: Mapping[str, Any]) -> dict[str, Any]:
    # Functions, such as the shape of a one-cycle schedule, are never saved: those of the config count.
    return {k: v for k, v in state.items() if k not in _SCHEDULER_STATE and not callable(v)}


def _changes(
    saved: Sequence[Mapping[str, Any]], fresh: Sequence[Mapping[str, Any]], keys: Collection[str]
) -> dict[str, str]:
    """Texts of the group settings that differ, by key; what only one side has is of another version of torch."""
    texts = {}
    for key in sorted(keys):
        pairs = [
            f'{_text(old[key])} -> {_text(new[key])}'
            for old, new in zip(saved, fresh, strict=True)
            if key in old and key in new and not _same(old[key], new[key])
        ]
        distinct = list(dict.fromkeys(pairs))
        if distinct:
            more = f' and {len(distinct) - 3} more' if len(distinct) > 3 else ''
            texts[key] = f'{key.removeprefix("initial_")} {", ".join(distinct[:3])}{more}'
    return texts


def _put(
    saved: Sequence[dict[str, Any]], source: Sequence[Mapping[str, Any]], keys: Collection[str]
) -> None:
    for old, new in zip(saved, source, strict=True):
        old.update({key: new[key] for key in keys if key in new})


def _same(old: Any, new: Any) -> bool:
    if isinstance(old, list | tuple) and isinstance(new, list | tuple):
        return len(old) == len(new) and all(map(_same, old, new))
    if isinstance(old, torch.Tensor) or isinstance(new, torch.Tensor):
        old, new = torch.as_tensor(old).cpu(), torch.as_tensor(new).cpu()
        return old.shape == new.shape and bool((old == new).all())
    return bool(old == new)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f'{value:.6g}'
    return str(dict(value) if isinstance(value, Mapping) else value)


def _numbers(values: Any) -> str:
    """Distinct numbers, the first three."""
    distinct = list(dict.fromkeys(f'{float(value):.6g}' for value in values))
    return ', '.join(distinct[:3]) + (', …' if len(distinct) > 3 else '')


def _sizes(sizes: Sequence[int]) -> str:
    groups = 'group' if len(sizes) == 1 else 'groups'
    return f'{len(sizes)} parameter {groups} of {sum(sizes)} parameters'


def _names(optimizers: Mapping[str, Any]) -> str:
    names = [name for name in optimizers if name]
    return f'the optimizers {", ".join(names)}' if names else 'one optimizer'
