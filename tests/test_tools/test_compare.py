from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.apis import init_model
from mmseg.datasets import CityscapesDataset
from mmseg.registry import MODELS
from PIL import Image
from tool_project import (
    VAL_STEMS,
    error_of,
    load_tool,
    make_project,
    run_tool,
    save_checkpoint,
)

# Tiles of 96 x 64 (the images' own size) below a header of 24; captions of 18, gaps of 6.
HEADER, STEP = 24, 64 + 18 + 6
PALETTE = np.array(CityscapesDataset.METAINFO['palette'], np.uint8)[:, ::-1]


@pytest.fixture(scope='module')
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp('compare'))


@pytest.fixture
def tool(files: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(files)
    return load_tool('tools/analysis_tools/compare.py')


def tile(figure: np.ndarray, row: int, column: int) -> np.ndarray:
    top, left = HEADER + row * STEP, 6 + column * (96 + 6)
    return figure[top : top + 64, left : left + 96]


def predictions(config: str, checkpoint: str) -> list[np.ndarray]:
    """Label maps of the test set as mmseg's own loop makes them."""
    cfg = Config.fromfile(config)
    model = init_model(cfg, checkpoint, device='cpu')
    loader = Runner.build_dataloader(cfg.test_dataloader)
    maps = []
    with torch.no_grad():
        for batch in loader:
            outputs = model.test_step(batch)
            maps += [sample.pred_sem_seg.data[0].numpy() for sample in outputs]
    return maps


def test_a_label_whose_indices_show_other_classes_is_not_measured(
    files, tool, monkeypatch, tmp_path, capsys
) -> None:
    path = Path(f'data/dark_zurich/gt/val/night/{VAL_STEMS[0]}_gt_labelTrainIds.png')
    before = path.read_bytes()
    label = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    values = np.unique(label)[::-1]
    image = Image.fromarray(
        np.searchsorted(-values.astype(int), -label.astype(int)).astype('uint8')
    )
    image.putpalette(np.repeat(values, 3).tolist())
    image.save(path)
    try:
        code = run_tool(tool, monkeypatch, 'tiny.py:tiny.pth', '--out', tmp_path / 'a.png')
        assert code == 2 and 'holds the index 0, which shows grey 255' in error_of(capsys)
    finally:
        path.write_bytes(before)


def test_an_image_that_the_config_does_not_turn_is_shown_as_stored(
    files, tool, monkeypatch, tmp_path, capsys
) -> None:
    path = Path(f'data/dark_zurich/rgb_anon/val/night/{VAL_STEMS[0]}_rgb_anon.png')
    before = path.read_bytes()
    stored = cv2.imread(str(path))
    exif = Image.Exif()
    exif[0x0112] = 3
    with Image.open(path) as image:
        image.save(path, exif=exif)
    out = tmp_path / 'a.png'
    arguments = ['tiny.py:tiny.pth', '--num', 1, '--tile-width', 96, '--out', out]
    key = 'test_dataloader.dataset.pipeline.0.color_type'
    try:
        assert run_tool(tool, monkeypatch, *arguments) == 2
        assert 'has the EXIF orientation 3' in error_of(capsys)
        options = ['--cfg-options', f'{key}=color_ignore_orientation']
        assert run_tool(tool, monkeypatch, *arguments, *options) == 0
    finally:
        path.write_bytes(before)
    assert np.array_equal(tile(cv2.imread(str(out)), 0, 0), stored)


def test_any_number_of_models_beside_input_and_truth(files, tool, monkeypatch, tmp_path) -> None:
    out = tmp_path / 'figure.png'
    models = ['source.py:source.pth', 'tiny.py:tiny.pth', 'tiny.py:tiny.pth']
    code = run_tool(tool, monkeypatch, *models, '--names', 'source only', 'CCDistill', 'again',
                    '--tile-width', 96, '--out', out)  # fmt: skip

    assert code == 0
    figure = cv2.imread(str(out))
    assert figure.shape[1] == 6 + 5 * (96 + 6)
    folder = Path('data/dark_zurich/rgb_anon/val/night')
    for row, stem in enumerate(VAL_STEMS):
        image = cv2.imread(str(folder / f'{stem}_rgb_anon.png'))
        np.testing.assert_array_equal(tile(figure, row, 0), image)
        truth = tile(figure, row, 1)  # stripes of 20 pixels: road, building, sky, car, ignored
        for x, expected in (
            (5, PALETTE[0]),
            (25, PALETTE[2]),
            (45, PALETTE[10]),
            (65, PALETTE[13]),
        ):
            assert (truth[:, x] == expected).all()
        assert (truth[:, 90] == 0).all()
    for column, model in ((2, 'source'), (3, 'tiny'), (4, 'tiny')):
        maps = predictions(f'{model}.py', f'{model}.pth')
        for row, label in enumerate(maps):
            np.testing.assert_array_equal(tile(figure, row, column), PALETTE[label])


def test_errors_are_the_wrong_pixels(files, tool, monkeypatch, tmp_path) -> None:
    out = tmp_path / 'figure.png'
    arguments = ['tiny.py:tiny.pth', '--indices', 2, '--miou', '--errors', '--tile-width', 96]

    assert run_tool(tool, monkeypatch, *arguments, '--out', out) == 0

    figure = cv2.imread(str(out))
    assert figure.shape[1] == 6 + 4 * (96 + 6)
    label = predictions('tiny.py', 'tiny.pth')[2]
    truth = np.array([0, 2, 10, 13, 255])[np.arange(96) // 20][None]
    wrong = (label != truth) & (truth != 255)
    painted = (tile(figure, 0, 3) == (0, 94, 213)).all(axis=2)
    np.testing.assert_array_equal(painted, wrong)


def test_given_files_need_no_labels(tool, monkeypatch, capsys, tmp_path) -> None:
    image = f'data/dark_zurich/rgb_anon/val/night/{VAL_STEMS[1]}_rgb_anon.png'
    options = ['--cfg-options', 'test_dataloader.dataset.data_root=gone']
    code = run_tool(tool, monkeypatch, 'tiny.py:tiny.pth', '--images', image,
                    '--tile-width', 96, '--out', tmp_path / 'a.png', *options)  # fmt: skip
    assert code == 0 and 'mIoU' not in capsys.readouterr().out
    figure = cv2.imread(str(tmp_path / 'a.png'))
    assert figure.shape[1] == 6 + 2 * (96 + 6)
    label = predictions('tiny.py', 'tiny.pth')[1]
    np.testing.assert_array_equal(tile(figure, 0, 1), PALETTE[label])


def test_given_files_need_no_palette(files, tool, monkeypatch, capsys, tmp_path) -> None:
    """As the test set itself: without one, MMSegmentation makes the colours up."""
    image = f'data/dark_zurich/rgb_anon/val/night/{VAL_STEMS[1]}_rgb_anon.png'
    plain = dict(
        type='BaseSegDataset',
        data_root='data/dark_zurich/',
        data_prefix=dict(img_path='rgb_anon/val/night', seg_map_path='gt/val/night'),
        img_suffix='_rgb_anon.png',
        seg_map_suffix='_gt_labelTrainIds.png',
        metainfo=dict(classes=[f'class {k}' for k in range(19)]),
    )
    (files / 'plain.py').write_text(
        f"_base_ = 'source.py'\nplain = {plain!r}\ntest_dataloader = dict(dataset=dict(plain, "
        '_delete_=True, pipeline=_base_.test_dataloader.dataset.pipeline))\n'
    )
    figures = {}
    for name, chosen in (('set', ['--indices', 1]), ('files', ['--images', image])):
        out = tmp_path / f'{name}.png'
        arguments = ['plain.py:source.pth', *chosen, '--tile-width', 96, '--out', out]
        assert run_tool(tool, monkeypatch, *arguments) == 0
        figures[name] = cv2.imread(str(out))
    prediction = tile(figures['files'], 0, 1)
    np.testing.assert_array_equal(prediction, tile(figures['set'], 0, 2))
    wrapped = dict(_delete_=True, type='ConcatDataset', datasets=[plain])
    (files / 'wrapped.py').write_text(
        f"_base_ = 'source.py'\ntest_dataloader = dict(dataset={wrapped!r})\n"
    )
    meta = tool.meta_of_test_set(Config.fromfile('wrapped.py'))
    assert len(meta['classes']) == len(meta['palette']) == 19


def test_titles_are_the_work_dirs_and_tell_two_checkpoints_of_one_apart(tool, tmp_path) -> None:
    def titles(*checkpoints: str) -> list[str]:
        pairs = [f'tiny.py:{checkpoint}' for checkpoint in checkpoints]
        return [name for name, _, _ in tool.read_models(pairs, None, None)]

    assert titles('runs/source/a.pth', 'runs/full/a.pth') == ['source', 'full']
    assert titles('runs/full/iter_1.pth', 'runs/full/iter_2.pth') == ['full/iter_1', 'full/iter_2']


def test_images_are_spread_evenly(tool) -> None:
    dataset = tool.test_set(Config.fromfile('tiny.py'))
    scenes = tool.scenes_of_test_set(dataset, 2, None)
    assert [Path(scene.path).stem for scene in scenes] == [
        'GOPR0356_frame_000321_rgb_anon',
        'GOPR0356_frame_000327_rgb_anon',
    ]
    assert dataset.metainfo['classes'][0] == 'road'
    assert len(tool.scenes_of_test_set(dataset, 99, None)) == 3


def mean_iou_of(maps: list[np.ndarray]) -> float:
    """Mean IoU over the classes that are true or predicted, pixel by pixel, in percent."""
    truth = np.array([0, 2, 10, 13, 255])[np.arange(96) // 20][None].repeat(64, axis=0)
    ids, labels = np.stack(maps), np.stack([truth] * len(maps))
    ids, labels = ids[labels != 255], labels[labels != 255]
    classes = np.union1d(ids, labels)
    ious = [
        np.sum((ids == c) & (labels == c)) / np.sum((ids == c) | (labels == c)) for c in classes
    ]
    return 100 * float(np.mean(ious))


def row_of(output: str, name: str) -> list[str]:
    (line,) = [line for line in output.splitlines() if line.startswith(f'│ {name} ')]
    return [cell.strip() for cell in line.strip('│').split('│')]


PUBLISHED = [  # Tables 1 to 3 of the paper
    ('Table 1', 'RefineNet (source-only)', 'DZ-test (151)', '28.5'),
    ('Table 1', 'CCDistill (RefineNet)', 'DZ-test (151)', '47.5'),
    ('Table 2', 'CCDistill (RefineNet)', 'ACDC-night-val (106)', '37.7'),
    ('Table 2', 'CCDistill (RefineNet)', 'BDD100K-night (87)', '33.0'),
    ('Table 3', 'w/o CDS', 'DZ-test (151)', '44.0'),
    ('Table 3', 'Ours', 'DZ-test (151)', '47.5'),
]


def test_the_models_are_measured_and_the_paper_stands_apart(
    tool, monkeypatch, capsys, tmp_path
) -> None:
    arguments = ['source.py:source.pth', 'tiny.py:tiny.pth', '--names', 'source', 'ours']
    arguments += ['--tile-width', 96, '--out', tmp_path / 'a.png']
    assert run_tool(tool, monkeypatch, *arguments) == 0
    output = capsys.readouterr().out

    assert 'Measured on data/dark_zurich/rgb_anon/val/night (3), IoU in percent:' in output
    measured, published = output.split('Published mIoU (Gao et al., CVPR 2022)')
    expected = [
        mean_iou_of(predictions(f'{name}.py', f'{name}.pth')) for name in ('source', 'tiny')
    ]
    assert row_of(measured, 'mIoU') == ['mIoU', *(f'{value:.2f}' for value in expected)]
    lines = [
        tuple(cell.strip() for cell in line.strip('│').split('│'))
        for line in published.splitlines()
        if line.startswith('│')
    ]
    assert [line for line in lines if line in PUBLISHED] == PUBLISHED and len(lines) == 33
    assert 'CCDistill' not in measured and 'source-only' not in measured.split('Measured on')[1]

    monkeypatch.setattr(tool, 'check_picture_path', lambda *args: None)
    assert run_tool(tool, monkeypatch, *arguments, '--no-published') == 0
    output = capsys.readouterr().out
    assert 'Measured on' in output and 'Published' not in output


def test_a_part_of_a_named_set_is_said_to_be_one(tool, monkeypatch, capsys, tmp_path) -> None:
    settings = [
        'test_evaluator.type=NightIoUMetric',
        'test_evaluator.dataset_name=DZ-val',
        'test_evaluator.expected_images=50',
    ]
    arguments = ['tiny.py:tiny.pth', '--num', 2, '--out', tmp_path / 'a.png']
    assert run_tool(tool, monkeypatch, *arguments, '--cfg-options', *settings) == 0
    output = capsys.readouterr().out
    assert 'Measured on DZ-val (2 of 50)' in output
    maps = predictions('tiny.py', 'tiny.pth')
    assert row_of(output, 'mIoU')[1] == f'{mean_iou_of([maps[0], maps[2]]):.2f}'


@pytest.mark.parametrize(
    ('arguments', 'expected'),
    [
        (['tiny.py'], "'tiny.py' names no checkpoint: expected CONFIG:CHECKPOINT"),
        (['gone.py:tiny.pth'], "'gone.py' does not exist"),
        (['tiny.py:gone.pth'], "CHECKPOINT: .*'gone.pth' does not exist"),
        (['source.py:tiny.pth'], 'fits nothing in the model'),
        (['tiny.py:tiny.pth', '--names', 'a', 'b'], '--names gives 2 titles for 1 models'),
        (['tiny.py:tiny.pth', '--indices', '3'], 'there is no image 3: the test set has 0 to 2'),
        *(
            (['tiny.py:tiny.pth', '--images', 'a.png', option, '1'],
             f'{option} chooses images of the test set, and --images takes files in its place')
            for option in ('--num', '--indices')
        ),
        (['tiny.py:tiny.pth', '--out', 'tiny.py/x/a.png'],
         r"^nothing can be written into 'tiny\.py/x' \(Not a directory\): expected a folder"),
        (['tiny.py:tiny.pth', '--images', 'gone.png'], "the image 'gone.png' does not exist"),
        (['tiny.py:tiny.pth', '--images', 'tiny.py'], "'tiny.py' is no image"),
        (
            ['tiny.py:tiny.pth', '--errors', '--images',
             f'data/dark_zurich/rgb_anon/val/night/{VAL_STEMS[0]}_rgb_anon.png'],
            '--miou and --errors need ground truth',
        ),
        (
            ['tiny.py:tiny.pth', '--cfg-options', 'test_dataloader.dataset.data_root=gone'],
            "test_dataloader.dataset: .*'gone' .* does not exist",
        ),
    ],
)  # fmt: skip
def test_mistakes_end_in_one_sentence(
    tool, monkeypatch, capsys, tmp_path, arguments, expected
) -> None:
    out = tmp_path / 'a.png'
    assert run_tool(tool, monkeypatch, '--out', out, *arguments) == 2
    assert re.search(expected, error_of(capsys)) and not out.exists()


@pytest.mark.parametrize('value', [0, -5])
@pytest.mark.parametrize(
    ('name', 'models', 'option'),
    [
        ('compare', ['a:b'], '--num'),
        ('compare', ['a:b'], '--tile-width'),
        ('correlations', ['a', 'b'], '--tile-width'),
        ('browse_domains', ['a'], '--num'),
        ('browse_domains', ['a'], '--rows'),
        ('browse_domains', ['a'], '--tile-width'),
    ],
)
def test_a_number_below_one_is_refused_at_once(
    capsys, name: str, models: list[str], option: str, value: int
) -> None:
    tool = load_tool(f'tools/analysis_tools/{name}.py')
    with pytest.raises(SystemExit) as ending:
        tool.parse_args([*models, '--out', 'a.png', option, str(value)])
    assert ending.value.code == 2
    assert capsys.readouterr().err.endswith(f'error: {option} must be at least 1, got {value}\n')


@pytest.mark.parametrize('count', [5, 25])
@pytest.mark.parametrize('images', [False, True], ids=['test set', 'images'])
def test_a_model_of_other_classes_is_refused(
    files, tool, monkeypatch, capsys, tmp_path, count: int, images: bool
) -> None:
    """Fewer would be scored as if they were the set's, more have no names."""
    head = dict(num_classes=count, loss_decode=dict(_delete_=True, type='CrossEntropyLoss'))
    (files / 'other.py').write_text(f"_base_ = 'source.py'\nmodel = dict(decode_head={head!r})\n")
    init_default_scope('mmseg')
    model = MODELS.build(Config.fromfile('other.py').model)
    save_checkpoint(tmp_path / 'other.pth', model.state_dict())
    pair, out = f'other.py:{tmp_path / "other.pth"}', tmp_path / 'a.png'
    frame = f'data/dark_zurich/rgb_anon/val/night/{VAL_STEMS[0]}_rgb_anon.png'
    more = ['--images', frame] if images else ['--num', 1]
    assert run_tool(tool, monkeypatch, 'source.py:source.pth', pair, *more, '--out', out) == 2
    assert error_of(capsys) == (
        f'{pair} has {count} classes and the test set of the first config 19: expected equal numbers; compare models '
        'of one set of classes'
    )
    assert not out.exists()


def test_a_picture_of_no_known_format_is_refused(tool, monkeypatch, capsys, tmp_path) -> None:
    arguments = ['tiny.py:tiny.pth', '--num', 1, '--out', tmp_path / 'a.nonsense']
    assert run_tool(tool, monkeypatch, *arguments) == 2
    assert 'is no image format, use .png or .jpg' in error_of(capsys)


def test_an_existing_picture_is_kept_without_force(tool, monkeypatch, capsys, tmp_path) -> None:
    out = tmp_path / 'a.png'
    out.write_text('mine')
    assert run_tool(tool, monkeypatch, 'tiny.py:tiny.pth', '--num', 1, '--out', out) == 2
    assert 'exists: choose another name or pass --force' in error_of(capsys)
    assert out.read_text() == 'mine'
