from __future__ import annotations

import hashlib
import http.server
import re
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from mmengine.fileio import get_file_backend
from mmengine.runner import CheckpointLoader, save_checkpoint

from mmseg_ccdistill.runtime.checkpoint_file import OWN_KEY, CheckpointFileError
from mmseg_ccdistill.runtime.checkpoint_io import ATOMIC_BACKEND, AtomicBackend


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Address and folder of a web server on this machine."""
    folder = tmp_path / 'site'
    folder.mkdir()
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    handler.log_message = lambda *args: None  # type: ignore[attr-defined]
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{server.server_port}', folder
        server.shutdown()


def test_the_backend_writes_whole_checkpoints(tmp_path: Path) -> None:
    path = tmp_path / 'new/iter_2.pth'
    backend = get_file_backend(str(path), backend_args=dict(backend=ATOMIC_BACKEND))
    assert isinstance(backend, AtomicBackend)
    save_checkpoint(
        {'a': torch.ones(2), OWN_KEY: '0'}, str(path), backend_args=dict(backend='atomic')
    )
    before = path.read_bytes()
    with pytest.raises(
        ValueError, match='iter_2.pth.unfinished: .*calls'
    ):  # would not be read again
        save_checkpoint({'a': print, OWN_KEY: '0'}, str(path), backend_args=dict(backend='atomic'))
    assert path.read_bytes() == before and len(list(path.parent.iterdir())) == 1
    backend.remove(str(path))
    assert not path.exists()


def test_a_local_path_may_start_at_home(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv('HOME', str(tmp_path))
    torch.save({'a': torch.ones(2), OWN_KEY: '0'}, tmp_path / 'weights.pth')
    assert torch.equal(CheckpointLoader.load_checkpoint('~/weights.pth')['a'], torch.ones(2))


def test_a_download_is_checked_against_its_name_and_kept(
    tmp_path: Path, monkeypatch, site: tuple[str, Path]
) -> None:
    """The names of the model zoos end in digits of the sha256."""
    address, folder = site
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    monkeypatch.setattr(torch.hub, '_hub_dir', None)
    plain = folder / 'backbone.pth'
    torch.save({'conv': torch.ones(2)}, plain)
    digits = hashlib.sha256(plain.read_bytes()).hexdigest()[:8]
    named = plain.rename(folder / f'backbone-{digits}.pth')

    loaded = CheckpointLoader.load_checkpoint(f'{address}/{named.name}')
    assert torch.equal(loaded['conv'], torch.ones(2))
    named.unlink()  # the second time it comes from the cache
    assert CheckpointLoader.load_checkpoint(f'{address}/{named.name}').keys() == loaded.keys()

    torch.save({'conv': torch.zeros(2)}, folder / 'backbone-00000000.pth')
    with pytest.raises(CheckpointFileError, match='cannot be downloaded .invalid hash value'):
        CheckpointLoader.load_checkpoint(f'{address}/backbone-00000000.pth')
    assert not list((tmp_path / 'cache').rglob('backbone-00000000*'))


def test_an_address_that_does_not_answer_is_one_sentence(
    tmp_path: Path, monkeypatch, site: tuple[str, Path]
) -> None:
    address, _ = site
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    monkeypatch.setattr(torch.hub, '_hub_dir', None)
    for wrong, reason in (
        (f'{address}/gone.pth', 'HTTP Error 404: File not found'),
        ('http://127.0.0.1:1/gone.pth', r'<urlopen error \[Errno \d+\] Connection refused>'),
        ('http://host.invalid/gone.pth', '<urlopen error .*>'),
        ('https:///gone.pth', '<urlopen error no host given>'),
        ('http://127.0.0.1:port/gone.pth', 'nonnumeric port.*'),
    ):
        with pytest.raises(CheckpointFileError) as caught:
            CheckpointLoader.load_checkpoint(wrong)
        assert re.fullmatch(
            rf"the checkpoint '{wrong}' cannot be downloaded \({reason}\): expected an address that answers with the "
            'file; correct it, or download the file by other means and name that',
            str(caught.value),
        )
    assert not [path for path in (tmp_path / 'cache').rglob('*') if path.is_file()]


def test_a_download_runs_no_code(tmp_path: Path, monkeypatch, site: tuple[str, Path]) -> None:
    address, folder = site
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    monkeypatch.setattr(torch.hub, '_hub_dir', None)
    torch.save({'conv': partial(Path.touch, tmp_path / 'executed')}, folder / 'evil.pth')
    with pytest.raises(ValueError, match='evil.pth: expected tensors and plain values alone'):
        CheckpointLoader.load_checkpoint(f'{address}/evil.pth')
    assert not (tmp_path / 'executed').exists()
