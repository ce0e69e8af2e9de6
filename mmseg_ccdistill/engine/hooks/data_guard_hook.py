"""Hook that watches the samples of a run: label ids, unreadable files."""

from __future__ import annotations

from typing import Any

from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import HOOKS

from ...datasets.file_check import leaf_datasets
from ...datasets.file_faults import values_fault
from ...datasets.image_facts import ImageFacts
from ...datasets.unreadable import REPLACED_KEY, BadSampleError, NamingPipeline
from ...errors import RunError, UserInputError
from ...runtime.built_loops import built_loops
from ...runtime.host_values import is_due
from ...runtime.run_errors import resume_command
from ...runtime.step_record import samples_by_domain
from ..batch_labels import wrong_ids

#: Key of the counts in the message hub, which goes into the checkpoints.
COUNTS_KEY = 'unreadable_samples'


class UnreadableFilesError(RunError):
    """Too many files could not be read."""


@HOOKS.register_module()
class DataGuardHook(Hook):
    """Stops at wrong label ids, and counts unreadable files and stops at too many.

    - Before a batch goes to the device, its labels are looked at: an id that is neither a class of
      the decode heads nor ``ignore_index`` ends the run with the file's name. On a GPU the loss would
      only report a failed assertion.
    - ``CrossDomainDataset`` and ``DrawnDataset`` replace a sample whose image or label cannot be
      read. Each file is logged once. More than ``max_replaced`` replacements that are also more than
      ``max_share`` of the samples drawn end the run. The counts survive resuming.
    - In validation and test an unreadable file is always an error, with its name.

    Args:
        max_share (float): Replaced samples over drawn ones. Defaults to 0.001.
        max_replaced (int): Replacements that are always accepted: one broken image of a short run or a
            small set is not worth its end. Defaults to 10.
        interval (int): Iterations between two counts; only then processes exchange theirs. Defaults to
            50.

    Raises:
        UserInputError: If an argument is out of range.
    """

    priority = 'VERY_HIGH'

    def __init__(
        self, max_share: float = 0.001, max_replaced: int = 10, interval: int = 50
    ) -> None:
        if not 0 <= max_share < 1 or max_replaced < 0 or interval < 1:
            raise UserInputError(
                f'DataGuardHook got max_share={max_share}, max_replaced={max_replaced}, '
                f'interval={interval}: expected 0 <= max_share < 1, max_replaced >= 0, interval >= 1.'
            )
        self.max_share = max_share
        self.max_replaced = max_replaced
        self.interval = interval
        self._drawn = 0
        self._replaced: list[str] = []
        self._totals = [0, 0]
        self._named: set[str] = set()
        self._ids: tuple[int, int] | None = None

    def before_run(self, runner: Runner) -> None:
        """Let the pipelines name a file that they fail on."""
        for loop in built_loops(runner).values():
            for leaf in leaf_datasets(loop.dataloader.dataset):
                pipeline = getattr(leaf, 'pipeline', None)
                transforms = getattr(pipeline, 'transforms', None)
                if transforms and not isinstance(pipeline, NamingPipeline):
                    leaf.pipeline = NamingPipeline(transforms)

    def before_train(self, runner: Runner) -> None:
        """Read the ids that the heads know, and the counts of the run that is continued."""
        heads = [m for m in runner.model.modules() if isinstance(m, BaseDecodeHead)]
        if heads:
            self._ids = min(head.num_classes for head in heads), heads[0].ignore_index
        if COUNTS_KEY in runner.message_hub.runtime_info:
            self._totals = list(runner.message_hub.get_info(COUNTS_KEY))

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Look at the labels; count the samples and those that stand for another one.

        Raises:
            BadSampleError: If a label holds an id that no class has.
        """
        groups = list(samples_by_domain(data_batch).values())
        self._drawn += len(groups[0]) if groups else 0
        for sample in (sample for group in groups for sample in group):
            self._replaced += sample.metainfo.get(REPLACED_KEY, ())
            label = getattr(sample, 'gt_sem_seg', None)
            if label is None or self._ids is None or label.data.is_cuda:
                continue
            wrong = wrong_ids(label.data, *self._ids)
            if wrong:
                raise BadSampleError(self._wrong_ids_message(runner, sample, wrong))

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Compare the counts with the limit, at the interval.

        Raises:
            UnreadableFilesError: In every process, if too many were replaced.
        """
        if is_due(runner, self.interval):
            self._count(runner)

    def _count(self, runner: Runner) -> None:
        """Add up what all processes have seen since the last count."""
        seen = all_gather_object((self._drawn, self._replaced))
        self._drawn, self._replaced = 0, []
        files = [file for _, group in seen for file in group]
        self._totals[0] += sum(drawn for drawn, _ in seen)
        self._totals[1] += len(files)
        runner.message_hub.update_info(COUNTS_KEY, list(self._totals))
        for file in dict.fromkeys(files):
            if file not in self._named:
                self._named.add(file)
                runner.logger.warning(
                    f'{file} cannot be read: another sample is shown in its place; copy or download it again.'
                )
        drawn, replaced = self._totals
        if files and replaced > self.max_replaced and replaced > self.max_share * drawn:
            raise UnreadableFilesError(
                f'{replaced} of {drawn} samples could not be read, the last one for {files[-1]!r}: expected at '
                f'most {self.max_share:.2%} (DataGuardHook.max_share); look whether the storage is in order, '
                f'copy or download the files again, and continue with: {resume_command()}'
            )

    def _wrong_ids_message(self, runner: Runner, sample: Any, wrong: list[int]) -> str:
        """The sentence of the start-up check, for a label that has passed it or was never checked."""
        path = str(sample.metainfo.get('seg_map_path', 'of an unknown file'))
        assert self._ids is not None
        height, width = sample.gt_sem_seg.shape
        facts = ImageFacts(width, height, 'L', tuple(wrong))
        leaf = next(leaf_datasets(runner.train_dataloader.dataset))
        return values_fault(path, {path: facts}, leaf) or (
            f'The label {path!r} holds the values {", ".join(map(str, wrong))}: the decode heads know class ids '
            f'0..{self._ids[0] - 1} and {self._ids[1]} (ignore); set num_classes of every head to the number of '
            'classes of the dataset, or convert the label.'
        )
