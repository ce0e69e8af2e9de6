"""The page in a real browser: upload, slide, download, wrong files, and nothing that stays."""

from __future__ import annotations

import io
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tool_project import ROOT, error_of, photo

from mmseg_ccdistill.prediction import page_command
from mmseg_ccdistill.runtime.command_line import run_main


def call(*arguments: object) -> int:
    return run_main(lambda: page_command.main([*map(str, arguments)]))


@pytest.fixture
def installed(monkeypatch) -> None:
    monkeypatch.setattr(page_command, 'check_installed', lambda: None)


def test_without_gradio_it_is_one_sentence(trained_file, monkeypatch, capsys) -> None:
    monkeypatch.setattr(page_command.importlib.util, 'find_spec', lambda name: None)
    assert call(trained_file) == 2
    assert error_of(capsys) == (
        "the page needs the package gradio, which is not installed: `pip install 'mmseg-ccdistill[page]'`"
    )


def test_a_port_in_use_is_one_sentence(installed, trained_file, capsys) -> None:
    with socket.socket() as other:
        other.bind(('127.0.0.1', 0))
        other.listen()
        port = other.getsockname()[1]
        assert call(trained_file, '--port', port) == 2
    assert error_of(capsys) == (
        f'port {port} of 127.0.0.1 is in use by another program: expected a free one; choose another with --port'
    )
    page_command.check_address('127.0.0.1', port)  # now it is free


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        (['--port', '0'], '--port is 0: expected 1 to 65535; correct it'),
        (['--port', '70000'], '--port is 70000: expected 1 to 65535; correct it'),
        *(
            (
                [option, value],
                f'{option} is {value}: expected a number above 0, at most 1000000; correct it',
            )
            for option in ('--max-megabytes', '--max-megapixels')
            for value in ('0', '-1', 'nan', 'inf', '1e+300', '1.1e+06')
        ),
        (
            ['--host', '192.0.2.1'],
            '--host 192.0.2.1 is no address of this machine: expected 127.0.0.1, 0.0.0.0, or one of its own; '
            'correct it',
        ),
    ],
)  # fmt: skip
def test_wrong_arguments_are_one_sentence(
    installed, trained_file, capsys, arguments, sentence
) -> None:
    assert call(trained_file, *arguments) == 2
    assert error_of(capsys) == sentence


def test_it_answers_on_this_machine_alone() -> None:
    assert page_command.parse_args(['model.pth']).host == '127.0.0.1'


def _free_port() -> int:
    with socket.socket() as trial:
        trial.bind(('127.0.0.1', 0))
        return trial.getsockname()[1]


@pytest.fixture(scope='module')
def address(trained_file, tmp_path_factory) -> Iterator[tuple[str, Path]]:
    """Address of a running page, and the folder in which it makes its own."""
    pytest.importorskip('gradio', reason='the page needs gradio: pip install mmseg-ccdistill[page]')
    port, folder = _free_port(), tmp_path_factory.mktemp('page')
    command = [sys.executable, '-W', 'ignore', str(ROOT / 'tools/page.py'), str(trained_file)]
    command += ['--port', str(port), '--max-megabytes', '1', '--max-megapixels', '0.5']
    environment = {**page_command.os.environ, 'TMPDIR': str(folder)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()  # type: ignore[union-attr]
        assert line == f'http://127.0.0.1:{port} (Ctrl-C ends it)\n'
        yield line.split()[0], folder
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
        assert list(folder.glob('ccdistill-page-*')) == []  # nothing is kept
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def browser_page(address) -> Iterator:
    sync_api = pytest.importorskip('playwright.sync_api', reason='no browser driver: playwright')
    program = shutil.which('chromium') or shutil.which('chromium-browser')
    if program is None:
        pytest.skip('no browser: the program chromium is not installed')
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=['--no-sandbox'])
        page = browser.new_page(viewport={'width': 1300, 'height': 1000})
        page.set_default_timeout(120_000)
        page.foreign = []
        page.on(
            'request',
            lambda request: (
                None
                if request.url.startswith((address[0], 'data:', 'blob:'))
                else page.foreign.append(request.url)
            ),
        )
        page.goto(address[0])
        page.wait_for_selector('#photo input[type=file]', state='attached')
        yield page
        browser.close()


def upload(page, name: str, content: bytes, kind: str = 'image/png') -> None:
    files = {'name': name, 'mimeType': kind, 'buffer': content}
    page.set_input_files('#photo input[type=file]', files)


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, 'PNG')
    return buffer.getvalue()


@pytest.mark.slow
def test_upload_slide_and_download(browser_page, address, segmenter) -> None:
    page = browser_page
    image = np.ascontiguousarray(photo(1)[..., ::-1])
    expected = segmenter(image)
    upload(page, 'night.png', png(image))
    page.wait_for_selector('.legend li')
    names = page.locator('.legend li').all_inner_texts()
    assert len(names) == len(expected.shares)
    first, share = next(iter(expected.shares.items()))
    assert names[0].split() == [*first.split(), f'{share:.1%}']
    day = segmenter(image, branch='day')
    agreed = np.mean(day.labels == expected.labels)
    page.wait_for_selector('#agreement p')
    assert f'agree on {agreed:.1%} of the pixels' in page.inner_text('#agreement')
    assert not list(address[1].rglob('night.png'))  # the upload is gone

    page.wait_for_selector('#slider img')
    box = page.locator('#slider .slider-wrap').bounding_box()
    middle = box['x'] + box['width'] / 2, box['y'] + box['height'] / 2
    before = page.locator('#slider .slider-wrap').screenshot()
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(box['x'] + 0.1 * box['width'], middle[1], steps=8)
    page.mouse.up()
    time.sleep(1)
    after = page.locator('#slider .slider-wrap').screenshot()
    changed = [np.asarray(Image.open(io.BytesIO(shot)).convert('RGB')) for shot in (before, after)]
    width = changed[0].shape[1]
    differs = (changed[0] != changed[1]).any(axis=2).mean(axis=0)
    assert differs[int(0.2 * width) : int(0.4 * width)].mean() > 0.5  # the segmentation came
    assert differs[int(0.7 * width) :].mean() < 0.05  # and was there before

    for button, mode, pixels in (
        ('labels', 'L', expected.labels),
        ('overlay', 'RGB', np.asarray(expected.picture)),
    ):
        with page.expect_download() as waiting:
            page.click(f'#{button}')
        with Image.open(waiting.value.path()) as downloaded:
            assert downloaded.mode == mode
            np.testing.assert_array_equal(np.asarray(downloaded), pixels)
    assert page.foreign == []  # no font, script or count from another server


@pytest.mark.slow
@pytest.mark.parametrize(
    ('name', 'content', 'kind', 'message'),
    [
        ('note.txt', b'no image', 'text/plain', 'Invalid file type: note.txt'),
        ('fake.png', b'no image', 'image/png', "The file 'fake.png' cannot be read (no image header)"),
        ('huge.png', bytes(1_200_000), 'image/png', 'exceed the maximum allowed size of 1.0 Mb'),
        ('wide.png', png(np.zeros((600, 1000), np.uint8)), 'image/png', 'The photo has 1000 x 600 pixels'),
    ],
)  # fmt: skip
def test_wrong_files_get_a_sentence(browser_page, address, name, content, kind, message) -> None:
    upload(browser_page, name, content, kind)
    toast = browser_page.locator('[data-testid=toast-body]')
    toast.first.wait_for()
    assert message in toast.first.inner_text()
    assert browser_page.locator('.legend li').count() == 0
    assert not list(address[1].rglob(name))
