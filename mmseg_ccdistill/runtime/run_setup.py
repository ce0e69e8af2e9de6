"""What a checkpoint says of the run that wrote it: processes, batch, types of optimizer and schedules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.dist import get_world_size

#: Key in a checkpoint's ``meta``.
SETUP_KEY = 'mmseg_ccdistill_setup'


def by_name(entry: Any) -> dict[str, Any]:
    """Entries by the name of their optimizer; the only one is called ``''``.

    ``entry`` is a runner's optimizer wrapper or list of schedulers; with several optimizers, one of them for each name.
    """
    return dict(entry.items()) if hasattr(entry, 'items') else {'': entry}


def run_setup(runner: Any) -> dict[str, Any]:
    """Describe a run.

    Returns:
        Plain values: ``processes``; ``batch_size`` (per process, None if the loader does not tell);
        ``accumulative_counts``; the types of optimizer and schedulers, by the optimizer's name.
    """
    loader = runner.train_dataloader
    batch_size = getattr(loader, 'batch_size', None)
    if batch_size is None:
        batch_size = getattr(getattr(loader, 'batch_sampler', None), 'batch_size', None)
    wrappers = by_name(runner.optim_wrapper)
    schedulers = by_name(runner.param_schedulers or [])
    return dict(
        processes=get_world_size(),
        batch_size=batch_size,
        accumulative_counts=max(getattr(w, '_accumulative_counts', 1) for w in wrappers.values()),
        optimizers={name: type(w.optimizer).__name__ for name, w in wrappers.items()},
        schedulers={name: [type(s).__name__ for s in some] for name, some in schedulers.items()},
    )


def batch_change(saved: Mapping[str, Any], now: Mapping[str, Any], iteration: int) -> str | None:
    """Say what another number of processes or samples per iteration means for a resumed run.

    Args:
        saved: Setup in the checkpoint; empty if it was written without one.
        now: Setup of this run.
        iteration: Iterations that the checkpoint has behind it.

    Returns:
        One sentence; None if nothing has changed or nothing is known.
    """
    keys = ('processes', 'batch_size', 'accumulative_counts')
    if any(not saved.get(key) or not now.get(key) for key in keys):
        return None
    if all(saved[key] == now[key] for key in keys):
        return None
    was, samples = _batch_text(saved), _samples(saved)
    drawn = iteration * saved['processes'] * saved['batch_size']
    goes_on = iteration * now['processes'] * now['batch_size']
    notes = []
    if _samples(now) != samples:
        notes.append(
            f'a step sees {_samples(now)} images instead of {samples}, while learning rate and number of iterations '
            'stay as configured'
        )
    if goes_on != drawn:
        notes.append(
            f'the order of images goes on at draw {goes_on} although {drawn} were drawn, so some are '
            f'{"passed over" if goes_on > drawn else "drawn again"}'
        )
    if not notes:
        notes.append('dropout and batch statistics differ from those of an uninterrupted run')
    return (
        f'the checkpoint was written by {was}, this run has {_batch_text(now)}: {"; ".join(notes)}; '
        f'for the same run take {was}'
    )


def _samples(setup: Mapping[str, Any]) -> int:
    return setup['processes'] * setup['batch_size'] * setup['accumulative_counts']


def _batch_text(setup: Mapping[str, Any]) -> str:
    count = setup['processes']
    text = f'{count} process{"es" if count != 1 else ""} with batches of {setup["batch_size"]}'
    accumulated = setup['accumulative_counts']
    return text + (f', {accumulated} accumulated' if accumulated != 1 else '')
