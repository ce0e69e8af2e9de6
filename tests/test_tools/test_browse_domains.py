from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.runner import Runner
from tool_project import error_of, load_tool, make_project, run_tool

from mmseg_ccdistill.domains import DOMAINS

# Tiles of 128 below a header of 24, right of a margin of 24; captions of 18, gaps of 6.
WIDTH, HEADER, MARGIN, STEP = 128, 24, 24, 128 + 18 + 6
ROAD_BGR, BLACK = [128, 64, 128], [0, 0, 0]


@pytest.fixture(scope='module')
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp('browse'))


@pytest.fixture
def tool(files: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(files)
    return load_tool('tools/analysis_tools/browse_domains.py')


def tile(panel: np.ndarray, row: int, column: int) -> np.ndarray:
    top, left = HEADER + row * STEP, MARGIN + 6 + column * (WIDTH + 6)
    return panel[top : top + WIDTH, left : left + WIDTH]


def shrunk(image: np.ndarray) -> np.ndarray:
    """The crop of 64 pixels back from its tile of 128."""
    return cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA)


def test_panels_show_what_the_training_loader_gives(tool, monkeypatch, capsys, tmp_path) -> None:
    out = tmp_path / 'panels'
    arguments = ['tiny.py', '--num', 3, '--rows', 2, '--tile-width', WIDTH, '--out', out]

    assert run_tool(tool, monkeypatch, *arguments) == 0

    names = ['draws_000000-000001.png', 'draws_000002-000002.png']
    assert sorted(path.name for path in out.iterdir()) == names
    printed = capsys.readouterr().out.splitlines()
    assert [line for line in printed if 'draws_' in line] == [str(out / name) for name in names]
    config = Config.fromfile('tiny.py')
    batch = next(iter(Runner.build_dataloader(config.train_dataloader, seed=3)))
    panel = cv2.imread(str(out / names[0]))
    assert panel.shape[1] == MARGIN + 6 + 5 * (WIDTH + 6)  # S_d, labels, S_n, T_d, T_n
    columns = dict(zip(('source_day', 'source_night', 'target_day', 'target_night'), (0, 2, 3, 4),
                       strict=True))  # fmt: skip
    for row in range(2):
        for domain in DOMAINS:
            expected = batch['inputs'][domain][row].permute(1, 2, 0).numpy()
            difference = np.abs(shrunk(tile(panel, row, columns[domain])) - expected.astype(float))
            assert difference.mean() < 4, domain
        label = batch['data_samples']['source_day'][row].gt_sem_seg.data[0].numpy()
        painted = tile(panel, row, 1)[::2, ::2]
        assert (painted[label == 0] == ROAD_BGR).all()
        assert (painted[label == 255] == BLACK).all()


def test_a_checkpoint_adds_pseudo_labels_and_predictions(tool, monkeypatch, tmp_path) -> None:
    arguments = ['tiny.py', '--num', 1, '--tile-width', WIDTH, '--out', tmp_path]
    assert run_tool(tool, monkeypatch, *arguments, '--checkpoint', 'tiny.pth') == 0
    panel = cv2.imread(str(tmp_path / 'draws_000000-000000.png'))
    assert panel.shape[1] == MARGIN + 6 + 7 * (WIDTH + 6)
    static = {tuple(c) for c in _static_colours()}
    pseudo = {tuple(c) for c in np.unique(tile(panel, 0, 5).reshape(-1, 3), axis=0).tolist()}
    assert pseudo <= static | {(0, 0, 0)}
    night = np.unique(tile(panel, 0, 6).reshape(-1, 3), axis=0).tolist()
    assert BLACK not in night  # a prediction has a class everywhere


def _static_colours() -> list[list[int]]:
    """Road to sky of the Cityscapes palette, BGR."""
    rgb = [(128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153),
           (153, 153, 153), (250, 170, 30), (220, 220, 0), (107, 142, 35), (152, 251, 152),
           (70, 130, 180)]  # fmt: skip
    return [list(colour[::-1]) for colour in rgb]


def test_source_only_configs_work_too(tool, monkeypatch, tmp_path) -> None:
    arguments = ['source.py', '--num', 2, '--start', 1, '--tile-width', WIDTH, '--out', tmp_path]
    assert run_tool(tool, monkeypatch, *arguments, '--checkpoint', 'source.pth') == 0
    panel = cv2.imread(str(tmp_path / 'draws_000001-000002.png'))
    assert panel.shape[1] == MARGIN + 6 + 3 * (WIDTH + 6)
    again = tmp_path / 'again'
    assert run_tool(tool, monkeypatch, *arguments[:-1], again) == 0
    np.testing.assert_array_equal(  # the same crops again
        tile(cv2.imread(str(again / 'draws_000001-000002.png')), 0, 0), tile(panel, 0, 0)
    )


@pytest.mark.parametrize(
    ('arguments', 'expected'),
    [
        (['gone.py'], "'gone.py' does not exist"),
        (['tiny.py', '--checkpoint', 'gone.pth'], "'gone.pth' does not exist"),
        (['tiny.py', '--checkpoint', 'tiny.py'], 'expected a checkpoint'),
        (['tiny.py', '--start', '-2'], 'there is no draw -2'),
        (
            ['tiny.py', '--cfg-options', 'train_dataloader.dataset.source.data_root=gone'],
            "train_dataloader.dataset.source: .*'gone' .* does not exist",
        ),
        (['tiny.py', '--cfg-options', 'train_dataloader=None'], 'has no train_dataloader.dataset'),
    ],
)
def test_mistakes_end_in_one_sentence(
    tool, monkeypatch, capsys, tmp_path, arguments, expected
) -> None:
    assert run_tool(tool, monkeypatch, *arguments[:1], '--out', tmp_path, *arguments[1:]) == 2
    assert re.search(expected, error_of(capsys))


def test_an_output_that_is_a_file_is_refused(tool, monkeypatch, capsys, tmp_path) -> None:
    (tmp_path / 'a').write_text('mine')
    assert run_tool(tool, monkeypatch, 'tiny.py', '--out', tmp_path / 'a') == 2
    assert 'is a file: expected a folder' in error_of(capsys)


def test_an_output_in_a_file_is_refused(tool, monkeypatch, capsys, tmp_path) -> None:
    (tmp_path / 'a').write_text('mine')
    assert run_tool(tool, monkeypatch, 'tiny.py', '--out', tmp_path / 'a/x') == 2
    assert error_of(capsys) == (
        f"nothing can be written into '{tmp_path}/a/x' (Not a directory): expected a folder with the right to write; "
        'name another with --out'
    )


def test_existing_panels_are_kept_without_force(tool, monkeypatch, capsys, tmp_path) -> None:
    path = tmp_path / 'draws_000000-000000.png'
    path.write_text('mine')
    arguments = ['tiny.py', '--num', 1, '--out', tmp_path]
    assert run_tool(tool, monkeypatch, *arguments) == 2
    assert 'exists: choose another name or pass --force' in error_of(capsys)
    assert path.read_text() == 'mine'
    assert run_tool(tool, monkeypatch, *arguments, '--force') == 0
    assert cv2.imread(str(path)) is not None


def test_captions_are_the_names_without_what_all_share(tool) -> None:
    config = Config.fromfile('tiny.py')
    dataset = tool.training_dataset(config)
    ((_, sample),) = tool.training_draws(config, dataset, [0])
    captions = tool.captions_of(sample, ['_leftImg8bit.png', '_rgb_anon.png'])
    assert re.fullmatch(r'ulm_00000\d_000019', captions['S_d'])
    assert (captions['T_d'], captions['T_n']) in [('C_1', 'A_1'), ('C_1', 'A_2'), ('C_2', 'B_1')]
