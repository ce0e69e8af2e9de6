"""Guards are named hooks: a config's own hooks leave them, None turns one off, and their order holds."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import mmseg
import pytest
from mmengine.config import Config
from mmengine.hooks import EarlyStoppingHook, EMAHook
from mmengine.logging import MessageHub, MMLogger
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmseg.registry import MODELS, RUNNERS
from mmseg.visualization import SegLocalVisualizer

from mmseg_ccdistill.engine.hooks import CollapseAlarmHook, SafeStopHook
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime.command_line import load_config
from mmseg_ccdistill.runtime.named_hooks import GUARDS, HOOK_NAMES
from mmseg_ccdistill.runtime.read_settings import UnreadSettingError

ROOT = Path(__file__).resolve().parents[2]
RUNTIME = ROOT / 'configs/_base_/default_runtime.py'
STOCK = Path(mmseg.__file__).parent / '.mim/tools/train.py'

#: All hooks in the order in which they are called.
ORDER = [
    *('FiniteGuardHook', 'RestartHook'),
    *('DeferredInfoHook', 'DatasetCheckHook', 'ExactResumeHook', 'DataGuardHook'),
    *('IterTimerHook', 'DistSamplerSeedHook', 'SegVisualizationHook', 'CheckpointMatchHook', 'CollapseAlarmHook'),
    *('LoggerHook', 'RichProgressHook', 'ParamSchedulerHook'),
    *('AtomicCheckpointHook', 'LoadingLimitHook', 'SafeStopHook'),
]  # fmt: skip


@MODELS.register_module()
class NoModel(BaseModel):
    """A model for runners that do not run."""

    def forward(self, *args: object, **kwargs: object) -> None:
        """Not called."""


@pytest.fixture(autouse=True)
def fresh_runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder of its own, and none of the objects that mmengine keeps for the life of a process."""
    monkeypatch.chdir(tmp_path)
    for kept in (SegLocalVisualizer, MMLogger, MessageHub):
        kept._instance_dict.clear()
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


def write(text: str) -> str:
    """Write a config on top of the shipped runtime."""
    base = f'_base_ = [{str(RUNTIME)!r}]\n'
    Path('own.py').write_text(
        f"{base}model = dict(type='NoModel')\nwork_dir = 'run'\nlog_level = 'ERROR'\n{text}"
    )
    return 'own.py'


def hooks(text: str) -> list[str]:
    """The hooks of a runner of that config, in their order."""
    runner = RUNNERS.build(load_config(write(text)))
    return [type(hook).__name__ for hook in runner.hooks]


def test_the_order() -> None:
    assert hooks('') == ORDER


def test_the_names_are_those_of_the_shipped_config() -> None:
    named = Config.fromfile(str(RUNTIME)).default_hooks
    assert set(named) == HOOK_NAMES
    assert {name: named[name].type for name in named if name in GUARDS} == GUARDS
    assert list(named)[-len(GUARDS) :] == list(GUARDS)


def test_hooks_of_the_user_leave_every_guard() -> None:
    own = "custom_hooks = [dict(type='EMAHook'), dict(type='EarlyStoppingHook', monitor='mIoU')]\n"
    found = hooks(own)
    assert [name for name in found if name in ORDER] == ORDER
    assert set(found) - set(ORDER) == {EMAHook.__name__, EarlyStoppingHook.__name__}


@pytest.mark.parametrize('name', [*GUARDS, 'progress', 'visualization', 'timer'])
def test_none_turns_one_off(name: str) -> None:
    of_name = Config.fromfile(str(RUNTIME)).default_hooks[name].type
    expected = [hook for hook in ORDER if hook != of_name]
    assert hooks(f'default_hooks = dict({name}=None)\n') == expected


def test_none_on_the_command_line() -> None:
    config = load_config(write(''), {'default_hooks.collapse_alarm': None})
    built = RUNNERS.build(config).hooks
    assert len(built) == len(ORDER) - 1
    assert not any(isinstance(hook, CollapseAlarmHook) for hook in built)


def test_a_setting_of_a_guard() -> None:
    runner = RUNNERS.build(
        load_config(write('default_hooks = dict(safe_stop=dict(stop_timeout=60))'))
    )
    (guard,) = [hook for hook in runner.hooks if isinstance(hook, SafeStopHook)]
    assert guard.stop_timeout == 60


def test_a_slip_in_the_name_of_a_guard() -> None:
    with pytest.raises(UnreadSettingError) as raised:
        load_config(write('default_hooks = dict(colapse_alarm=None)'))
    assert str(raised.value) == (
        "The config 'own.py' has default_hooks.colapse_alarm: nothing reads 'colapse_alarm' there; expected a setting "
        "of default_hooks, such as 'collapse_alarm'; correct the name or take it out."
    )


def test_a_guard_twice_is_refused() -> None:
    config = load_config(write("custom_hooks = [dict(type='SafeStopHook', stop_timeout=60)]"))
    with pytest.raises(UserInputError) as raised:
        RUNNERS.build(config)
    assert str(raised.value) == (
        'the config has 2 hooks of type SafeStopHook: expected one, default_hooks.safe_stop; give its settings as '
        'default_hooks=dict(safe_stop=dict(...)) and take it out of custom_hooks'
    )


def test_a_guard_that_is_off_may_be_a_hook_of_the_user() -> None:
    text = "default_hooks = dict(safe_stop=None)\ncustom_hooks = [dict(type='SafeStopHook')]\n"
    assert hooks(text) == ORDER


@pytest.mark.skipif(not STOCK.is_file(), reason='this MMSegmentation brings no tools')
def test_the_stock_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    monkeypatch.setattr(
        Runner, 'train', lambda runner: seen.append([type(h).__name__ for h in runner.hooks])
    )
    write("default_hooks = dict(collapse_alarm=None)\ncustom_hooks = [dict(type='EMAHook')]\n")
    monkeypatch.setattr(sys, 'argv', [str(STOCK), 'own.py'])
    runpy.run_path(str(STOCK), run_name='__main__')
    (found,) = seen
    assert [name for name in found if name != 'EMAHook'] == [
        name for name in ORDER if name != 'CollapseAlarmHook'
    ]
    assert 'EMAHook' in found


def test_the_page_names_every_hook_in_its_order() -> None:
    page = (ROOT / 'docs/hooks.md').read_text(encoding='utf-8')
    rows = [line.split('|') for line in page.splitlines() if line.startswith('| `')]
    config = Config.fromfile(str(RUNTIME)).default_hooks
    listed = {row[2].strip(' `'): row[1].strip(' `') for row in rows}
    names = {hook.type: name for name, hook in config.items()}
    names.setdefault('DistSamplerSeedHook', 'sampler_seed')
    assert list(listed) == ORDER
    assert listed == {hook: names[hook] for hook in ORDER}
