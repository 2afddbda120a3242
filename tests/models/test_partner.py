import asyncio
import io
from decimal import Decimal

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from models import (
    ConsoleRole,
    Customer,
    DelegatedAccess,
    HistoryEvent,
    HistoryText,
    Partner,
    PortalUser,
    TwoFactorRule,
    events,
)
from models.checking import ChangedMeanwhile, Invalid
from models.rights import Refused
from models.sealed import unseal


async def test_setting_up_an_msp_makes_its_generic_account(db):
    partner = await Partner.set_up('Contoso Ünited', domain='contoso.example')
    assert partner.slug == 'contoso-united'
    generic = await PortalUser.get(partner_id=partner.id)
    assert generic.email == 'msp_client@contoso.example'
    assert not generic.is_active
    assert await HistoryEvent.filter(partner_id=partner.id, kind='partner.created').exists()


async def test_the_generic_account_is_partner_administrator_everywhere_now_and_later(db):
    partner = await Partner.set_up('Contoso', domain='contoso.example')
    generic = await PortalUser.get(partner_id=partner.id)
    later = await Customer.add(partner, name='Later', account_code='L1')
    roles = await DelegatedAccess.roles_of(generic, [later.id])
    assert roles == {later.id: ConsoleRole.PARTNER_ADMINISTRATOR}


async def test_two_msps_of_one_name_cannot_be(db):
    await Partner.set_up('Contoso', domain='contoso.example')
    with pytest.raises(Partner.Taken):
        await Partner.set_up('CONTOSO', domain='other.example')
    assert await Partner.all().count() == 1
    assert await PortalUser.all().count() == 1


async def test_a_second_msp_at_the_same_domain_is_refused_and_leaves_nothing(db):
    await Partner.set_up('Contoso', domain='contoso.example')
    with pytest.raises(Partner.Taken):
        await Partner.set_up('Another', domain='Contoso.Example')
    assert await Partner.all().count() == 1


async def test_a_name_without_letters_still_has_a_short_name(db):
    assert (await Partner.set_up('***', domain='stars.example')).slug == 'msp'


# -- settings ---------------------------------------------------------------------------------------------------------


async def _said(partner) -> list[str]:
    entries = await HistoryEvent.filter(partner_id=partner.id, customer_id=None, kind='settings.changed').order_by('id')
    return [(await entry.text()).summary for entry in entries]


async def test_what_is_changed_is_stored_and_in_the_audit_with_before_and_after(db, northwind):
    partner = northwind.partner
    heard = []
    events.PARTNER_CHANGED.subscribe(heard.append)
    changed = await partner.change(
        northwind.ana, facts={'name': ' Northwind  Ltd ', 'currency': 'eur', 'time_zone': 'Europe/London'}
    )
    assert changed == {'name', 'currency', 'time_zone'}
    stored = await Partner.get(id=partner.id)
    assert (stored.name, stored.currency, stored.time_zone) == ('Northwind Ltd', 'EUR', 'Europe/London')
    entry = await HistoryEvent.get(kind='settings.changed')
    assert entry.customer_id is None
    text = await entry.text()
    assert text.actor == 'Ana'
    assert 'MSP: Northwind IT → Northwind Ltd; Currency: USD → EUR' in text.summary
    assert text.facts['before'] == {'name': 'Northwind IT', 'currency': 'USD', 'time_zone': 'UTC'}
    assert text.facts['after']['currency'] == 'EUR'
    assert heard == [partner.id]


async def test_what_is_as_it_was_is_no_change(db, northwind):
    assert await northwind.partner.change(northwind.ana, facts={'name': 'Northwind IT'}) == set()
    assert await _said(northwind.partner) == []


@pytest.mark.parametrize(
    ('field', 'value'),
    [
        ('name', ''), ('name', 'x' * 121), ('address', '\n'.join('abcdefghi')), ('currency', 'XYZ'), ('currency', ''),
        ('time_zone', 'Mars/Phobos'), ('time_zone', '../etc/passwd'), ('lists_unsent_rfi', 'yes'),
        ('outbound_ips', '10.0.0.1'), ('outbound_ips', 'x'), ('outbound_ips', [f'8.8.{n}.8' for n in range(51)]),
        ('inbound_ips', {'a': 1}), ('smart_hosts', 'not a host!'), ('two_factor', 'sometimes'),
        ('help_base', 'javascript:alert(1)'), ('help_base', 'ftp://x.example'), ('help_base', '//x.example'),
        ('help_base', 'https://ana:secret@x.example'), ('help_base', 'https://'), ('help_base', 'https://x:port'),
        ('link step/journaling', 'javascript:alert(1)'), ('link step/none', 'https://x.example'),
        ('link ../x', 'https://x.example'), ('smtp_host', 'a b'), ('smtp_host', 'mail.example:25'),
        ('smtp_host', '999.1.1.1'), ('smtp_port', '0'), ('smtp_port', '65536'), ('smtp_port', 'x'),
        ('smtp_port', '9' * 5000), ('smtp_security', 'ssl'), ('mail_from', 'nobody'),
        ('mail_from', 'a@b.example\r\nBcc: x@y.example'), ('smtp_password', 'x' * 251), ('smtp_password', 7),
        ('sales_limit', '-1'), ('sales_limit', 'a lot'), ('sales_limit', '1e3'), ('sales_limit', '500.001'),
        ('sales_limit', '1000000000000'), ('sales_limit', '9' * 30), ('sales_limit', True),
        ('slug', 'other'), ('logo', 'x'), ('id', 1), ('help_links', {}),
    ],
)  # fmt: skip
async def test_what_cannot_be_is_refused_and_nothing_is_stored(sqlite_db, northwind, field, value):
    before = (await Partner.filter(id=northwind.partner.id).values())[0]
    with pytest.raises(Invalid) as refused:
        await northwind.partner.change(northwind.ana, facts={'address': 'Elsewhere', field: value})
    assert refused.value.field == field
    assert (await Partner.filter(id=northwind.partner.id).values())[0] == before


@pytest.mark.parametrize(
    ('field', 'given', 'stored'),
    [
        ('address', ' 1 High Street \r\nLeeds\n\n', '1 High Street\nLeeds'),
        ('outbound_ips', '8.8.8.0/24, 1.1.1.1\n1.1.1.1', ['8.8.8.0/24', '1.1.1.1']),
        ('smart_hosts', 'Relay.Example.com; bücher.example 8.8.8.8', [
            'relay.example.com', 'bücher.example', '8.8.8.8'
        ]),
        ('mx_hosts', '*.mail.example.com .mx.example.com', ['mail.example.com', 'mx.example.com']),
        ('help_base', 'https://help.example.com/msp', 'https://help.example.com/msp'),
        ('lists_unsent_rfi', True, True), ('two_factor', 'everyone', TwoFactorRule.EVERYONE),
    ],
)  # fmt: skip
async def test_what_can_be_is_stored(sqlite_db, northwind, field, given, stored):
    assert await northwind.partner.change(northwind.ana, facts={field: given}) == {field}
    assert getattr(await Partner.get(id=northwind.partner.id), field) == stored


@pytest.mark.parametrize('host', ['mail', 'smtp.example.com', '10.0.0.1', '2606:4700::1111', 'mail_relay.lan'])
async def test_a_mail_server_may_be_one_that_only_this_network_knows(sqlite_db, northwind, host):
    await northwind.partner.change(northwind.ana, facts={'smtp_host': host, 'mail_from': 'p@northwind.example'})
    assert (await Partner.get(id=northwind.partner.id)).smtp_host == host


async def test_the_limit_of_sales_is_an_amount_of_the_currency_and_can_be_none(db, northwind):
    partner, ana = northwind.partner, northwind.ana
    for given, was, stored in (('500', '', Decimal(500)), (' 0.5 ', '500.00', Decimal('0.5')), ('', '0.50', None)):
        changed = await partner.change(ana, was={'sales_limit': was}, facts={'sales_limit': given})
        assert changed == {'sales_limit'}
        fresh = await Partner.get(id=partner.id)
        assert fresh.sales_limit == partner.sales_limit == stored
        # The same once more, as the page shows it, is no change.
        assert await partner.change(ana, facts={'sales_limit': fresh.setting('sales_limit')}) == set()
    named = 'Most that Sales may submit themselves, per month'
    assert await _said(partner) == [f'{named}: nothing → 500.00', f'{named}: 500.00 → 0.50', f'{named}: 0.50 → nothing']
    # An amount means nothing in another currency: whoever changes that says it anew, or empties it.
    await partner.change(ana, facts={'sales_limit': '500.50'})
    with pytest.raises(Invalid, match='while Sales has a limit in USD'):
        await partner.change(ana, facts={'currency': 'JPY'})
    with pytest.raises(Invalid, match='cannot have digits behind the point in JPY'):
        await partner.change(ana, facts={'currency': 'JPY', 'sales_limit': '500.50'})
    await partner.change(ana, facts={'currency': 'JPY', 'sales_limit': '60000'})
    assert (await Partner.get(id=partner.id)).setting('sales_limit') == '60000'


async def test_only_administrators_of_this_msp_change_it(db, northwind, fabrikam):
    for who in (northwind.tom, fabrikam.eve):
        with pytest.raises(Refused):
            await northwind.partner.change(who, facts={'name': 'Mine'})
        with pytest.raises(Refused):
            await northwind.partner.remove_logo(who)
        with pytest.raises(Refused):
            await northwind.partner.set_logo(who, _picture())
    assert (await Partner.get(id=northwind.partner.id)).name == 'Northwind IT'


async def test_a_field_that_somebody_else_changed_meanwhile_is_not_overwritten(db, northwind):
    await northwind.partner.change(northwind.ana, facts={'name': 'Theirs'})
    with pytest.raises(ChangedMeanwhile) as refused:
        await northwind.partner.change(
            northwind.ana, was={'name': 'Northwind IT', 'currency': 'USD'}, facts={'name': 'Mine', 'currency': 'EUR'}
        )
    assert (refused.value.field, refused.value.now) == ('name', 'Theirs')
    stored = await Partner.get(id=northwind.partner.id)
    assert (stored.name, stored.currency) == ('Theirs', 'USD')


async def test_two_who_change_different_things_at_once_lose_nothing(db, northwind):
    one, other = await Partner.get(id=northwind.partner.id), await Partner.get(id=northwind.partner.id)
    await asyncio.gather(
        one.change(northwind.ana, facts={'link step/journaling': 'https://a.example/j'}),
        other.change(northwind.ana, facts={'link rfi/error': 'https://a.example/e', 'address': 'Leeds'}),
    )
    stored = await Partner.get(id=northwind.partner.id)
    assert stored.help_links == {'rfi/error': 'https://a.example/e', 'step/journaling': 'https://a.example/j'}
    assert stored.address == 'Leeds'


async def test_a_help_link_is_told_by_its_title_and_taken_away_by_nothing(sqlite_db, northwind):
    await northwind.partner.change(northwind.ana, facts={'link step/journaling': 'https://a.example/j'})
    await northwind.partner.change(northwind.ana, facts={'link step/journaling': ''})
    assert (await Partner.get(id=northwind.partner.id)).help_links == {}
    assert await _said(northwind.partner) == [
        'Help on “Journaling”: nothing → https://a.example/j', 'Help on “Journaling”: https://a.example/j → nothing',
    ]  # fmt: skip


async def test_the_in_progress_rule_lists_at_once(sqlite_db, northwind):
    new = await Customer.add(northwind.partner, name='New', account_code='N1')
    assert not await Customer.listed_in_progress(northwind.ana).filter(id=new.id).exists()
    heard = []
    events.MANY_CHANGED.subscribe(heard.append)
    await northwind.partner.change(northwind.ana, facts={'lists_unsent_rfi': True})
    assert await Customer.listed_in_progress(northwind.ana).filter(id=new.id).exists()
    assert heard == [northwind.partner.id]


# -- the password of the mail server ----------------------------------------------------------------------------------

MAIL = {'smtp_host': 'smtp.example.com', 'smtp_user': 'portal', 'mail_from': 'p@northwind.example'}


async def test_the_password_is_sealed_and_nowhere_told(db, northwind):
    changed = await northwind.partner.change(northwind.ana, facts={**MAIL, 'smtp_password': 'geheim-123'})
    assert 'smtp_password' in changed
    stored = await Partner.get(id=northwind.partner.id)
    assert 'geheim' not in str((await Partner.filter(id=stored.id).values())[0])
    assert unseal(stored.smtp_password, f'smtp {stored.id}') == 'geheim-123'
    for row in await HistoryText.all().values():
        assert 'geheim' not in str(row)
    assert (await _said(northwind.partner))[0].endswith('; Password of the mail server was set')


async def test_an_empty_password_keeps_the_one_that_is_stored(sqlite_db, northwind):
    await northwind.partner.change(northwind.ana, facts={**MAIL, 'smtp_password': 'geheim-123'})
    before = (await Partner.get(id=northwind.partner.id)).smtp_password
    await northwind.partner.change(northwind.ana, facts={'mail_from': 'q@northwind.example', 'smtp_password': ''})
    assert (await Partner.get(id=northwind.partner.id)).smtp_password == before


@pytest.mark.parametrize(
    'facts', [{'smtp_host': 'evil.example.com'}, {'smtp_port': '2525'}, {'smtp_user': 'x'}, {'smtp_security': 'none'}]
)
async def test_a_stored_password_is_sent_to_no_other_server(sqlite_db, northwind, facts):
    await northwind.partner.change(northwind.ana, facts={**MAIL, 'smtp_password': 'geheim-123'})
    with pytest.raises(Invalid) as refused:
        await northwind.partner.change(northwind.ana, facts=facts)
    assert refused.value.field == 'smtp_password'
    assert (await Partner.get(id=northwind.partner.id)).smtp_host == 'smtp.example.com'
    await northwind.partner.change(northwind.ana, facts={**facts, 'smtp_password': 'again-1234'})


@pytest.mark.parametrize('facts', [{'smtp_user': ''}, {'smtp_host': ''}])
async def test_without_its_user_or_server_the_password_is_forgotten(sqlite_db, northwind, facts):
    await northwind.partner.change(northwind.ana, facts={**MAIL, 'smtp_password': 'geheim-123'})
    await northwind.partner.change(northwind.ana, facts=facts)
    assert (await Partner.get(id=northwind.partner.id)).smtp_password == ''


async def test_a_mail_server_needs_a_sender(sqlite_db, northwind):
    with pytest.raises(Invalid) as refused:
        await northwind.partner.change(northwind.ana, facts={'smtp_host': 'smtp.example.com'})
    assert refused.value.field == 'mail_from'


# -- the logo ---------------------------------------------------------------------------------------------------------


def _picture(size=(900, 300), kind='PNG', **more) -> bytes:
    made = io.BytesIO()
    Image.new('RGB', size, (11, 102, 195)).save(made, kind, **more)
    return made.getvalue()


@pytest.mark.parametrize('kind', ['PNG', 'JPEG', 'WEBP'])
async def test_a_logo_is_made_anew(db, northwind, kind):
    await northwind.partner.set_logo(northwind.ana, _picture(kind=kind))
    stored = bytes((await Partner.get(id=northwind.partner.id)).logo)
    with Image.open(io.BytesIO(stored)) as logo:
        assert (logo.format, logo.size) == ('PNG', (512, 171))
    assert await _said(northwind.partner) == ['The logo was changed']
    await northwind.partner.remove_logo(northwind.ana)
    assert (await Partner.get(id=northwind.partner.id)).logo is None


async def test_nothing_of_the_file_is_kept_but_its_picture(sqlite_db, northwind):
    note = PngInfo()
    note.add_text('Comment', 'taken at home')
    await northwind.partner.set_logo(northwind.ana, _picture(pnginfo=note) + b'<script>alert(1)</script>')
    stored = bytes((await Partner.get(id=northwind.partner.id)).logo)
    assert b'taken at home' not in stored
    assert b'script' not in stored


def _bomb() -> bytes:
    """A file of some 5 KB, and of 36 million pixels."""
    made = io.BytesIO()
    Image.new('1', (6000, 6000)).save(made, 'PNG')
    return made.getvalue()


@pytest.mark.parametrize(
    'uploaded',
    [
        b'', b'x', b'<svg xmlns="http://www.w3.org/2000/svg"/>', b'GIF89a' + b'\x00' * 100, b'%PDF-1.7', _bomb(),
        _picture()[:60], b'\x89PNG\r\n\x1a\n' + b'\x00' * 500_000,
    ],
    ids=['empty', 'text', 'svg', 'gif', 'pdf', 'bomb', 'cut off', 'too large'],
)  # fmt: skip
async def test_what_is_no_logo_is_refused(sqlite_db, northwind, uploaded):
    with pytest.raises(Invalid) as refused:
        await northwind.partner.set_logo(northwind.ana, uploaded)
    assert refused.value.field == 'logo'
    if uploaded == _bomb():
        assert 'at most 20 million are read' in refused.value.message
    assert (await Partner.get(id=northwind.partner.id)).logo is None
