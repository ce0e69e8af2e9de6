"""The learning rate in proportion to the batch: ``--auto-scale-lr``, as MMSegmentation's relatives have it."""

from __future__ import annotations

from mmengine.config import Config

from ..errors import UserInputError


def set_auto_scale_lr(config: Config, is_wanted: bool) -> None:
    """Switch mmengine's ``auto_scale_lr`` on, and check what it needs.

    The runner multiplies every learning rate by processes x ``train_dataloader.batch_size`` /
    ``auto_scale_lr.base_batch_size``. A sample of two domains counts once, however many images it holds, and
    accumulated iterations (``accumulative_counts``) are not counted.

    Args:
        config: Config; ``auto_scale_lr.enable`` is set in place if it is wanted.
        is_wanted: Whether the command line asks for it; False leaves the config as it is.

    Raises:
        UserInputError: If it is on and the config does not say for which batch its learning rate is meant.
    """
    settings = config.get('auto_scale_lr') or {}
    if not (is_wanted or settings.get('enable', False)):
        return
    base = settings.get('base_batch_size')
    if isinstance(base, bool) or not isinstance(base, int) or base < 1:
        who = '--auto-scale-lr' if is_wanted else 'auto_scale_lr.enable=True'
        raise UserInputError(
            f'{who} needs auto_scale_lr.base_batch_size in the config, and it is {base!r}: expected the batch '
            '(processes x train_dataloader.batch_size) that the learning rate is meant for; add '
            'auto_scale_lr=dict(base_batch_size=N) to the config, or leave the option out'
        )
    config.auto_scale_lr = {**settings, 'enable': True}
