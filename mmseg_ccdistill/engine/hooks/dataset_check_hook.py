"""Hook that checks the data before the first iteration."""

from __future__ import annotations

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import BaseLoop, Runner
from mmseg.registry import HOOKS

from ...datasets.file_check import DatasetCheckError, check_dataset

_LOOPS = ('_train_loop', '_val_loop', '_test_loop')


@HOOKS.register_module()
class DatasetCheckHook(Hook):
    """Check every image and label of the run's dataloaders before weights are loaded.

    Rank 0 checks and tells the others, so that all ranks stop with the same sentence.

    Args:
        manifest_dir: Folder for the manifests of what has been checked. Defaults to the data root
            if writable, else the user's cache folder.
    """

    priority = 'VERY_HIGH'

    def __init__(self, manifest_dir: str | None = None) -> None:
        self.manifest_dir = manifest_dir

    def before_run(self, runner: Runner) -> None:
        """Check the datasets of the loops that this run has built.

        Args:
            runner: The runner.

        Raises:
            DatasetCheckError: On every rank, if a file is missing or wrong.
        """
        verdict: list[str | None] = [None]
        failure: Exception | None = None
        if is_main_process():
            try:
                self._check(runner)
            except Exception as error:  # the other ranks wait for a verdict, whatever happened
                verdict, failure = [str(error) or type(error).__name__], error
        broadcast_object_list(verdict)
        if failure is not None:
            raise failure
        if verdict[0] is not None:
            raise DatasetCheckError(verdict[0])

    def _check(self, runner: Runner) -> None:
        for name in _LOOPS:
            loop = getattr(runner, name, None)  # a config until the run needs the loop
            if isinstance(loop, BaseLoop):
                dataset = loop.dataloader.dataset
                check_dataset(dataset, self.manifest_dir)
                print_log(f'All files of {type(dataset).__name__} are in order', logger='current')
