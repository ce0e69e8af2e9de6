"""A value of another type than a signature says is found before anything is built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from mmengine.config import Config

from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.models.losses import CDCLoss
from mmseg_ccdistill.runtime.part_checks import check_parts
from mmseg_ccdistill.runtime.value_types import broken_type


class Base:
    def __init__(self, inherited: int) -> None: ...


class Loss(Base):
    def __init__(
        self,
        rate: float = 1.0,
        count: int | None = None,
        switch: bool = False,
        name: str = '',
        size: tuple[int | None, int] | int = 3,
        classes: Sequence[str] = (),
        settings: dict[str, Any] | None = None,
        anything: Any = None,
        head: Base | None = None,
        untyped=None,
        **kwargs: Any,
    ) -> None: ...


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('rate', 1), ('rate', 0.5), ('count', None), ('count', 3), ('switch', True), ('name', 'a'),
        ('size', [None, 2]), ('size', (1, 2)), ('size', 4), ('classes', ['a']), ('classes', range(3)),
        ('settings', {'a': 1}), ('settings', None), ('anything', object()), ('head', 'x'),
        ('untyped', 'x'), ('inherited', 3), ('unknown', 3),
    ],
)  # fmt: skip
def test_what_fits_or_cannot_be_judged(name, value) -> None:
    assert broken_type(Loss, name, value) is None


@pytest.mark.parametrize(
    ('name', 'value', 'annotation'),
    [
        ('rate', 'high', 'float'),
        ('rate', None, 'float'),
        ('rate', True, 'float'),
        ('count', 1.5, 'int | None'),
        ('switch', 1, 'bool'),
        ('name', 3, 'str'),
        ('size', 'big', 'tuple[int | None, int] | int'),
        ('classes', 'road', 'Sequence[str]'),
        ('settings', [1], 'dict[str, Any] | None'),
        ('inherited', 'x', 'int'),
    ],
)
def test_what_does_not_fit_is_told_by_the_annotation(name, value, annotation) -> None:
    assert broken_type(Loss, name, value) == annotation


def test_types_that_are_no_text() -> None:
    def build(a: int, b: float = 1.0) -> None: ...

    build.__annotations__.update(a=int, b=float)
    assert broken_type(build, 'a', 'x') == 'int' and broken_type(build, 'b', 2) is None


def _sentence(**loss: Any) -> str:
    model = dict(type='CCDistillSegmentor', segmentor=dict(), loss_cdc=dict(type='CDCLoss', **loss))
    with pytest.raises(UserInputError) as raised:
        check_parts(Config(dict(model=model)), 'c.py')
    return str(raised.value)


def test_the_sentence_in_a_config() -> None:
    assert broken_type(CDCLoss, 'js_tau', 'warm') == 'float'
    assert _sentence(js_tau='warm') == (
        "The config 'c.py' has model.loss_cdc.js_tau='warm': expected float, as CDCLoss takes it; correct the value."
    )


def test_a_name_like_none_gets_the_list_of_all() -> None:
    assert "'qqq' (model.loss_cdc.qqq): expected one that it has (" in _sentence(qqq=1)
