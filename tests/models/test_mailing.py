import asyncio
import re

import pytest
from jinja2 import DictLoader

from models import HistoryEvent, Message, mailing
from models.checking import Impossible, Invalid
from models.events import transaction
from models.mailing import TEMPLATES, post, rendered, send_test
from models.rights import Refused
from tests.smtp import Post, mail_server, use


async def _post(partner, **given):
    return await post(
        partner, kind='test', recipient='ivo@northwind.example', template='test', facts={'name': 'Ana'}, **given
    )  # fmt: skip


async def test_without_a_mail_server_nothing_is_written(db, northwind):
    assert not await _post(northwind.partner)
    assert not await Message.exists()


async def test_what_it_says_is_sealed(db, northwind):
    await use(northwind.partner, 25)
    assert await _post(northwind.partner)
    (row,) = await Message.all().values()
    assert 'Ana' not in row['body']
    text, html = (await Message.get()).opened()
    assert text.startswith('Ana asked the MSP Portal of Northwind IT')
    assert '<p>Ana asked the MSP Portal of Northwind IT' in html


async def test_a_message_belongs_to_the_transaction_of_what_it_tells_of(db, northwind):
    await use(northwind.partner, 25)

    async def tell() -> None:
        async with transaction():
            await _post(northwind.partner)
            raise OSError('later')

    with pytest.raises(OSError, match='later'):
        await tell()
    assert not await Message.exists()


@pytest.mark.parametrize('recipient', ['', 'nobody', 'a@b.example\r\nBcc: c@d.example', 'a@b.example, c@d.example'])
async def test_a_recipient_is_one_address(sqlite_db, northwind, recipient):
    await use(northwind.partner, 25)
    with pytest.raises(Invalid) as refused:
        await post(northwind.partner, kind='test', recipient=recipient, template='test', facts={'name': 'Ana'})
    assert refused.value.field == 'recipient'
    assert not await Message.exists()


def test_no_fact_becomes_html():
    _, text, html = rendered('test', {'msp': 'A & B', 'name': '<img src=x>'})
    assert '<img' in text
    assert '<img' not in html
    assert 'A &amp; B' in html


def test_no_fact_becomes_a_header(monkeypatch):
    templates = DictLoader({'x.txt': 'Subject: Hello {{ name }}\n\nText', 'x.html': '', 'foot.txt': ''})
    monkeypatch.setattr(mailing, '_templates', mailing._templates.overlay(loader=templates))
    subject, _, _ = rendered('x', {'name': 'Ana\r\nBcc: eve@fabrikam.example'})
    assert '\n' not in subject
    assert '\r' not in subject


def test_every_mail_has_a_subject_a_text_and_html():
    texts = {path.stem for path in TEMPLATES.glob('*.txt')} - {'foot', 'parts'}
    assert texts == {path.stem for path in TEMPLATES.glob('*.html')} - {'layout', 'parts'}
    for name in texts:
        assert (TEMPLATES / f'{name}.txt').read_text(encoding='utf-8').startswith('Subject: ')


def _addresses_in(facts) -> set[str]:
    if isinstance(facts, dict):
        facts = facts.values()
    elif not isinstance(facts, list):
        return {facts} if str(facts).startswith('https://') else set()
    return set().union(*map(_addresses_in, facts))


EVIL = '<img src=x>{{ 7*7 }}'
STEPS = [
    {'customer': EVIL, 'step': 'Journaling', 'due': '20 November 2026', 'late': 3, 'blocked': '', 'link': 'https://p/3'},
    {'customer': 'Zebra', 'step': EVIL, 'due': '', 'late': 1, 'blocked': EVIL, 'link': 'https://p/4'},
]  # fmt: skip
FACTS = {
    'order_desk': {
        'title': 'Change order', 'number': 'CHG-000012', 'customer': EVIL, 'account_code': EVIL, 'po_number': '',
        'effective': '1 December 2026', 'by': EVIL, 'asks_for_code': True,
    },
    'step_reminder': {'name': EVIL, 'steps': STEPS[:1], 'account': 'https://p/account'},
    'digest': {
        'name': EVIL, 'day': '23 November 2026', 'overdue': STEPS[:1], 'blocked': STEPS[1:], 'more': 4,
        'board': 'https://p/connect', 'account': 'https://p/account',
    },
    'test': {'name': EVIL},
    'reset': {'name': EVIL, 'by': EVIL, 'link': 'https://p/r', 'hours': 72},
    'rfi': {'customer': EVIL, 'link': 'https://p/f', 'until': '1 January 2027', 'by': EVIL, 'is_error': False},
    'rfi_reminder': {'customer': EVIL, 'link': 'https://p/f', 'until': '1 January 2027', 'by': EVIL, 'is_error': True},
    'invite': {'name': EVIL, 'by': EVIL, 'link': 'https://p/i', 'hours': 72},
}  # fmt: skip


@pytest.mark.parametrize('name', FACTS)
def test_a_mail_has_one_button_the_same_addresses_twice_and_asks_nobody_when_it_is_opened(name):
    _, text, html = rendered(name, {'msp': 'A & B', **FACTS[name]})
    assert set(re.findall(r'https://[^\s"<]+', text)) == set(re.findall(r'https://[^\s"<]+', html))
    assert _addresses_in(FACTS[name]) <= set(re.findall(r'https://[^\s"<]+', text))
    assert html.count('background:#0b66c3') == (name not in ('test', 'order_desk'))
    assert not re.search(r'src=|url\(|@import|<link|<script', html.replace('&lt;img src=x&gt;', ''))


@pytest.mark.parametrize('name', FACTS)
def test_what_people_typed_stays_text(name):
    _, text, html = rendered(name, {'msp': 'A & B', 'address': 'Quay 1\n<b>Town</b>', **FACTS[name]})
    assert EVIL in text
    assert '<img' not in html
    assert '49' not in html + text
    assert '&lt;img src=x&gt;' in html
    # The head and the foot that all of them have.
    assert text.endswith('\n-- \nSent by the MSP Portal of A & B.\nQuay 1, <b>Town</b>\n')
    assert 'Quay 1, &lt;b&gt;Town&lt;/b&gt;' in html
    assert '<b style="font-size:18px">A &amp; B</b>' in html
    for each in FACTS[name].get('steps', []) + FACTS[name].get('overdue', []) + FACTS[name].get('blocked', []):
        assert each['link'] in text
        assert f'href="{each["link"]}"' in html


def test_a_subject_counts():
    def subject(name: str, **facts) -> str:
        return rendered(name, {'msp': 'A', **FACTS[name], **facts})[0]

    plain = [{**STEPS[0], 'customer': 'Albatros'}]
    assert subject('step_reminder', steps=plain) == 'Journaling of Albatros is late'
    assert subject('step_reminder', steps=plain * 2) == '2 steps want your attention'
    assert subject('digest') == 'Your steps on 23 November 2026: 1 overdue, 1 blocked'
    assert subject('digest', overdue=[]) == 'Your steps on 23 November 2026: 1 blocked'
    assert subject('order_desk', customer='Albatros') == 'Change order CHG-000012: Albatros'


async def test_a_test_message_goes_to_whoever_asks_and_is_written_down(sqlite_db, northwind):
    box = Post()
    async with mail_server(box) as port:
        await use(northwind.partner, port)
        went_well, said = await send_test(northwind.partner, northwind.ana)
    assert went_well
    assert said == 'The mail server took the message for ana@northwind.example. It said: “Taken as 4711”.'
    assert box.recipients == ['ana@northwind.example']
    entry = await HistoryEvent.get(kind='settings.mail_tested')
    text = await entry.text()
    assert text is not None
    assert text.actor == 'Ana'


async def test_a_test_message_that_does_not_go_says_why(sqlite_db, northwind):
    async with mail_server(Post()) as port:
        pass
    await use(northwind.partner, port)
    assert await send_test(northwind.partner, northwind.ana) == (
        False, f'127.0.0.1:{port} cannot be reached (connection refused).',
    )  # fmt: skip


async def test_a_mail_server_that_says_nothing_is_not_waited_for_long(sqlite_db, northwind, monkeypatch):
    monkeypatch.setattr('models.mailing.TEST_TAKES', 0.1)
    silent = await asyncio.start_server(lambda _reader, _writer: None, '127.0.0.1', 0)
    async with silent:
        await use(northwind.partner, silent.sockets[0].getsockname()[1])
        first = asyncio.create_task(send_test(northwind.partner, northwind.ana))
        await asyncio.sleep(0)
        with pytest.raises(Impossible):  # one at a time
            await send_test(northwind.partner, northwind.ana)
        went_well, said = await first
    assert not went_well
    assert 'within 0.1 seconds' in said


async def test_only_who_may_change_settings_tests_them(sqlite_db, northwind):
    with pytest.raises(Refused):
        await send_test(northwind.partner, northwind.tom)


@pytest.mark.parametrize('template', ['invite', 'reset'])
def test_whoever_gets_a_link_reads_of_which_msp_it_is(template):
    facts = {'msp': 'Kestrel IT', 'name': 'Ivo', 'by': '', 'link': 'https://p.example/x', 'hours': 72}
    for part in rendered(template, facts):
        assert 'Kestrel IT' in part
    assert '<b style="font-size:18px">Kestrel IT</b>' in rendered(template, facts)[2]
