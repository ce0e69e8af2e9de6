"""The simulation of several GPUs: bytes by hand, buckets by hand, and the table of the docs."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import scaling
from benchmarks.scaling import Network, Part, Step, reduce_seconds, sent_bytes, simulate

DOCS = Path(__file__).resolve().parents[2] / 'docs/performance.md'
PARAMETERS = 240_816_550  # tests/test_cost.py


@pytest.fixture(scope='module')
def step() -> Step:
    return scaling.count()


def test_the_counted_step(step: Step) -> None:
    assert step.gradient_bytes == 4 * PARAMETERS == 963_266_200
    assert step.flops == pytest.approx(
        10.895e12, rel=2e-3
    )  # without Gram cosines; the stem's gradient is in
    backward = sum(part.flops for part in step.backward)
    # (8 backbones + 6 decoders + 8 heads) of (12, 10, 12): less than 2/3, as T_d's decoder has no backward
    assert backward / step.flops == pytest.approx(0.6123, abs=1e-3)


@pytest.mark.parametrize(
    'gpus, sent', [(1, 0), (8, 1_685_715_850), (64, 1_896_430_331.25), (512, 1_922_769_641.40625)]
)
def test_bytes_that_each_gpu_sends(step: Step, gpus: int, sent: float) -> None:
    assert sent_bytes(step.gradient_bytes, gpus) == sent


def test_duration_of_one_all_reduce() -> None:
    """100 MB over 8 GPUs: 14 steps of 1 us, 175 MB at 1 GB/s; over 16 the slower link counts."""
    network = Network('', 1e9, 0.5e9, 1e-6)
    assert reduce_seconds(100e6, 8, network) == pytest.approx(0.175014, rel=1e-12)
    assert reduce_seconds(100e6, 16, network) == pytest.approx(30e-6 + 187.5e6 / 0.5e9, rel=1e-12)
    assert reduce_seconds(100e6, 1, network) == 0


def test_what_fits_behind_the_backward_pass_costs_nothing() -> None:
    """Forward 1 s, then two parts of 1 s: one bucket is ready at 2 s, the other at the end, 3 s."""
    weights = scaling.BUCKET_BYTES // scaling.GRADIENT_BYTES
    step = Step(3.0, (Part(1.0, weights), Part(1.0, weights)))
    assert scaling._buckets(step, 3.0) == [(2.0, scaling.BUCKET_BYTES), (3.0, scaling.BUCKET_BYTES)]
    for seconds, exposed in ((0.25, 0.25), (1.0, 1.0), (1.5, 2.0)):
        # two GPUs send the bytes of the bucket once
        found = simulate(step, 3.0, 2, Network('', scaling.BUCKET_BYTES / seconds, 1.0, 0.0))
        assert found.sending == pytest.approx(2 * seconds)
        assert found.exposed == pytest.approx(exposed)
        assert found.efficiency == pytest.approx(3 / (3 + exposed))


def test_small_parts_share_a_bucket() -> None:
    weights = scaling.BUCKET_BYTES // scaling.GRADIENT_BYTES
    step = Step(4.0, (Part(1.0, weights // 2), Part(1.0, weights), Part(1.0, 0)))
    assert scaling._buckets(step, 4.0) == [
        (2.5, scaling.BUCKET_BYTES),  # half of the second part fills it
        (4.0, scaling.BUCKET_BYTES / 2),
    ]


def test_the_table_of_the_docs(step: Step, capsys: pytest.CaptureFixture) -> None:
    assert scaling.table(step) in DOCS.read_text()
    assert scaling.main(['--gpus', '16']) == 0
    out = capsys.readouterr().out
    assert '963 MB of gradients' in out and '16 GPUs: ' in out


def test_a_number_of_gpus_that_there_is_not(capsys: pytest.CaptureFixture) -> None:
    assert scaling.main(['--gpus', '0']) == 2
    assert '--gpus must be at least 1, got 0' in capsys.readouterr().err
