import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from layouts import make_night_driving, tar_set, tree_contents, zip_set

from mmseg_ccdistill.curation.prepare import Limits, PreparationError, list_members
from mmseg_ccdistill.curation.prepare.archives import read_members
from mmseg_ccdistill.curation.prepare.unpacking import place_sources
from mmseg_ccdistill.datasets.published_sets import NIGHT_DRIVING

GOOD = 'leftImg8bit/test/night/01_frame_0555_leftImg8bit.png'
PATHS = 'expected paths that stay in the target folder; do not use this archive, download the'
KINDS = 'expected plain files and folders; do not use this archive, download the published one.'


def zip_with(path: Path, *entries: tuple[str, bytes, int]) -> Path:
    """A zip file of (name, content, Unix mode) after one good member."""
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as file:
        file.writestr(GOOD, b'picture')
        for name, content, mode in entries:
            info = zipfile.ZipInfo('placeholder')
            info.filename = info.orig_filename = name
            info.external_attr = mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(info, content)
    return path


def tar_with(path: Path, name: str, kind: bytes = tarfile.REGTYPE, target: str = '') -> Path:
    with tarfile.open(path, 'w:gz') as file:
        info = tarfile.TarInfo(GOOD)
        info.size = 7
        file.addfile(info, io.BytesIO(b'picture'))
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, target
        file.addfile(info)
    return path


def refusal(archive: Path, tmp_path: Path, limits: Limits | None = None) -> str:
    """Try to unpack an archive and return the sentence; nothing may have been written anywhere."""
    root = tmp_path / 'deep' / 'root'
    root.mkdir(parents=True)
    before = {path for path in tmp_path.rglob('*')}
    with pytest.raises(PreparationError) as info:
        place_sources([str(archive)], str(root), NIGHT_DRIVING, limits=limits)
    assert {path for path in tmp_path.rglob('*')} == before
    return str(info.value)


@pytest.mark.parametrize(
    ('name', 'reason'),
    [
        ('/etc/cron.d/leftImg8bit/test/night/a.png', 'an absolute path'),
        ('C:/leftImg8bit/test/night/a.png', 'an absolute path'),
        ('../leftImg8bit/test/night/a.png', "a path with '..'"),
        ('leftImg8bit/test/night/../../../../a.png', "a path with '..'"),
        ('leftImg8bit/test/night/..', "a path with '..'"),
        ('leftImg8bit\\..\\a.png', 'a path with a backslash'),
        ('leftImg8bit/test/night/\x1b[2Ja.png', 'a name with control characters'),
        ('leftImg8bit/test/night/' + 'a' * 300, 'a name of more than 255 bytes'),
    ],
)
@pytest.mark.parametrize('kind', ['zip', 'tar'])
def test_names_that_leave_the_target_folder(tmp_path, kind, name, reason):
    archive = tmp_path / f'evil.{kind}'
    if kind == 'zip':
        zip_with(archive, (name, b'x', 0o644))
    else:
        tar_with(archive, name)
    shown = name if len(name) <= 80 else f'{name[:77]}...'
    assert refusal(archive, tmp_path) == (
        f'The archive {str(archive)!r} holds {shown!r}, {reason}: {PATHS} published one.'
    )


def test_a_nul_does_not_hide_the_rest_of_a_name(tmp_path):
    archive = zip_with(tmp_path / 'evil.zip', ('a.png', b'x', 0o644))
    archive.write_bytes(archive.read_bytes().replace(b'a.png', b'a\x00/..'))
    assert "a path with '..'" in refusal(archive, tmp_path)


@pytest.mark.parametrize(
    ('mode', 'kind'), [(stat.S_IFLNK, 'link'), (stat.S_IFCHR, 'device'), (stat.S_IFIFO, 'device')]
)
def test_links_and_devices_in_zip(tmp_path, mode, kind):
    name = 'leftImg8bit/test/night/a.png'
    archive = zip_with(tmp_path / 'evil.zip', (name, b'/etc/passwd', mode | 0o777))
    assert refusal(archive, tmp_path) == (
        f'The archive {str(archive)!r} holds the {kind} {name!r}: {KINDS}'
    )


@pytest.mark.parametrize(
    ('type_', 'kind'),
    [
        (tarfile.SYMTYPE, 'link'),
        (tarfile.LNKTYPE, 'link'),
        (tarfile.CHRTYPE, 'device'),
        (tarfile.BLKTYPE, 'device'),
        (tarfile.FIFOTYPE, 'device'),
    ],
)
def test_links_and_devices_in_tar(tmp_path, type_, kind):
    name = 'leftImg8bit/test/night/a.png'
    archive = tar_with(tmp_path / 'evil.tar.gz', name, type_, '../../../../etc/passwd')
    assert refusal(archive, tmp_path) == (
        f'The archive {str(archive)!r} holds the {kind} {name!r}: {KINDS}'
    )


def test_encrypted_members(tmp_path):
    archive = zip_with(tmp_path / 'secret.zip')
    content = bytearray(archive.read_bytes())
    content[content.index(b'PK\x03\x04') + 6] |= 1
    content[content.index(b'PK\x01\x02') + 8] |= 1
    archive.write_bytes(content)
    assert refusal(archive, tmp_path) == (
        f'The archive {str(archive)!r} is encrypted (member {GOOD!r}): '
        'expected readable members; unpack it by hand and give the folder.'
    )


COMPOSED, DECOMPOSED = 'gps/Z\u00fcrich.txt', 'gps/Zu\u0308rich.txt'


@pytest.mark.parametrize(
    'first, second',
    [(GOOD, GOOD.replace('night', 'NIGHT')), (COMPOSED, DECOMPOSED)],
    ids=['case', 'accents'],
)
def test_names_that_are_one_to_some_file_system(tmp_path, first, second):
    files = [(name, b'x', 0o644) for name in (first, second) if name != GOOD]
    archive = zip_with(tmp_path / 'alike.zip', *files)
    assert refusal(archive, tmp_path) == (
        f'The archive {str(archive)!r} holds {first!r} and {second!r}, which differ only in case '
        'or in the encoding of accents: expected names that every file system keeps apart; '
        'download it again or unpack it by hand and give the folder.'
    )


def test_a_name_that_is_not_the_utf8_it_says_it_is(tmp_path):
    archive = zip_with(tmp_path / 'name.zip', (COMPOSED, b'x', 0o644))
    archive.write_bytes(archive.read_bytes().replace('\u00fc'.encode(), b'\xff\xfe'))
    sentence = refusal(archive, tmp_path)
    assert sentence.startswith(f"The archive {str(archive)!r} cannot be read ('utf-8' codec can't")
    assert sentence.endswith('expected a whole zip or tar file; download it again.')


def test_a_name_that_occurs_twice(tmp_path):
    with pytest.warns(UserWarning, match='Duplicate name'):
        archive = zip_with(tmp_path / 'twice.zip', (GOOD, b'other', 0o644))
    assert refusal(archive, tmp_path) == (
        f'The archive {str(archive)!r} holds {GOOD!r} twice: expected every file once; '
        'download it again.'
    )


def test_a_file_where_another_needs_a_folder(tmp_path):
    archive = zip_with(tmp_path / 'clash.zip', (f'{GOOD}/a.png', b'x', 0o644))
    assert refusal(archive, tmp_path) == (
        f"The source {str(archive)!r} holds '{GOOD}/a.png', but {GOOD!r} is a file in "
        f'{str(archive)!r}: expected a folder; download the archive again.'
    )


BOMB = 'expected an archive of images, which hardly shrink; do not use this archive, download the'


@pytest.mark.parametrize(
    ('limits', 'excess'),
    [
        (Limits(files=3, ratio=1e6), 'more than 3 files'),
        (Limits(total_bytes=5 * 10**6, ratio=1e6), 'more than 0.005 GB of files'),
        (Limits(), 'more than 100 times its own size of {size} bytes'),
    ],
)
@pytest.mark.parametrize('kind', ['zip', 'tar'])
def test_bombs(tmp_path, kind, limits, excess):
    zeros = {f'leftImg8bit/test/night/{index}.png': bytes(10**6) for index in range(8)}
    archive = tmp_path / f'bomb.{kind}'
    if kind == 'zip':
        zip_with(archive, *[(name, content, 0o644) for name, content in zeros.items()])
    else:
        with tarfile.open(archive, 'w:xz') as file:
            for name, content in zeros.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
    excess = excess.format(size=archive.stat().st_size)
    assert refusal(archive, tmp_path, limits) == (
        f'The archive {str(archive)!r} unpacks to {excess}: {BOMB} published one.'
    )


def test_members_that_overlap_count_each(tmp_path):
    """A small file whose table of contents names one compressed block many times."""
    archive = zip_with(tmp_path / 'overlap.zip', ('leftImg8bit/a.png', bytes(10**6), 0o644))
    content = archive.read_bytes()
    end = content.index(b'PK\x05\x06')
    last = content.rindex(b'PK\x01\x02')
    entry = content[last:end]
    copies = b''.join(
        entry.replace(b'leftImg8bit/a.png', f'leftImg8bit/{index}.png'.encode())
        for index in 'bcdefghi'
    )
    record = bytearray(content[end:])
    record[8:10] = record[10:12] = (10).to_bytes(2, 'little')
    size = int.from_bytes(record[12:16], 'little') + len(copies)
    record[12:16] = size.to_bytes(4, 'little')
    archive.write_bytes(content[:end] + copies + bytes(record))
    assert len(zipfile.ZipFile(archive).infolist()) == 10
    assert 'more than 100 times its own size' in refusal(archive, tmp_path)


def test_no_archive_at_all(tmp_path):
    missing = tmp_path / 'gone.zip'
    assert refusal(missing, tmp_path / 'a') == (
        f'The archive {str(missing)!r} does not exist: expected a zip or tar file; '
        'correct the path or download it.'
    )
    page = tmp_path / 'leftImg8bit_trainvaltest.zip'
    page.write_text('<!DOCTYPE html><html>Please log in</html>')
    assert refusal(page, tmp_path / 'b') == (
        f'The archive {str(page)!r} cannot be read (it is a web page, which is what a download '
        'without login leaves): expected a whole zip or tar file; download it again.'
    )
    noise = tmp_path / 'noise.zip'
    noise.write_bytes(bytes(range(256)) * 40)
    assert refusal(noise, tmp_path / 'c').endswith(
        'expected a whole zip or tar file; download it again.'
    )


@pytest.mark.parametrize('share', [0.05, 0.5, 0.9, 0.999])
def test_a_download_that_was_cut_off(tmp_path, share):
    archive = zip_set('night_driving', make_night_driving(tmp_path / 'tree'), tmp_path)[0]
    content = archive.read_bytes()
    archive.write_bytes(content[: int(len(content) * share)])
    assert refusal(archive, tmp_path) == (
        f'The archive {str(archive)!r} cannot be read (its end is missing): '
        'expected a whole zip or tar file; download it again.'
    )


def test_a_compression_that_python_lacks(tmp_path):
    archive = zip_with(tmp_path / 'deflate64.zip')
    content = bytearray(archive.read_bytes())
    content[content.index(b'PK\x03\x04') + 8] = 9
    content[content.index(b'PK\x01\x02') + 10] = 9
    archive.write_bytes(content)
    root = tmp_path / 'root'
    with pytest.raises(PreparationError, match='uses a compression that Python cannot read'):
        place_sources([str(archive)], str(root), NIGHT_DRIVING)
    assert tree_contents(root) == {}


def flip(position: Callable[[bytes], int]) -> Callable[[bytes], bytes]:
    def damage(content: bytes) -> bytes:
        index = position(content)
        return content[:index] + bytes([content[index] ^ 0xFF]) + content[index + 1 :]

    return damage


@pytest.mark.parametrize('step', range(12))
@pytest.mark.parametrize('kind', ['zip', 'gz', 'bz2', 'xz'])
def test_a_damaged_byte_never_becomes_a_wrong_file(tmp_path, kind, step):
    """All of these formats carry checksums; in zip some bytes, such as dates, mean nothing here."""
    tree = make_night_driving(tmp_path / 'tree')
    pack = zip_set if kind == 'zip' else partial(tar_set, compression=kind)
    archive = pack('night_driving', tree, tmp_path)[0]
    damage = flip(lambda content: (2 * step + 1) * len(content) // 24)
    archive.write_bytes(damage(archive.read_bytes()))
    root = tmp_path / 'root'
    try:
        place_sources([str(archive)], str(root), NIGHT_DRIVING)
        assert kind == 'zip'
    except PreparationError as error:
        assert 'download' in str(error) and '\n' not in str(error)
    good = tree_contents(tree)
    assert all(good[name] == content for name, content in tree_contents(root).items())


@pytest.mark.parametrize('share', [0.3, 0.7, 0.95])
@pytest.mark.parametrize('kind', ['', 'gz', 'bz2', 'xz'])
def test_a_tar_file_that_was_cut_off(tmp_path, kind, share):
    tree = make_night_driving(tmp_path / 'tree', (256, 128))
    archive = tar_set('night_driving', tree, tmp_path, kind)[0]
    content = archive.read_bytes()
    length = int(len(content) * share)
    archive.write_bytes(content[: length - length % 512])  # between two blocks, to be mean
    text = refusal(archive, tmp_path)
    assert text.startswith(f'The archive {str(archive)!r} cannot be read (')
    assert text.endswith('): expected a whole zip or tar file; download it again.')


def test_zeros_behind_the_end_of_a_tar_file_are_a_bomb(tmp_path):
    archive = tar_set('night_driving', make_night_driving(tmp_path / 'tree', (8, 4)), tmp_path)[0]
    with gzip.open(archive) as file:
        content = file.read()
    with gzip.open(archive, 'wb') as file:
        file.write(content + bytes(8 * 10**6))
    assert 'unpacks to more than 100 times its own size' in refusal(archive, tmp_path)


def test_members_are_listed_with_size_and_crc(tmp_path):
    archive = zip_with(tmp_path / 'a.zip', ('gps/', b'', stat.S_IFDIR | 0o755))
    assert list_members(str(archive)) == [(GOOD, 7, 0x16DB4F89)]  # CRC-32 of b'picture'
    plain = tar_with(tmp_path / 'a.tar.gz', 'gps', tarfile.DIRTYPE)
    assert list_members(str(plain)) == [(GOOD, 7, None)]
    read = {}
    for path in (archive, plain):
        read_members(str(path), [GOOD], lambda name, file: read.update({name: file.read()}), '')
        assert read == {GOOD: b'picture'}
