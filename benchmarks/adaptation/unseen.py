"""Test a trained row on a set that it never saw, which another config names.

`python -m benchmarks.adaptation.unseen` writes one JSON file with the scores.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from benchmarks.adaptation.measure import Evaluation, measure_set
from benchmarks.repository import ROOT
from benchmarks.stages import Stage
from mmseg_ccdistill.datasets.class_names import class_difference
from mmseg_ccdistill.datasets.file_check import build_lazily
from mmseg_ccdistill.engine.start_up_checks import (
    check_checkpoint_content,
    check_data_roots,
    dataset_configs,
)
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.models.losses import CITYSCAPES_CLASSES
from mmseg_ccdistill.runtime.atomic_file import write_atomically
from mmseg_ccdistill.runtime.command_line import load_config, run_main
from mmseg_ccdistill.runtime.output_place import check_output_file
from mmseg_ccdistill.runtime.override_syntax import add_override_argument, format_override


@dataclass(frozen=True)
class UnseenSet:
    """A set that another config names.

    Attributes:
        name: ``dataset_name`` of its ``test_evaluator``, else the name of the file.
        config: The config, absolute.
        loader: Its ``test_dataloader``, data roots absolute.
    """

    name: str
    config: Path
    loader: Mapping[str, Any]


def read_unseen_set(path: Path) -> UnseenSet:
    """Read the set of a config; folders that are not absolute lie below the repository.

    Args:
        path: Config with ``test_dataloader``. Its model, if it has one, does not count.

    Returns:
        The set.

    Raises:
        UserInputError: If the file cannot be read or names no set.
    """
    config = load_config(str(path), {})
    if config.get('test_dataloader') is None:
        raise UserInputError(
            f'--test-on {path}: the config has no test_dataloader; expected one that reads the labelled set '
            '(docs/benchmark.md)'
        )
    evaluator = config.get('test_evaluator') or {}
    named = evaluator.get('dataset_name') if isinstance(evaluator, Mapping) else None
    return UnseenSet(
        str(named or path.stem), path.resolve(), _absolute(config.test_dataloader.to_dict())
    )


def read_unseen_sets(paths: Sequence[Path]) -> list[UnseenSet]:
    """Read and check the sets of several configs, before anything runs.

    Args:
        paths: Their configs.

    Returns:
        The sets, in this order.

    Raises:
        UserInputError: If a config names no set, its files are not there, its classes are not those of the suites, or
            two sets have one name.
    """
    found = [read_unseen_set(path) for path in paths]
    for unseen in found:
        others = [other for other in found if _folder(other.name) == _folder(unseen.name)]
        if len(others) > 1:
            raise UserInputError(
                f'--test-on: {others[0].config} and {others[1].config} both name their set {unseen.name!r}; give one '
                "of them another test_evaluator=dict(dataset_name='...')"
            )
        check_data_roots(Config(dict(test_dataloader=unseen.loader)), ['test_dataloader'])
        _check_classes(unseen)
    return found


def _check_classes(unseen: UnseenSet) -> None:
    """Check that a set has the classes of the suites, which are those of Cityscapes."""
    for key, node in dataset_configs(unseen.loader.get('dataset'), 'test_dataloader.dataset'):
        names = build_lazily({**node, 'pipeline': []}).metainfo.get('classes') or ()
        difference = class_difference(CITYSCAPES_CLASSES, names, ('Cityscapes', 'the set'))
        if difference is not None:
            raise UserInputError(
                f'--test-on {unseen.config}: {key} has other classes than the rows ({difference}): expected those of '
                'Cityscapes in their order, because a model knows classes by their ids; take '
                'metainfo=dict(classes=...) out, or name a set whose labels have these ids'
            )


def _absolute(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            key: str(ROOT / value)
            if key == 'data_root' and isinstance(value, str)
            else _absolute(value)
            for key, value in node.items()
        }
    return node


def _folder(name: str) -> str:
    return re.sub(r'\W+', '-', name)


@dataclass(frozen=True, eq=False)
class UnseenTest(Evaluation):
    """Test of the stage that it starts from on an unseen set, as a process of its own.

    Attributes:
        test_on: Config that names the set.
        dataset: Name of the set.
    """

    test_on: str = ''
    dataset: str = ''

    @classmethod
    def on(cls, unseen: UnseenSet, stage: Stage) -> UnseenTest:
        """The test of a training.

        Args:
            unseen: The set.
            stage: The training.
        """
        return cls(
            f'{stage.name}/test_on_{_folder(unseen.name)}',
            stage.config,
            1,
            stage,
            stage.seed,
            stage.options,
            repr(unseen.loader),
            test_on=str(unseen.config),
            dataset=unseen.name,
        )

    def product(self, work_dir: Path) -> Path:
        """The JSON file."""
        return work_dir / self.name / 'scores.json'

    def command(self, work_dir: Path) -> list[str]:
        """Command line that tests."""
        assert self.start is not None
        options = {'randomness.seed': self.seed, **self.options}
        return [
            *(sys.executable, '-m', 'benchmarks.adaptation.unseen', str(ROOT / self.config)),
            str(self.start.checkpoint(work_dir)),
            *('--test-on', self.test_on, '--out', str(self.product(work_dir)), '--cfg-options'),
            *(format_override(key, value) for key, value in options.items()),
        ]


def main() -> None:
    """Test."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', type=Path, help='its checkpoint')
    parser.add_argument('--test-on', type=Path, required=True, help='config that names the set')
    parser.add_argument('--out', type=Path, required=True, help='JSON file to write')
    add_override_argument(parser)
    args = parser.parse_args()
    check_output_file(args.out)
    options = dict(args.cfg_options or {})
    load_config(args.config, options)
    (unseen,) = read_unseen_sets([args.test_on])
    check_checkpoint_content(str(args.checkpoint), 'the argument CHECKPOINT')
    scores, _ = measure_set(args.config, args.checkpoint, unseen.loader, options)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(args.out, (json.dumps(scores) + '\n').encode())


if __name__ == '__main__':
    sys.exit(run_main(main))
