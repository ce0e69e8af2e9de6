"""The stages that a config lists: what they start from, where they write, and what does not fit together."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_stages import make_place
from mmengine.config import Config

from mmseg_ccdistill.engine.curriculum_plan import read_plan, stages_from
from mmseg_ccdistill.engine.curriculum_stage import Stage, Tools
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime.override_syntax import parse_overrides

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
SOURCE = 'work_dirs/refinenet/refinenet_small_mini/iter_600.pth'
MINI = 'refinenet_small_mini_day2night'
TOOLS = Tools('train.py', 'dist.sh', 'label.py')
DARK = 'data/mini_night/dark_zurich'
PART = 'train_dataloader.dataset.parts.1.dataset'


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(make_place(tmp_path))


def chain(stages: list[Stage]) -> list[tuple[str, str, str]]:
    return [
        (stage.name, 'trains' if stage.is_training else 'labels', stage.checkpoint)
        for stage in stages
    ]


def test_dmada_goes_from_day_over_twilight_to_night() -> None:
    stages = read_plan(f'configs/dmada/{MINI}.py', 'run')
    assert chain(stages) == [
        ('twilight_labels', 'labels', SOURCE),
        ('twilight', 'trains', SOURCE),
        ('new_twilight_labels', 'labels', 'run/twilight/iter_600.pth'),
        ('night_labels', 'labels', 'run/twilight/iter_600.pth'),
        ('night', 'trains', 'run/twilight/iter_600.pth'),
    ]
    assert {Path(stage.images).name for stage in stages if stage.images} == {'twilight', 'night'}
    assert all(stage.threshold == 'none' and not stage.refine for stage in stages)


@pytest.mark.parametrize(('method', 'align'), [('gcma', 'filter'), ('mgcda', 'geometry')])
def test_gcma_never_trains_on_night_and_its_guide_is_the_source_network(
    method: str, align: str
) -> None:
    stages = read_plan(f'configs/{method}/{MINI}.py', 'run')
    assert chain(stages) == [
        ('day_labels', 'labels', SOURCE),
        ('day', 'trains', SOURCE),
        ('twilight_labels', 'labels', 'run/day/iter_600.pth'),
        ('twilight', 'trains', 'run/day/iter_600.pth'),
    ]
    assert {Path(stage.images).name for stage in stages if stage.images} == {'day', 'twilight'}
    refine = stages[2].refine
    assert (refine['guide'], refine['align']) == (SOURCE, align)


def fill(config: str) -> None:
    """Write what the stages of a config read and is not there: of the large data set."""
    for entry in Config.fromfile(config).curriculum:
        refine = entry.get('refine') or {}
        for name in (entry.get('start'), entry.get('checkpoint'), refine.get('guide')):
            if name and '/' in name:
                put(Path(name))
        if entry.get('label'):
            put(Path(entry.label, 'A/x_rgb_anon.png'))
        if 'pairs' in refine:
            put(Path(refine.pairs, 'x.csv'), 'train/twilight/A/x,train/day/A/x\n')
        if 'depth_root' in refine:
            put(Path(refine.depth_root, 'x_rgb_anon.png'))


def put(path: Path, text: str = '') -> None:
    """Write a file where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_text(text)


@pytest.mark.parametrize('method', ['dmada', 'gcma', 'mgcda'])
@pytest.mark.parametrize('stem', [MINI, 'refinenet_r101_cs2dz'])
def test_the_last_stage_is_the_config_itself_with_its_default_folders(
    method: str, stem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the config trains by itself, too, once the labels are there."""
    path = f'configs/{method}/{stem}.py'
    fill(path)
    stages = read_plan(path, f'work_dirs/{method}/{stem}')
    for stage in (stage for stage in stages if stage.is_training):
        command = stage.command(TOOLS)
        options = parse_overrides(command[command.index('--cfg-options') + 1 :])
        trained = Config.fromfile(stage.config)
        if method == 'mgcda' and stage.name == 'day':
            continue  # the first stage of GCMA, in a folder of its own
        before = trained.to_dict()
        trained.merge_from_dict(options)
        assert trained.to_dict() == before
    assert stages[-1].config == path


def test_a_resumed_training_and_options_of_every_training() -> None:
    stages = read_plan(f'configs/dmada/{MINI}.py', 'run', {'train_cfg.max_iters': 7})
    assert stages[1].product == Path('run/twilight/iter_7.pth')
    command = stages[1].command(TOOLS, is_resumed=True)
    assert command[1:6] == ['train.py', stages[1].config, '--work-dir', 'run/twilight', '--resume']
    assert command[-1] == 'train_cfg.max_iters=7'
    assert 'train_cfg.max_iters=7' not in stages[0].command(TOOLS)
    assert stages[1].settings != read_plan(f'configs/dmada/{MINI}.py', 'run')[1].settings
    assert [stage.name for stage in stages_from(stages, 'night_labels')] == [
        'night_labels',
        'night',
    ]


def write(change: Callable[[list[dict]], Any]) -> str:
    """A config with other stages."""
    entries = [
        dict(name='a', label='data/mini_night', checkpoint=SOURCE, config='configs/refinenet/refinenet_small_mini.py'),
        dict(name='b', train=f'configs/dmada/{MINI}_twilight.py', start=SOURCE, labels=dict(twilight='a')),
    ]  # fmt: skip
    entries = change(entries) or entries
    base = str(CONFIGS / f'dmada/{MINI}_twilight.py')
    Path('mine.py').write_text(f'_base_ = {base!r}\ncurriculum = {entries!r}\n')
    return 'mine.py'


def test_two_stages_of_ones_own() -> None:
    stages = read_plan(write(lambda entries: None), 'run')
    key = 'train_dataloader.dataset.parts.1.dataset'
    keys = (f'{key}.data_prefix.seg_map_path', f'{key}.made_by')
    assert stages[1].labels == [(Path('run/a'), SOURCE, *keys)]


def test_bdl_lab_labels_the_nights_of_its_list_and_starts_anew() -> None:
    stages = read_plan(f'configs/bdl_lab/{MINI}_ssl1.py', 'run')
    assert chain(stages) == [
        ('ssl0', 'trains', SOURCE),
        ('labels0', 'labels', 'run/ssl0/iter_600.pth'),
        ('ssl1', 'trains', SOURCE),
    ]
    assert (stages[1].images, stages[1].threshold) == ('', 'median')
    command = stages[1].command(TOOLS)
    assert '--images' not in command and command[2:4] == [stages[0].config, stages[1].checkpoint]
    target = 'train_dataloader.dataset.target'
    words = stages[2].command(TOOLS)
    assert f'{target}.night_label_dir=run/labels0' in words
    assert f'{target}.night_labels_of=run/ssl0/iter_600.pth' in words


@pytest.mark.parametrize('name', ['deeplabv2_r101_cs2dz', 'refinenet_r101_cs2dz'])
def test_the_third_training_of_bdl_lab_goes_on_with_the_stages_of_the_second(name: str) -> None:
    second, third = (
        Config.fromfile(f'configs/bdl_lab/{name}_ssl{number}.py').curriculum for number in (1, 2)
    )
    assert third[:3] == second and [stage.name for stage in third[3:]] == ['labels1', 'ssl2']
    assert third[4].start == second[2].start and third[3].checkpoint == 'ssl1'
    assert third[4].labels == dict(target='labels1')


def test_a_missing_list_of_nights_is_named_before_anything_runs() -> None:
    Path('data/mini_night/dark_zurich/lists/zurich_dn_pair_train.csv').unlink()
    with pytest.raises(UserInputError, match='zurich_dn_pair_train.csv.* does not exist'):
        read_plan(f'configs/bdl_lab/{MINI}_ssl1.py', 'run')


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (lambda e: [dict(name='a')], r"curriculum\[0\] of the config 'mine.py': {'name': 'a'} is no stage: expected d"),
        (lambda e: e[1].update(label='x'), r'curriculum\[1\].*expected dict\(name=..., train=CONFIG'),
        (lambda e: e[1].update(strat=1), "has 'strat', which nothing reads: expected 'start'"),
        (lambda e: e[0].pop('checkpoint') and None, "has no 'checkpoint': expected what the stage is made from"),
        (lambda e: e[0].update(name='a/b'), r"has name='a/b': expected letters, digits"),
        (lambda e: e[1].update(name='a'), "a stage before it is 'a', too: expected two names"),
        (lambda e: e[1].update(start='c'), "start is 'c', which is neither a training that stands before it"),
        (lambda e: e[1].update(start='a'), "start is 'a', which is neither a training"),
        (lambda e: e[0].update(checkpoint='none.pth'), "checkpoint is 'none.pth', which is neither"),
        (lambda e: e[0].pop('config') and None, "has no config: expected that of the network in 'work_dirs"),
        (lambda e: e[0].update(label='data/none'), "the images 'data/none' do not exist: expected a folder"),
        (lambda e: e[1].update(labels=dict(dusk='a')), r"for the part 'dusk', but the parts of .* are \['source', 'tw"),
        (lambda e: e[1].update(labels=dict(twilight='z')), "from 'z': expected a labelling that stands before it"),
        (lambda e: e[0].update(refine=dict(guide=SOURCE, pairs='corresp')), "The pair list 'corresp' does not exist"),
        (lambda e: e[0].update(refine=dict(guide='none.pth')), "refine.guide is 'none.pth', which is neither"),
        (lambda e: e[0].update(refine='geometry'), "has refine='geometry': expected a dict"),
        (lambda e: e[0].update(threshold=0.9), 'has threshold=0.9: expected text'),
        (lambda e: e[1].update(start=None), 'has start=None: expected text'),
        (lambda e: e[1].update(train='configs/none.py'), "the config file 'configs/none.py' does not exist"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_one_sentence(change: Callable, words: str) -> None:
    with pytest.raises(UserInputError, match=words):
        read_plan(write(change), 'run')
    assert not Path('run').exists()


def guided(refine: dict[str, Any] | None = None, **settings: Any) -> str:
    """A config whose third stage labels twilight, guided by the network of the second."""
    refined = dict(guide='b', pairs=f'{DARK}/corresp/train/twilight', align='geometry')
    refined |= refine or {}
    label = f'{DARK}/rgb_anon/train/twilight'
    entry = dict(name='c', label=label, checkpoint='b', refine=refined)
    return write(lambda entries: [*entries, entry | settings])


def test_what_only_a_stage_before_it_makes_need_not_be_there() -> None:
    put(Path('depth/A_frame_000000_rgb_anon.png'))
    stages = read_plan(guided(dict(depth_root='depth'), threshold='fixed 0.9'), 'run')
    product = 'run/b/iter_600.pth'
    assert stages[2].checkpoint == stages[2].refine['guide'] == product
    assert not Path(product).exists()


@pytest.mark.parametrize(
    ('refine', 'settings', 'words'),
    [
        ({}, dict(threshold='fixd 0.9'), "the threshold is 'fixd'.*: expected one of"),
        ({}, dict(threshold='fixed 7'), 'the value of the threshold is 7.0: expected 0 to 1'),
        ({}, dict(threshold='fixed much'), "the threshold is 'fixed much': expected"),
        ({}, dict(threshold='fixed'), "the threshold is 'fixed' with the value None: expected a value"),
        ({}, dict(threshold=''), "the threshold is '': expected"),
        ({}, dict(label='empty_folder'), "'empty_folder' holds no image: expected files"),
        ({}, dict(options={'model.decode_head': dict(channels=8)}), r'model.decode_head: \{.* cannot be written as'),
        (
            {},
            dict(options={'val_cfg.type': 'ValLoop', 'val_cfg': None}),
            "'val_cfg' and 'val_cfg.type' are both given",
        ),
        ({}, dict(options={'test_dataloader': None}), 'no test_dataloader.dataset.pipeline'),
        (dict(algin='geometry'), {}, 'refine.algin is no setting: expected some of align'),
        (dict(guide=None), {}, 'refine.guide is not set: expected the checkpoint'),
        (dict(guide=dict(a=1)), {}, 'refine.guide is "?{.*, which is neither'),
        (dict(pairs='empty_folder'), {}, "The pair list 'empty_folder' is empty"),
        (dict(suffix='.jpg'), {}, 'refine.pairs .* names no day image for any of the 3 images'),
        (dict(depth_root='no/such/folder'), {}, 'refine.depth_root no/such/folder is no folder'),
        (dict(depth_root='empty_folder'), {}, 'refine.depth_root empty_folder has no depth of'),
        (dict(depth_root=3), {}, 'refine.depth_root 3 is no folder'),
        (dict(dynamic_classes=[99]), {}, 'refine.dynamic_classes names class 99, but the prediction has 19'),
        (dict(guide=[1]), {}, 'refine.guide is .*, which is neither'),
    ],
)  # fmt: skip
def test_what_a_labelling_would_refuse_is_refused_before_the_first_stage(
    refine: dict, settings: dict, words: str
) -> None:
    Path('empty_folder').mkdir()
    with pytest.raises(UserInputError, match=rf"^curriculum\[2\] of the config 'mine.py'.*{words}"):
        read_plan(guided(refine, **settings), 'run')
    assert not Path('run').exists()


def test_options_that_cannot_be_written_are_refused_before_the_first_stage() -> None:
    options = {'model.part_weights': dict(source=1.0, twilight=0.5)}
    words = (
        r'^curriculum\[1\].*model.part_weights: {.*} cannot be written as KEY=VALUE: .* one option for each of its '
        'settings'
    )
    with pytest.raises(UserInputError, match=words):
        read_plan(write(lambda e: e[1].update(options=options)), 'run')
    options = {'model.part_weights.source': 1.0, 'model.part_weights.twilight': 0.5}
    read_plan(write(lambda e: e[1].update(options=options)), 'run')


@pytest.mark.parametrize(
    ('key', 'value', 'words'),
    [
        ('load_from', 'other.pth', "'start' of each stage names the checkpoint"),
        ('resume', True, 'a curriculum goes on by itself'),
        ('work_dir', 'there', "--work-dir names the folder"),
        (f'{PART}.made_by', 'other.pth', "'labels' of the stage name it"),
        (f'{PART}.data_prefix.seg_map_path', 'there', "'labels' of the stage name it"),
    ],
)  # fmt: skip
@pytest.mark.parametrize('is_of_all', [True, False], ids=['--cfg-options', 'options'])
def test_options_do_not_replace_what_the_stages_name(
    key: str, value: Any, words: str, is_of_all: bool
) -> None:
    of_all, of_stage = ({key: value}, {}) if is_of_all else ({}, {key: value})
    with pytest.raises(UserInputError, match=f'{re.escape(key)}.*{words}'):
        read_plan(write(lambda e: e[1].update(options=of_stage)), 'run', of_all)


def test_options_do_not_replace_the_labels_of_nights() -> None:
    key = 'train_dataloader.dataset.target.night_labels_of'
    with pytest.raises(UserInputError, match=f"{key}.*'labels' of the stage name it"):
        read_plan(f'configs/bdl_lab/{MINI}_ssl1.py', 'run', {key: 'other.pth'})


def test_the_curricula_of_the_page_plan() -> None:
    page = (CONFIGS.parent / 'docs/curriculum.md').read_text()
    shown = dict(re.findall(r'`(\w+\.py)`[^`]*```python\n(_base_ = .*?)```', page, flags=re.S))
    assert shown.keys() == {'translated_day.py', 'translated.py', 'with_depth.py'}
    for name, text in shown.items():
        Path(name).write_text(text)
    fill('with_depth.py')
    stages = read_plan('with_depth.py', 'run')
    assert stages[2].refine['depth_root'] == 'data/dark_zurich_depth'
    assert 'tools/curriculum.py translated.py' in page
    stages = read_plan('translated.py', 'run')
    trainings = {stage.name: stage.config for stage in stages if stage.is_training}
    assert trainings == dict(day='translated_day.py', twilight='translated.py')
    for config, light in (('translated_day.py', 'twilight'), ('translated.py', 'night')):
        source = Config.fromfile(config).train_dataloader.dataset.parts[0].dataset
        assert source.data_prefix.img_path == f'leftImg8bit_{light}/train'
        assert 'LABStyle' not in [step.type for step in source.pipeline]
