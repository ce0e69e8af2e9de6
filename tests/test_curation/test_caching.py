"""The image cache: same pixels, resumable, and nothing of other files."""

from __future__ import annotations

import errno
import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmseg.registry import TRANSFORMS
from PIL import Image
from png_rows import LEFT, PAETH, UP, row_filters

from mmseg_ccdistill.curation import caching
from mmseg_ccdistill.datasets.image_cache import INDEX, SUFFIXES, open_cache
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime.command_line import run_main

KINDS = list(SUFFIXES)


@pytest.fixture(scope='module')
def tool() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / 'tools/dataset_converters/cache.py'
    spec = importlib.util.spec_from_file_location('cache_tool', path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two frames, one of them a JPEG, and a label."""
    rng = np.random.default_rng(0)
    folder = tmp_path / 'data'
    for name in ('day/a.png', 'night/b.jpg'):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), rng.integers(0, 256, (20, 30, 3)).astype(np.uint8))
    cv2.imwrite(str(folder / 'day/a_gt.png'), rng.integers(0, 19, (20, 30)).astype(np.uint8))
    return folder


def photo(seed: int, size: tuple[int, int] = (120, 180)) -> np.ndarray:
    """Smooth, with a little noise, as a camera writes it."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (4, 6, 3)).astype(np.uint8)
    smooth = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)
    return cv2.add(smooth, rng.integers(0, 4, (*size, 3)).astype(np.uint8))


def write(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)
    return path


def call(tool: ModuleType, *arguments: object) -> int:
    return run_main(lambda: tool.main([str(argument) for argument in arguments]))


@pytest.mark.parametrize('kind', KINDS)
def test_the_cache_gives_the_pixels_of_the_files(
    kind: str, tool: ModuleType, root: Path, tmp_path: Path, capsys: Any
) -> None:
    assert call(tool, root, tmp_path / 'cache', '--format', kind) == 0
    assert '2 of 2 images are missing' in capsys.readouterr().out
    init_default_scope('mmseg')
    load = TRANSFORMS.build(dict(type='LoadCachedImage', cache=str(tmp_path / 'cache')))
    plain = TRANSFORMS.build(dict(type='LoadImageFromFile'))
    for name in ('day/a.png', 'night/b.jpg'):
        ours, theirs = (step(dict(img_path=str(root / name))) for step in (load, plain))
        assert np.array_equal(ours['img'], theirs['img']) and ours['img'].dtype == np.uint8
        assert ours['img_shape'] == theirs['img_shape'] == ours['ori_shape'] == (20, 30)
    copies = sorted(p.name for p in (tmp_path / 'cache').rglob('*') if p.is_file())
    assert copies == sorted(['a.png' + SUFFIXES[kind], 'b.jpg' + SUFFIXES[kind], INDEX])


def test_the_space_is_that_of_the_arrays(root: Path, tool: ModuleType, capsys: Any) -> None:
    names = caching.list_images(root)
    assert names == ['day/a.png', 'night/b.jpg']
    assert caching.space_needed(root, names, 'raw') == 2 * (3 * 20 * 30 + 128)
    assert call(tool, root, root.parent / 'cache', '--dry-run', '--format', 'raw') == 0
    assert capsys.readouterr().out.startswith('2 images: 0.00 GB\n')
    assert not (root.parent / 'cache').exists()


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('source', ['png', 'jpg', 'grey png', 'grey jpg', 'palette png'])
def test_the_stated_space_is_enough_whatever_the_images_are(
    kind: str, source: str, tmp_path: Path
) -> None:
    image = photo(1) if 'grey' not in source else cv2.cvtColor(photo(1), cv2.COLOR_BGR2GRAY)
    path = write(tmp_path / f'data/a.{source[-3:]}', image)
    if source == 'palette png':
        Image.fromarray(photo(1)).quantize(64).save(path)
    names = caching.list_images(tmp_path / 'data', grey=True)
    cache = caching.prepare_cache(tmp_path / 'data', tmp_path / 'cache', kind)
    needed = caching.space_needed(tmp_path / 'data', names, kind)
    caching.fill_cache(cache, names)
    assert cache.copy_of(names[0]).stat().st_size <= needed


def test_grey_photos_are_counted_and_cached_when_asked_for(
    root: Path, tool: ModuleType, tmp_path: Path, capsys: Any
) -> None:
    grey = cv2.cvtColor(photo(2), cv2.COLOR_BGR2GRAY)
    paths = [write(root / 'day' / name, grey) for name in ('grey.jpg', 'grey.png')]
    for arguments in (['--dry-run'], []):
        assert call(tool, root, tmp_path / 'cache', *arguments) == 0
        assert (
            '2 PNG files of one channel are left out, as labels are: grey photos are cached with --grey and '
            '--folders, the folders that hold no labels\n'
        ) in capsys.readouterr().out
    with pytest.raises(UserInputError, match='grey.png is not in the cache .* with --grey'):
        open_cache(tmp_path / 'cache').read(paths[1])
    (root / 'day/a_gt.png').unlink()
    assert call(tool, root, tmp_path / 'cache', '--grey', '--folders', 'day') == 0
    assert 'left out' not in capsys.readouterr().out
    init_default_scope('mmseg')
    load = TRANSFORMS.build(dict(type='LoadCachedImage', cache=str(tmp_path / 'cache')))
    plain = TRANSFORMS.build(dict(type='LoadImageFromFile'))
    for path in paths:
        ours, theirs = (step(dict(img_path=str(path)))['img'] for step in (load, plain))
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize('made_at', ['real', 'link', '../here/link'])
@pytest.mark.parametrize('read_at', ['real', 'link', '{}/real', '{}/link', '../here/link'])
def test_a_data_root_may_be_named_through_a_link(
    made_at: str, read_at: str, root: Path, tool: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = root.parent / 'here'
    here.mkdir()
    monkeypatch.chdir(here)
    root.rename('real')
    Path('link').symlink_to('real')
    moved = Path('elsewhere.png')
    Path('real/day/a.png').rename(moved)
    Path('real/day/a.png').symlink_to(moved.absolute())  # as prepare.py links single files
    Path('day').mkdir()
    Path('real/dusk').symlink_to(Path('day').absolute())
    write(Path('day/c.png'), photo(3))
    assert call(tool, made_at, 'cache') == 0
    cache = open_cache('cache')
    assert set(cache.sizes) == {'day/a.png', 'night/b.jpg', 'dusk/c.png'}
    names = ['day/a.png', 'night/b.jpg'] + ['dusk/c.png'] * (made_at[-4:] == read_at[-4:])
    for name in names:
        path = Path(read_at.format(here), name)
        assert np.array_equal(cache.read(path), cv2.imread(str(path)))


def test_a_cache_of_the_real_root_goes_on_through_a_link(root: Path, tmp_path: Path) -> None:
    """Older versions wrote the real folder into the index."""
    link = tmp_path / 'link'
    link.symlink_to(root)
    caching.fill_cache(caching.prepare_cache(root, tmp_path / 'cache', 'png'), ['day/a.png'])
    again = caching.prepare_cache(link, tmp_path / 'cache', 'png')
    assert caching.missing_images(again, caching.list_images(link)) == ['night/b.jpg']
    caching.fill_cache(again, ['night/b.jpg'])
    assert open_cache(tmp_path / 'cache').read(link / 'night/b.jpg').shape == (20, 30, 3)


def test_linked_folders_are_followed_and_hidden_files_left_out(root: Path, tmp_path: Path) -> None:
    write(tmp_path / 'other/c.png', photo(3))
    write(tmp_path / 'other/.d.png', photo(3))
    (root / 'dusk').symlink_to(tmp_path / 'other')
    assert caching.list_images(root) == ['day/a.png', 'dusk/c.png', 'night/b.jpg']
    assert caching.list_images(root, ['dusk']) == ['dusk/c.png']


def test_caches_inside_the_data_root_are_not_cached(
    root: Path, tool: ModuleType, capsys: Any
) -> None:
    for folder in ('cache/one', 'cache/one', 'two'):
        assert call(tool, root, root / folder) == 0
    said = capsys.readouterr().out
    assert re.findall('(.*) images are missing', said) == ['2 of 2', '0 of 2', '2 of 2']


@pytest.mark.parametrize('name', ['cut.jpg', 'cut.png'])
def test_a_cut_image_is_no_image(name: str, root: Path, tmp_path: Path) -> None:
    """OpenCV's imread gives a part of a cut JPEG, or all of it with grey below."""
    path = write(root / 'day' / name, photo(4))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    cache = caching.prepare_cache(root, tmp_path / 'cache', 'png')
    with pytest.raises(UserInputError) as caught:
        caching.fill_cache(cache, [f'day/{name}'])
    assert re.fullmatch(
        f'The image {str(path)!r} cannot be read .*: expected a whole PNG or JPEG image; replace or remove it.',
        str(caught.value),
    )
    assert not cache.copy_of(f'day/{name}').exists()


def test_an_interrupted_cache_goes_on(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = caching.prepare_cache(root, tmp_path / 'cache', 'png')
    caching.fill_cache(cache, ['day/a.png'])
    index = tmp_path / 'cache' / INDEX
    index.write_text(index.read_text() + '["night/b.j')  # a line that was cut off
    again = caching.prepare_cache(root, tmp_path / 'cache', 'png')
    assert caching.missing_images(again, caching.list_images(root)) == ['night/b.jpg']
    with pytest.raises(UserInputError, match='night/b.jpg is not in the cache .*; run tools/d'):
        again.read(root / 'night/b.jpg')
    before = again.copy_of('day/a.png').stat().st_mtime_ns
    caching.fill_cache(again, ['night/b.jpg'])
    assert open_cache(tmp_path / 'cache').sizes == again.sizes
    assert set(again.sizes) == {'day/a.png', 'night/b.jpg'}
    assert again.copy_of('day/a.png').stat().st_mtime_ns == before
    again.copy_of('day/a.png').unlink()
    assert caching.missing_images(again, caching.list_images(root)) == ['day/a.png']


def test_a_full_disk_ends_with_a_sentence_and_keeps_what_is_done(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = caching.write_atomically

    def full(path: Path, content: bytes, verify: Any = None) -> None:
        if 'b.jpg' in str(path):
            raise OSError(errno.ENOSPC, 'No space left on device')
        whole(path, content, verify)

    cache = caching.prepare_cache(root, tmp_path / 'cache', 'raw')
    monkeypatch.setattr(caching, 'write_atomically', full)
    with pytest.raises(UserInputError, match='cache is full after 1 images: make room and run ag'):
        caching.fill_cache(cache, caching.list_images(root))
    monkeypatch.undo()
    assert set(open_cache(tmp_path / 'cache').sizes) == {'day/a.png'}


def test_too_little_space_is_said_before_anything_is_written(root: Path, tmp_path: Path) -> None:
    cache = caching.prepare_cache(root, tmp_path / 'cache', 'raw')
    with pytest.raises(
        UserInputError, match=r'needs 1000000000\.0 GB, .* GB free: make room.*png$'
    ):
        caching.check_space(cache, 10**18)
    cache = caching.prepare_cache(root, tmp_path / 'small', 'png')
    with pytest.raises(UserInputError, match='GB free: make room or name another folder$'):
        caching.check_space(cache, 10**18)


def test_a_copy_with_other_pixels_does_not_count(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = caching.prepare_cache(root, tmp_path / 'cache', 'png')
    encode = caching._encode
    monkeypatch.setattr(caching, '_encode', lambda pixels, kind: encode(pixels ^ 1, kind))
    with pytest.raises(OSError, match='the copy has other pixels'):
        caching.fill_cache(cache, ['day/a.png'])
    assert open_cache(tmp_path / 'cache').sizes == {}
    assert not cache.copy_of('day/a.png').exists()


def test_rows_of_a_png_are_differences_that_are_undone_fast(root: Path, tmp_path: Path) -> None:
    smooth = cv2.resize(cv2.imread(str(root / 'day/a.png')), (300, 200))  # Paeth for most rows
    cv2.imwrite(str(root / 'day/a.png'), smooth)
    cache = caching.prepare_cache(root, tmp_path / 'cache', 'png')
    caching.fill_cache(cache, ['day/a.png'])
    assert np.array_equal(cv2.imread(str(cache.copy_of('day/a.png'))), smooth)
    wanted = UP if hasattr(cv2, 'IMWRITE_PNG_FILTER') else LEFT
    filters = row_filters(cache.copy_of('day/a.png').read_bytes(), 200)
    assert np.count_nonzero(filters == wanted) >= 199  # the first row has none above
    assert PAETH not in filters


def test_a_cache_of_other_files_is_refused(root: Path, tmp_path: Path) -> None:
    cache = caching.prepare_cache(root, tmp_path / 'cache', 'png')
    caching.fill_cache(cache, ['day/a.png'])
    (root / 'day/a.png').write_bytes(b'another file')
    with pytest.raises(UserInputError, match='has 12 bytes, the cache .* was made of a file of'):
        cache.read(root / 'day/a.png')
    with pytest.raises(UserInputError, match='is another file than that in the cache'):
        caching.missing_images(cache, ['day/a.png'])
    (root / 'day/a.png').unlink()
    assert cache.read(root / 'day/a.png').shape == (20, 30, 3)  # the cache may outlive the files


def test_another_version_format_root_or_folder_is_refused(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / 'cache'
    with pytest.raises(UserInputError, match='is no image cache'):
        open_cache(folder)
    caching.prepare_cache(root, folder, 'png')
    with pytest.raises(UserInputError, match='a cache with the format png, not raw: name another'):
        caching.prepare_cache(root, folder, 'raw')
    with pytest.raises(UserInputError, match='a cache with the data root .*: name another folder'):
        caching.prepare_cache(tmp_path, folder, 'png')
    (folder / INDEX).write_text(json.dumps(dict(version=0)) + '\n')
    with pytest.raises(UserInputError, match='has version 0, this package reads 1: make the cache'):
        open_cache(folder)
    with pytest.raises(UserInputError, match='is not empty and no cache: name another folder'):
        caching.prepare_cache(root, root, 'png')


def test_what_is_no_data_root_is_named(root: Path, tool: ModuleType, capsys: Any) -> None:
    (root.parent / 'outside').mkdir()
    for folder in ('dusk', '../outside', root.parent / 'outside'):
        assert call(tool, root, root.parent / 'cache', '--folders', folder) == 2
        sentence = (
            f'{root / folder} is no folder in {root}: name the root of a data set and folders in it'
        )
        assert sentence in capsys.readouterr().err
    (root / 'day/broken.png').write_bytes(b'none')
    for arguments in ([], ['--grey']):
        assert call(tool, root, root.parent / 'cache', *arguments) == 2
        assert re.search(
            "The image '.*broken.png' cannot be read .no image header.: expected a whole PNG or JPEG image; replace",
            capsys.readouterr().err,
        )
    empty = root / 'day/empty'
    empty.mkdir()
    with pytest.raises(UserInputError, match='holds no colour image .* --grey for grey photos$'):
        caching.list_images(empty)
    with pytest.raises(UserInputError, match='holds no image .*: name the root of a data set$'):
        caching.list_images(empty, grey=True)


@pytest.mark.parametrize('below', ['', '/x', '/x/y'])
def test_a_cache_that_cannot_be_written_is_one_sentence(
    below: str, root: Path, tool: ModuleType, tmp_path: Path, capsys: Any
) -> None:
    (tmp_path / 'file').write_text('mine')
    folder = f'{tmp_path}/file{below}'
    assert call(tool, root, folder) == 2
    assert capsys.readouterr().err == (
        f'error: nothing can be written into {folder!r} (Not a directory): expected a folder with the right to write; '
        'name another folder\n'
    )
    assert (tmp_path / 'file').read_text() == 'mine'
