"""Every switch of the step gives the losses of the plain step: 30 iterations here, 500 in the slow suite.

The network has no dropout and fixed batch statistics. Dropout draws its numbers in the order in which a map lies in
memory, so that ``channels_last`` draws others; and batch statistics of two samples of 2 x 2 positions enlarge a last
bit within a few steps, as they do between two machines.

What is allowed: a mode that sums in another order, in float32, starts within 1e-5 (a hundred roundings of 2^-24 in a
loss) and stays within 1e-3; over 500 iterations on one machine they differed by 3e-6 at most. bfloat16 has 8
bits: a single rounding is 2^-9 = 0.2 %, of which a mean over many positions keeps little: it starts within 1 % and
stays, averaged over ten iterations, within 5 %.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mmengine.hooks import Hook
from mode_run import differences, losses, make_runner
from small_ccdistill import small_model, small_segmentor

from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime.compiled_parts import check_compile

BFLOAT16 = dict(type='AmpOptimWrapper', dtype='bfloat16', loss_scale=dict(enabled=False))


def model(**changes: Any) -> dict[str, Any]:
    segmentor = small_segmentor(dropout_ratio=0.0)
    segmentor['backbone']['norm_eval'] = True
    return small_model(segmentor=segmentor, diagnostics_interval=0, **changes)


#: Of the model and of the config.
EXACT = {
    'early_decoder_backward': (dict(early_decoder_backward=True), {}),
    'recompute': (dict(recompute=('BasicBlock', 'ChainedResidualPooling')), {}),
}
ROUNDED = {
    'channels_last': ({}, dict(channels_last=True)),
    'batch_night_decoder': (dict(batch_night_decoder=True), {}),
    'compile': ({}, dict(compile=dict(backend='aot_eager'))),
    'all together': (
        dict(early_decoder_backward=True),  # compiled parts are not computed again
        dict(channels_last=True, compile=dict(backend='aot_eager')),
    ),
}
COMPILED = {
    'compile, default': ({}, dict(compile=True)),
    'compile, reduce-overhead': ({}, dict(compile=dict(mode='reduce-overhead'))),
}


def compare(mode: tuple[dict[str, Any], dict[str, Any]], plain: list[float]) -> torch.Tensor:
    changes, switches = mode
    return differences(losses(len(plain), model(**changes), **switches), plain)


@pytest.fixture(scope='module')
def plain() -> list[float]:
    return losses(30, model())


@pytest.fixture(scope='module')
def long_plain() -> list[float]:
    return losses(500, model())


def check_rounded(found: torch.Tensor) -> None:
    assert found[0] <= 1e-5 and found.max() <= 1e-3, (found[0], found.max())


def check_bfloat16(found: torch.Tensor) -> None:
    tens = found.view(-1, 10).mean(1)
    assert 0 < found[0] <= 0.01 and tens.max() <= 0.05, (found[0], tens.max())


@pytest.mark.parametrize('name', EXACT)
def test_exact_modes(name: str, plain: list[float]) -> None:
    assert compare(EXACT[name], plain).max() == 0


@pytest.mark.parametrize('name', ROUNDED)
def test_modes_that_sum_in_another_order(name: str, plain: list[float]) -> None:
    check_rounded(compare(ROUNDED[name], plain))


def test_bfloat16(plain: list[float]) -> None:
    check_bfloat16(compare(({}, dict(optim_wrapper=BFLOAT16)), plain))


class StepGradients(Hook):
    """The gradients that each step of the optimizer reads."""

    def __init__(self) -> None:
        self.found: list[list[torch.Tensor]] = []

    def before_train(self, runner: Any) -> None:
        runner.optim_wrapper.optimizer.register_step_pre_hook(
            lambda *_: self.found.append([p.grad.clone() for p in runner.model.parameters()])
        )


def test_accumulation_steps_with_the_mean_of_its_gradients() -> None:
    """Of four iterations the second and the fourth step; nothing changes the weights before the second."""
    runner, _ = make_runner(4, model(), optim_wrapper=dict(accumulative_counts=2))
    hook = StepGradients()
    runner.register_hook(hook)
    runner.model.init_weights()
    single = make_runner(1, model())[0].model.train()
    single.load_state_dict(runner.model.state_dict())
    for iteration, batch in zip(range(2), runner.train_dataloader, strict=False):
        torch.manual_seed(iteration)
        data = single.data_preprocessor(batch, True)
        (single.parse_losses(single(**data, mode='loss'))[0] / 2).backward()
    runner.train()
    assert len(hook.found) == 2
    for ours, parameter in zip(hook.found[0], single.parameters(), strict=True):
        assert torch.equal(ours, parameter.grad)


@pytest.mark.slow
def test_exact_modes_over_500_iterations(long_plain: list[float]) -> None:
    both = {key: value for changes, _ in EXACT.values() for key, value in changes.items()}
    assert compare((both, {}), long_plain).max() == 0


@pytest.mark.slow
@pytest.mark.parametrize('name', [*ROUNDED, *COMPILED])
def test_rounded_modes_over_500_iterations(name: str, long_plain: list[float]) -> None:
    mode = {**ROUNDED, **COMPILED}[name]
    try:
        check_compile(mode[1])
    except UserInputError as lacking:
        pytest.skip(str(lacking))
    check_rounded(compare(mode, long_plain))


@pytest.mark.slow
def test_bfloat16_over_500_iterations(long_plain: list[float]) -> None:
    check_bfloat16(compare(({}, dict(optim_wrapper=BFLOAT16)), long_plain))
