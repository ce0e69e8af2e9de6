"""The night sets in one command, on miniature trees in the published layouts."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from layouts import (
    bdd100k_night_list,
    make_acdc,
    make_bdd100k,
    make_dark_zurich,
    make_night_driving,
)
from meeting_port import meeting_port
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, METRICS, MODELS, RUNNERS

from mmseg_ccdistill.runtime.checkpoint_file import OWN_KEY
from mmseg_ccdistill.runtime.command_line import run_main

ROOT = Path(__file__).resolve().parents[2]
BASES = ROOT / 'configs' / '_base_' / 'datasets'
NIGHT_BASES = [
    'dark_zurich_val',
    'dark_zurich_test',
    'acdc_night_val',
    'acdc_night_test',
    'bdd100k_night',
    'night_driving',
]
SEGMENTOR = dict(
    type='EncoderDecoder',
    backbone=dict(
        type='ResNet', depth=18, base_channels=4, stem_channels=4, norm_cfg=dict(type='BN')
    ),
    decode_head=dict(
        type='FCNHead', in_channels=32, in_index=3, channels=8, num_convs=1,
        concat_input=False, num_classes=19, norm_cfg=dict(type='BN'),
        loss_decode=dict(type='CrossEntropyLoss'),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)  # fmt: skip
PREPROCESSOR = dict(type='SegDataPreProcessor', mean=[0.0] * 3, std=[255.0] * 3, size=(32, 64))
PLAIN = dict(SEGMENTOR, data_preprocessor=PREPROCESSOR)
CCDISTILL = dict(
    type='CCDistillSegmentor',
    data_preprocessor=dict(PREPROCESSOR, type='CrossDomainPreprocessor'),
    segmentor=SEGMENTOR,
    projection_head=dict(type='ProjectionHead', in_channels=32, out_channels=8),
)


def load_tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location('night_tool', ROOT / 'tools' / 'test_night.py')
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """The four sets below data/, a plain model's config and a checkpoint, as the working directory."""
    make_dark_zurich(tmp_path / 'data/dark_zurich')
    make_acdc(tmp_path / 'data/acdc')
    bdd = make_bdd100k(tmp_path / 'data/bdd100k', 'old')
    (bdd / 'lists').mkdir()
    (bdd / 'lists/bdd100k_night.txt').write_text(bdd100k_night_list())
    make_night_driving(tmp_path / 'data/night_driving')
    for name, model in (('plain', PLAIN), ('distilled', CCDISTILL)):
        write_config(tmp_path / f'{name}.py', model)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_config(path: Path, model: dict) -> None:
    base = str(ROOT / 'configs/_base_/default_runtime.py')
    path.write_text(f'_base_ = [{base!r}]\nmodel = {model!r}\n')


def save_weights(config: Path, checkpoint: Path) -> None:
    init_default_scope('mmseg')
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(str(config)).model)
    torch.save(dict(state_dict=model.state_dict(), meta={OWN_KEY: '0.1.0'}), checkpoint)


def small(*names: str) -> list[str]:
    """Settings that fit the miniature trees: images of 64 x 32, no worker processes."""
    settings = ['env_cfg.cudnn_benchmark=False']
    for name in names:
        settings += [
            f'{name}_dataloader.num_workers=0',
            f'{name}_dataloader.dataset.pipeline.1.scale=(64,32)',
        ]
    return ['--cfg-options', *settings]


def call(monkeypatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, 'argv', ['test_night.py', *map(str, arguments)])
    return run_main(load_tool().main)


def test_one_command_one_table(project, monkeypatch, capsys) -> None:
    save_weights(project / 'plain.py', project / 'plain.pth')
    sets = ['dz-val', 'acdc-night-val', 'bdd100k-night', 'night-driving']
    settings = small('dark_zurich_val', 'acdc_night_val', 'bdd100k_night', 'night_driving')
    monkeypatch.setenv('COLUMNS', '160')
    arguments = ['--sets', *sets, '--out', 'night', *settings]
    assert call(monkeypatch, 'plain.py', 'plain.pth', *arguments) == 0
    output = capsys.readouterr().out

    head = ['DZ-val (2 of 50)', 'ACDC-night-val (2 of 106)', 'BDD100K-night (3 of 87)']
    for column in (*head, 'Night Driving (3 of 50)'):
        assert column in output
    for row in ('road', 'bicycle', 'mIoU', 'mIoU_present', 'mUIoU', 'mAUIoU'):
        assert re.search(rf'^│ {row} +│', output, re.MULTILINE), row
    assert 'Published mIoU on DZ-test (151 images, another set)' in output
    assert output.count('Loads checkpoint') == 1  # one model for all sets

    assert 'DZ-val/mUIoU: ' in output and 'BDD100K-night/mIoU: ' in output
    assert 'BDD100K-night/mUIoU: ' not in output  # no value of an earlier set in another's name
    assert not re.search(r'Iter\(test\).* mIoU: ', output)

    content = json.loads((project / 'night/plain_night.json').read_text())
    assert [entry['set'] for entry in content['sets'][:3]] == head
    assert content['checkpoint'] == 'plain.pth'
    assert content['sets'][0]['summary']['mUIoU'] is not None
    assert 'mUIoU' not in content['sets'][2]['summary']  # no masks in BDD100K
    text = (project / 'night/plain_night.md').read_text()
    assert (
        f'| class | {" | ".join(head)} | Night' in text
        and '| method | set | road | side. |' in text
    )


def test_a_ccdistill_checkpoint_scores_as_its_night_branch(project, monkeypatch, capsys) -> None:
    """The two-branch model and its night branch alone, as a plain checkpoint, agree to the last digit."""
    save_weights(project / 'distilled.py', project / 'distilled.pth')
    weights = torch.load(project / 'distilled.pth', weights_only=True)['state_dict']
    night = {key[len('night.') :]: w for key, w in weights.items() if key.startswith('night.')}
    torch.save(dict(state_dict=night, meta={OWN_KEY: '0.1.0'}), project / 'night.pth')
    options = ['--sets', 'acdc-night-val', '--out', 'out', *small('acdc_night_val')]
    options.append('acdc_night_val_evaluator.output_dir=predictions')
    assert call(monkeypatch, 'distilled.py', 'distilled.pth', *options) == 0
    assert call(monkeypatch, 'plain.py', 'night.pth', *options) == 0
    results = [
        json.loads((project / f'out/{stem}_night.json').read_text())['sets']
        for stem in ('distilled', 'night')
    ]
    assert results[0] == results[1] and results[0][0]['summary']['mIoU'] > 0
    frames = project / 'data/acdc/rgb_anon/night/val'
    names = [str(path.relative_to('predictions')) for path in Path('predictions').rglob('*.png')]
    assert len(names) == 2 and all('/' in name and (frames / name).is_file() for name in names)


@pytest.mark.parametrize(
    ('remove', 'expected'),
    [
        ('acdc', "acdc-night-val: .*data root '.*acdc/' .*does not exist.*--sets dz-val bdd100k"),
        ('bdd100k', "bdd100k-night: .*data root '.*bdd100k/'.*--sets dz-val acdc-night-val"),
        ('dark_zurich/gt', 'dz-val: .*gt/val/night.*--sets acdc-night-val bdd100k-night'),
        ('bdd100k/lists/bdd100k_night.txt', 'MGCDA and Refign'),
    ],
)
def test_a_missing_set_is_one_sentence_before_anything_is_built(
    project, monkeypatch, capsys, remove, expected
) -> None:
    (project / 'plain.pth').touch()  # no checkpoint at all: it must not be read
    (project / 'data' / remove).rename(project / 'gone')
    assert call(monkeypatch, 'plain.py', 'plain.pth') == 2
    captured = capsys.readouterr()
    assert '\n' not in captured.err.strip()
    assert re.match(f'error: .*{expected}', captured.err)


def test_other_mistakes(project, monkeypatch, capsys) -> None:
    assert call(monkeypatch, 'plain.py', 'gone.pth') == 2
    assert "CHECKPOINT: the checkpoint 'gone.pth' does not exist" in capsys.readouterr().err
    (project / 'plain.pth').touch()
    (project / 'out').mkdir()
    (project / 'out/plain_night.md').write_text('mine')
    assert call(monkeypatch, 'plain.py', 'plain.pth', '--out', 'out') == 2
    assert 'plain_night.md' in capsys.readouterr().err
    assert (project / 'out/plain_night.md').read_text() == 'mine'
    for out in ('out/plain_night.md', 'out/plain_night.md/deeper'):
        assert call(monkeypatch, 'plain.py', 'plain.pth', '--out', out) == 2
        assert 'nothing can be written into' in capsys.readouterr().err
    with pytest.raises(SystemExit):
        load_tool().parse_args(['c.py', 'm.pth', '--sets', 'dz-test'])


def test_a_file_without_weights_is_named_before_anything_is_built(
    project, monkeypatch, capsys
) -> None:
    """As tools/test.py does: damaged, empty, or with code in it."""

    def never(config: Config) -> None:
        raise AssertionError('nothing is built')

    monkeypatch.setattr(RUNNERS, 'build', never)
    save_weights(project / 'plain.py', project / 'whole.pth')
    (project / 'damaged.pth').write_bytes((project / 'whole.pth').read_bytes()[:-400])
    torch.save(dict(meta={}), project / 'empty.pth')
    torch.save(dict(state_dict={}, of=Path), project / 'code.pth')
    for name in ('damaged', 'empty', 'code'):
        assert call(monkeypatch, 'plain.py', f'{name}.pth', *small('acdc_night_val')) == 2
        error = capsys.readouterr().err.strip()
        assert '\n' not in error
        assert re.match(rf"error: the argument CHECKPOINT: '?{name}\.pth", error), error


def test_an_address_that_does_not_answer_is_one_sentence(project, monkeypatch, capsys) -> None:
    monkeypatch.setenv('TORCH_HOME', str(project / 'cache'))
    monkeypatch.setattr(torch.hub, '_hub_dir', None)
    address = 'http://127.0.0.1:1/night.pth'
    options = ['--sets', 'acdc-night-val', *small('acdc_night_val')]
    assert call(monkeypatch, 'plain.py', address, *options) == 2
    error = capsys.readouterr().err
    assert re.search(rf"^error: the checkpoint '{address}' cannot be downloaded \(", error, re.M)
    assert 'Traceback' not in error


def test_settings_that_the_tool_makes_itself_are_refused(project, monkeypatch, capsys) -> None:
    options = ['--cfg-options', 'test_dataloader.batch_size=2']
    assert call(monkeypatch, 'plain.py', 'plain.pth', *options) == 2
    assert 'write, for example, acdc_night_val_dataloader in its place' in capsys.readouterr().err


@pytest.mark.parametrize(
    'sets', [['acdc-night-val'], ['dz-val', 'acdc-night-val'], ['acdc-night-val', 'dz-val']]
)
def test_classes_in_another_order_are_refused_in_any_set(
    project, monkeypatch, capsys, sets: list[str]
) -> None:
    save_weights(project / 'plain.py', project / 'plain.pth')
    classes = list(DATASETS.get('CityscapesDataset').METAINFO['classes'])
    turned = [classes[1], classes[0], *classes[2:]]
    base = str(BASES / 'acdc_night_val.py')
    (project / 'turned.py').write_text(
        f"_base_ = ['plain.py', {base!r}]\n"
        f'acdc_night_val_dataloader = dict(dataset=dict(metainfo=dict(classes={turned!r})))\n'
    )
    # of a model that goes by the names of Cityscapes, a single set can be told, too
    head = dict(
        loss_decode=dict(type='WeightedCrossEntropyLoss', class_weight='balanced', _delete_=True)
    )
    with (project / 'turned.py').open('a') as file:
        file.write(f'model = dict(decode_head={head!r})\n')
    monkeypatch.setattr(RUNNERS, 'build', None)  # nothing is built
    assert call(monkeypatch, 'turned.py', 'plain.pth', '--sets', *sets) == 2
    error = capsys.readouterr().err
    assert '\n' not in error.strip()
    assert "in another order: class 0 is 'road'" in error or "class 0 is 'sidewalk'" in error


def test_the_others_results_are_kept_when_a_set_fails(project, monkeypatch, capsys) -> None:
    """A label with labelIds in the second set: its name is printed, and the first set's table."""
    save_weights(project / 'plain.py', project / 'plain.pth')
    for label in (project / 'data/acdc/gt/night/val').rglob('*_gt_labelTrainIds.png'):
        label.write_bytes(label.with_name(label.name.replace('TrainIds', 'Ids')).read_bytes())
    arguments = ['--sets', 'dz-val', 'acdc-night-val', '--out', 'out']
    arguments += small('dark_zurich_val', 'acdc_night_val')
    assert call(monkeypatch, 'plain.py', 'plain.pth', *arguments) == 2
    captured = capsys.readouterr()
    assert re.search('^error: The label .*look like labelIds', captured.err, re.MULTILINE)
    content = json.loads((project / 'out/plain_night.json').read_text())
    assert [entry['name'] for entry in content['sets']] == ['DZ-val']


@pytest.mark.slow
def test_two_processes_score_as_one(project, monkeypatch) -> None:
    """Three images on two ranks: the sampler repeats one, which must not count twice."""
    save_weights(project / 'plain.py', project / 'plain.pth')
    arguments = ['plain.py', 'plain.pth', '--sets', 'acdc-night-val', 'bdd100k-night']
    settings = small('acdc_night_val', 'bdd100k_night')
    assert call(monkeypatch, *arguments, '--out', 'one', *settings) == 0
    port = meeting_port()
    command = [
        sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node=2',
        f'--master_port={port}', str(ROOT / 'tools/test_night.py'), *arguments, '--out', 'two',
        '--launcher', 'pytorch', *settings,
    ]  # fmt: skip
    env = dict(os.environ, PYTHONPATH=str(ROOT))
    result = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr[-3000:]
    one, two = (
        json.loads((project / folder / 'plain_night.json').read_text())['sets']
        for folder in ('one', 'two')
    )
    assert one == two and [entry['images'] for entry in two] == [2, 3]


def test_a_config_may_describe_a_set_itself(project) -> None:
    tool = load_tool()
    config = Config(dict(dark_zurich_val_dataloader=dict(batch_size=4)))
    tool.add_night_sets(config, ['dz-val', 'night-driving'])
    assert config.dark_zurich_val_dataloader == dict(batch_size=4)
    assert config.dark_zurich_val_evaluator.dataset_name == 'DZ-val'
    assert config.night_driving_dataloader.dataset.type == 'NightDrivingDataset'


def test_the_bases_can_all_be_used_together(tmp_path, monkeypatch) -> None:
    files = [str(BASES / f'{name}.py') for name in (*NIGHT_BASES, 'cityscapes2darkzurich')]
    (tmp_path / 'all.py').write_text(f'_base_ = {files!r}\n')
    config = Config.fromfile(str(tmp_path / 'all.py'))
    monkeypatch.chdir(tmp_path)  # the evaluators of unlabelled sets make their folders
    init_default_scope('mmseg')
    for name in NIGHT_BASES:
        dataset = DATASETS.build(dict(config[f'{name}_dataloader'].dataset, lazy_init=True))
        assert dataset.metainfo['classes'][18] == 'bicycle'
        loads = [step['type'] for step in config[f'{name}_pipeline']]
        assert ('LoadAnnotations' in loads) == ('seg_map_path' in dataset.data_prefix)
        assert loads[-1] == 'PackSegInputs'
        metric = METRICS.build(config[f'{name}_evaluator'])
        assert metric.format_only == name.endswith('_test')


def test_test_sizes_are_half_of_1920x1080_and_native_for_bdd100k() -> None:
    sizes = {
        name: Config.fromfile(str(BASES / f'{name}.py'))[f'{name}_pipeline'][1]['scale']
        for name in NIGHT_BASES
    }
    assert sizes.pop('bdd100k_night') == (1280, 720)
    assert set(sizes.values()) == {(960, 540)}
