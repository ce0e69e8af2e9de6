import numpy as np
import pytest
from layouts import make_acdc, make_cityscapes, make_dark_zurich, miniature_sets, write_image
from PIL import Image

from mmseg_ccdistill.curation.audit import examine
from mmseg_ccdistill.curation.prepare import write_dark_zurich_pairs

ZURICH_VAL = 'rgb_anon/val/night/GOPR0356/GOPR0356_frame_000321_rgb_anon.png'
ACDC_VAL = 'rgb_anon/night/val/GOPR0356/GOPR0356_frame_000321_rgb_anon.png'


@pytest.fixture
def roots(tmp_path):
    make_acdc(tmp_path / 'acdc')
    make_dark_zurich(tmp_path / 'dark_zurich')
    write_dark_zurich_pairs(str(tmp_path / 'dark_zurich'))
    return {name: str(tmp_path / name) for name in ('dark_zurich', 'acdc')}


def shared(roots, verdict='leak', **kwargs):
    report = examine(roots, workers=1, sets=miniature_sets(), **kwargs)
    return {found.check: found.text for found in report.findings if found.verdict == verdict}


@pytest.mark.parametrize('quick', [False, True])
def test_the_frames_that_dark_zurich_and_acdc_share(roots, quick):
    leaks = shared(roots, quick=quick)
    assert set(leaks) == {
        'train night / train night',
        'val night / val night',
        'test night / test night',
    }
    assert leaks['val night / val night'] == (
        'Dark Zurich val night (2 images) and ACDC-night val night (2) share 1 by hash of the file '
        f"(1) or of the pixels (0), e.g. '{roots['dark_zurich']}/{ZURICH_VAL}' is "
        f"'{roots['acdc']}/{ACDC_VAL}': the two scores are not independent of each other "
        '(they were published so).'
    )
    assert leaks['train night / train night'].endswith(
        'the labels of ACDC-night train night must not be used where Dark Zurich train night '
        'counts as unlabelled (they were published so).'
    )


def test_the_known_leak_is_no_fault(roots):
    assert examine(roots, workers=1, sets=miniature_sets()).is_healthy


def test_a_frame_that_was_encoded_again_is_found_by_its_pixels(roots, tmp_path):
    path = tmp_path / 'acdc' / ACDC_VAL
    before = path.read_bytes()
    Image.open(path).save(path, compress_level=1, optimize=False)
    assert path.read_bytes() != before
    assert 'by hash of the file (0) or of the pixels (1)' in shared(roots)['val night / val night']
    assert 'val night / val night' not in shared(roots, quick=True)


def test_a_name_with_another_picture_is_a_note(roots, tmp_path):
    picture = np.zeros((32, 64, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / 'acdc' / ACDC_VAL)
    assert 'val night / val night' not in shared(roots)
    assert shared(roots, 'note')['val night / val night'] == (
        'Dark Zurich val night and ACDC-night val night use 1 file names for different pictures, '
        f"e.g. '{roots['dark_zurich']}/{ZURICH_VAL}' and '{roots['acdc']}/{ACDC_VAL}': "
        'keep predictions and caches of the two sets in folders of their own.'
    )


def test_training_on_frames_that_are_scored(roots, tmp_path):
    """A scored frame of Dark Zurich among ACDC's training frames; by content, whatever its name."""
    train = tmp_path / 'acdc/rgb_anon/night/train/GP010397/GP010397_frame_000101_rgb_anon.png'
    train.write_bytes((tmp_path / 'dark_zurich' / ZURICH_VAL).read_bytes())
    assert shared(roots)['val night / train night'].endswith(
        'a model trained on ACDC-night train night must not be scored on Dark Zurich val night '
        '(they were published so).'
    )


def test_a_leak_that_was_not_published_is_a_fault(roots, tmp_path):
    make_cityscapes(tmp_path / 'cityscapes', with_train_ids=True)
    city = tmp_path / 'cityscapes/leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png'
    city.write_bytes((tmp_path / 'dark_zurich' / ZURICH_VAL).read_bytes())
    roots = {'cityscapes': str(tmp_path / 'cityscapes'), 'dark_zurich': roots['dark_zurich']}
    assert shared(roots, 'fault')['train / val night'].endswith(
        'a model trained on Cityscapes train must not be scored on Dark Zurich val night; '
        'unpack both sets again.'
    )


def test_shared_reference_frames_are_a_note(roots, tmp_path):
    references = [
        'dark_zurich/rgb_anon/val_ref/day/GOPR0356_ref/GOPR0356_frame_000321_ref_rgb_anon.png',
        'acdc/rgb_anon/night/val_ref/GOPR0356/GOPR0356_frame_000321_rgb_ref_anon.png',
    ]
    write_image(tmp_path / references[0])
    (tmp_path / references[1]).write_bytes((tmp_path / references[0]).read_bytes())
    note = shared(roots, 'note')['val reference / val reference']
    assert note.endswith('reference frames are not scored.')


def test_sets_that_share_nothing_say_so(tmp_path):
    make_cityscapes(tmp_path / 'cityscapes', with_train_ids=True)
    roots = {'cityscapes': str(tmp_path / 'cityscapes')}
    assert shared(roots, 'ok')['overlap'] == 'no frame is in two splits (by file and by pixels)'
    assert 'equal sizes only' in shared(roots, 'ok', quick=True)['overlap']
