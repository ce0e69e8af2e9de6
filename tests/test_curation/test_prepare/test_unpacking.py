import contextlib
import fcntl
import multiprocessing
import os
import shutil
import signal
import threading
import time
import zipfile
from collections import namedtuple

import pytest
from layouts import (
    MAKERS,
    make_acdc,
    make_bdd100k,
    make_dark_zurich,
    tar_set,
    tree_contents,
    zip_set,
)

from mmseg_ccdistill.curation.prepare import Placed, PreparationError, place_sources, unpacking
from mmseg_ccdistill.datasets.published_sets import ACDC, CITYSCAPES, DARK_ZURICH, PUBLISHED_SETS
from mmseg_ccdistill.runtime.atomic_file import UNFINISHED

FRAME = 'rgb_anon/val/night/GOPR0356/GOPR0356_frame_000321_rgb_anon.png'


def place(sources, root, published=DARK_ZURICH, **kwargs):
    return place_sources([str(source) for source in sources], str(root), published, **kwargs)


def refused(*args, **kwargs):
    with pytest.raises(PreparationError) as info:
        place(*args, **kwargs)
    return str(info.value)


def without_documents(root):
    contents = tree_contents(root)
    return {name: data for name, data in contents.items() if not name.startswith('documents/')}


@pytest.fixture
def tree(tmp_path):
    return make_dark_zurich(tmp_path / 'tree')


@pytest.fixture
def zips(tree, tmp_path):
    return zip_set('dark_zurich', tree, tmp_path / 'downloads')


@pytest.mark.parametrize('name', [*MAKERS, 'bdd100k_old'])
@pytest.mark.parametrize('pack', [zip_set, tar_set])
def test_archives_become_the_published_layout(tmp_path, name, pack):
    old = name == 'bdd100k_old'
    maker = MAKERS['bdd100k' if old else name]
    tree = maker(tmp_path / 'tree', 'old') if old else maker(tmp_path / 'tree')
    published = PUBLISHED_SETS['bdd100k' if old else name]
    archives = pack(name, tree, tmp_path / 'downloads')
    root = tmp_path / 'data' / name
    first = place(archives, root, published)
    assert without_documents(root) == tree_contents(tree)
    assert first.written == len(tree_contents(root))
    assert place(archives, root, published) == Placed(0, first.written, first.left_out)
    assert without_documents(root) == tree_contents(tree)


def test_documents_of_the_archives_do_not_meet(zips, tmp_path):
    root = tmp_path / 'root'
    place(zips, root)
    for archive in zips:
        document = root / 'documents' / archive.stem / 'README.md'
        assert document.read_text() == f'README.md of {archive.name}\n'


def test_one_archive_after_the_other_gives_the_same_tree(zips, tree, tmp_path):
    for archive in reversed(zips):
        place([archive], tmp_path / 'root')
    assert without_documents(tmp_path / 'root') == tree_contents(tree)


def test_an_interrupted_run_is_completed_by_the_next(zips, tree, tmp_path, monkeypatch):
    """Kill a process in the middle, then run again."""
    root = tmp_path / 'root'
    context = multiprocessing.get_context('fork')
    reader, writer = context.Pipe(duplex=False)
    original = unpacking._write_stream

    def slow(stream, temporary, *rest):
        original(stream, temporary, *rest)
        writer.send(temporary)
        time.sleep(0.05)

    with monkeypatch.context() as patch:
        patch.setattr(unpacking, '_write_stream', slow)
        process = context.Process(target=place, args=(zips, root))
        process.start()
        for _ in range(10):
            assert reader.poll(30)
            reader.recv()
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    there = {name for name in tree_contents(root) if not name.endswith(UNFINISHED)}
    assert 0 < len(there) < len(tree_contents(tree))
    half = root / (FRAME + UNFINISHED)
    half.parent.mkdir(parents=True, exist_ok=True)
    half.write_bytes(b'half a picture')
    placed = place(zips, root)
    assert placed.kept == len(there)
    assert without_documents(root) == tree_contents(tree)


def test_what_is_there_and_equal_is_not_written_again(zips, tmp_path):
    root = tmp_path / 'root'
    place(zips, root)
    before = {path: path.stat().st_mtime_ns for path in root.rglob('*') if path.is_file()}
    (root / FRAME).unlink()
    assert place(zips, root).written == 1
    after = {path: path.stat().st_mtime_ns for path in root.rglob('*') if path.is_file()}
    assert {path for path in after if after[path] != before[path]} == {root / FRAME}


@pytest.mark.parametrize('pack', [zip_set, tar_set])
@pytest.mark.parametrize('content', [b'short', None])
def test_a_different_file_is_never_overwritten(tree, tmp_path, pack, content):
    archives = pack('dark_zurich', tree, tmp_path / 'downloads')
    mine = tmp_path / 'root' / FRAME
    mine.parent.mkdir(parents=True)
    mine.write_bytes(content or bytes(os.path.getsize(tree / FRAME)))  # same size, other bytes
    before = mine.read_bytes()
    archive = next(path for path in archives if 'val' in path.name or path.suffix == '.gz')
    assert refused(archives, tmp_path / 'root') == (
        f'The file {str(mine)!r} is there with other contents: expected that of {FRAME!r} in '
        f'{str(archive)!r}; move it away or give another --root.'
    )
    assert mine.read_bytes() == before
    if pack is zip_set:  # and nothing else has been written
        assert list(tree_contents(tmp_path / 'root')) == [FRAME]


def test_a_link_out_of_the_root_is_not_followed(zips, tmp_path):
    outside = tmp_path / 'outside'
    outside.mkdir()
    root = tmp_path / 'root'
    root.mkdir()
    (root / 'rgb_anon').symlink_to(outside)
    assert refused(zips, root) == (
        f'The folder {str(root / "rgb_anon")!r} is a link that leads out of the root, to '
        f'{str(outside)!r}: expected folders inside the root; remove the '
        'link and give the folder it leads to as a source.'
    )
    assert list(outside.iterdir()) == []


def test_the_root_itself_may_be_a_link(zips, tree, tmp_path):
    (tmp_path / 'disk').mkdir()
    (tmp_path / 'root').symlink_to(tmp_path / 'disk')
    place(zips, tmp_path / 'root')
    assert without_documents(tmp_path / 'disk') == tree_contents(tree)


def test_a_set_under_another_name(zips, tmp_path):
    acdc = zip_set('acdc', make_acdc(tmp_path / 'acdc'), tmp_path / 'acdc_downloads')
    member = 'rgb_anon/night/test/GOPR0364/GOPR0364_frame_000001_rgb_anon.png'
    assert refused(acdc, tmp_path / 'root') == (
        f'The archive {str(acdc[0])!r} looks like ACDC-night, not Dark Zurich '
        f'(it holds {member!r}): expected Dark_Zurich_train_anon.zip or Dark_Zurich_val_anon.zip '
        "or Dark_Zurich_test_anon_withoutGt.zip with folders such as 'rgb_anon/train/night', "
        "'rgb_anon/train/day', 'rgb_anon/train/twilight'; prepare it with 'acdc' or name another "
        'source.'
    )
    assert 'looks like Dark Zurich, not ACDC-night' in refused(zips, tmp_path / 'root', ACDC)
    driving = zip_set('night_driving', MAKERS['night_driving'](tmp_path / 'n'), tmp_path / 'nz')
    assert 'looks like Nighttime Driving, not Cityscapes' in refused(
        driving, tmp_path / 'root', CITYSCAPES
    )


def test_a_folder_of_archives_is_not_a_folder_of_files(zips, tmp_path):
    assert refused([zips[0].parent], tmp_path / 'root').endswith(
        "name the archives in it, e.g. 'Dark_Zurich_test_anon_withoutGt.zip'."
    )


def test_an_archive_of_something_else(tmp_path):
    with zipfile.ZipFile(tmp_path / 'holiday.zip', 'w') as file:
        file.writestr('beach.jpg', b'x')
    text = refused([tmp_path / 'holiday.zip'], tmp_path / 'root')
    assert f'The archive {str(tmp_path / "holiday.zip")!r} holds no file of Dark Zurich' in text


def test_the_flattened_acdc_of_other_projects_is_not_taken(tmp_path):
    flat = tmp_path / 'ACDC'
    shutil.copytree(make_acdc(tmp_path / 'acdc') / 'rgb_anon/night', flat / 'rgb_anon')
    assert 'holds no file of ACDC-night' in refused([flat], tmp_path / 'root', ACDC)


@pytest.mark.parametrize('inside', ['', 'Dark_Zurich_train_anon'])
def test_an_unpacked_folder_is_linked_file_by_file(tree, tmp_path, inside):
    source = tmp_path / 'datasets'
    if inside:
        source.mkdir()
        tree.rename(source / inside)
    else:
        tree.rename(source)
    root = tmp_path / 'root'
    placed = place([source], root)
    assert tree_contents(root) == tree_contents(source / inside)
    assert (root / FRAME).is_symlink() and not (root / FRAME).parent.is_symlink()
    assert place([source], root) == Placed(0, placed.written, placed.left_out)
    assert not any(path.name.endswith(UNFINISHED) for path in root.rglob('*'))


def test_a_folder_may_be_named_from_inside_the_layout(tree, tmp_path):
    place([tree / 'rgb_anon'], tmp_path / 'root')
    place([tree / 'rgb_anon/train/night'], tmp_path / 'root')
    assert (tmp_path / 'root' / FRAME).read_bytes() == (tree / FRAME).read_bytes()
    assert not (tmp_path / 'root/gt').exists()


def test_folders_above_source_and_root_do_not_matter(tree, zips, tmp_path):
    above = tmp_path / 'rgb_anon/night/train/gt/val_ref'
    above.mkdir(parents=True)
    place(zips, above / 'root')
    assert without_documents(above / 'root') == tree_contents(tree)
    place([above / 'root'], above / 'linked')
    assert without_documents(above / 'linked') == tree_contents(tree)


def test_a_run_killed_while_linking_does_not_harm_its_source(tree, zips, tmp_path):
    """A link under the temporary name is replaced; it would lead the next write into the source."""
    root, before = tmp_path / 'root', tree_contents(tree)
    half = root / (FRAME + UNFINISHED)
    half.parent.mkdir(parents=True)
    half.symlink_to(tree / FRAME)
    (tree / FRAME).write_bytes(b'a picture of the user')
    place(zips, root)
    assert (tree / FRAME).read_bytes() == b'a picture of the user'
    assert without_documents(root) == before


def test_a_refused_source_leaves_no_empty_root(zips, tmp_path):
    refused(zips, tmp_path / 'data/acdc', ACDC)
    assert not (tmp_path / 'data/acdc').exists()
    (tmp_path / 'mine').mkdir()
    refused(zips, tmp_path / 'mine', ACDC)
    assert (tmp_path / 'mine').is_dir()


def test_a_folder_can_be_copied(tree, tmp_path):
    place([tree], tmp_path / 'root', copy=True)
    assert tree_contents(tmp_path / 'root') == tree_contents(tree)
    assert not any(path.is_symlink() for path in (tmp_path / 'root').rglob('*'))


def test_links_whose_source_has_moved_are_made_anew(tree, tmp_path):
    place([tree], tmp_path / 'root')
    moved = tree.rename(tmp_path / 'moved')
    place([moved], tmp_path / 'root')
    assert tree_contents(tmp_path / 'root') == tree_contents(moved)


def test_folders_named_after_their_archives_inside_the_root(tree, tmp_path):
    """What unpacking by hand leaves: root/Dark_Zurich_val_anon/rgb_anon/...; the root is repaired."""
    root = tmp_path / 'root'
    root.mkdir()
    tree.rename(root / 'Dark_Zurich_val_anon')
    expected = tree_contents(root / 'Dark_Zurich_val_anon')
    place([root], root)
    for name, content in expected.items():
        assert (root / name).read_bytes() == content
    assert place([root], root).written == 0


def test_a_root_that_is_complete_is_left_alone(tree):
    before = {path: os.lstat(path).st_mtime_ns for path in tree.rglob('*')}
    assert place([tree], tree).written == 0
    assert {path: os.lstat(path).st_mtime_ns for path in tree.rglob('*')} == before


def test_a_folder_with_a_circle_of_links(tree, tmp_path):
    (tree / 'rgb_anon/again').symlink_to(tree)
    assert place([tree], tmp_path / 'root').written > 0


def test_one_file_from_two_sources(zips, tree, tmp_path):
    twin = tmp_path / 'twin.zip'
    shutil.copy(zips[1], twin)
    place([*zips, twin], tmp_path / 'equal')
    assert without_documents(tmp_path / 'equal') == tree_contents(tree)
    other = tmp_path / 'other.zip'
    with zipfile.ZipFile(other, 'w') as file:
        file.writestr(FRAME, b'another picture')
    assert refused([zips[1], other], tmp_path / 'root') == (
        f'{FRAME!r} of {str(zips[1])!r} and {FRAME!r} of {str(other)!r} differ, but both belong to '
        f'{FRAME!r}: expected one file; leave one of the sources out.'
    )


@pytest.fixture
def meeting(monkeypatch):
    """Let two threads that place one file meet before either of them gives it its name."""
    barrier = threading.Barrier(2)
    settle = unpacking._settle

    def met(temporary, target, *rest):
        if target.endswith(FRAME):
            with contextlib.suppress(threading.BrokenBarrierError):
                barrier.wait(timeout=0.2)
        return settle(temporary, target, *rest)

    monkeypatch.setattr(unpacking, '_settle', met)


def twice_in_a_folder(folder, first, second):
    for name, content in (('download', first), ('backup', second)):
        (folder / name / FRAME).parent.mkdir(parents=True)
        (folder / name / FRAME).write_bytes(content)
    return folder


def twice_in_a_zip(folder, first, second):
    with zipfile.ZipFile(folder / 'twice.zip', 'w') as file:
        for name, content in (('download', first), ('backup', second)):
            file.writestr(f'{name}/{FRAME}', content)
    return folder / 'twice.zip'


@pytest.mark.parametrize('copy', [False, True])
@pytest.mark.parametrize('make', [twice_in_a_folder, twice_in_a_zip])
def test_one_file_twice_in_one_source(tmp_path, meeting, make, copy):
    """Both copies are placed at a time, under one temporary name."""
    (tmp_path / 'source').mkdir()
    source = make(tmp_path / 'source', b'a picture', b'a picture')
    assert place([source], tmp_path / 'root', copy=copy) == Placed(1, 1, 0)
    assert tree_contents(tmp_path / 'root') == {FRAME: b'a picture'}


@pytest.mark.parametrize('copy', [False, True])
def test_two_files_of_one_name_and_size_in_one_folder(tmp_path, meeting, copy):
    source = twice_in_a_folder(tmp_path / 'source', b'a picture', b'b picture')
    text = refused([source], tmp_path / 'root', copy=copy)
    assert 'is there with other contents' in text and FRAME in text
    assert len(tree_contents(tmp_path / 'root')) == 1


def test_a_disk_that_is_too_small(zips, tmp_path, monkeypatch):
    usage = namedtuple('usage', 'total used free')
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage(10**12, 10**12, 1000))
    assert refused(zips, tmp_path / 'root') == (
        f'The disk of {str(tmp_path / "root")!r} has 0.0 GB left: expected 0.0 GB for the files to '
        'unpack; free some, or give a --root on another disk.'
    )
    assert tree_contents(tmp_path / 'root') == {}


def test_a_second_run_waits_its_turn(zips, tmp_path):
    root = tmp_path / 'root'
    root.mkdir()
    handle = os.open(root, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        assert refused(zips, root) == (
            f'The root {str(root)!r} is being prepared by another process: '
            'expected one at a time; wait for it to end.'
        )
    finally:
        os.close(handle)
    assert place(zips, root).written > 0


def test_a_damaged_member_leaves_no_file(zips, tmp_path):
    content = bytearray(zips[1].read_bytes())
    with zipfile.ZipFile(zips[1]) as file:
        info = file.getinfo(FRAME)
    content[info.header_offset + 30 + len(FRAME) + info.compress_size // 2] ^= 0xFF
    zips[1].write_bytes(content)
    root = tmp_path / 'root'
    assert 'download it again' in refused([zips[1]], root)
    assert not (root / FRAME).exists()
    assert not any(path.name.endswith(UNFINISHED) for path in root.rglob('*'))


def test_junk_of_other_systems_is_left_out(tmp_path):
    archive = tmp_path / 'bdd100k_images_10k.zip'
    tree = make_bdd100k(tmp_path / 'tree')
    with zipfile.ZipFile(archive, 'w') as file:
        for path in sorted((tree / 'images').rglob('*.jpg')):
            file.write(path, f'bdd100k/{path.relative_to(tree)}')
            file.writestr(f'__MACOSX/bdd100k/{path.relative_to(tree)}', b'x')
            beside = path.relative_to(tree).with_name(f'._{path.name}')
            file.writestr(f'bdd100k/{beside}', b'x')
        file.writestr('bdd100k/images/10k/train/.DS_Store', b'x')
    placed = place([archive], tmp_path / 'root', PUBLISHED_SETS['bdd100k'])
    assert placed == Placed(5, 0, 11)
    assert sorted(tree_contents(tmp_path / 'root')) == sorted(
        str(path.relative_to(tree)) for path in (tree / 'images').rglob('*.jpg')
    )


@pytest.mark.slow
def test_ten_thousand_members_take_seconds(tmp_path):
    archive = tmp_path / 'many.zip'
    with zipfile.ZipFile(archive, 'w') as file:
        for index in range(10_000):
            file.writestr(f'rgb_anon/train/night/A/A_frame_{index:06d}_rgb_anon.png', b'x' * 100)
    start = time.perf_counter()
    assert place([archive], tmp_path / 'root').written == 10_000
    assert place([archive], tmp_path / 'root').kept == 10_000
    assert time.perf_counter() - start < 60
