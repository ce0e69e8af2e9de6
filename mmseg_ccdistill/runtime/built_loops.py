"""The loops that a runner has built, without building the others."""

from __future__ import annotations

from mmengine.runner import BaseLoop, Runner

#: What the runner's private attributes hold, by the key of its data loader in the config. The public ones
#: (``train_loop``, ...) build the loop, and mmengine has no other way to ask.
_LOOPS = {
    'train_dataloader': '_train_loop',
    'val_dataloader': '_val_loop',
    'test_dataloader': '_test_loop',
}


def built_loops(runner: Runner) -> dict[str, BaseLoop]:
    """The loops of this run by the key of their data loader. One that it does not need stays a config."""
    found = {key: getattr(runner, name, None) for key, name in _LOOPS.items()}
    return {key: loop for key, loop in found.items() if isinstance(loop, BaseLoop)}
