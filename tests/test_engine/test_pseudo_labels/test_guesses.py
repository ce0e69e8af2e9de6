"""What a network says of an image, against the softmax and the interpolation by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.models.segmentors import BaseSegmentor
from tool_project import SIZE, TEST_SIZE, make_project
from torch import Tensor
from torch.nn import functional

from mmseg_ccdistill.engine.inference import file_loader, load_segmentor, unlabelled_pipeline
from mmseg_ccdistill.engine.pseudo_labels.guesses import GuessedImage, check_model, guess_images
from mmseg_ccdistill.errors import UserInputError


@pytest.fixture(scope='module')
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp('guesses'))


@pytest.fixture
def config(files: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.chdir(files)
    return Config.fromfile('tiny.py')


@pytest.fixture
def model(config: Config) -> BaseSegmentor:
    return load_segmentor(config, 'tiny.pth')


@pytest.fixture
def image(files: Path) -> str:
    return str(sorted((files / 'data/dark_zurich/rgb_anon/train/night').rglob('*.png'))[0])


def only(model: BaseSegmentor, config: Config, image: str, **kwargs: Any) -> GuessedImage:
    loader = file_loader([image], unlabelled_pipeline(config), 0)
    (found,) = guess_images(model, loader, **kwargs)
    return found


def small_logits(model: Any, image: str) -> Tensor:
    """Logits of M_n at the stride of its head, for the image at test size."""
    small = cv2.resize(cv2.imread(image), TEST_SIZE, interpolation=cv2.INTER_LINEAR)
    rgb = torch.from_numpy(small[:, :, ::-1].copy()).permute(2, 0, 1).float()
    with torch.no_grad():
        return model.night.decode_head(model.night.backbone((rgb[None] - 127.5) / 60))


def test_probabilities_are_upsampled_and_not_logits(
    model: BaseSegmentor, config: Config, image: str
) -> None:
    assert not model.training
    model.night.decode_head.conv_seg.weight.data *= 1000  # sure enough for the two to differ
    found = only(model, config, image)
    logits = small_logits(model, image)
    size = TEST_SIZE[::-1]
    up = functional.interpolate(logits.softmax(1), size, mode='bilinear', align_corners=True)
    confidence, classes = up[0].max(0)
    np.testing.assert_allclose(found.guess.confidence, confidence.numpy(), rtol=1e-3)
    assert np.mean(found.guess.classes == classes.numpy()) > 0.999
    assert found.size == SIZE and found.guess.classes.shape == size
    late = functional.interpolate(logits, size, mode='bilinear', align_corners=True).softmax(1)
    assert np.abs(found.guess.confidence - late[0].max(0).values.numpy()).max() > 0.01


def test_a_refinement_sees_the_small_probabilities_and_may_change_their_size(
    model: BaseSegmentor, config: Config, image: str
) -> None:
    seen: list[tuple[Tensor, str]] = []

    def refine(probabilities: Tensor, path: str) -> Tensor:
        seen.append((probabilities.clone(), path))
        best = torch.zeros(19, 32, 48)
        best[7] = 0.6
        return best

    found = only(model, config, image, refine=refine)
    ((probabilities, path),) = seen
    assert path == image
    torch.testing.assert_close(probabilities, small_logits(model, image).softmax(1)[0])
    assert (found.guess.classes == 7).all()
    np.testing.assert_allclose(found.guess.confidence, 0.6, rtol=1e-6)


def test_weights_of_the_test_count(config: Config, image: str) -> None:
    """A model that weighs its classes at test time labels as it predicts."""
    config.model.test_reweight_std = 0.16
    model = load_segmentor(config, 'tiny.pth')
    up = small_logits(model, image) * model.test_weight.view(1, -1, 1, 1)
    up = functional.interpolate(up.softmax(1), TEST_SIZE[::-1], mode='bilinear', align_corners=True)
    found = only(model, config, image).guess.confidence
    np.testing.assert_allclose(found, up[0].max(0).values.numpy(), rtol=1e-5)


def test_padding_for_the_network_is_no_part_of_the_label(config: Config, image: str) -> None:
    for part in (config.model, config.model.segmentor):
        part.data_preprocessor.test_cfg = dict(size_divisor=64)
    model = load_segmentor(config, 'tiny.pth')
    assert (
        only(model, config, image).guess.classes.shape == TEST_SIZE[::-1]
    )  # 48 x 32, padded to 64 x 64


def test_models_that_cannot_label(config: Config) -> None:
    model = load_segmentor(config, 'tiny.pth')
    check_model(model, ['a'] * 19)
    with pytest.raises(
        UserInputError, match='the model has 19 classes and the data of the config 5'
    ):
        check_model(model, ['a'] * 5)
    config.model.segmentor.test_cfg = dict(mode='slide', crop_size=(32, 32), stride=(16, 16))
    with pytest.raises(UserInputError) as caught:
        check_model(load_segmentor(config, 'tiny.pth'), ['a'] * 19)
    assert str(caught.value) == (
        "the model predicts with test_cfg.mode='slide': expected 'whole', because pseudo labels are made from whole "
        "images at test size; set test_cfg.mode='whole' of the segmentor"
    )
