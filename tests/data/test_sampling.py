import numpy as np
import pytest

from energy_at.data.sampling import ChosenBatches, EvalBatches, TrainBatches, evenly, generator, held_out
from energy_at.types import InputError


def epoch_of(sampler, epoch=0):
    sampler.set_epoch(epoch)
    return list(sampler.batches())


def test_an_epoch_sees_each_image_at_most_once_and_all_but_the_last_partial_batch():
    batches = epoch_of(TrainBatches(103, 10, seed=0))
    seen = np.concatenate(batches)
    assert [len(batch) for batch in batches] == [10] * 10
    assert len(set(seen)) == 100
    assert set(seen) < set(range(103))


def test_epochs_and_seeds_differ_and_repeat():
    first, second = epoch_of(TrainBatches(64, 8, 0), 1), epoch_of(TrainBatches(64, 8, 0), 1)
    assert np.array_equal(first, second)
    assert not np.array_equal(first, epoch_of(TrainBatches(64, 8, 0), 2))
    assert not np.array_equal(first, epoch_of(TrainBatches(64, 8, 1), 1))


@pytest.mark.parametrize("extra", [0, 50])
def test_ranks_together_see_the_single_process_batch_of_the_same_global_size(extra):
    single = epoch_of(TrainBatches(100, 12, 3, extra=extra, extra_fraction=0.7), 5)
    shards = [epoch_of(TrainBatches(100, 4, 3, rank, 3, extra, 0.7), 5) for rank in range(3)]
    assert len({len(shard) for shard in shards}) == 1
    for step, whole in enumerate(single):
        assert sorted(whole) == sorted(np.concatenate([shard[step] for shard in shards]))
        synthetic = [int((shard[step] >= 100).sum()) for shard in shards]
        assert max(synthetic) - min(synthetic) <= 1


@pytest.mark.parametrize("batch", [1, 7, 40])
@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5, 0.7, 1.0])
def test_each_batch_has_the_exact_share_of_extra_images(fraction, batch):
    batches = epoch_of(TrainBatches(80, batch, 0, extra=7, extra_fraction=fraction))
    assert len(batches) == 80 // batch
    assert {int((indices >= 80).sum()) for indices in batches} == {round(fraction * batch)}
    own = np.concatenate(batches)
    own = own[own < 80]
    assert len(own) == len(set(own))


@pytest.mark.parametrize("world", [1, 2, 3, 8])
@pytest.mark.parametrize("batch", [1, 2, 5, 30])
@pytest.mark.parametrize("count", [1, 2, 7, 16, 31, 33, 60, 101])
def test_evaluation_covers_each_image_once_with_equally_many_batches_and_none_empty(count, batch, world):
    if count < world:
        with pytest.raises(InputError, match="use fewer devices"):
            EvalBatches(count, batch, 0, world)
        return
    shards = [list(EvalBatches(count, batch, rank, world).batches()) for rank in range(world)]
    assert len({len(shard) for shard in shards}) == 1
    assert sorted(np.concatenate([indices for shard in shards for indices in shard])) == list(range(count))
    sizes = [len(indices) for shard in shards for indices in shard]
    assert min(sizes) >= 1
    assert max(sizes) <= batch + (world > 1)


def test_batches_can_start_anywhere():
    for sampler in (TrainBatches(50, 8, 0), EvalBatches(50, 8)):
        whole = list(sampler.batches())
        rest = list(sampler.batches(3))
        assert len(rest) == len(sampler) - 3
        assert all(np.array_equal(a, b) for a, b in zip(whole[3:], rest, strict=True))


def test_too_few_images_for_a_batch():
    with pytest.raises(InputError, match="7 training images do not fill one batch of 8; lower batch_size"):
        TrainBatches(7, 4, 0, 0, 2)


def test_orders_and_augmentations_have_streams_of_their_own():
    draws = {generator(seed, epoch, key).random() for seed in range(3) for epoch in range(3) for key in range(3)}
    assert len(draws) == 27


@pytest.mark.parametrize("classes", [1, 2, 7])
@pytest.mark.parametrize("count", [0, 1, 10, 23, 60])
def test_held_out_part_is_stratified_and_complete(count, classes):
    labels = np.arange(60) % classes
    kept, held = held_out(labels, count)
    assert sorted([*kept, *held]) == list(range(60))
    assert len(held) == count
    share = np.bincount(labels, minlength=classes) * count / 60
    assert np.abs(np.bincount(labels[held], minlength=classes) - share).max() < 1 + 1e-9


@pytest.mark.parametrize("sizes", [[60], [30, 30], [5, 20, 35]], ids=str)
def test_every_beginning_of_an_even_order_has_each_class_by_its_share(sizes):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    order = evenly(labels)
    assert sorted(order) == list(range(60))
    for count in range(1, 61):
        found = np.bincount(labels[order[:count]], minlength=len(sizes))
        assert np.abs(found - np.array(sizes) * count / 60).max() < 1 + 1e-9


def test_chosen_images_come_in_their_order_and_each_once():
    sampler = ChosenBatches(np.array([5, 1, 8, 2, 7]), 2)
    assert [batch.tolist() for batch in sampler.batches()] == [[5, 1], [8, 2], [7]]
    assert [batch.tolist() for batch in sampler.batches(1)] == [[8, 2], [7]]
    assert (len(sampler), sampler.sizes) == (3, [2, 2, 1])
