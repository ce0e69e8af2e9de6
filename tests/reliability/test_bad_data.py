"""Files that go bad while a run is under way: replaced in training, errors anywhere else."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from domain_batch import domain_batch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.logging import MessageHub
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS
from provoke import Provoke
from tiny_run import end_workers, make_run, read_config, test, train, write_config

from mmseg_ccdistill.datasets import BadSampleError, Draw, DrawnDataset
from mmseg_ccdistill.datasets.image_facts import unreadable_reason
from mmseg_ccdistill.datasets.unreadable import (
    MAX_IN_ROW,
    REPLACED_KEY,
    fetch_readable,
)
from mmseg_ccdistill.engine.batch_labels import wrong_ids
from mmseg_ccdistill.engine.hooks.data_guard_hook import (
    COUNTS_KEY,
    DataGuardHook,
    UnreadableFilesError,
)
from mmseg_ccdistill.models.losses import WeightedCrossEntropyLoss
from mmseg_ccdistill.runtime.random_state import get_random_state, same_random_state


@pytest.fixture
def run(tmp_path, monkeypatch) -> Iterator[Path]:
    """A folder with data and ``tiny.py`` as the working directory."""
    monkeypatch.chdir(make_run(tmp_path))
    monkeypatch.setattr(Provoke, 'saves', [])
    for name in ('RANK', 'WORLD_SIZE'):
        monkeypatch.delenv(name, raising=False)
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield tmp_path
    end_workers()


@pytest.fixture
def dataset(run) -> Any:
    """The training set of the run."""
    return DATASETS.build(read_config(run).train_dataloader.dataset)


def guard_option(**values: object) -> list[str]:
    """Command-line settings of the DataGuardHook."""
    return [
        '--cfg-options',
        *(f'default_hooks.data_guard.{name}={value}' for name, value in values.items()),
    ]


def errors(capfd: pytest.CaptureFixture[str]) -> list[str]:
    """The sentences of a tool."""
    return [line for line in capfd.readouterr().err.splitlines() if line.startswith('error: ')]


def damage(path: Path, kind: str) -> None:
    """Break an image file in one of the ways that files break."""
    content = path.read_bytes()
    if kind == 'gone':
        path.unlink()
    else:
        path.write_bytes(
            {
                'empty': b'',
                'cut': content[: len(content) // 2],
                'no end': content[:-12],
                'zeros': bytes(len(content)),
                'bit': content[:800] + bytes([content[800] ^ 8]) + content[801:],
                'page': b'<!DOCTYPE html><html>404 Not Found</html>',
            }[kind]
        )


DAMAGES = ['gone', 'empty', 'cut', 'no end', 'zeros', 'bit', 'page']


def shown(sample: Any) -> tuple[str, bytes]:
    """File and pixels of a packed sample."""
    return sample['data_samples'].metainfo['img_path'], sample['inputs'].numpy().tobytes()


def load(run: Path, count: int, workers: int = 0, start: int = 0) -> list[tuple]:
    """Files, pixels and replaced files of the first samples of a run."""
    config = read_config(run).train_dataloader
    config.update(num_workers=workers, sampler=dict(type='DrawSampler', start=start), batch_size=1)
    batches = islice(Runner.build_dataloader(config, seed=3), count)
    samples = [
        {key: batch[key][0] for key in ('inputs', 'data_samples')} for batch in batches
    ]  # fmt: skip
    return [
        (*shown(sample), sample['data_samples'].metainfo.get(REPLACED_KEY, ()))
        for sample in samples
    ]


@pytest.mark.parametrize(
    ('folder', 'kind'),
    # Pillow, which reads the labels, takes a PNG without its closing chunk.
    [*(('images', kind) for kind in DAMAGES), *(('labels', k) for k in DAMAGES if k != 'no end')],
)
def test_a_damaged_file_is_recognised_and_replaced(run, dataset, kind, folder) -> None:
    path = run / 'data' / folder / '2.png'
    assert unreadable_reason(str(path)) is None
    damage(path, kind)
    assert unreadable_reason(str(path))
    sample = dataset[Draw(2, 7, 1)]
    metainfo = sample['data_samples'].metainfo
    assert not metainfo['img_path'].endswith('2.png')
    assert metainfo[REPLACED_KEY] == (str(path),)
    assert REPLACED_KEY not in dataset[Draw(1, 8, 1)]['data_samples'].metainfo


def test_the_replacement_follows_from_seed_and_draw_alone(run, dataset) -> None:
    damage(run / 'data/images/2.png', 'cut')
    first = shown(dataset[Draw(2, 7, 1)])
    np.random.seed(5)
    assert shown(dataset[Draw(2, 7, 1)]) == first
    files = {shown(dataset[Draw(2, number, 1)])[0] for number in range(60)}
    assert len(files) == 5  # every other image, and never the broken one
    others = [shown(dataset[Draw(2, number, 2)])[0] for number in range(20)]
    assert others != [shown(dataset[Draw(2, number, 1)])[0] for number in range(20)]


def test_other_samples_are_what_they_would_have_been(run) -> None:
    whole = load(run, 12)
    damage(run / 'data/images/4.png', 'empty')
    broken = load(run, 12)
    touched = [bool(row[2]) for row in broken]
    assert touched == [row[0].endswith('4.png') for row in whole] and sum(touched) == 2
    assert [b for b in broken if not b[2]] == [
        w for w, t in zip(whole, touched, strict=True) if not t
    ]
    assert load(run, 12, workers=2) == broken
    assert load(run, 6, start=6) == broken[6:]


def test_a_draw_leaves_the_callers_generators_alone(run, dataset) -> None:
    damage(run / 'data/images/2.png', 'gone')
    before = get_random_state()
    dataset[Draw(2, 0, 0)]
    assert same_random_state(before, get_random_state())


def test_an_interruption_of_the_storage_changes_nothing(run, dataset, monkeypatch) -> None:
    expected = shown(dataset[Draw(2, 7, 1)])
    original, seen = BaseSegDataset.prepare_data, []

    def once(self: Any, index: int) -> Any:
        seen.append(index)
        if len(seen) == 1:
            np.random.rand(3)  # numbers taken before the failure are given back
            raise OSError(5, 'Input/output error')
        return original(self, index)

    monkeypatch.setattr(BaseSegDataset, 'prepare_data', once)
    sample = dataset[Draw(2, 7, 1)]
    assert seen == [2, 2] and shown(sample) == expected
    assert REPLACED_KEY not in sample['data_samples'].metainfo


def test_an_error_of_the_program_stays_what_it_is(run, dataset, monkeypatch) -> None:
    def broken(self: Any, index: int) -> Any:
        raise ZeroDivisionError('a bug')

    monkeypatch.setattr(BaseSegDataset, 'prepare_data', broken)
    with pytest.raises(ZeroDivisionError, match='a bug'):
        dataset[Draw(2, 7, 1)]


def test_storage_that_is_gone_ends_in_a_sentence(run, dataset) -> None:
    for path in (run / 'data/images').iterdir():
        path.unlink()
    with pytest.raises(
        BadSampleError, match=f"{min(MAX_IN_ROW, 6)} samples .* '.*png' .*still mounted"
    ):
        dataset[Draw(2, 7, 1)]


def test_a_plain_index_is_replaced_by_a_function_of_itself(run, dataset) -> None:
    damage(run / 'data/images/2.png', 'gone')
    assert shown(dataset[2])[0] == shown(dataset[2])[0] != str(run / 'data/images/2.png')


def test_datasets_without_a_list_of_files_raise_what_they_raise() -> None:
    class Plain(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> Any:
            raise OSError('no luck')

    with pytest.raises(OSError, match='no luck'):
        fetch_readable(Plain(), 0, np.random.SeedSequence(0))


def test_lazy_and_built_datasets_are_welcome(run, dataset) -> None:
    config = read_config(run).train_dataloader.dataset.dataset
    lazy = DrawnDataset(config, lazy_init=True)
    assert lazy.metainfo == dataset.metainfo
    lazy.full_init()
    assert len(lazy) == len(dataset) == 6
    assert shown(DrawnDataset(dataset.dataset)[Draw(1, 2, 3)]) == shown(dataset[Draw(1, 2, 3)])


# Whole runs.


@pytest.mark.parametrize('workers', [pytest.param(0, marks=pytest.mark.slow), 2])
def test_a_run_goes_on_without_an_image_and_says_so_once(run, monkeypatch, capfd, workers) -> None:
    write_config(run, at=1, what='data/images/2.png')
    options = ['--cfg-options', 'train_cfg.max_iters=12', f'train_dataloader.num_workers={workers}']
    assert train(monkeypatch, *options) == 0
    out = capfd.readouterr().out
    assert len(re.findall(r'data/images/2\.png cannot be read: another sample', out)) == 1
    log = torch.load(run / 'run/iter_12.pth', weights_only=True)['message_hub']
    drawn, replaced = log['runtime_info'][COUNTS_KEY]
    assert drawn == 24 and 2 <= replaced <= 4  # 24 draws of 6 images: each is shown 4 times


def test_too_many_end_the_run_in_a_sentence(run, monkeypatch, capfd) -> None:
    write_config(run, at=1, what='data/images/2.png')
    options = guard_option(max_replaced=1, interval=2)
    assert train(monkeypatch, *options, 'train_cfg.max_iters=12') == 1
    (error,) = errors(capfd)
    assert re.search(
        r"[2-9] of \d+ samples could not be read, the last one for '.*2\.png': expected at most 0\.10% .* "
        r'continue with: .*--resume',
        error,
    )


@pytest.mark.slow
def test_the_counts_survive_resuming(run, monkeypatch, capfd) -> None:
    write_config(run, at=1, what='data/images/2.png')
    assert train(monkeypatch, '--cfg-options', 'train_cfg.max_iters=12') == 0
    write_config(run)
    monkeypatch.setattr('mmseg_ccdistill.engine.hooks.dataset_check_hook.check_dataset', _no_check)
    options = guard_option(max_replaced=4, interval=1)
    longer = ('train_cfg.max_iters=24', 'param_scheduler.0.end=24')
    assert train(monkeypatch, '--resume', *options, *longer) == 1
    assert re.search(r'5 of \d\d samples', errors(capfd)[0])


def _no_check(*_: object) -> None:
    """The start-up check would name the file; here it goes bad later."""


def test_shares_below_the_limit_and_few_files_are_accepted() -> None:
    class Logger:
        warning = staticmethod(lambda text: None)

    class Hub:
        update_info = staticmethod(lambda key, value: None)

    class FakeRunner:
        logger, message_hub = Logger(), Hub()

    hook = DataGuardHook()
    for drawn, replaced, is_too_many in (
        (100, 10, False),  # ten are always accepted
        (10900, 1, False),  # 11 of 11000: exactly 0.1 %
        (0, 1, True),
    ):
        hook._drawn, hook._replaced = drawn, ['a.png'] * replaced
        if is_too_many:
            with pytest.raises(RuntimeError, match='12 of 11000'):
                hook._count(FakeRunner())  # type: ignore[arg-type]
        else:
            hook._count(FakeRunner())  # type: ignore[arg-type]


@pytest.mark.parametrize('workers', [pytest.param(0, marks=pytest.mark.slow), 2])
@pytest.mark.parametrize('folder', ['images', pytest.param('labels', marks=pytest.mark.slow)])
def test_in_a_validation_it_is_an_error(run, monkeypatch, capfd, workers, folder) -> None:
    write_config(run, at=3, what=f'data/{folder}/5.png', in_val=True)
    options = ['train_cfg.val_interval=3', f'val_dataloader.num_workers={workers}']
    # The last of five images: two workers have loaded four when the first one is done.
    assert train(monkeypatch, '--cfg-options', *options) == 2
    (error,) = errors(capfd)
    expected = rf"^error: The file '.*{folder}/5\.png' cannot be read \(.*\): expected a whole PNG or JPEG image; copy"
    assert re.search(expected, error)


@pytest.mark.slow
def test_in_a_test_it_is_an_error(run, monkeypatch, capfd) -> None:
    assert train(monkeypatch, '--cfg-options', 'train_cfg.max_iters=2') == 0
    write_config(run, at=0, what='data/images/5.png', in_val=True)
    capfd.readouterr()
    assert test(monkeypatch, 'run/iter_2.pth') == 2
    assert re.search(r"The file '.*images/5\.png' cannot be read", errors(capfd)[0])


@pytest.mark.parametrize('workers', [0, pytest.param(2, marks=pytest.mark.slow)])
def test_wrong_label_ids_end_the_run_with_the_name_of_the_file(
    run, monkeypatch, capfd, workers
) -> None:
    write_config(run, at=1, what='ids data/labels/3.png')
    options = [f'train_dataloader.num_workers={workers}', 'train_cfg.max_iters=12']
    assert train(monkeypatch, '--cfg-options', *options) == 2
    (error,) = errors(capfd)
    assert re.search(
        r"The label '.*labels/3\.png' holds the values 24, which look like labelIds: expected class ids "
        r'0\.\.18 and 255 \(ignore\) .*; convert',
        error,
    )


@pytest.mark.slow
def test_a_head_with_fewer_classes_than_the_labels_is_named(run, monkeypatch, capfd) -> None:
    option = ['--cfg-options', 'model.decode_head.num_classes=11']
    assert train(monkeypatch, *option) == 2
    assert re.search(
        r'decode_head\.num_classes is 11, but train_dataloader\.dataset\.dataset has 19 classes',
        errors(capfd)[0],
    )


@settings(max_examples=60, deadline=None)
@given(
    ids=st.lists(st.integers(0, 255), min_size=0, max_size=30),
    num_classes=st.integers(1, 255),
    ignore_index=st.sampled_from([255, 254, 0]),
)
def test_wrong_ids_are_those_that_are_neither_class_nor_ignored(
    ids, num_classes, ignore_index
) -> None:
    label = torch.tensor(ids, dtype=torch.int64).reshape(1, 1, -1)
    expected = sorted({i for i in ids if i >= num_classes and i != ignore_index})
    assert wrong_ids(label, num_classes, ignore_index) == expected


@pytest.mark.parametrize('reduction', [None, 'sum'])
@pytest.mark.parametrize('wrong', [19, 33, -1])
def test_the_loss_refuses_ids_that_no_class_has(reduction, wrong) -> None:
    label = torch.tensor([[[0, 18, 255, wrong]]])
    loss = WeightedCrossEntropyLoss()
    kind = ', which look like labelIds' if wrong > 0 else ''
    with pytest.raises(
        ValueError,
        match=rf'A label of the batch in .* holds the values {wrong}{kind}: expected class ids 0\.\.18 and 255',
    ):
        loss(torch.zeros(1, 19, 1, 4), label, reduction_override=reduction)


def test_the_guard_takes_far_less_than_a_hundredth_of_a_step() -> None:
    """On a batch of the paper's size, which no step takes less than 0.2 s for."""

    class FakeRunner:
        iter, max_iters = 10, 50000

    hook, batch, seconds = DataGuardHook(), domain_batch(side=512, size=2), []
    hook._ids = (19, 255)
    for _ in range(20):
        begin = time.process_time()  # others may use the machine
        hook.before_train_iter(FakeRunner(), 0, batch)  # type: ignore[arg-type]
        hook.after_train_iter(FakeRunner(), 0, batch)  # type: ignore[arg-type]
        seconds.append(time.process_time() - begin)
    assert min(seconds) < 0.002


@pytest.mark.parametrize(
    ('replaced', 'drawn', 'ends'),
    [
        (10, 100, False),  # max_replaced: that many are always accepted
        (11, 100, True),
        (11, 11000, False),  # max_share: 0.1 % is accepted
        (11, 10999, True),
    ],
)
def test_how_many_replacements_end_a_run(replaced: int, drawn: int, ends: bool) -> None:
    hook = DataGuardHook()
    hook._drawn, hook._replaced = drawn, [f'{index}.png' for index in range(replaced)]
    runner: Any = SimpleNamespace(
        message_hub=MessageHub('counts'), logger=logging.getLogger('counts'), iter=49, max_iters=99
    )
    if not ends:
        hook.after_train_iter(runner, 0)
        assert runner.message_hub.get_info(COUNTS_KEY) == [drawn, replaced]
        return
    with pytest.raises(
        UnreadableFilesError, match=f'{replaced} of {drawn} samples could not be read'
    ):
        hook.after_train_iter(runner, 0)
