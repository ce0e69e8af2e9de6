"""docs/report.md: configs with the backends of TensorBoard and W&B build."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.visualization import Visualizer
from mmseg.registry import VISBACKENDS, VISUALIZERS

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = re.findall(
    r'```python\n(visualizer = .*?)```', (ROOT / 'docs/report.md').read_text(), re.S
)


def config_of(block: str, folder: Path) -> Config:
    """The shipped runtime with a block of the page."""
    base = str(ROOT / 'configs/_base_/default_runtime.py')
    (folder / 'tracked.py').write_text(f'_base_ = [{base!r}]\n{block}')
    return Config.fromfile(str(folder / 'tracked.py'), import_custom_modules=False)


def test_the_page_shows_both() -> None:
    assert ['Tensorboard' in block for block in BLOCKS] == [True, False]
    assert ['Wandb' in block for block in BLOCKS] == [False, True]


@pytest.mark.parametrize('block', BLOCKS)
def test_every_backend_of_the_page_is_one_of_mmengine(block: str, tmp_path: Path) -> None:
    init_default_scope('mmseg')
    backends = config_of(block, tmp_path).visualizer.vis_backends
    assert backends[0].type == 'LocalVisBackend'  # what the report reads
    for backend in backends:
        assert VISBACKENDS.get(backend.type) is not None


def test_tensorboard_gets_what_the_files_get(tmp_path: Path) -> None:
    pytest.importorskip('tensorboard', reason='TensorBoard is not installed')
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    init_default_scope('mmseg')
    settings = config_of(BLOCKS[0], tmp_path).visualizer
    visualizer = VISUALIZERS.build(dict(settings, name=str(tmp_path), save_dir=str(tmp_path)))
    assert isinstance(visualizer, Visualizer)
    visualizer.add_scalars({'loss': 1.5, 'step': 3}, step=3)
    visualizer.close()
    events = EventAccumulator(str(next(tmp_path.rglob('events.out*'))))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars('loss')] == [(3, 1.5)]
    assert '"loss": 1.5' in (tmp_path / 'vis_data/scalars.json').read_text()
