"""A pipeline that draws nothing for self-training is refused at the start, not at the first batch."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from test_method_runs import data  # noqa: F401
from test_self_training_run import write_config
from tool_project import load_tool, run_tool
from torch import nn

from mmseg_ccdistill.datasets import CrossDomainDataset
from mmseg_ccdistill.engine.mixing_check import check_mixing
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.models.self_training import SelfTraining

DRAW, PACK = dict(type='DrawMixing'), dict(type='PackCrossDomainInputs')
SENTENCE = (
    'train_dataloader.dataset.pipeline: it draws no {}, but model.self_training reads it: expected the random numbers '
    "of the mixing; add dict(type='DrawMixing') before PackCrossDomainInputs."
)


def model(**settings: Any) -> nn.Module:
    holder = nn.Module()
    holder.self_training = SelfTraining(**settings)
    return holder


def dataset(*steps: Any) -> CrossDomainDataset:
    """With a pipeline alone."""
    init_default_scope('mmseg')
    built = CrossDomainDataset.__new__(CrossDomainDataset)
    built.pipeline = Compose([dict(type='LABTransfer'), *steps])
    return built


def test_what_is_drawn_needs_no_word() -> None:
    check_mixing(model(augment=True, masked_ratio=0.7), dataset(DRAW, PACK))
    check_mixing(model(paste=None), dataset(PACK))
    check_mixing(nn.Identity(), dataset(PACK))
    check_mixing(model(), SimpleNamespace())


def test_a_transform_of_others_may_draw() -> None:
    built = dataset(PACK)
    built.pipeline.transforms.insert(0, lambda results: results)
    check_mixing(model(), built)


@pytest.mark.parametrize(
    ('settings', 'steps', 'name'),
    [
        ({}, [PACK], 'mix_classes'),
        ({}, [PACK, DRAW], 'mix_classes'),
        (dict(paste=None, augment=True), [PACK], 'mix_look'),
        (dict(paste=None, masked_ratio=0.7), [PACK], 'mix_patches'),
    ],
)
def test_what_is_not_drawn_is_named(settings: dict[str, Any], steps: list[Any], name: str) -> None:
    with pytest.raises(UserInputError) as caught:
        check_mixing(model(**settings), dataset(*steps))
    assert str(caught.value) == SENTENCE.format(name)


def test_too_few_classes_are_named() -> None:
    few = dataset(dict(DRAW, num_classes=4), PACK)
    with pytest.raises(UserInputError) as caught:
        check_mixing(model(), few)
    assert str(caught.value) == (
        'train_dataloader.dataset.pipeline: DrawMixing draws for 4 classes, but model.self_training has 19: set '
        'num_classes=19 of DrawMixing.'
    )
    check_mixing(model(paste=None, augment=True), few)


def test_a_batch_of_one_has_no_half_for_the_masked_pass() -> None:
    masked = model(masked_ratio=0.7)
    check_mixing(masked, dataset(DRAW, PACK), 2)
    check_mixing(model(), dataset(DRAW, PACK), 1)
    with pytest.raises(UserInputError) as caught:
        check_mixing(masked, dataset(DRAW, PACK), 1)
    assert str(caught.value).startswith('train_dataloader.batch_size is 1, but')


def test_a_run_ends_before_its_first_batch(
    data: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    config = Config.fromfile(str(write_config(tmp_path, data)))
    dataset = config.train_dataloader.dataset
    dataset.pipeline = [step for step in dataset.pipeline if step.type != 'DrawMixing']
    config.dump(str(tmp_path / 'without.py'))
    arguments = (str(tmp_path / 'without.py'), '--work-dir', str(tmp_path / 'run'))
    assert run_tool(load_tool('tools/train.py'), monkeypatch, *arguments) == 2
    assert SENTENCE.format('mix_classes') in capsys.readouterr().err
    assert not list((tmp_path / 'run').glob('*.pth'))
