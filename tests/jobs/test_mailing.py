"""Mail goes out: to a real mail server on this machine."""

import asyncio
import io
import logging
from datetime import timedelta

import pytest
from PIL import Image

from jobs.mailing import LONGEST_PAUSE, Mailing
from models import Attachment, AttachmentKind, Customer, MailSecurity, Message, MessageState, events
from models.mailing import post
from models.message import GIVEN_UP_AFTER
from tests.smtp import Post, certificate, mail_server, only, use


@pytest.fixture
def write():
    async def write(partner, recipient='ivo@northwind.example', **more):
        assert await post(
            partner, kind='test', recipient=recipient, template='test', facts={'name': 'Ana'}, **more
        )  # fmt: skip
        return await Message.filter(partner_id=partner.id).order_by('-id').first()

    return write


async def send(mailing: Mailing) -> None:
    await mailing.work()
    await mailing.idle()


async def test_a_message_is_sent_and_its_body_is_erased(db, northwind, clock, write):
    box = Post()
    async with mail_server(box) as port:
        partner = await use(northwind.partner, port)
        message = await write(partner)
        clock.advance(1)
        await send(Mailing(clock))
    (got,) = box.got
    assert got['To'] == 'ivo@northwind.example'
    assert got['From'] == 'Northwind IT <portal@northwind.example>'
    assert got['Subject'] == 'Test message from the MSP Portal'
    assert got['Message-ID'] == f'<{message.key}@northwind.example>'
    assert 'Ana asked the MSP Portal' in got.get_body(('plain',)).get_content()
    assert '<p>Ana asked' in got.get_body(('html',)).get_content()
    stored = await Message.get(id=message.id)
    assert (stored.state, stored.body, stored.error) == (MessageState.SENT, '', '')
    assert stored.sent_at is not None


async def test_the_logo_goes_with_the_message_and_is_asked_for_nowhere(sqlite_db, northwind, clock, write):
    logo = io.BytesIO()
    Image.new('RGBA', (400, 100), '#0b66c380').save(logo, 'PNG')
    box = Post()
    async with mail_server(box) as port:
        partner = await use(northwind.partner, port)
        for picture in (logo.getvalue(), b'no picture', None):
            partner.logo = picture
            await partner.save()
            await write(partner)
            clock.advance(1)
            await send(Mailing(clock))
    with_logo, *without = box.got
    related = with_logo.get_body(('related',))
    assert related is not None
    html, picture = related.iter_parts()
    name = picture['Content-ID'].strip('<>')
    assert f'<img src="cid:{name}" alt="" width="192" height="48"' in html.get_content()
    assert Image.open(io.BytesIO(picture.get_content())).size == (384, 96)
    assert 'Ana asked' in with_logo.get_body(('plain',)).get_content()
    for got in without:
        assert '<img' not in got.get_body(('html',)).get_content()
    for got in box.got:
        assert '<!--logo-->' not in got.get_body(('html',)).get_content()
        assert 'http' not in got.get_body(('html',)).get_content()


async def test_one_connection_takes_all_that_waits(sqlite_db, northwind, clock, write):
    box = Post()
    async with mail_server(box) as port:
        partner = await use(northwind.partner, port)
        for n in range(7):
            await write(partner, f'p{n}@northwind.example')
        clock.advance(1)
        await send(Mailing(clock))
    assert box.recipients == [f'p{n}@northwind.example' for n in range(7)]
    assert box.connections == 1


async def test_starttls_with_user_and_password(sqlite_db, northwind, clock, write, tmp_path, monkeypatch):
    context, trusted = certificate(tmp_path)
    monkeypatch.setenv('SSL_CERT_FILE', str(trusted))
    box = Post()
    async with mail_server(
        box, tls_context=context, require_starttls=True, auth_required=True, authenticator=only('portal', 'pa ß word')
    ) as port:
        partner = await use(
            northwind.partner, port, security=MailSecurity.STARTTLS, user='portal', password='pa ß word'
        )
        await write(partner)
        clock.advance(1)
        await send(Mailing(clock))
    assert len(box.got) == 1


async def test_tls_from_the_beginning(sqlite_db, northwind, clock, write, tmp_path, monkeypatch):
    context, trusted = certificate(tmp_path)
    monkeypatch.setenv('SSL_CERT_FILE', str(trusted))
    box = Post()
    async with mail_server(box, tls=context) as port:
        partner = await use(northwind.partner, port, security=MailSecurity.TLS)
        await write(partner)
        clock.advance(1)
        await send(Mailing(clock))
    assert len(box.got) == 1


@pytest.mark.parametrize('security', [MailSecurity.STARTTLS, MailSecurity.TLS])
async def test_a_certificate_that_nobody_trusts_gets_nothing(sqlite_db, northwind, clock, write, tmp_path, security):
    context, _ = certificate(tmp_path)
    box = Post()
    direct = security == MailSecurity.TLS
    async with mail_server(
        box, tls=context if direct else None, **({} if direct else {'tls_context': context})
    ) as port:
        partner = await use(northwind.partner, port, security=security, user='portal', password='geheim')
        message = await write(partner)
        clock.advance(1)
        await send(Mailing(clock))
    stored = await Message.get(id=message.id)
    assert box.got == []
    assert stored.state == MessageState.WAITING
    assert stored.error.startswith(f'The certificate of 127.0.0.1:{port} cannot be trusted: self-signed certificate')


async def test_without_starttls_a_password_is_not_sent_in_the_clear(sqlite_db, northwind, clock, write):
    box = Post()
    async with mail_server(box, authenticator=only('portal', 'geheim'), auth_require_tls=False) as port:
        partner = await use(northwind.partner, port, security=MailSecurity.STARTTLS, user='portal', password='geheim')
        message = await write(partner)
        clock.advance(1)
        await send(Mailing(clock))
    assert box.got == []
    assert 'does not offer' in (await Message.get(id=message.id)).error


async def test_a_wrong_password_is_said_and_delays(sqlite_db, northwind, clock, write):
    box = Post()
    options = {'authenticator': only('portal', 'right'), 'auth_required': True, 'auth_require_tls': False}
    async with mail_server(box, **options) as port:
        partner = await use(northwind.partner, port, user='portal', password='wrong')
        message = await write(partner)
        clock.advance(1)
        mailing = Mailing(clock)
        await send(mailing)
        stored = await Message.get(id=message.id)
        assert stored.state == MessageState.WAITING
        assert stored.error.startswith('The mail server does not accept the user and password (535')
        await use(partner, port, user='portal', password='right')
        clock.advance(3600)
        await send(mailing)
    assert (await Message.get(id=message.id)).state == MessageState.SENT


async def test_an_hour_without_the_mail_server_delays_and_loses_nothing(sqlite_db, northwind, clock, write, caplog):
    box, mailing = Post(), Mailing(clock)
    async with mail_server(box) as port:
        pass  # nobody listens there any more
    partner = await use(northwind.partner, port)
    written = [await write(partner, f'p{n}@northwind.example') for n in range(5)]
    with caplog.at_level(logging.WARNING):
        for _ in range(60):
            clock.advance(60)
            await send(mailing)
    waiting = await Message.filter(id__in=[m.id for m in written])
    assert {message.state for message in waiting} == {MessageState.WAITING}
    assert any('cannot be reached' in message.error for message in waiting)
    # It was left alone for growing pauses, not tried by every message in every minute; when it is tried next is true.
    assert sum('waits' in record.message for record in caplog.records) < 15
    (due,) = {message.due_at for message in waiting}
    assert clock.now < due <= clock.now + LONGEST_PAUSE
    await write(partner, 'late@northwind.example')
    async with mail_server(box, port=port):
        clock.now = due - timedelta(seconds=1)
        await send(mailing)
        assert box.got == []
        clock.now = due
        await send(mailing)
    assert sorted(box.recipients) == ['late@northwind.example', *(f'p{n}@northwind.example' for n in range(5))]
    assert await Message.filter(state=MessageState.SENT).count() == 6


async def test_a_message_on_which_the_server_breaks_holds_up_no_other(sqlite_db, northwind, clock, write, caplog):
    box, mailing = Post(), Mailing(clock)
    box.breaks_on = 'poison@northwind.example'
    async with mail_server(box) as port:
        partner = await use(northwind.partner, port)
        poison = await write(partner, box.breaks_on)
        for n in range(3):
            await write(partner, f'p{n}@northwind.example')
        for _ in range(3):
            clock.advance(31)
            await send(mailing)
    assert box.recipients == [f'p{n}@northwind.example' for n in range(3)]
    stored = await Message.get(id=poison.id)
    assert stored.state == MessageState.WAITING
    assert 'connection to the mail server was lost' in stored.error


async def test_a_refusal_for_now_is_tried_again_later(sqlite_db, northwind, clock, write):
    box, mailing = Post(), Mailing(clock)
    box.rcpt['ivo@northwind.example'] = '451 Greylisted, come back'
    async with mail_server(box) as port:
        partner = await use(northwind.partner, port)
        message = await write(partner)
        await write(partner, 'other@northwind.example')
        clock.advance(1)
        await send(mailing)
        stored = await Message.get(id=message.id)
        assert box.recipients == ['other@northwind.example']  # the one did not stop the other
        assert stored.state == MessageState.WAITING
        assert stored.error == (
            'The mail server refused the address ivo@northwind.example (451 Greylisted, come back).'
        )
        await send(mailing)
        assert (await Message.get(id=message.id)).attempts == 1  # not before its time
        box.rcpt.clear()
        clock.advance(61)
        await send(mailing)
    assert box.recipients == ['other@northwind.example', 'ivo@northwind.example']


@pytest.mark.parametrize('where', ['rcpt', 'data'])
async def test_a_refusal_for_good_fails_at_once_and_erases_the_body(sqlite_db, northwind, clock, write, where):
    box = Post()
    getattr(box, where)['gone@northwind.example'] = '550 No such mailbox'
    async with mail_server(box) as port:
        partner = await use(northwind.partner, port)
        message = await write(partner, 'gone@northwind.example')
        await write(partner)
        clock.advance(1)
        await send(Mailing(clock))
    stored = await Message.get(id=message.id)
    assert (stored.state, stored.body) == (MessageState.FAILED, '')
    assert '550 No such mailbox' in stored.error
    assert box.recipients == ['ivo@northwind.example']


async def test_a_refused_sender_is_a_matter_of_the_settings_and_loses_nothing(sqlite_db, northwind, clock, write):
    box, mailing = Post(), Mailing(clock)
    box.sender = '550 Not your domain'
    async with mail_server(box) as port:
        partner = await use(northwind.partner, port)
        message = await write(partner)
        clock.advance(1)
        await send(mailing)
        stored = await Message.get(id=message.id)
        assert stored.state == MessageState.WAITING
        assert stored.error.startswith('The mail server refuses the sender portal@northwind.example (550')
        box.sender = ''
        clock.advance(120)
        await send(mailing)
    assert len(box.got) == 1


async def test_two_processes_do_not_send_the_same_message(db, northwind, clock, write):
    box = Post()
    meanwhile = asyncio.Event()

    async def slowly():
        meanwhile.set()
        await asyncio.sleep(0.02)

    box.before_answer = slowly
    async with mail_server(box) as port:
        partner = await use(northwind.partner, port)
        for n in range(12):
            await write(partner, f'p{n}@northwind.example')
        clock.advance(1)
        one, other = Mailing(clock), Mailing(clock)
        await asyncio.gather(one.work(), other.work())
        await asyncio.gather(one.idle(), other.idle())
    assert meanwhile.is_set()
    assert sorted(box.recipients) == sorted(f'p{n}@northwind.example' for n in range(12))


async def test_a_claim_is_won_by_one_only(db, northwind, clock, write):
    partner = await use(northwind.partner, 25)
    await write(partner)
    clock.advance(1)
    found = await asyncio.gather(*(Message.claim(partner.id, clock.now) for _ in range(5)))
    assert sum(message is not None for message in found) == 1


async def test_a_sender_that_died_is_followed_by_another_with_the_same_message_id(sqlite_db, northwind, clock, write):
    box = Post()
    async with mail_server(box) as port:
        partner = await use(northwind.partner, port)
        message = await write(partner)
        clock.advance(1)
        assert await Message.claim(partner.id, clock.now)  # and then the process ends
        await send(Mailing(clock))
        assert box.got == []
        clock.advance(601)
        await send(Mailing(clock))
    assert [got['Message-ID'] for got in box.got] == [f'<{message.key}@northwind.example>']


async def test_a_process_that_is_killed_once_the_server_has_the_message_sends_it_again_with_the_same_id(
    sqlite_db, northwind, clock, write, monkeypatch
):
    async def killed(_message, _now):
        raise asyncio.CancelledError

    box = Post()
    async with mail_server(box) as port:
        partner = await use(northwind.partner, port)
        message = await write(partner)
        clock.advance(1)
        with monkeypatch.context() as patched:
            patched.setattr(Message, 'sent', killed)
            await send(Mailing(clock))
        assert (await Message.get(id=message.id)).state == MessageState.WAITING
        clock.advance(601)
        await send(Mailing(clock))
    assert [got['Message-ID'] for got in box.got] == [f'<{message.key}@northwind.example>'] * 2
    assert (await Message.get(id=message.id)).state == MessageState.SENT


async def test_a_server_that_does_not_answer_costs_some_seconds_and_no_message(
    sqlite_db, northwind, clock, write, monkeypatch
):
    monkeypatch.setattr('models.smtp.PATIENCE', 0.2)
    box, go_on = Post(), asyncio.Event()
    box.before_answer = go_on.wait
    async with mail_server(box) as port:
        partner = await use(northwind.partner, port)
        message = await write(partner)
        clock.advance(1)
        async with asyncio.timeout(10):
            await send(Mailing(clock))
        go_on.set()
        stored = await Message.get(id=message.id)
        assert stored.state == MessageState.WAITING
        assert stored.error.startswith('The connection to the mail server was lost')
    async with mail_server(Post()) as port:
        await use(partner, port)
        clock.advance(61)
        await send(Mailing(clock))
    assert (await Message.get(id=message.id)).state == MessageState.SENT


async def test_a_mail_server_that_hangs_holds_up_no_other_msp(sqlite_db, northwind, fabrikam, clock, write, until):
    hanging, box, go_on = Post(), Post(), asyncio.Event()
    hanging.before_answer = go_on.wait
    async with mail_server(hanging) as slow, mail_server(box) as quick:
        await write(await use(northwind.partner, slow))
        await write(await use(fabrikam.partner, quick), 'eve@fabrikam.example')
        clock.advance(1)
        mailing = Mailing(clock)
        await mailing.work()
        await until(lambda: box.got)
        await mailing.work()  # the next look, while the one still hangs
        await write(fabrikam.partner, 'second@fabrikam.example')
        clock.advance(1)
        async with asyncio.timeout(5):
            while len(box.got) < 2:
                await mailing.work()
                await asyncio.sleep(0.01)
        assert hanging.got == []
        go_on.set()
        await mailing.idle()
    assert len(hanging.got) == 1


async def test_what_waited_for_three_days_is_given_up(sqlite_db, northwind, clock, write):
    async with mail_server(Post()) as port:
        pass
    partner = await use(northwind.partner, port)
    message = await write(partner)
    mailing = Mailing(clock)
    clock.advance(1)
    await send(mailing)
    clock.advance(GIVEN_UP_AFTER.total_seconds())
    await send(mailing)
    stored = await Message.get(id=message.id)
    assert (stored.state, stored.body) == (MessageState.FAILED, '')
    assert 'cannot be reached' in stored.error


async def test_a_link_that_is_over_is_not_sent_any_more(sqlite_db, northwind, clock, write):
    box = Post()
    async with mail_server(box) as port:
        partner = await use(northwind.partner, port)
        message = await write(partner, good_until=clock.now + timedelta(hours=1))
        clock.advance(3601)
        await send(Mailing(clock))
    assert box.got == []
    assert (await Message.get(id=message.id)).state == MessageState.FAILED


async def test_a_message_sealed_with_another_secret_fails_and_the_next_is_sent(sqlite_db, northwind, clock, write):
    box = Post()
    async with mail_server(box) as port:
        partner = await use(northwind.partner, port)
        message = await write(partner)
        await Message.filter(id=message.id).update(body='s1.AAAA')
        await write(partner, 'next@northwind.example')
        clock.advance(1)
        await send(Mailing(clock))
    assert box.recipients == ['next@northwind.example']
    stored = await Message.get(id=message.id)
    assert stored.state == MessageState.FAILED
    assert 'PORTAL_SECRET' in stored.error


async def test_changed_settings_end_a_pause(sqlite_db, northwind, clock, write):
    box = Post()
    async with mail_server(Post()) as closed:
        pass
    partner = await use(northwind.partner, closed)
    mailing = Mailing(clock)
    mailing.start()
    await write(partner)
    await write(partner, 'second@northwind.example')
    clock.advance(1)
    await send(mailing)
    assert await Message.retry_now(partner, northwind.ana) == 2  # the one behind it waits as well
    clock.advance(1)
    await send(mailing)
    assert await Message.filter(due_at__gt=clock.now).count() == 2
    async with mail_server(box) as port:
        await use(partner, port)
        events.PARTNER_CHANGED.emit(partner.id)  # as the settings do
        clock.advance(1)
        await send(mailing)
    await mailing.stop()
    assert len(box.got) == 2


async def test_stopping_lets_the_message_come_to_its_end(sqlite_db, northwind, clock, write, until):
    box, go_on = Post(), asyncio.Event()
    box.before_answer = go_on.wait
    async with mail_server(box) as port:
        partner = await use(northwind.partner, port)
        await write(partner)
        await write(partner, 'second@northwind.example')
        clock.advance(1)
        mailing = Mailing(clock)
        await mailing.work()
        await until(lambda: box.connections)
        stopping = asyncio.create_task(mailing.stop())
        await asyncio.sleep(0)
        go_on.set()
        await stopping
    assert await Message.filter(state=MessageState.SENT).count() == 1
    assert await Message.filter(state=MessageState.WAITING, due_at__lte=clock.now).count() == 1


@pytest.fixture
async def document(northwind):
    customer = await Customer.add(northwind.partner, name='Albatros', account_code='CNL1')
    pdf = b'%PDF-1.4\n' + bytes(range(256)) * 20
    return await Attachment.add_made(
        customer, kind=AttachmentKind.ORDER, name='Order ORD-000012 – Žižka', pdf=pdf, by=None
    )  # fmt: skip


async def test_a_document_goes_with_a_message(db, northwind, clock, write, document):
    box = Post()
    async with mail_server(box) as port:
        partner = await use(northwind.partner, port)
        message = await write(partner, customer_id=document.customer_id, attachment_id=document.id)
        clock.advance(1)
        await send(Mailing(clock))
    (got,) = box.got
    (enclosed,) = got.iter_attachments()
    assert enclosed.get_content_type() == 'application/pdf'
    assert enclosed.get_filename() == 'Order ORD-000012 – Žižka.pdf'
    assert enclosed.get_content() == document.pdf.read_bytes()
    assert 'Ana asked' in got.get_body(('plain',)).get_content()
    assert got['Message-ID'] == f'<{message.key}@northwind.example>'
    assert (await Message.get(id=message.id)).state == MessageState.SENT


@pytest.mark.parametrize('lost', ['file', 'row', 'customer'])
async def test_a_message_does_not_go_without_its_document(sqlite_db, northwind, clock, write, document, lost):
    box = Post()
    async with mail_server(box) as port:
        partner = await use(northwind.partner, port)
        other = await Customer.add(northwind.partner, name='Other', account_code='CNL2')
        about = other.id if lost == 'customer' else document.customer_id
        message = await write(partner, customer_id=about, attachment_id=document.id)
        if lost == 'file':
            document.pdf.unlink()
        elif lost == 'row':
            await document.delete()
        clock.advance(1)
        await send(Mailing(clock))
    assert box.got == []
    stored = await Message.get(id=message.id)
    assert (stored.state, stored.body) == (MessageState.FAILED, '')
    assert 'not there any more' in stored.error


async def test_a_document_that_cannot_be_read_now_is_tried_again(sqlite_db, northwind, clock, write, document):
    box = Post()
    async with mail_server(box) as port:
        partner = await use(northwind.partner, port)
        message = await write(partner, customer_id=document.customer_id, attachment_id=document.id)
        away = document.pdf.rename(document.pdf.with_suffix('.away'))
        document.pdf.mkdir()
        clock.advance(1)
        await send(Mailing(clock))
        stored = await Message.get(id=message.id)
        assert stored.state == MessageState.WAITING
        assert 'cannot be read (is a directory)' in stored.error
        document.pdf.rmdir()
        away.rename(document.pdf)
        clock.advance(120)
        await send(Mailing(clock))
    assert len(box.got) == 1


async def test_pages_hear_what_becomes_of_mail(sqlite_db, northwind, clock, write):
    heard: list[int] = []
    silence = events.MAIL_MOVED.subscribe(heard.append)
    box = Post()
    box.rcpt['gone@northwind.example'] = '550 unknown'
    try:
        async with mail_server(box) as port:
            partner = await use(northwind.partner, port)
            await write(partner)
            await write(partner, 'gone@northwind.example')
            assert heard == [partner.id] * 2
            clock.advance(1)
            await send(Mailing(clock))
            assert heard == [partner.id] * 4
            await write(partner)
            clock.advance(GIVEN_UP_AFTER.total_seconds() + 1)
            assert await Message.give_up(clock()) == 1
            assert heard == [partner.id] * 6
    finally:
        silence()
