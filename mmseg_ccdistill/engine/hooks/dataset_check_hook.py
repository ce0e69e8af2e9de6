"""Hook that checks the data before the first iteration."""

from __future__ import annotations

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import BaseLoop, Runner
from mmseg.registry import HOOKS

from ...datasets.file_check import DatasetCheckError, check_dataset
from ..class_check import check_classes

_LOOPS = {
    '_train_loop': 'train_dataloader',
    '_val_loop': 'val_dataloader',
    '_test_loop': 'test_dataloader',
}


@HOOKS.register_module()
class DatasetCheckHook(Hook):
    """Check every image and label of the run's dataloaders before weights are loaded.

    And whether the model's classes are those of the data (:func:`check_classes`). Rank 0 checks and
    tells the others, so that all ranks stop with the same sentence.

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
            UserInputError: If the model has other classes than the data; on other ranks than 0 as
                ``DatasetCheckError``.
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
        # a loop is a config until the run needs it
        built = [name for name in _LOOPS if isinstance(getattr(runner, name, None), BaseLoop)]
        check_classes(runner.cfg, [_LOOPS[name] for name in built])  # for the tools of others
        for name in built:
            dataset = getattr(runner, name).dataloader.dataset
            check_dataset(dataset, self.manifest_dir)
            print_log(f'All files of {type(dataset).__name__} are in order', logger='current')
