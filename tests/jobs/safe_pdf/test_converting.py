"""Files through the real worker: what comes out is pixels, and what cannot be drawn ends only the worker."""

import io
import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pypdfium2
import pytest
from PIL import Image

from jobs.safe_pdf.limits import Limits, Unsafe, Why
from jobs.safe_pdf.process import Conversion, NotStarted, Stopped
from tests.jobs.safe_pdf import samples

NAMES = re.compile(
    rb'/(JS|JavaScript|OpenAction|AA|Launch|EmbeddedFiles?|URI|AcroForm|Annots|Names|Metadata|Info|SubmitForm|XFA)\b'
)


@pytest.fixture
def convert(tmp_path: Path):
    def convert(data: bytes, kind: str = 'pdf', **limits: float) -> bytes:
        source, target = tmp_path / 'source', tmp_path / 'target'
        source.write_bytes(data)
        with target.open('wb') as file:
            made = Conversion(source, kind, file, Limits(**limits)).run()  # type: ignore[arg-type]
        result = target.read_bytes()
        assert made.size == len(result)
        assert made.pages == len(pypdfium2.PdfDocument(result))
        return result

    return convert


def _made_or_why(convert: Callable[..., bytes], data: bytes, kind: str = 'pdf', **limits: float) -> bytes | Why:
    try:
        return convert(data, kind, **limits)
    except Unsafe as found:
        return found.why


def _drawn(data: bytes, number: int = 0, scale: float = 150 / 72) -> Image.Image:
    return pypdfium2.PdfDocument(data)[number].render(scale=scale).to_pil().convert('RGB')


def _is_dark_somewhere(data: bytes) -> bool:
    return min(_drawn(data).convert('L').getextrema()) < 100  # type: ignore[type-var]


def _assert_safe(data: bytes) -> None:
    """Nothing but pages with one image each, by the bytes and by what a reader finds."""
    assert data.startswith(b'%PDF-1.7')
    assert not NAMES.search(data)
    assert samples.SECRET not in data
    assert b'script' not in data
    document = pypdfium2.PdfDocument(data)
    assert not any(document.get_metadata_dict().values())
    assert document.count_attachments() == 0
    assert document.get_formtype() == pypdfium2.raw.FORMTYPE_NONE
    assert pypdfium2.raw.FPDFDoc_GetJavaScriptActionCount(document) == 0
    assert not list(document.get_toc())
    for page in document:
        assert pypdfium2.raw.FPDFPage_GetAnnotCount(page) == 0
        assert [each.type for each in page.get_objects()] == [pypdfium2.raw.FPDF_PAGEOBJ_IMAGE]
    keys = set(re.findall(rb'/([A-Za-z]+)', re.sub(rb'stream\n.*?\nendstream', b'', data, flags=re.DOTALL)))
    assert keys <= {
        b'Type', b'Catalog', b'Pages', b'Page', b'Count', b'Kids', b'Parent', b'MediaBox', b'Contents', b'Resources',
        b'XObject', b'P', b'Length', b'Subtype', b'Image', b'Width', b'Height', b'ColorSpace', b'DeviceRGB',
        b'DeviceGray', b'BitsPerComponent', b'Filter', b'FlateDecode', b'DCTDecode', b'Size', b'Root',
    }  # fmt: skip


# -- PDF --------------------------------------------------------------------------------------------------------------

HOSTILE = {
    'javascript': samples.with_javascript, 'an embedded file': samples.with_an_embedded_file,
    'launch and link actions': samples.with_actions, 'metadata': samples.with_metadata,
    'a web page and an archive in it': samples.polyglot,
}  # fmt: skip


@pytest.mark.parametrize('name', HOSTILE)
def test_of_a_hostile_pdf_only_the_look_survives(convert, name):
    made = convert(HOSTILE[name]())
    _assert_safe(made)
    assert _is_dark_somewhere(made)  # Hello is still there


def test_a_form_keeps_its_look_and_nothing_else(convert):
    made = convert(samples.with_a_form())
    _assert_safe(made)
    drawn = _drawn(made).convert('L')
    assert drawn.getpixel((10, drawn.height - 10)) == 0
    assert drawn.getpixel((drawn.width - 10, 10)) == 255


def test_a_page_keeps_its_size(convert):
    page = pypdfium2.PdfDocument(convert(samples.pdf(box=b'0 0 595.28 841.89')))[0]
    assert page.get_size() == pytest.approx((595.28, 841.89), abs=0.01)
    image = next(iter(page.get_objects()))
    assert image.get_px_size() == (1241, 1754)


@pytest.mark.parametrize('box', [b'0 0 14000 14000', b'0 0 900000 900000', b'0 0 1 14400', b'0 0 1e30 1e30'])
def test_a_page_of_any_size_is_drawn_within_the_bound_or_not_at_all(convert, box):
    made = _made_or_why(convert, samples.pdf(b'', box=box))
    if isinstance(made, Why):
        assert made in (Why.PAGE_DAMAGED, Why.DAMAGED)
        return
    page = pypdfium2.PdfDocument(made)[0]
    assert max(page.get_size()) <= 14_400
    width, height = next(iter(page.get_objects())).get_px_size()
    assert width * height <= Limits().page_pixels * 1.01


def test_what_is_encrypted_is_refused_and_an_empty_password_is_none(convert):
    with pytest.raises(Unsafe) as found:
        convert(samples.encrypted(b'secret'))
    assert found.value.why is Why.PROTECTED
    assert 'is protected by a password' in found.value.why.sentence(0, Limits())
    made = convert(samples.encrypted(b''))
    _assert_safe(made)
    assert _is_dark_somewhere(made)


def test_ten_thousand_pages_are_refused_with_their_number(convert):
    with pytest.raises(Unsafe) as found:
        convert(samples.with_pages(10_000))
    said = found.value.why.sentence(found.value.number, Limits())
    assert said == 'The file has 10,000 pages; at most 500 are made.'


def test_as_many_pages_as_are_allowed_are_made(convert):
    assert len(pypdfium2.PdfDocument(convert(samples.with_pages(500)))) == 500


def test_a_decompression_bomb_ends_only_the_worker(convert):
    begun = time.monotonic()
    made = _made_or_why(convert, samples.decompression_bomb(), cpu_seconds=5, wall_seconds=15)
    if isinstance(made, bytes):  # pdfium unpacks no more than it wants to
        _assert_safe(made)
    else:
        assert made in (Why.MEMORY, Why.TIME, Why.CRASHED, Why.DAMAGED)
    assert time.monotonic() - begun < 20


def test_an_endless_page_is_ended_by_the_time_of_the_processor(convert):
    with pytest.raises(Unsafe) as found:
        convert(samples.endless(), cpu_seconds=1)
    assert found.value.why is Why.TIME


def test_an_endless_page_is_ended_by_the_clock(convert):
    begun = time.monotonic()
    with pytest.raises(Unsafe) as found:
        convert(samples.endless(), wall_seconds=0.7)
    assert found.value.why is Why.TIME
    assert time.monotonic() - begun < 5


def test_what_needs_more_memory_than_there_is_ends_only_the_worker(convert):
    with pytest.raises(Unsafe) as found:
        convert(samples.picture(size=(7000, 7000)), 'png', memory=256 * 1024 * 1024)
    assert found.value.why in (Why.MEMORY, Why.CRASHED)


def test_forms_within_forms_without_an_end_end_only_the_worker(convert):
    with pytest.raises(Unsafe) as found:
        convert(samples.memory_hog(), cpu_seconds=5)
    assert found.value.why in (Why.MEMORY, Why.TIME, Why.CRASHED)


def test_a_pdf_larger_than_one_may_be_is_not_made(convert):
    with pytest.raises(Unsafe) as found:
        convert(samples.photograph(size=(400, 400)), 'jpeg', output=20_000)
    assert found.value.why is Why.OUTPUT


@pytest.mark.parametrize(
    'data', [b'', b'%PDF-1.7', b'%PDF-1.7\n' + os.urandom(5000), samples.pdf()[:200], samples.pdf()[9:]]
)
def test_a_damaged_pdf_is_refused_or_shows_what_is_left(convert, data):
    made = _made_or_why(convert, data)
    if isinstance(made, bytes):
        _assert_safe(made)
    else:
        assert made in (Why.DAMAGED, Why.PAGE_DAMAGED)


# -- images -----------------------------------------------------------------------------------------------------------

ORDINARY = [
    ('png', samples.picture('PNG', colour='red')), ('jpeg', samples.picture('JPEG', colour='red')),
    ('tiff', samples.picture('TIFF', colour='red', compression='tiff_lzw')),
    ('tiff', samples.picture('TIFF', colour='red', compression='jpeg')),
    ('tiff', samples.picture('TIFF', 'CMYK', colour=(0, 255, 255, 0))),
    ('webp', samples.picture('WEBP', colour='red')), ('webp', samples.picture('WEBP', 'RGBA', colour='red')),
    ('png', samples.picture('PNG', 'P', colour=1)), ('png', samples.picture('PNG', 'RGBA', colour='red')),
]  # fmt: skip


@pytest.mark.parametrize(('kind', 'data'), ORDINARY)
def test_an_image_becomes_a_page_of_its_size_at_150_dots_an_inch(convert, kind, data):
    made = convert(data, kind)
    _assert_safe(made)
    page = pypdfium2.PdfDocument(made)[0]
    assert page.get_size() == pytest.approx((60 * 72 / 150, 40 * 72 / 150), abs=0.01)
    if b'\x03PLTE' not in data:
        red, green, blue = _drawn(made).getpixel((30, 20))  # type: ignore[misc]
        assert red > 200
        assert max(green, blue) < 60


@pytest.mark.parametrize(
    ('mode', 'colour', 'expected'), [('1', 1, 255), ('L', 77, 77), ('LA', (0, 0), 255), ('I;16', 0x8000, 127)]
)
def test_grey_stays_grey(convert, mode, colour, expected):
    made = convert(samples.picture('PNG', mode, colour=colour), 'png')
    assert b'/DeviceGray' in made
    assert _drawn(made).getpixel((30, 20)) == (expected,) * 3


def test_what_is_seen_through_lies_on_white(convert):
    made = convert(samples.picture('PNG', 'RGBA', colour=(255, 0, 0, 0)), 'png')
    assert _drawn(made).getpixel((30, 20)) == (255, 255, 255)


def test_a_photograph_is_turned_upright_and_its_notes_are_gone(convert):
    made = convert(samples.jpeg_with_notes(), 'jpeg')
    _assert_safe(made)
    assert b'Exif' not in made
    assert pypdfium2.PdfDocument(made)[0].get_size() == pytest.approx((40 * 72 / 150, 60 * 72 / 150), abs=0.01)


def test_a_page_is_never_larger_than_a3(convert):
    made = convert(samples.picture('PNG', size=(6000, 3000)), 'png')
    assert pypdfium2.PdfDocument(made)[0].get_size() == pytest.approx((1190.55, 595.28), abs=0.01)


def test_an_image_of_absurd_size_is_refused_before_it_is_unpacked(convert):
    begun = time.monotonic()
    with pytest.raises(Unsafe) as found:
        convert(samples.absurd_png(), 'png')
    assert found.value.why.sentence(found.value.number, Limits()) == (
        'The image has 3,600,000,000 pixels; at most 50,000,000 are read.'
    )
    assert time.monotonic() - begun < 5


def test_an_image_that_says_less_than_it_holds_is_read_as_far_as_it_says(convert):
    made = convert(samples.absurd_png(100, 100), 'png')
    assert next(iter(pypdfium2.PdfDocument(made)[0].get_objects())).get_px_size() == (100, 100)


def test_a_large_image_is_made_smaller(convert):
    made = convert(samples.picture('PNG', 'L', size=(7000, 7000)), 'png')
    width, height = next(iter(pypdfium2.PdfDocument(made)[0].get_objects())).get_px_size()
    assert 24_000_000 < width * height <= Limits().page_pixels


def test_a_script_behind_an_image_is_gone(convert):
    _assert_safe(convert(samples.png_with_a_script(), 'png'))


def test_every_image_of_a_tiff_is_a_page(convert):
    made = pypdfium2.PdfDocument(convert(samples.tiff(12), 'tiff'))
    assert [round(page.get_width() * 150 / 72) for page in made] == [30 + n % 7 for n in range(12)]


def test_a_tiff_with_too_many_images_is_refused(convert):
    with pytest.raises(Unsafe) as found:
        convert(samples.tiff(11), 'tiff', pages=10)
    said = found.value.why.sentence(found.value.number, Limits(pages=10))
    assert said == 'The file has more than 10 pages; at most 10 are made.'


@pytest.mark.parametrize(('kind', 'format'), [('png', 'PNG'), ('jpeg', 'JPEG'), ('webp', 'WEBP'), ('tiff', 'TIFF')])
def test_an_image_that_is_cut_off_is_refused(convert, kind, format):
    data = samples.photograph(format, (200, 200))
    for cut in (len(data) // 2, 20):
        with pytest.raises(Unsafe) as found:
            convert(data[:cut], kind)
        assert found.value.why is Why.DAMAGED


def test_an_image_of_another_type_than_was_found_is_not_read(convert):
    with pytest.raises(Unsafe):
        convert(samples.picture('GIF', 'P'), 'png')


# -- text -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16'])
def test_text_is_written_on_a4(convert, encoding):
    made = convert('Grüße\taus Łódź\nλ'.encode(encoding), 'text')
    _assert_safe(made)
    document = pypdfium2.PdfDocument(made)
    assert len(document) == 1
    assert document[0].get_size() == pytest.approx((595.28, 841.89), abs=0.01)
    assert _is_dark_somewhere(made)


def test_long_lines_are_wrapped_and_pages_are_turned(convert):
    assert len(pypdfium2.PdfDocument(convert(b'x' * 40_000, 'text'))) > 5
    assert len(pypdfium2.PdfDocument(convert(b'a\fb\r\n\f', 'text'))) == 2


def test_wide_letters_stay_within_the_margins(convert):
    drawn = _drawn(convert(('漢' * 500).encode(), 'text')).convert('L')
    assert drawn.crop((drawn.width - 60, 0, drawn.width, drawn.height)).getextrema() == (255, 255)


@pytest.mark.parametrize('data', [b'\n' * 2_000_000, b'x' * 20_000_000, b'\f' * 100_000])
def test_text_without_an_end_is_refused(convert, data):
    with pytest.raises(Unsafe) as found:
        convert(data, 'text')
    assert found.value.why is Why.PAGES


# -- the process ------------------------------------------------------------------------------------------------------


def _running(tmp_path: Path, **limits: float) -> tuple[Conversion, threading.Thread, list[BaseException]]:
    source, raised = tmp_path / 'endless', []
    source.write_bytes(samples.endless())
    conversion = Conversion(source, 'pdf', io.BytesIO(), Limits(**limits))  # type: ignore[arg-type]

    def run() -> None:
        try:
            conversion.run()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return conversion, thread, raised


@pytest.mark.skipif(not Path('/proc/self/status').exists(), reason='needs Linux')
def test_the_worker_is_confined_while_it_draws(tmp_path):
    conversion, thread, raised = _running(tmp_path)
    try:
        status = ''
        until = time.monotonic() + 5
        while '\nSeccomp:\t2' not in status and time.monotonic() < until:
            time.sleep(0.01)
            if conversion.pid:
                status = Path(f'/proc/{conversion.pid}/status').read_text()
        pid = conversion.pid
        assert '\nSeccomp:\t2' in status
        assert '\nNoNewPrivs:\t1' in status
        assert '\nThreads:\t1' in status
        assert '\nCapEff:\t0000000000000000' in status
        held = Path(f'/proc/{pid}/limits').read_text()
        assert re.search(r'Max file size +0 +0', held)
        assert re.search(r'Max core file size +0 +0', held)
        assert re.search(rf'Max address space +{Limits().memory} ', held)
        assert re.search(rf'Max cpu time +{Limits().cpu_seconds} ', held)
    finally:
        conversion.stop()
        thread.join(5)
    assert [type(error) for error in raised] == [Stopped]
    assert not Path(f'/proc/{pid}').exists()


def test_the_worker_knows_nothing_of_the_portals_surroundings(tmp_path, monkeypatch):
    monkeypatch.setenv('PORTAL_SECRET', 'hush-hush-hush')
    conversion, thread, _ = _running(tmp_path)
    try:
        while conversion.pid is None:
            time.sleep(0.01)
        environ = Path(f'/proc/{conversion.pid}/environ')
        if os.getuid() == 0 and environ.exists():
            assert b'hush' not in environ.read_bytes()
    finally:
        conversion.stop()
        thread.join(5)


def test_a_worker_that_cannot_start_is_not_the_files_fault(tmp_path, monkeypatch):
    monkeypatch.setattr('jobs.safe_pdf.process._BEGIN', 'raise SystemExit("there is no Pillow")')
    source = tmp_path / 'source'
    source.write_bytes(samples.pdf())
    with pytest.raises(NotStarted, match='there is no Pillow'):
        Conversion(source, 'pdf', io.BytesIO(), Limits()).run()


def test_every_reason_is_one_sentence():
    for why in Why:
        for number in (0, 1234567):
            said = why.sentence(number, Limits())
            assert said.endswith('.')
            assert len(said) <= 180
            assert '\n' not in said
