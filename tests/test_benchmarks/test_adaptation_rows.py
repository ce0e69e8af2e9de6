from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS, TRANSFORMS
from test_configs import flat

from benchmarks.adaptation.arguments import parse_args, read_variant
from benchmarks.adaptation.command import estimate
from benchmarks.adaptation.row_configs import assignments, root_options, row_config
from benchmarks.adaptation.rows import FULL, HEADLINE, MATCHED, RIVALS, ROWS, add_variants
from benchmarks.adaptation.seed_runs import seed_runs
from benchmarks.adaptation.suites import SUITES, choose_rows, lengths_of
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.evaluation.published import published_rows
from mmseg_ccdistill.mini_night.world_manifest import manifest_text
from mmseg_ccdistill.runtime.command_line import load_config
from mmseg_ccdistill.runtime.override_syntax import OverrideError, parse_overrides

ROOT = Path(__file__).resolve().parents[2]

CONFIGS = ROOT / 'configs'
ABLATED = [name for name, row in ROWS.items() if row.ablation is not None]
SMALL = ('mini', 'pretrained', 'real')


@functools.cache
def load(path: str | Path) -> dict[str, Any]:
    return flat(Config.fromfile(str(ROOT / path)).to_dict())


def difference(base: dict[str, Any], child: dict[str, Any]) -> dict[str, Any]:
    """What the child has at the leaves that differ; 'gone' where it has none."""
    return {
        key: child.get(key, 'gone')
        for key in {*base, *child}
        if key not in base or key not in child or base[key] != child[key]
    }


def test_every_row_of_table_3_is_there_once() -> None:
    names = [row.published for row in ROWS.values() if row.published]
    assert sorted(names) == sorted(row['method'] for row in published_rows(table='table_3'))
    files = {path.name for path in (CONFIGS / 'ccdistill/ablations').glob('refinenet_r101_*.py')}
    assert files <= {Path(ROWS[name].ablation or '').name for name in ABLATED}


@pytest.mark.parametrize('suite', SMALL)
@pytest.mark.parametrize('name', ABLATED)
def test_a_small_row_changes_what_the_ablation_of_r101_changes(
    suite: str, name: str, tmp_path: Path
) -> None:
    ablation = CONFIGS / (ROWS[name].ablation or '')
    expected = difference(load(CONFIGS / SUITES['cs2dz'].configs['full']), load(ablation))
    derived = row_config(SUITES[suite], name, tmp_path)
    assert Path(derived).parent == tmp_path
    found = difference(load(CONFIGS / SUITES[suite].configs['full']), load(derived))
    assert found == expected and expected


@pytest.mark.parametrize(
    ('suite', 'name', 'file'),
    [
        ('mini', 'wo_cdc_cds', 'ablations/refinenet_small_mini_day2night_wo-cdc-cds.py'),
        ('real', 'wo_cdc_cds', 'ablations/refinenet_small_camvid_day2night_wo-cdc-cds.py'),
        ('mini', 'standardized', 'refinenet_small_mini_day2night_standardized.py'),
        ('mini', 'reverse_js', 'refinenet_small_mini_day2night_reverse-js.py'),
    ],
)
def test_where_the_repository_has_the_small_config_the_derived_one_equals_it(
    suite: str, name: str, file: str, tmp_path: Path
) -> None:
    assert load(row_config(SUITES[suite], name, tmp_path)) == load(CONFIGS / 'ccdistill' / file)


def test_rows_of_r101_are_the_files_of_the_repository(tmp_path: Path) -> None:
    for name in ABLATED:
        assert row_config(SUITES['cs2dz'], name, tmp_path) == f'configs/{ROWS[name].ablation}'
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('suite', SUITES)
def test_source_only_is_measured_on_the_night_set_on_the_way(suite: str, tmp_path: Path) -> None:
    configs = SUITES[suite].configs
    base = Config.fromfile(str(CONFIGS / configs.get('continued', configs['source'])))
    config = Config.fromfile(row_config(SUITES[suite], 'source_only', tmp_path))
    assert config.val_dataloader.dataset.type == base.test_dataloader.dataset.type
    assert (
        config.val_dataloader.dataset == base.test_dataloader.dataset != base.val_dataloader.dataset
    )
    assert config.val_evaluator.type == base.test_evaluator.type
    assert config.train_dataloader == base.train_dataloader and config.model == base.model


@pytest.mark.parametrize('name', ROWS)
def test_the_tools_take_the_config_of_every_row(name: str, tmp_path: Path) -> None:
    load_config(row_config(SUITES['pretrained'], name, tmp_path))


def test_assignments_that_name_their_base_are_refused(tmp_path: Path) -> None:
    path = tmp_path / 'a.py'
    path.write_text(
        '"""About."""\n\n_base_ = "b.py"\n# Why.\nmodel = dict(a=None)\nx = [1,\n     2]\n'
    )
    assert assignments(path) == 'model = dict(a=None)\nx = [1,\n     2]'
    path.write_text('_base_ = "b.py"\nmodel = dict(_base_.model, a=None)\n')
    with pytest.raises(ValueError, match='refers to its base'):
        assignments(path)


def test_groups_of_rows() -> None:
    mini, real = SUITES['mini'], SUITES['real']
    assert tuple(choose_rows(['headline'], mini)) == HEADLINE
    assert choose_rows(['headline'], real) == ['source_only', 'wo_cdc_cds', 'full', 'matched']
    assert choose_rows(['all'], mini) == list(ROWS)
    beyond = choose_rows(['beyond'], mini)
    assert beyond[:3] == ['plus', 'plus_handover', 'plus_both']
    assert len(beyond) == 29
    ablations = choose_rows(['ablations', 'full'], mini)
    assert ablations[0] == 'full' and ablations[-3:] == ['reverse_js', 'js_mean', 'standardized']
    rivals = choose_rows(['rivals'], mini)
    assert rivals == list(RIVALS) and rivals[:2] == ['adaptsegnet', 'adaptsegnet_multi']
    oracles = choose_rows(['oracles'], mini)
    assert oracles[:3] == ['oracle_style', 'oracle_day', 'oracle_dynamic'] and len(oracles) == 6
    for group in ('oracles', 'beyond'):
        with pytest.raises(UserInputError, match=f"no row '{group}'; expected headline, ablations"):
            choose_rows(['headline', group], real)
    assert choose_rows(['rivals'], real) == list(RIVALS)[:7]
    grouped = {*HEADLINE, *ablations, *beyond, *rivals, *oracles}
    assert grouped == set(ROWS)
    assert choose_rows(['wo_lab', 'wo_cdc', 'wo_lab'], real) == ['wo_cdc', 'wo_lab']
    for suite, name in (
        (mini, 'wo_everything'),
        (real, 'oracle'),
        (real, 'dmada'),
        (SUITES['cs2dz'], 'oracle'),
        (SUITES['cs2dz'], 'oracle_dynamic'),
    ):
        with pytest.raises(UserInputError, match=f'no row {name!r}; expected headline'):
            choose_rows([name], suite)


def test_lengths_are_those_given_else_of_the_suite_else_of_the_config() -> None:
    assert lengths_of(SUITES['mini'], None, None) == (1200, 600)
    assert lengths_of(SUITES['mini'], 7, None) == (7, 600)
    assert lengths_of(SUITES['cs2dz'], None, None) == (40000, 50000)
    assert lengths_of(SUITES['cs2dz'], 5, 6) == (5, 6)


def source_roots(dataset: dict[str, Any]) -> list[str]:
    return [part['data_root'] for part in dataset.get('datasets', [dataset])]


@pytest.mark.parametrize('suite', SUITES)
def test_every_data_root_is_moved(suite: str, tmp_path: Path) -> None:
    roots = {'cityscapes': Path('/s'), 'dark_zurich': Path('/t'), 'kitti': Path('/k')}
    of_source = ['/s', '/k'] if suite == 'two_cities' else ['/s']
    for name in choose_rows(
        ['headline', 'wo_lab', *(['dannet'] if 'dannet' in SUITES[suite].configs else [])],
        SUITES[suite],
    ):
        config = Config.fromfile(str(ROOT / row_config(SUITES[suite], name, tmp_path)))
        config.merge_from_dict(root_options(config, roots))
        loaders = {k: config[f'{k}_dataloader'].dataset.to_dict() for k in ('train', 'val', 'test')}
        left = {value for key, value in flat(loaders).items() if key.endswith('data_root')}
        assert left <= {*of_source, '/t'}, name
        assert loaders['val']['data_root'] == loaders['test']['data_root'] == '/t'
        train = loaders['train']
        if name == 'oracle':
            assert train['dataset']['data_root'] == '/t'
        elif name == 'source_only':
            assert source_roots(train['dataset']) == of_source
        else:
            assert source_roots(train['source']) == of_source
            assert train['target']['data_root'] == '/t'


def test_rows_of_a_seed_share_one_source_stage_and_one_length(tmp_path: Path) -> None:
    roots = {'cityscapes': tmp_path / 'cityscapes', 'dark_zurich': tmp_path / 'dark_zurich'}
    rows = [name for name in choose_rows(['all'], SUITES['mini']) if not ROWS[name].as_costly_as]
    runs = seed_runs(SUITES['mini'], rows, 3, roots, tmp_path, (12, 60))
    assert list(runs.trained) == rows == list(runs.evaluated)
    assert {stage.start for stage in runs.trained.values()} == {runs.source}
    assert {stage.max_iters for stage in runs.trained.values()} == {60}
    assert runs.source.max_iters == 12 and {s.seed for s in runs.stages()} == {3}
    command = ' '.join(runs.trained[FULL].command(tmp_path))
    assert f'load_from={tmp_path}/seed3/source/iter_12.pth' in command
    assert 'train_cfg.max_iters=60' in command and 'train_cfg.val_interval=20' in command
    measured = {n: ' '.join(e.command(tmp_path)) for n, e in runs.evaluated.items()}
    assert {n for n, text in measured.items() if 'correlations-since' in text} == {FULL, MATCHED}
    assert all('--sets night --day-set day' in text for text in measured.values())
    assert len({e.fingerprint(tmp_path) for e in runs.evaluated.values()}) == len(rows)


def test_rows_of_other_methods_start_from_the_same_stage_with_options_that_they_know(
    tmp_path: Path,
) -> None:
    init_default_scope('mmseg')
    roots = {part: tmp_path / part for part in ('cityscapes', 'dark_zurich')}
    rows = choose_rows(['rivals', 'full'], SUITES['mini'])
    trained = seed_runs(SUITES['mini'], rows, 0, roots, tmp_path, (12, 60)).trained
    types = {}
    for name, stage in trained.items():
        config = Config.fromfile(str(ROOT / stage.config))
        config.merge_from_dict(dict(stage.options))
        types[name] = type(MODELS.build(config.model)).__name__
        assert ('model.diagnostics_interval' in stage.options) == (name == 'full')
        assert config.test_dataloader.dataset.data_root == str(roots['dark_zurich'])
    assert types == {
        'full': 'CCDistillSegmentor',
        'adaptsegnet': 'AdaptSegNetSegmentor',
        'adaptsegnet_multi': 'AdaptSegNetSegmentor',
        'advent': 'AdvEntSegmentor',
        'minent': 'MinEntSegmentor',
        'udaclustering': 'UDAClusteringSegmentor',
        'dannet': 'DANNetSegmentor',
        'bdl_lab': 'BDLSegmentor',
        **dict.fromkeys(('dmada', 'gcma', 'mgcda'), 'PartwiseEncoderDecoder'),
    }
    assert estimate([trained['advent']], tmp_path, 1) == pytest.approx(60 * 0.45 / 60)  # minutes


def test_options_of_a_row_reach_its_config_with_their_types(tmp_path: Path) -> None:
    init_default_scope('mmseg')
    rows = [name for name, row in ROWS.items() if row.options]
    assert 'js_mean' in rows
    roots = {part: tmp_path / part for part in ('cityscapes', 'dark_zurich')}
    trained = seed_runs(SUITES['mini'], rows, 0, roots, tmp_path, (12, 60)).trained
    for name, stage in trained.items():
        words = stage.command(tmp_path)
        found = parse_overrides(words[words.index('--cfg-options') + 1 :])
        config = load_config(str(ROOT / stage.config), found)
        MODELS.build(config.model)
        assert {key: found[key] for key in ROWS[name].options} == ROWS[name].options


def test_overrides_of_all_stages_reach_each_of_them_and_change_its_fingerprint(
    tmp_path: Path,
) -> None:
    roots = {part: tmp_path / part for part in ('cityscapes', 'dark_zurich')}
    rows = ['wo_cdc', 'js_mean', 'bdl_lab']
    plain = seed_runs(SUITES['mini'], rows, 0, roots, tmp_path, (12, 60))
    common = {'channels_last': True}
    laid_out = seed_runs(SUITES['mini'], rows, 0, roots, tmp_path, (12, 60), common=common)
    told = {
        stage.name.split('/', 1)[1]
        for stage in laid_out.stages()
        if 'channels_last=True' in stage.command(tmp_path)
    }
    single = {'source', 'wo_cdc', 'js_mean', 'wo_cdc/evaluation', 'js_mean/evaluation'}
    assert told == {*single, 'bdl_lab/evaluation'}
    assert "'channels_last': True" in Path(laid_out.trained['bdl_lab'].config).read_text()
    both = zip(plain.stages(), laid_out.stages(), strict=True)
    assert all(a.fingerprint(tmp_path) != b.fingerprint(tmp_path) for a, b in both)


@pytest.mark.parametrize(
    ('key', 'message'),
    [
        ('train_cfg.max_iters', "sets train_cfg.max_iters of 'source' itself"),
        ('train_cfg', "sets train_cfg.max_iters of 'source' itself"),
        ('load_from.x', "sets load_from of 'source' itself"),
        ('model.loss_cdc.js_positions', "sets model.loss_cdc.js_positions of 'js_mean' itself"),
        ('model.loss_cdc', "sets model.loss_cdc.js_positions of 'js_mean' itself"),
    ],
)
def test_overrides_of_all_stages_must_not_set_what_a_stage_sets(
    key: str, message: str, tmp_path: Path
) -> None:
    roots = {part: tmp_path / part for part in ('cityscapes', 'dark_zurich')}
    with pytest.raises(UserInputError, match=f'--cfg-options: {key}: the benchmark {message}'):
        seed_runs(SUITES['mini'], ['js_mean'], 0, roots, tmp_path, (12, 60), common={key: 1})


def test_a_variant_is_a_row_with_overrides_of_its_own(tmp_path: Path) -> None:
    name, options = read_variant(['js', 'model.loss_cdc.js_tau=0.1'])
    eval_name, eval_options = read_variant(['base_eval:wo_cdc_cds', 'model.teacher_mode=eval'])
    add_variants({name: options, eval_name: eval_options})
    add_variants({name: options})  # as from an earlier results.json
    rows = choose_rows(['full', 'js', 'base_eval'], SUITES['mini'])
    roots = {part: tmp_path / part for part in ('cityscapes', 'dark_zurich')}
    trained = seed_runs(SUITES['mini'], rows, 3, roots, tmp_path, (12, 60)).trained
    assert 'model.loss_cdc.js_tau=0.1' in trained['js'].command(tmp_path)
    assert 'model.teacher_mode=eval' in trained['base_eval'].command(tmp_path)
    assert not any('js_tau' in word for word in trained['full'].command(tmp_path))
    assert trained['js'].config == trained['full'].config
    assert 'loss_cdc=None' in Path(trained['base_eval'].config).read_text()


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['js', 'js_tau'], '--variant js: .* has no "=": expected KEY=VALUE'),
        (['js', 'model.loss_cds=none'], '--variant js: .*write None'),
        (['full', 'a=1'], "there is a row 'full' already"),
        (['source', 'a=1'], "'source' stands for something else"),
        (['headline:wo_js', 'a=1'], "'headline' stands for something else"),
        (['ablations', 'a=1'], "'ablations' stands for something else"),
        (['all', 'a=1'], "'all' stands for something else"),
        (['js:none', 'a=1'], 'expected NAME or NAME:ROW'),
        (['js', 'a=1', 'b=2', 'a=3'], '--variant js: a is given twice: expected one value'),
    ],
)
def test_wrong_variants_are_refused(words: list[str], message: str) -> None:
    with pytest.raises((UserInputError, OverrideError), match=message):
        add_variants(dict([read_variant(words)]))


@pytest.mark.parametrize('second', [['a', 'k=3'], ['a', 'other=3'], ['a', 'k=1']])
def test_two_variants_of_one_name_are_refused(second: list[str]) -> None:
    """One of them would be lost; two that change different rows are refused when they are added."""
    words = ['mini', '--variant', 'a', 'k=1', '--variant', *second]
    with pytest.raises(UserInputError, match='^--variant a: the name is given twice, and one row'):
        parse_args(None, words)
    two = parse_args(None, ['mini', '--variant', 'a', 'k=1', '--variant', 'b', 'k=3'])
    assert two.variants == {'a': {'k': '1'}, 'b': {'k': '3'}}
    with pytest.raises(UserInputError, match="there is a row 'a' already"):
        add_variants({'a': {'k': '1'}, 'a:wo_js': {'k': '3'}})


def test_the_pretrained_suite_has_the_rows_of_mini_from_one_pretrained_stage(
    tmp_path: Path,
) -> None:
    """A long source stage, measured eight times on S by day; every row goes on from it at the low rate."""
    suite = SUITES['pretrained']
    others = [name for name in RIVALS if name not in suite.configs]
    mini = [name for name in choose_rows(['all'], SUITES['mini']) if name not in others]
    assert choose_rows(['all'], suite) == mini
    assert lengths_of(suite, None, None) == (4000, 1000)
    roots = {part: tmp_path / part for part in ('cityscapes', 'dark_zurich')}
    runs = seed_runs(suite, list(HEADLINE), 0, roots, tmp_path, (4000, 1000))
    assert runs.source.config == 'configs/refinenet/refinenet_efficientnet-lite0_mini.py'
    assert 'train_cfg.val_interval=500' in runs.source.command(tmp_path)
    for stage in runs.trained.values():
        config = Config.fromfile(str(ROOT / stage.config))
        assert stage.start is runs.source and 'train_cfg.val_interval=333' in stage.command(
            tmp_path
        )
        network = config.model.get('segmentor', config.model)
        assert network.backbone.type == 'EfficientNetLite'
        assert config.optim_wrapper.optimizer.lr == 1e-4 and len(config.optim_wrapper) == 3


@pytest.mark.parametrize('suite', ['mini', 'real', 'cs2dz'])
def test_the_other_source_stages_are_measured_at_their_end_alone(
    suite: str, tmp_path: Path
) -> None:
    roots = {part: tmp_path / part for part in ('cityscapes', 'dark_zurich')}
    runs = seed_runs(SUITES[suite], ['full'], 0, roots, tmp_path, (40, 20))
    assert 'train_cfg.val_interval=40' in runs.source.command(tmp_path)


def test_the_source_stage_is_the_same_for_both_nights_and_no_row_is(tmp_path: Path) -> None:
    assert {name for name, suite in SUITES.items() if suite.night == 'hard'} == {'pretrained'}
    roots = {part: tmp_path / part for part in ('cityscapes', 'dark_zurich')}
    easy, hard, other = (
        seed_runs(
            SUITES['pretrained'], ['full'], 0, roots, tmp_path, (40, 20), manifest_text(settings)
        )
        for settings in ({'seed': 1, 'night': 'easy'}, {'seed': 1, 'night': 'hard'}, {'seed': 2})
    )
    assert easy.source.fingerprint(tmp_path) == hard.source.fingerprint(tmp_path)
    assert easy.source.fingerprint(tmp_path) != other.source.fingerprint(tmp_path)
    rows = {runs.trained['full'].fingerprint(tmp_path) for runs in (easy, hard, other)}
    assert len(rows) == 3


@pytest.mark.parametrize(
    ('name', 'rare', 'light'),
    [
        ('wo_self_training', True, True),
        ('wo_cdc_cds_rare_lights', True, True),
        ('matched_rare', True, False),
        ('matched_lights', False, True),
    ],
)
def test_plus_without_teachers_and_its_two_parts(name: str, rare: bool, light: bool) -> None:
    config = Config.fromfile(str(CONFIGS / SUITES['pretrained'].configs['plus']))
    config.merge_from_dict(dict(ROWS[name].options))
    lights = config.train_dataloader.dataset.pipeline[1]
    assert config.model.self_training is None and lights.type == 'NightLights'
    assert (config.train_dataloader.sampler.rare_classes is not None) == rare
    assert (TRANSFORMS.build(lights).prob > 0) == light
    terms = (config.model.loss_cdc, config.model.loss_cds, config.model.projection_head)
    assert {term is None for term in terms} == {name.startswith('wo_cdc_cds')}
