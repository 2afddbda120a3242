"""Files in, safe PDFs out; and who may not."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from jobs.safe_pdfs import SafePdfs
from models import Attachment, AttachmentKind, AttachmentState, Customer, CustomerAccess, PortalRole, PortalUser
from models import attachment_files as files
from pages import unread
from settings import settings
from tests.jobs.safe_pdf import samples

MB = 1024 * 1024


@pytest.fixture
async def acme(portal) -> Customer:
    await portal.sign_in(portal.northwind.ana)
    return await portal.add(portal.northwind.partner, 'Acme')


@pytest.fixture
def small(monkeypatch) -> None:
    """A megabyte at most, and two attachments."""
    monkeypatch.setenv('PORTAL_UPLOAD_MB', '1')
    monkeypatch.setenv('PORTAL_ATTACHMENTS_PER_CUSTOMER', '2')
    settings.cache_clear()


def _address(customer: Customer | int, rest: str = '') -> str:
    return f'/api/ui/customers/{customer if isinstance(customer, int) else customer.id}/attachments{rest}'


async def _upload(browser: Any, customer: Customer | int, data: Any, name: str = 'a.pdf', **more: Any) -> Any:
    return await browser.post(_address(customer), params={'name': name}, content=data, **more)


async def _ready(portal: Any, customer: Customer, data: bytes = b'', name: str = 'a.pdf') -> int:
    """Upload this and make its safe PDF."""
    answer = await _upload(portal.http, customer, data or samples.with_javascript(), name)
    await SafePdfs().work()
    return answer.json()['id']


def _all_files() -> list[Path]:
    return [*files.originals().iterdir(), *files.pdfs().iterdir()]


async def _nothing_is_stored() -> bool:
    return not await Attachment.all().exists() and not _all_files()


# -- taking in --------------------------------------------------------------------------------------------------------


async def test_an_upload_becomes_a_safe_pdf_that_can_be_opened_and_kept(portal, acme):
    answer = await _upload(portal.http, acme, samples.with_javascript(), '../Order “1” Zoë.pdf')
    assert answer.status_code == 201
    id_ = answer.json()['id']
    assert answer.json() == {'id': id_, 'name': 'Order “1” Zoë.pdf', 'state': 'waiting'}
    waiting = await portal.http.get(_address(acme, f'/{id_}.pdf'))
    assert waiting.status_code == 404
    assert 'not yet' in waiting.json()['error']
    await SafePdfs().work()
    opened = await portal.http.get(_address(acme, f'/{id_}.pdf'), headers={'accept-encoding': 'gzip'})
    assert opened.status_code == 200
    assert opened.content.startswith(b'%PDF-')
    assert b'/JavaScript' not in opened.content
    headers = opened.headers
    assert headers['content-type'] == 'application/pdf'
    assert headers['x-content-type-options'] == 'nosniff'
    assert headers['cache-control'] == 'no-store, private'
    assert headers['content-security-policy'] == "default-src 'none'; sandbox"
    assert headers['content-length'] == str(len(opened.content))
    found = re.fullmatch(r'inline; filename="([ -~]*)"; filename\*=UTF-8\'\'(\S+)', headers['content-disposition'])
    assert found is not None
    assert (found[1], unquote(found[2])) == ('Order _1_ Zo_.pdf', 'Order “1” Zoë.pdf')
    kept = await portal.http.get(_address(acme, f'/{id_}.pdf?download=1'))
    assert kept.headers['content-disposition'].startswith('attachment; filename="')


@pytest.mark.parametrize(
    ('given', 'expected'),
    [
        ('scan.png', 'scan.png.pdf'), ('', 'document.pdf'), ('a"; filename="b.exe', 'a"; filename="b.exe.pdf'),
        ('a\r\nSet-Cookie: x=1', 'a Set-Cookie: x=1.pdf'), ('evil\u202egpj.exe', 'evil gpj.exe.pdf'),
        ('..\\..\\a.pdf', 'a.pdf'), ('50%.pdf', '50%.pdf'),
    ],
)  # fmt: skip
async def test_no_name_leaves_its_header(portal, acme, given, expected):
    id_ = await _ready(portal, acme, name=given)
    answer = await portal.http.get(_address(acme, f'/{id_}.pdf'))
    said = answer.headers['content-disposition']
    assert unquote(said.partition("UTF-8''")[2]) == expected
    assert re.fullmatch(r'inline; filename="[^"\\%]*"; filename\*=UTF-8\'\'[\w.%~-]+', said)
    assert 'set-cookie' not in answer.headers


@pytest.mark.parametrize('name', ['order.pdf', 'photo.png', 'a.txt', 'x'])
@pytest.mark.parametrize(
    'data', [b'PK\x03\x04 an archive', b'MZ\x90\0 a program', b'<!doctype html><p>', b'text\0', b'\xff\xfe\xfd']
)
async def test_what_is_not_accepted_is_refused_with_what_is(portal, acme, data, name):
    answer = await _upload(portal.http, acme, data, name)
    assert answer.status_code == 415
    assert answer.json()['error'] == (
        'This type of file is not accepted. Accepted are PDF, PNG, JPEG, TIFF, WebP and plain text.'
    )
    assert await _nothing_is_stored()


async def test_the_type_is_of_the_content_not_of_the_name(portal, acme):
    id_ = await _ready(portal, acme, samples.picture('PNG'), 'letter.exe')
    assert (await Attachment.get(id=id_)).state == AttachmentState.READY


async def test_an_empty_file_is_refused(portal, acme):
    answer = await _upload(portal.http, acme, b'')
    assert (answer.status_code, answer.json()) == (422, {'error': 'The file is empty.'})
    assert await _nothing_is_stored()


async def test_a_kind_can_be_given_and_an_unknown_one_is_refused(portal, acme):
    answer = await portal.http.post(_address(acme, '?name=a&kind=rfi_copy'), content=b'text')
    assert answer.status_code == 201
    assert (await Attachment.get(id=answer.json()['id'])).kind == AttachmentKind.RFI_COPY
    answer = await portal.http.post(_address(acme, '?name=a&kind=poem'), content=b'other')
    assert answer.status_code == 422


async def test_a_file_that_is_too_large_is_refused_while_it_comes(portal, acme, small, monkeypatch):
    async def parts(number: float) -> Any:
        nonlocal sent
        sent = 0
        while sent < number:
            sent += 1
            yield b'x' * 100_000

    sent = 0
    # To its end and for nothing, or a proxy between would not pass the answer on; but not for ever.
    for number, most, read in ((40, unread.MOST, 40), (float('inf'), MB, 22)):
        monkeypatch.setattr(unread, 'MOST', most)
        answer = await _upload(portal.http, acme, parts(number))
        assert answer.status_code == 413
        assert answer.json() == {'error': 'The file is larger than 1 MB, which is the most that is taken.'}
        assert sent == read
    assert await _nothing_is_stored()
    assert (await _upload(portal.http, acme, b'x' * MB)).status_code == 201


async def test_a_file_that_says_it_is_too_large_and_waits_for_a_word_is_not_even_read(portal, acme, small):
    async def not_read() -> Any:
        raise AssertionError('it was read')
        yield b''

    waits = {'content-length': str(MB + 1), 'expect': '100-continue'}
    answer = await _upload(portal.http, acme, not_read(), headers=waits)
    assert answer.status_code == 413


async def test_a_customer_has_room_for_so_many_and_no_more(portal, acme, small):
    for number in range(2):
        assert (await _upload(portal.http, acme, b'text %d' % number)).status_code == 201
    answer = await _upload(portal.http, acme, b'one more')
    assert answer.status_code == 409
    assert answer.json() == {'error': 'This customer has 2 attachments, and there can be no more.'}
    assert len(_all_files()) == 2


class HungUp(Exception):
    """The browser is gone."""


async def test_an_upload_that_breaks_off_with_an_error_leaves_nothing(portal, acme, caplog):
    async def half() -> Any:
        yield b'%PDF-1.7' + b'x' * (3 * MB)
        raise HungUp

    with pytest.raises((HungUp, ExceptionGroup)):  # in a group where a middleware of the framework passes it on
        await _upload(portal.http, acme, half())
    caplog.clear()  # the portal has logged it, as it should
    assert await _nothing_is_stored()


@pytest.mark.parametrize('announced', ['5000000', None])
async def test_an_upload_whose_connection_goes_leaves_nothing(portal, acme, announced):
    _, token = await portal.session(portal.northwind.ana)
    headers = {'host': 'test', 'cookie': f'portal_session={token}'} | (
        {'content-length': announced} if announced else {}
    )
    scope = {
        'type': 'http', 'asgi': {'version': '3.0'}, 'http_version': '1.1', 'scheme': 'http', 'method': 'POST',
        'path': _address(acme), 'raw_path': _address(acme).encode(), 'query_string': b'name=a', 'root_path': '',
        'headers': [(name.encode(), value.encode()) for name, value in headers.items()], 'client': ('127.0.0.1', 5),
        'server': ('test', 80), 'state': {}, 'extensions': {},
    }  # fmt: skip
    coming = [
        {'type': 'http.request', 'body': b'%PDF-1.7' + b'x' * 2 * MB, 'more_body': True},
        {'type': 'http.disconnect'},
    ]
    said: list[Any] = []

    async def receive() -> Any:
        return coming.pop(0) if coming else {'type': 'http.disconnect'}

    async def send(message: Any) -> None:
        said.append(message)

    await portal.app(scope, receive, send)
    assert said[0]['status'] == 400
    assert json.loads(said[1]['body']) == {'error': 'The upload was cut off; nothing was stored.'}
    assert await _nothing_is_stored()


async def test_a_body_that_is_shorter_than_announced_is_cut_off(portal, acme):
    async def half() -> Any:
        yield b'text'

    answer = await _upload(portal.http, acme, half(), headers={'content-length': '100'})
    assert answer.status_code == 400
    assert await _nothing_is_stored()


async def test_a_compressed_body_is_not_unpacked(portal, acme):
    answer = await _upload(portal.http, acme, b'text', headers={'content-encoding': 'gzip'})
    assert answer.status_code == 415


async def test_the_same_file_twice_is_refused_with_the_one_that_is_there(portal, acme):
    first = (await _upload(portal.http, acme, b'the same', 'one.txt')).json()
    answer = await _upload(portal.http, acme, b'the same', 'two.txt')
    assert answer.status_code == 409
    assert answer.json() == {'error': 'This file is already there: “one.txt”.', 'attachment': first}
    other = await portal.add(portal.northwind.partner, 'Other')
    assert (await _upload(portal.http, other, b'the same')).status_code == 201


async def test_of_two_uploads_of_the_same_file_at_once_one_is_taken(portal, acme):
    answers = await asyncio.gather(*(_upload(portal.http, acme, b'the same' * 100_000) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    assert len(_all_files()) == 1


async def test_a_file_that_failed_can_be_uploaded_again(portal, acme):
    id_ = await _ready(portal, acme, samples.encrypted(b'secret'))
    failed = await portal.http.get(_address(acme, f'/{id_}.pdf'))
    assert failed.status_code == 404
    again = await _upload(portal.http, acme, samples.encrypted(b'secret'))
    assert (again.status_code, again.json()['id'], again.json()['state']) == (201, id_, 'waiting')


# -- the original -----------------------------------------------------------------------------------------------------


async def test_an_administrator_deletes_the_original_and_the_pdf_stays(portal, acme):
    id_ = (await _upload(portal.http, acme, b'text')).json()['id']
    address = _address(acme, f'/{id_}/original')
    early = await portal.http.delete(address)
    assert (early.status_code, 'not made yet' in early.json()['error']) == (409, True)
    await SafePdfs().work()
    answer = await portal.http.delete(address)
    assert (answer.status_code, answer.json()) == (200, {'id': id_, 'has_original': False})
    assert not list(files.originals().iterdir())
    assert (await portal.http.get(_address(acme, f'/{id_}.pdf'))).status_code == 200
    assert (await portal.http.delete(address)).status_code == 409


@pytest.mark.parametrize('rest', ['', '.png', '/original', '/original.pdf', '.pdf/original', '/../original'])
async def test_the_original_is_never_given_out(portal, acme, rest):
    data = b'what was uploaded'
    id_ = await _ready(portal, acme, data)
    stored = (await Attachment.get(id=id_)).stored
    for address in (_address(acme, f'/{id_}{rest}'), _address(acme, f'/{stored}{rest}'), f'/attachments/{stored}'):
        answer = await portal.http.get(address)
        assert answer.status_code in (404, 405), address
        assert data not in answer.content


async def test_a_pdf_that_is_not_in_its_place_is_said_to_be_missing(portal, acme):
    id_ = await _ready(portal, acme)
    (await Attachment.get(id=id_)).pdf.unlink()
    answer = await portal.http.get(_address(acme, f'/{id_}.pdf'))
    assert answer.status_code == 404
    assert 'not in its place' in answer.json()['error']


# -- who may ----------------------------------------------------------------------------------------------------------


async def _every_route(browser: Any, customer: Customer | int, id_: int | str) -> list[Any]:
    return [
        await _upload(browser, customer, b'another'),
        await browser.get(_address(customer, f'/{id_}.pdf')),
        await browser.delete(_address(customer, f'/{id_}/original')),
    ]


async def test_another_msp_finds_nothing_on_any_route_and_cannot_tell_it_from_nothing(portal, acme):
    id_ = await _ready(portal, acme)
    eve = await portal.signed_in(portal.fabrikam.eve)
    hers = await portal.add(portal.fabrikam.partner, 'Hers')
    foreign = await _every_route(eve, acme, id_)
    unknown = await _every_route(eve, 999_999, 999_999)
    assert [answer.status_code for answer in foreign] == [404, 404, 404]
    assert [answer.content for answer in foreign] == [answer.content for answer in unknown]
    # Through a customer of her own the attachment of another is not reached either.
    through = (await _every_route(eve, hers, id_))[1:]
    assert [answer.status_code for answer in through] == [404, 404]
    assert await Attachment.filter(customer_id=acme.id).count() == 1
    assert (await Attachment.get(id=id_)).has_original


async def test_who_does_not_see_the_customer_finds_nothing(portal, acme):
    id_ = await _ready(portal, acme)
    tom = await portal.signed_in(portal.northwind.tom)
    assert [answer.status_code for answer in await _every_route(tom, acme, id_)] == [404, 404, 404]
    await CustomerAccess.create(customer=acme, user=portal.northwind.tom, allowed=True)
    assert [answer.status_code for answer in await _every_route(tom, acme, id_)] == [201, 200, 403]


async def test_who_may_only_read_opens_and_changes_nothing(portal, acme):
    id_ = await _ready(portal, acme)
    await PortalUser.filter(id=portal.northwind.ana.id).update(role=PortalRole.READ_ONLY)
    answers = await _every_route(portal.http, acme, id_)
    assert [answer.status_code for answer in answers] == [403, 200, 403]
    assert 'Read only' in answers[0].json()['error']
    assert await Attachment.all().count() == 1
    assert (await Attachment.get(id=id_)).original.exists()


async def test_without_a_session_and_from_another_site_nothing_is_taken(portal, acme):
    id_ = await _ready(portal, acme)
    assert [answer.status_code for answer in await _every_route(portal.browser(), acme, id_)] == [401, 401, 401]
    answer = await _upload(portal.http, acme, b'another', headers={'origin': 'https://evil.example'})
    assert answer.status_code == 403


@pytest.mark.parametrize('id_', ['0', '-1', '1e3', 'x', '9' * 30, '１', '1%00', '%2e%2e'])
async def test_an_address_that_is_none_is_404(portal, acme, id_):
    assert (await portal.http.get(_address(acme, f'/{id_}.pdf'))).status_code == 404
    assert (await portal.http.delete(_address(acme, f'/{id_}/original'))).status_code == 404
    assert (await portal.http.post(f'/api/ui/customers/{id_}/attachments', content=b'text')).status_code == 404
