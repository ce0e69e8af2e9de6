from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mmseg_ccdistill.datasets.one_draw import run_alike
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime.random_state import get_random_state, same_random_state

INFOS = {'a': {'img_path': 'a.png'}, 'b': {'img_path': 'b.png'}, 'c': {'img_path': 'c.png'}}


def draw(info: dict[str, Any]) -> dict[str, Any]:
    return {'img_path': info['img_path'], 'number': np.random.rand(), 'flip': False}


def test_every_image_gets_the_same_numbers_and_the_generators_go_on_as_for_one() -> None:
    np.random.seed(5)
    expected = np.random.rand()
    after = get_random_state()
    np.random.seed(5)
    found = run_alike(draw, INFOS)
    assert found is not None and list(found) == list(INFOS)
    assert [found[name]['number'] for name in INFOS] == [expected] * 3
    assert [found[name]['img_path'] for name in INFOS] == ['a.png', 'b.png', 'c.png']
    assert same_random_state(after, get_random_state())


def test_a_pipeline_that_gives_up_on_one_gives_up_on_all() -> None:
    assert run_alike(lambda info: None if info['img_path'] == 'b.png' else info, INFOS) is None


def test_other_numbers_and_another_geometry_are_refused() -> None:
    def greedy(info: dict[str, Any]) -> dict[str, Any]:
        np.random.rand(2 if info['img_path'] == 'c.png' else 1)
        return info

    with pytest.raises(UserInputError, match="other random numbers for 'a.png' than for 'c.png'"):
        run_alike(greedy, INFOS)
    with pytest.raises(UserInputError, match="gave 'a.png' flip=False but 'b.png' flip=True"):
        run_alike(lambda info: {**info, 'flip': info['img_path'] == 'b.png'}, INFOS)
