"""Hook that checks the data before the first iteration."""

from __future__ import annotations

import os

from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from ...datasets.file_check import DatasetCheckError, check_dataset
from ...runtime.built_loops import built_loops
from ...runtime.start_together import others_sentence
from ..class_check import check_classes
from ..domain_check import check_domains
from ..mixing_check import check_mixing
from ..padding_check import check_padding
from ..prediction_folders import keep_folders_of_loop


@HOOKS.register_module()
class DatasetCheckHook(Hook):
    """Check every image and label of the run's dataloaders before weights are loaded.

    And whether the model's classes are those of the data (:func:`check_classes`), and the training
    set holds the domains that the method reads (:func:`check_domains`) and the random numbers that
    self-training mixes with (:func:`check_mixing`), and whether the model says to which size its
    training batches are padded (:func:`check_padding`). The first process
    of every node looks at the files of its node and tells all others, so that all stop: the one that
    has found something with its sentence, the others with that sentence and its rank.

    Predictions that a metric writes keep the folders of their images from here on, whatever tool has
    made the run (:func:`keep_folders_of_loop`).

    Args:
        manifest_dir: Folder for the manifests of what has been checked. Defaults to the data root
            if writable, else the user's cache folder.
    """

    priority = 'VERY_HIGH'

    def __init__(self, manifest_dir: str | None = None) -> None:
        self.manifest_dir = manifest_dir

    def before_run(self, runner: Runner) -> None:
        """Check the datasets of the loops that this run has built.

        Raises:
            DatasetCheckError: On every rank, if a file is missing or wrong.
            UserInputError: If two images would have one prediction; or if the model has other classes
                than the data, says no size of its batches, or reads a domain that the training set does
                not hold, on other ranks than 0 as ``DatasetCheckError``.
        """
        failure: Exception | None = None
        is_first_of_node = int(os.environ.get('LOCAL_RANK', '0')) == 0
        if is_first_of_node or get_world_size() == 1:
            try:
                self._check(runner)
            except Exception as error:  # the others wait for a verdict, whatever happened
                failure = error
        verdict = '' if failure is None else str(failure) or type(failure).__name__
        verdicts: list[str] = all_gather_object(verdict)
        if failure is not None:
            raise failure
        for rank, sentence in enumerate(verdicts):
            if sentence and rank != get_rank():
                raise DatasetCheckError(others_sentence(rank, sentence))
        for key, loop in built_loops(runner).items():
            keep_folders_of_loop(key.removesuffix('_dataloader'), loop)

    def _check(self, runner: Runner) -> None:
        loops = built_loops(runner)
        check_classes(runner.cfg, list(loops))  # for the tools of others
        for key, loop in loops.items():
            dataset = loop.dataloader.dataset
            if key == 'train_dataloader':
                check_padding(runner.model)
                check_domains(runner.model, dataset)
                check_mixing(runner.model, dataset, loop.dataloader.batch_size)
            check_dataset(dataset, self.manifest_dir)
            print_log(f'All files of {type(dataset).__name__} are in order', logger='current')
