import pickle
from itertools import islice

import pytest
from mmseg.registry import DATA_SAMPLERS

from mmseg_ccdistill.datasets import Draw, DrawSampler, draw_sampler


def take(count: int, size: int = 7, rank: int = 0, world: int = 1, **kwargs) -> list[Draw]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draw_sampler, 'get_dist_info', lambda: (rank, world))
        sampler = DrawSampler(range(size), **{'seed': 3, **kwargs})
    return list(islice(sampler, count))


def test_numbers_count_up_and_every_epoch_shows_every_image_once():
    draws = take(21)
    assert [draw.number for draw in draws] == list(range(21))
    assert {draw.seed for draw in draws} == {3}
    orders = [[draw.index for draw in draws[i : i + 7]] for i in (0, 7, 14)]
    assert all(sorted(order) == list(range(7)) for order in orders)
    assert orders[0] != orders[1] != orders[2] != orders[0]


def test_the_order_is_pinned():
    # numpy's RandomState stream is frozen: this order must never change between versions
    draws = take(10, size=5, seed=0)
    assert [draw.index for draw in draws] == [3, 1, 4, 0, 2, 3, 2, 0, 1, 4]


def test_another_seed_gives_another_order():
    assert [draw.index for draw in take(21)] != [draw.index for draw in take(21, seed=4)]


@pytest.mark.parametrize('world', [2, 3])
def test_ranks_share_the_draws_of_one_process(world):
    alone = take(24)
    for rank in range(world):
        assert take(24 // world, rank=rank, world=world) == alone[rank::world]


def test_start_skips_draws_of_the_whole_world():
    alone = take(40)
    assert take(10, start=11) == alone[11:21]
    assert take(10, rank=1, world=2, start=12) == alone[13:33:2]


def test_skip_is_absolute_and_counts_samples_per_rank():
    sampler = DrawSampler(range(7), seed=3)
    next(iter(sampler))
    sampler.skip(9)
    sampler.skip(9)
    assert list(islice(sampler, 3)) == take(12)[9:]
    with pytest.raises(ValueError, match='-1'):
        sampler.skip(-1)


def test_skip_counts_from_start():
    sampler = DrawSampler(range(7), seed=3, start=2)
    sampler.skip(9)
    assert next(iter(sampler)) == take(12)[11]


def test_iterating_twice_starts_over():
    sampler = DrawSampler(range(7), seed=3)
    assert list(islice(sampler, 5)) == list(islice(sampler, 5))


def test_length_is_one_epoch_and_set_epoch_changes_nothing():
    sampler = DrawSampler(range(7), seed=3)
    sampler.set_epoch(5)
    assert len(sampler) == 7
    assert list(islice(sampler, 5)) == take(5)


def test_seed_none_asks_mmengine_for_a_common_seed(monkeypatch):
    monkeypatch.setattr(draw_sampler, 'sync_random_seed', lambda: 77)
    assert DrawSampler(range(7)).seed == 77


@pytest.mark.parametrize('kwargs', [dict(seed=-1), dict(start=-1)])
def test_negative_arguments_are_an_error(kwargs):
    with pytest.raises(ValueError, match='>= 0'):
        take(1, **kwargs)


def test_an_empty_dataset_is_an_error():
    with pytest.raises(ValueError, match='empty dataset'):
        take(1, size=0)


def test_draws_of_one_seed_have_different_streams():
    states = {tuple(draw.seed_sequence().generate_state(4)) for draw in take(50)}
    assert len(states) == 50
    first = Draw(index=0, number=4, seed=3).seed_sequence().generate_state(4)
    assert (first == Draw(index=6, number=4, seed=3).seed_sequence().generate_state(4)).all()


def test_a_draw_survives_the_way_to_a_worker():
    draw = Draw(index=1, number=2, seed=3)
    assert pickle.loads(pickle.dumps(draw)) == draw


def test_the_sampler_is_built_from_a_config():
    sampler = DATA_SAMPLERS.build(
        dict(type='DrawSampler'), default_args=dict(dataset=range(4), seed=1)
    )
    assert isinstance(sampler, DrawSampler) and sampler.seed == 1
