import pytest
import torch
from mmengine.config import Config

from mmseg_ccdistill.engine import start_up_checks
from mmseg_ccdistill.errors import UserInputError


def test_initial_weights_are_checked_wherever_they_are_named(tmp_path) -> None:
    def config(**entries) -> Config:
        backbone = dict(init_cfg=dict(type='Pretrained', **entries))
        return Config(dict(load_from=None, model=dict(segmentor=dict(heads=[backbone]))))

    with pytest.raises(UserInputError, match="load_from: .*'gone.pth' does not exist"):
        start_up_checks.check_initial_weights(Config(dict(load_from='gone.pth')))
    with pytest.raises(UserInputError, match=r'^model.segmentor.heads\.0\.init_cfg.checkpoint'):
        start_up_checks.check_initial_weights(config(checkpoint='gone.pth'))
    with pytest.raises(UserInputError, match='^model.pretrained'):
        start_up_checks.check_initial_weights(Config(dict(model=dict(pretrained='gone.pth'))))
    with pytest.raises(UserInputError, match='is a folder'):
        start_up_checks.check_initial_weights(Config(dict(load_from=str(tmp_path))))

    (tmp_path / 'there.pth').touch()
    with pytest.raises(UserInputError, match='^load_from: .*there.pth: expected a checkpoint'):
        start_up_checks.check_initial_weights(Config(dict(load_from=str(tmp_path / 'there.pth'))))
    weights = dict(a=torch.ones(1))
    torch.save(dict(state_dict=weights, mmseg_ccdistill_version='0'), tmp_path / 'there.pth')
    start_up_checks.check_initial_weights(config(checkpoint=str(tmp_path / 'there.pth')))
    start_up_checks.check_initial_weights(config(checkpoint='https://example.com/resnet101.pth'))


def test_an_address_is_refused_where_a_file_is_read() -> None:
    address = 'https://example.com/resnet101.pth'
    start_up_checks.check_checkpoint_content(address, 'load_from')
    with pytest.raises(UserInputError) as caught:
        start_up_checks.check_checkpoint_file(address, 'the argument CHECKPOINT')
    assert str(caught.value) == (
        f"the argument CHECKPOINT: '{address}' is an address: expected a file on this machine; download it and "
        'name the file'
    )


def test_weights_where_nothing_looks_for_them_are_refused(tmp_path) -> None:
    """But a backbone's own reader may look under ``model``, as Swin's does."""
    path = str(tmp_path / 'swin.pth')
    torch.save(dict(model=dict(a=torch.ones(1)), mmseg_ccdistill_version='0'), path)
    with pytest.raises(UserInputError, match='^load_from: .*swin.pth: it holds no tensors, those'):
        start_up_checks.check_initial_weights(Config(dict(load_from=path)))
    backbone = dict(init_cfg=dict(type='Pretrained', checkpoint=path))
    start_up_checks.check_initial_weights(Config(dict(model=dict(backbone=backbone))))
    torch.save(dict(state_dict={}, mmseg_ccdistill_version='0'), path)
    with pytest.raises(UserInputError, match='^model.backbone.init_cfg.checkpoint: .*no tensors'):
        start_up_checks.check_initial_weights(Config(dict(model=dict(backbone=backbone))))


def test_missing_data_folder_is_named_with_its_key(tmp_path) -> None:
    dataset = dict(
        type='CityscapesDataset',
        data_root=str(tmp_path),
        data_prefix=dict(img_path='images', seg_map_path='labels'),
        pipeline=[dict(type='LoadImageFromFile'), dict(type='PackSegInputs')],
    )
    wrapped = dict(type='RepeatDataset', times=2, dataset=dataset)
    config = Config(dict(train_dataloader=dict(dataset=wrapped), val_dataloader=None))
    loaders = ['train_dataloader', 'val_dataloader', 'test_dataloader']
    (tmp_path / 'images').mkdir()

    with pytest.raises(UserInputError, match=r'^train_dataloader\.dataset\.dataset: .*labels'):
        start_up_checks.check_data_roots(config, loaders)

    (tmp_path / 'labels').mkdir()
    with pytest.raises(UserInputError, match=r'^train_dataloader\.dataset\.dataset: .*no images'):
        start_up_checks.check_data_roots(config, loaders)

    (tmp_path / 'images/a_leftImg8bit.png').touch()
    start_up_checks.check_data_roots(config, loaders)
