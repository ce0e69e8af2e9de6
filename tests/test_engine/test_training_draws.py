from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from tool_project import make_project

from mmseg_ccdistill.domains import DOMAINS
from mmseg_ccdistill.engine.training_draws import packed_image, training_dataset, training_draws


@pytest.fixture(scope='module')
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp('draws'))


@pytest.fixture(autouse=True)
def project(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files)


def test_draws_are_those_of_the_run_in_any_epoch() -> None:
    config = Config.fromfile('tiny.py')
    loader = iter(Runner.build_dataloader(config.train_dataloader, seed=3))
    batches = [next(loader) for _ in range(4)]  # 8 draws from 3 images

    found = dict(training_draws(config, training_dataset(config), [7, 0, 4]))

    assert list(found) == [0, 4, 7]
    for number, sample in found.items():
        batch = batches[number // 2]['inputs']
        for domain in DOMAINS:
            assert torch.equal(sample['inputs'][domain], batch[domain][number % 2])


def test_other_samplers_give_repeatable_crops_in_their_order() -> None:
    config = Config.fromfile('source.py')
    config.train_dataloader.sampler = dict(type='DefaultSampler', shuffle=False)
    dataset = training_dataset(config)
    state = torch.get_rng_state()

    first = dict(training_draws(config, dataset, range(3)))
    np.random.seed(99)
    again = dict(training_draws(config, dataset, [1]))

    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first[1]['inputs'], again[1]['inputs'])
    stems = [Path(sample['data_samples'].img_path).stem for sample in first.values()]
    assert stems == [f'ulm_{i:06d}_000019_leftImg8bit' for i in range(3)]
    with pytest.raises(ValueError, match='no draw 5: the sampler ends after 3 draws'):
        list(training_draws(config, dataset, [0, 5]))


def test_packed_image_keeps_the_channels() -> None:
    image = torch.arange(24, dtype=torch.uint8).reshape(3, 2, 4)
    unpacked = packed_image(image)
    assert unpacked.shape == (2, 4, 3) and unpacked.flags.c_contiguous
    assert unpacked[1, 2].tolist() == [6, 14, 22]
