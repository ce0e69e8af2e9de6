"""The command of the ratios: every row at tiny size, its record, its page, and the table in the docs."""

from __future__ import annotations

import itertools
import json
import mmap
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from png_rows import PAETH, row_filters

from benchmarks.docs_marks import section
from benchmarks.performance import __main__ as command
from benchmarks.performance import page
from benchmarks.performance.counted_iteration import MODES, kept
from benchmarks.performance.frames import write_frames
from benchmarks.performance.goals import FIGURES, Figure
from benchmarks.performance.host_waits import count_reads
from benchmarks.performance.kept_profile import profile_memory
from benchmarks.performance.memory_growth import resident_bytes
from benchmarks.performance.profile_table import largest, profile_tables
from benchmarks.performance.profiles import PROFILES
from benchmarks.performance.ratio import compare
from benchmarks.performance.rows import Row, all_rows
from benchmarks.performance.sample_profile import REST, WHOLE, profile_samples
from benchmarks.performance.sizes import TINY
from benchmarks.row_running import NotHere
from mmseg_ccdistill.errors import UserInputError

#: Counted on the meta device: tests/test_cost.py does it.
COUNTED = ('activations', 'flop')


def read(folder: Path) -> dict[str, Any]:
    return json.loads((folder / 'performance.json').read_text())['rows']


@pytest.fixture(scope='module')
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('performance')
    names = [row.name for row in all_rows() if row.name not in COUNTED]
    assert command.main(['--tiny', '--out', str(folder), '--rows', *names]) == 0
    return folder


def test_the_rehearsal_measures_every_figure(rehearsal: Path) -> None:
    rows = read(rehearsal)
    assert {name: row['status'] for name, row in rows.items() if row['status'] == 'failed'} == {}
    for figure in FIGURES:
        if figure.row not in COUNTED and rows[figure.row]['status'] == 'done':
            found = figure.measured(rows)
            assert found is not None and found['value'] >= 0, figure
            assert found.get('low', 0) <= found.get('high', 0)
    assert len(FIGURES) == len(set(FIGURES))
    assert {figure.row for figure in FIGURES} == {row.name for row in all_rows()[1:]}


def test_no_value_is_read_in_a_plain_iteration(rehearsal: Path) -> None:
    row = read(rehearsal)['waits']
    if row['status'] == 'skipped':
        pytest.skip(row['reason'])
    assert row['result'] == {'reads': {'value': 0.0}, 'by_name': {}}


def test_reads_are_counted_by_name() -> None:
    values = torch.arange(4.0)
    with count_reads() as counts:
        values.sum().item()
        values[values > 1]
        values[1:].add_(values[0])  # reads nothing
        values.cpu()
        bool(values[0] > 3)
        torch.where(values > 1, values, -values)
    assert counts == {'_local_scalar_dense': 2, 'index': 1, 'cpu': 1}
    assert values.cpu() is values


def test_the_page_says_that_it_is_a_rehearsal(rehearsal: Path) -> None:
    text = (rehearsal / 'performance.md').read_text()
    assert 'A rehearsal at tiny size: its numbers mean nothing.' in text
    assert '| TFLOP of an iteration | counted | - | ≤ 10.95 | - | not measured |' in text


def use(monkeypatch: pytest.MonkeyPatch, **rows: Any) -> None:
    monkeypatch.setattr(
        command, 'all_rows', lambda: [all_rows()[0], *(Row(n, run) for n, run in rows.items())]
    )


def test_a_stopped_run_goes_on_and_a_named_row_runs_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls: list[str] = []

    def stop(sizes: Any) -> dict[str, Any]:
        raise KeyboardInterrupt

    def fine(sizes: Any) -> dict[str, Any]:
        calls.append('fine')
        return {'x': {'value': 1.0}}

    def lacking(sizes: Any) -> dict[str, Any]:
        raise NotHere('not installed: onnxruntime')

    options = ['--tiny', '--out', str(tmp_path)]
    use(monkeypatch, gram=fine, lab=stop)
    with pytest.raises(KeyboardInterrupt):
        command.main(options)
    use(monkeypatch, gram=fine, lab=lacking)
    assert command.main(options) == 0
    assert calls == ['fine']
    assert read(tmp_path)['lab']['reason'] == 'not installed: onnxruntime'
    assert (
        '| lab | skipped | not installed: onnxruntime |'
        in (tmp_path / 'performance.md').read_text()
    )
    assert command.main([*options, '--rows', 'gram']) == 0
    assert calls == ['fine', 'fine']


def test_a_failing_row_is_recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(sizes: Any) -> dict[str, Any]:
        raise RuntimeError('out of order\nand more')

    use(monkeypatch, gram=broken)
    assert command.main(['--tiny', '--out', str(tmp_path)]) == 1
    assert read(tmp_path)['gram']['reason'] == 'RuntimeError: out of order'


@pytest.mark.parametrize(
    'options, message',
    [
        (['--rounds', '1'], '--rounds must be at least 2, got 1'),
        (['--rows', 'speed'], "--rows: no row begins with 'speed'; there are environment"),
        (['--docs'], 'performance.json is not there: run python -m benchmarks.performance first'),
    ],
)
def test_bad_arguments_end_with_a_sentence(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert command.main([*options, '--out', str(tmp_path)]) == 2
    assert message in capsys.readouterr().err


def test_a_rehearsal_does_not_come_into_the_docs(tmp_path: Path) -> None:
    measured = tmp_path / 'performance.json'
    measured.write_text(json.dumps(dict(tiny=True, rows={'gram': {}})))
    with pytest.raises(UserInputError, match='is a rehearsal: run without --tiny first'):
        page.write_docs(measured, tmp_path / 'page.md', tmp_path / 'kept.json')


def test_the_table_is_written_between_its_marks(tmp_path: Path) -> None:
    measured, kept, target = (tmp_path / name for name in ('a.json', 'kept.json', 'page.md'))
    rows = {'gram': {'result': {'channel': {'value': 9.0, 'low': 8.0, 'high': 10.0}}}}
    measured.write_text(json.dumps(dict(tiny=False, rows=rows)))
    target.write_text('no marks')
    with pytest.raises(UserInputError, match='has no lines <!-- ratios: begin -->'):
        page.write_docs(measured, target, kept)
    assert not kept.exists()
    target.write_text('\n'.join(['before', section(page.RATIOS, ['old']), 'after', '']))
    page.write_docs(measured, target, kept)
    text = target.read_text()
    assert text.startswith('before\n') and text.endswith('\nafter\n') and 'old' not in text
    assert '| 9 (8-10) | ≥ 8 | ≥ 10 | met |' in text
    assert kept.read_bytes() == measured.read_bytes()


def test_the_docs_show_the_kept_run() -> None:
    rows = json.loads(command.KEPT.read_text())['rows']
    assert page.docs_section(rows) in command.DOCS.read_text()
    names = {row.name for row in all_rows()}
    assert set(rows) <= names


@pytest.fixture(scope='module')
def profiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('profile')
    names = [name for name in PROFILES if name != 'memory']  # counted at full size, below
    assert command.main(['--tiny', '--out', str(folder), '--profile', *names]) == 0
    return folder


def test_profiles_have_parts_with_names(profiled: Path) -> None:
    rows = json.loads((profiled / 'profile.json').read_text())['rows']
    assert set(rows) == {'environment', *PROFILES} - {'memory'}
    steps = rows['step']['result']
    assert list(steps) == ['a step of CCDistill', 'two branches, per FLOP']
    for found in steps.values():
        assert {'aten::mkldnn_convolution', 'aten::thnn_conv2d'} & set(found['parts'])
    assert set(rows['static']['result']['pseudo labels and static loss']['parts']) == {
        'pseudo labels',
        'static loss, forward',
        'static loss, backward',
    }
    exports = rows['exports']['result']
    assert {"mmseg's test step", 'torchscript'} < set(exports)
    assert exports["mmseg's test step"]['parts']['decoder'] > 0
    text = (profiled / 'profile.md').read_text()
    assert 'A rehearsal at tiny size: its numbers mean nothing.' in text
    assert '| a step of CCDistill | ms | share |' in text


@pytest.mark.slow
def test_the_profile_of_memory_sums_to_what_is_kept() -> None:
    (plain, *_) = profile_memory(TINY).values()
    parts = plain['parts']
    assert sum(parts.values()) / 1024 == pytest.approx(kept(*MODES['fp32']), rel=1e-9)
    assert parts['ChainedResidualPooling'] > 1900 and 15 < parts['ProjectionHead'] < 20


def test_the_largest_parts_stand_first_and_the_others_in_one_line() -> None:
    parts = {'a': 1.0, 'b': 4.0, 'c': 2.0, 'd': 1.0}
    assert largest(parts, 2) == {'b': 4.0, 'c': 2.0, '2 others': 2.0}
    assert list(largest(parts, 9)) == ['b', 'c', 'a', 'd']
    rows = {'environment': {'result': {}}, 'step': {'result': {'x': dict(unit='ms', parts=parts)}}}
    assert profile_tables(rows)[2] == '| b | 4 | 50.0 % |'


def test_an_unknown_profile_ends_with_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert command.main(['--profile', 'speed', '--out', str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "--profile: there is no 'speed'; there are step, static, exports, memory, sample" in said
    assert not (tmp_path / 'profile.json').exists()


def test_profiles_are_written_between_marks_of_their_own(tmp_path: Path) -> None:
    measured, kept_file, target = (tmp_path / name for name in ('a.json', 'kept.json', 'page.md'))
    rows = {'static': {'result': {'loss': dict(unit='ms', parts={'a': 3.0, 'b': 1.0})}}}
    measured.write_text(json.dumps(dict(tiny=False, rows=rows)))
    ratios = section(page.RATIOS, ['as they are'])
    target.write_text(f'{ratios}\n{section(page.PROFILES, [])}\n')
    page.write_docs(measured, target, kept_file, page.profile_section)
    text = target.read_text()
    assert '| a | 3 | 75.0 % |' in text and ratios in text


def test_the_docs_show_the_kept_profiles() -> None:
    rows = (
        json.loads(command.KEPT_PROFILE.read_text())['rows']
        if command.KEPT_PROFILE.exists()
        else {}
    )
    assert page.profile_section(rows) in command.DOCS.read_text()


@pytest.mark.parametrize(
    'figure, values',
    [
        (Figure('a', 'b', '', 1.1, 1.05), {1.05: 'extreme', 1.1: 'met', 1.11: 'missed'}),
        (Figure('a', 'b', '', 8, 10, at_least=True), {10: 'extreme', 8: 'met', 7.9: 'missed'}),
        (Figure('a', 'b', '', 0), {0: 'met', 1: 'missed'}),
    ],
)
def test_verdicts(figure: Figure, values: dict[float, str]) -> None:
    for value, expected in values.items():
        assert figure.verdict({'a': {'result': {'b': {'value': value}}}}) == expected
    assert figure.verdict({}) == 'not measured'


def test_a_ratio_is_scaled_with_its_quartiles() -> None:
    found = compare({'a': lambda: sum(range(20000)), 'b': lambda: sum(range(20000))}, TINY, 'b')
    again = compare(
        {'a': lambda: sum(range(20000)), 'b': lambda: sum(range(20000))}, TINY, 'b', 1e6
    )
    assert set(found) == {'a'} and 0.1 < found['a']['value'] < 10
    assert 1e5 < again['a']['value'] < 1e7 and again['a']['low'] <= again['a']['high']


def test_frames_are_as_large_on_the_disk_as_published_ones(tmp_path: Path) -> None:
    images = write_frames(tmp_path, TINY)
    pixels = TINY.source[0] * TINY.source[1]
    day = images[0].stat().st_size / pixels
    assert len(images) == 3 * TINY.files
    assert 1.0 < day < 2.0  # bytes a pixel


def test_frames_are_encoded_as_photographs_are(tmp_path: Path) -> None:
    images = write_frames(tmp_path, replace(TINY, source=(256, 512), files=1))
    filters = row_filters(images[0].read_bytes(), 256)
    assert np.mean(filters == PAETH) > 0.9  # 0.66 to 1.0 of the rows of real frames


def test_the_profile_names_every_transform() -> None:
    ticks = itertools.count()
    rows = profile_samples(replace(TINY, rounds=2), clock=lambda: next(ticks) / 1e3)
    assert list(rows) == [
        'labelled day: load image',
        'labelled day: LoadAnnotations',
        'labelled day: ResizedCrop',
        'labelled day: RandomFlip',
        'pair: load image',
        'pair: ResizedCrop',
        'pair: Resize',
        'pair: RandomFlip',
        'all: LABTransfer',
        'all: PackCrossDomainInputs',
        REST,
        WHOLE,
    ]
    for name, row in rows.items():
        assert list(row) == ['files', 'png', 'raw']
        # The clock goes on by 1 ms each time that it is read: once between start and end of a transform, and
        # 2 x 14 + 1 times in a sample, whose pair takes its 4 transforms twice.
        expected = {REST: 15, WHOLE: 29}.get(name, 2 if name.startswith('pair') else 1)
        assert list(row.values()) == pytest.approx([expected] * 3)


def test_the_profile_of_a_sample_has_a_table_for_each_place() -> None:
    found = PROFILES['sample'](replace(TINY, rounds=2))
    assert list(found) == [
        'training sample from the files',
        'training sample from a cache of run-length PNG',
        'training sample from a cache of arrays',
    ]
    for profile in found.values():
        assert profile['unit'] == 'ms' and WHOLE not in profile['parts']
        assert min(profile['parts'].values()) >= 0 and 'all: LABTransfer' in profile['parts']


def test_memory_of_the_process_is_seen() -> None:
    try:
        before = resident_bytes()
    except NotHere as reason:
        pytest.skip(str(reason))
    with mmap.mmap(-1, 32 * 2**20) as block:  # pages of its own: no memory that was freed before
        block.write(b'x' * len(block))
        assert resident_bytes() - before > 24 * 2**20
