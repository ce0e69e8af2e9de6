"""``--auto-scale-lr``: rates in proportion to the batch, and one sentence where the base is not known."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from tiny_run import make_run, train

from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime.learning_rate_scale import set_auto_scale_lr

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
SHIPPED = sorted(p for p in CONFIGS.rglob('*.py') if '_base_' not in p.parts)


@pytest.mark.parametrize('path', SHIPPED, ids=lambda path: path.stem)
def test_shipped_configs_name_the_batch_of_one_process(path: Path) -> None:
    config = Config.fromfile(str(path))
    assert config.auto_scale_lr == {
        'enable': False,
        'base_batch_size': config.train_dataloader.batch_size,
    }


@pytest.mark.parametrize('base', [None, 0, -8, 'auto', True, 2.5])
@pytest.mark.parametrize('is_wanted', [True, False])
def test_a_missing_base_is_one_sentence(base: object, is_wanted: bool) -> None:
    config = Config(dict(auto_scale_lr=dict(enable=not is_wanted, base_batch_size=base)))
    with pytest.raises(UserInputError) as raised:
        set_auto_scale_lr(config, is_wanted)
    assert str(raised.value) == (
        f'{"--auto-scale-lr" if is_wanted else "auto_scale_lr.enable=True"} needs auto_scale_lr.base_batch_size in '
        f'the config, and it is {base!r}: expected the batch (processes x train_dataloader.batch_size) that the '
        'learning rate is meant for; add auto_scale_lr=dict(base_batch_size=N) to the config, or leave the option '
        'out'
    )


def test_without_the_option_nothing_changes() -> None:
    config = Config(dict(auto_scale_lr=dict(enable=False, base_batch_size=8)))
    set_auto_scale_lr(config, False)
    assert config.auto_scale_lr == dict(enable=False, base_batch_size=8)
    empty = Config(dict())
    set_auto_scale_lr(empty, False)
    assert empty.get('auto_scale_lr') is None


@pytest.fixture
def run(tmp_path, monkeypatch) -> Path:
    """A folder with data and ``tiny.py`` (SGD at 0.01, batch 2) as the working directory."""
    monkeypatch.chdir(make_run(tmp_path))
    for name in ('RANK', 'WORLD_SIZE'):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.mark.parametrize(('options', 'rate'), [(['--auto-scale-lr'], 0.0025), ([], 0.01)])
def test_the_rate_of_a_run(run: Path, monkeypatch, options: list[str], rate: float) -> None:
    settings = ['train_cfg.max_iters=1', 'auto_scale_lr.base_batch_size=8']
    assert train(monkeypatch, *options, '--cfg-options', *settings) == 0
    saved = torch.load(run / 'run/iter_1.pth', map_location='cpu', weights_only=True)
    assert [group['initial_lr'] for group in saved['optimizer']['param_groups']] == [rate]


def test_a_config_without_a_base_ends_before_anything_is_written(
    run: Path, monkeypatch, capsys
) -> None:
    assert train(monkeypatch, '--auto-scale-lr') == 2
    assert capsys.readouterr().err.startswith(
        'error: --auto-scale-lr needs auto_scale_lr.base_batch_size in the config, and it is None: '
    )
    assert not (run / 'run').exists()
