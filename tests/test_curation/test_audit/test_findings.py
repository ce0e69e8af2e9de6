import io
import json

from rich.console import Console

from mmseg_ccdistill.curation.audit import Finding, Report, show_report, write_json

REPORT = Report(
    (
        Finding('cityscapes', 'train', 'ok', '2975 images, 2048x1024'),
        Finding('acdc', 'val night', 'fault', "'data/acdc/[night]' holds 105 images: expected 106"),
    ),
    3081,
    12.345,
)


def shown(**kwargs) -> str:
    screen = io.StringIO()
    show_report(REPORT, Console(file=screen, **kwargs))
    return screen.getvalue()


def test_elsewhere_than_on_a_terminal_a_finding_is_a_line():
    assert shown(width=20) == (
        'ok     cityscapes  train: 2975 images, 2048x1024\n'
        "fault  acdc  val night: 'data/acdc/[night]' holds 105 images: expected 106\n"
        '3081 files in 12.3 s: 1 ok, 1 fault\n'
    )


def test_on_a_terminal_it_is_a_table():
    text = shown(force_terminal=True, width=100, no_color=True)
    assert text.count('│') == 2 * 5 and '[night]' in text
    assert 'verdict' in text.splitlines()[1]


def test_json(tmp_path):
    path = tmp_path / 'report.json'
    path.write_text('old')
    write_json(REPORT, str(path))
    content = json.loads(path.read_text())
    assert content['healthy'] is False
    assert content['counts'] == {'ok': 1, 'fault': 1}
    assert (content['files'], content['seconds']) == (3081, 12.345)
    assert content['findings'][1] == {
        'set': 'acdc',
        'check': 'val night',
        'verdict': 'fault',
        'text': REPORT.findings[1].text,
    }
    assert list(tmp_path.iterdir()) == [path]
