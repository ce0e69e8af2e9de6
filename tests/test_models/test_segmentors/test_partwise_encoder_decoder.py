"""The plain network on a mixed batch: one mean, the loss of each part in the log, checkpoints of EncoderDecoder."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from meeting_port import meeting_port
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from small_ccdistill import SIDE, small_segmentor
from torch import nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from two_ranks import run_two_ranks

from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.models.segmentors import AdaptationSegmentor


def build_model(kind: str = 'PartwiseEncoderDecoder', **settings: Any) -> nn.Module:
    init_default_scope('mmseg')
    torch.manual_seed(0)
    model = MODELS.build(dict(small_segmentor(dropout_ratio=0.5), type=kind, **settings))
    model.init_weights()
    return model


def make_batch(parts: tuple[str, ...] = ('day', 'dusk', 'day')) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(1)
    samples = []
    for part in parts:
        sample = SegDataSample(metainfo=dict(part=part))
        label = torch.randint(0, 20, (1, SIDE, SIDE), generator=generator)
        sample.gt_sem_seg = PixelData(data=label.masked_fill(label == 19, 255))
        samples.append(sample)
    images = torch.randn(len(parts), 3, SIDE, SIDE, generator=generator)
    return dict(inputs=images, data_samples=samples)


def expected_means(model: nn.Module, batch: dict[str, Any]) -> dict[str, torch.Tensor]:
    head = model.decode_head
    logits = head(model.extract_feat(batch['inputs']))
    labels = AdaptationSegmentor.ground_truth(batch['data_samples'])
    logits = F.interpolate(
        logits, labels.shape[1:], mode='bilinear', align_corners=head.align_corners
    )
    weight = head.loss_decode.class_weight
    return {
        name: F.cross_entropy(logits[index], labels[index], weight, ignore_index=255)
        for name, index in (('all', [0, 1, 2]), ('day', [0, 2]), ('dusk', [1]))
    }


def test_the_loss_is_one_mean_and_the_log_has_that_of_each_part() -> None:
    model, batch = build_model().eval(), make_batch()
    losses = model.loss(**batch)
    means = expected_means(model, batch)
    assert set(losses) == {'decode.loss_seg', 'part.day', 'part.dusk'}
    torch.testing.assert_close(losses['decode.loss_seg'], means['all'])
    for name in ('day', 'dusk'):
        torch.testing.assert_close(losses[f'part.{name}'], means[name])
        assert not losses[f'part.{name}'].requires_grad
    total, _ = model.parse_losses(losses)
    assert total.item() == losses['decode.loss_seg'].item()


def test_weights_make_it_a_sum_over_the_parts() -> None:
    batch = make_batch()
    model = build_model(part_weights=dict(day=1.0, dusk=0.5)).eval()
    losses = model.loss(**batch)
    means = expected_means(model, batch)
    torch.testing.assert_close(losses['decode.loss_seg'], means['day'] + 0.5 * means['dusk'])
    assert not losses['part.dusk'].requires_grad
    alone = dict(inputs=batch['inputs'][:1], data_samples=batch['data_samples'][:1])
    losses = model.loss(**alone)
    assert losses['decode.loss_seg'].item() == losses['part.day'].item()


def test_it_trains_as_encoder_decoder_does() -> None:
    """The same loss, gradients and names; in training mode, with dropout."""
    losses, states = [], []
    for kind in ('EncoderDecoder', 'PartwiseEncoderDecoder'):
        model = build_model(kind).train()
        torch.manual_seed(5)
        found = model.loss(**make_batch())
        total, _ = model.parse_losses(found)
        total.backward()
        losses.append(total.item())
        states.append({name: p.grad for name, p in model.named_parameters()})
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert states[0].keys() == states[1].keys()
    assert all(
        states[0][name].abs().sum() > 0
        for name in ('backbone.conv1.weight', 'decode_head.conv_seg.weight')
    )
    for name, gradient in states[0].items():
        assert gradient is not None, name
        torch.testing.assert_close(states[1][name], gradient, rtol=1e-4, atol=1e-6)


def test_the_loss_gets_the_small_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept of a head's loss is the gradient of what it gets."""
    shapes = []
    head_loss = AdaptationSegmentor.head_loss

    def record(head: nn.Module, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(logits.shape[1:]))
        return head_loss(head, logits, labels)

    monkeypatch.setattr(AdaptationSegmentor, 'head_loss', record)
    for weights in (None, dict(day=1.0, dusk=0.5)):
        build_model(part_weights=weights).loss(**make_batch())
    assert set(shapes) == {(19, SIDE // 4, SIDE // 4)}


def test_a_plain_checkpoint_loads_strictly_and_predicts_the_same() -> None:
    plain, partwise = build_model('EncoderDecoder').eval(), build_model().eval()
    partwise.load_state_dict(plain.state_dict(), strict=True)
    images = make_batch()['inputs']
    assert torch.equal(plain(images, mode='tensor'), partwise(images, mode='tensor'))


def test_in_bfloat16_the_loss_is_that_of_full_precision_logits() -> None:
    model, batch = build_model().eval(), make_batch()
    whole = model.loss(**batch)['decode.loss_seg']
    with torch.autocast('cpu', torch.bfloat16):
        losses = model.loss(**batch)
    assert losses['decode.loss_seg'].dtype == torch.float32
    assert losses['decode.loss_seg'].item() == pytest.approx(whole.item(), rel=0.05)


def test_wrong_weights_are_one_sentence() -> None:
    with pytest.raises(
        UserInputError, match=r'model.part_weights.dusk is -1: expected a number >= 0'
    ):
        build_model(part_weights=dict(day=1, dusk=-1))
    model = build_model(part_weights=dict(day=1.0))
    with pytest.raises(
        UserInputError, match="no weight for the part 'dusk': expected one for each"
    ):
        model.loss(**make_batch())


def two_steps(model: nn.Module, batches: list[dict[str, Any]]) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for batch in batches:
        optimizer.zero_grad()
        losses = model(**batch, mode='loss')
        losses['decode.loss_seg'].backward()
        optimizer.step()


def _rank(rank: int, port: int) -> None:
    torch.set_num_threads(1)
    address = f'tcp://127.0.0.1:{port}'
    torch.distributed.init_process_group('gloo', address, rank=rank, world_size=2)
    model = build_model().eval()
    wrapped = DistributedDataParallel(model)
    batch = make_batch(('day', 'dusk') if rank == 0 else ('dusk', 'dusk'))  # not all parts in each
    two_steps(wrapped, [batch, batch])
    flat = torch.cat([p.detach().flatten() for p in model.parameters()])
    both = [torch.empty_like(flat) for _ in range(2)]
    torch.distributed.all_gather(both, flat)
    assert torch.equal(*both) and torch.isfinite(flat).all()
    assert not torch.equal(flat, torch.cat([p.flatten() for p in build_model().parameters()]))
    torch.distributed.destroy_process_group()


def test_two_processes_with_other_parts_stay_equal() -> None:
    run_two_ranks(_rank, meeting_port())


def test_the_batch_of_another_data_set_is_one_part() -> None:
    batch = make_batch()
    for sample in batch['data_samples']:
        sample.pop('part')
    losses = build_model().eval().loss(**batch)
    assert set(losses) == {'decode.loss_seg', 'part.all'}
    assert losses['part.all'].item() == pytest.approx(losses['decode.loss_seg'].item(), rel=1e-6)
