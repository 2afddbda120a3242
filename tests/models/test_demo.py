import hashlib
import itertools
import shutil
from collections import Counter
from datetime import UTC, datetime, timedelta
from importlib import import_module

import pypdfium2 as pdfium
import pytest
from argon2 import PasswordHasher
from tortoise.connection import get_connection
from tortoise.expressions import Q

from models import (
    Attachment,
    AttachmentKind,
    Closing,
    ConnectStep,
    ConsoleRole,
    Contact,
    ContactKind,
    Customer,
    CustomerProduct,
    DelegatedAccess,
    Directory,
    Flip,
    Health,
    HistoryEvent,
    Infrastructure,
    Listing,
    Monitor,
    MonitorKind,
    MonitorState,
    Note,
    NoteVersion,
    Order,
    OrderKind,
    OrderState,
    Partner,
    PortalUser,
    Price,
    Rfi,
    RfiIcon,
    RfiState,
    Sample,
    StepState,
    VendorState,
    changing,
    effective,
    events,
    ordering,
)
from models.calendar import add_months
from models.cancelling import TERM
from models.connect_board import IN_CONNECT
from models.connect_step import BY_KEY, TEMPLATES, unlock
from models.database import opened
from models.demo import demo_partners, demo_password, load_demo, make_customers
from models.history import HistoryText
from models.history_verifying import verify
from models.sample import EVERY
from models.upgrade import options


@pytest.fixture(autouse=True)
def _cheap_passwords(monkeypatch):
    monkeypatch.setattr('models.user._hasher', PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


async def _check_icons_agree_with_monitors() -> None:
    monitors: dict[int, dict[str, Health]] = {}
    now = datetime.now(UTC)
    for monitor in await Monitor.all():
        ages = monitor.state in (MonitorState.GOOD, MonitorState.BAD)
        if ages:
            assert monitor.read_at is not None
            assert monitor.old_at == int(monitor.read_at.timestamp()) + monitor.expected_every
            assert monitor.is_old == (monitor.old_at <= now.timestamp())
            assert monitor.since is not None
            assert monitor.since <= monitor.read_at <= now
        else:
            assert monitor.old_at is None
            assert not monitor.is_old
        if ages and monitor.threshold is not None and monitor.value is not None:
            assert (monitor.value > monitor.threshold) == (monitor.state == MonitorState.BAD)
        health = Health.of(monitor.state, is_old=monitor.is_old)
        monitors.setdefault(monitor.customer_id, {})[monitor.kind.value] = health
    for customer in await Customer.all():
        icons = monitors[customer.id]
        assert {kind.value: getattr(customer, kind.value) for kind in MonitorKind} == icons
        assert customer.worst == min(icons.values())


async def _check_as_verbs_leave_it(customer: Customer) -> None:
    """Working everything out again changes nothing."""
    before = {step.key: step.state for step in await ConnectStep.filter(customer_id=customer.id)}
    await unlock(customer.id)
    assert {step.key: step.state for step in await ConnectStep.filter(customer_id=customer.id)} == before
    assert await customer.restate() == set(), customer.name
    form = await Rfi.get(customer_id=customer.id)
    assert form.state.icon == customer.rfi
    named = Customer(account_code=customer.account_code, domain=customer.domain)
    named.set_name(customer.name)
    assert (named.name_key, named.initial, named.search_key) == (
        customer.name_key, customer.initial, customer.search_key,
    )  # fmt: skip


# -- the demo MSPs ----------------------------------------------------------------------------------------------------


async def test_the_demo_has_two_msps_and_their_people(db):
    await load_demo()
    password = await demo_password()
    assert password is not None
    ana, tom, eve = [
        await PortalUser.signing_in(f'{who}.example', password)
        for who in ('ana@northwind', 'tom@northwind', 'eve@fabrikam')
    ]
    assert None not in (ana, tom, eve)
    there, gone = [
        [await Customer.listed(who, *listings).count() for who in (ana, tom, eve)]
        for listings in ((Listing.WAITING, Listing.IN_PROGRESS, Listing.COMPLETE), (Listing.CLOSED,))
    ]
    assert (there, gone) == ([30, 9, 8], [4, 1, 2])
    toms = await Customer.visible_to(tom)
    assert {customer.listing for customer in toms} == set(Listing)
    assert {customer.partner_id for customer in toms} == {ana.partner_id}
    assert not await PortalUser.signing_in('msp_client@northwind.example', password)


async def test_the_demo_shows_every_state_to_ana(db):
    await load_demo()
    ana = await PortalUser.get(email='ana@northwind.example')
    customers = await Customer.visible_to(ana)
    ids = [customer.id for customer in customers]
    assert {customer.listing for customer in customers} == set(Listing)
    assert {customer.closing for customer in customers} == set(Closing)
    assert any(customer.held_at for customer in customers)
    assert any(customer.connect_person_id == ana.id for customer in customers)
    assert {customer.rfi for customer in customers} == set(RfiIcon)
    forms = await Rfi.all()
    assert {form.state for form in forms} == set(RfiState)
    assert {template.key for template in TEMPLATES} - {'rfi'} <= {customer.connect_key for customer in customers}
    assert 'rfi_received' in {customer.connect_key for customer in customers}
    assert {step.state for step in await ConnectStep.all()} == set(StepState)
    for kind in MonitorKind:
        assert {getattr(customer, kind.value) for customer in customers} == set(Health), kind
    stuck = datetime.now(UTC) - timedelta(days=14)
    assert any(c.blocked_because and c.connect_since < stuck for c in customers)
    roles = await DelegatedAccess.roles_of(ana, ids)
    assert {*roles.values()} >= {'Helpdesk L2', 'Partner Administrator', 'Full Administrator', 'Discovery Officer'}
    assert len(roles) < len(ids)
    held = set(await DelegatedAccess.all().values_list('role', flat=True))
    assert held >= {role.value for role in ConsoleRole}


async def test_demo_customers_are_as_their_verbs_would_leave_them(db):
    await load_demo()
    await _check_icons_agree_with_monitors()
    for customer in await Customer.all():
        assert customer.is_simulated
        await _check_as_verbs_leave_it(customer)
    # And so are customers of a portal that had no board of Connect, once its database is migrated.
    names = ('id', 'connect_owner', 'connect_due', 'steps_done', 'steps_of')
    theirs = Customer.filter(Q(listing='complete', connect_owner='') | Q(listing__in=IN_CONNECT), held_at=None)
    before = await theirs.order_by('id').values(*names)
    await theirs.update(connect_owner='', connect_due=None, steps_done=0, steps_of=0)
    currencies = await Partner.all().order_by('id').values_list('name', 'currency')
    await Partner.all().update(currency='USD')
    migration = import_module('models.migrations.0007_orders')
    await migration.stated(get_connection('default'))
    await migration.named_currency(get_connection('default'))
    assert await Customer.filter(id__in=[row['id'] for row in before]).order_by('id').values(*names) == before
    assert await Partner.all().order_by('id').values_list('name', 'currency') == currencies


async def test_demo_flips_end_in_the_present_state(db):
    await load_demo()
    now = datetime.now(UTC)
    for monitor in await Monitor.all():
        flips = await Flip.filter(customer_id=monitor.customer_id, kind=monitor.kind).order_by('at')
        assert all(before.new == after.old for before, after in itertools.pairwise(flips))
        assert all(flip.old != flip.new and now - timedelta(days=2, minutes=5) < flip.at < now for flip in flips)
        if flips:
            assert (flips[-1].new, flips[-1].at) == (monitor.state, monitor.since)
    assert await Flip.all().count() > 50


async def test_demo_history_is_in_the_past_and_of_two_years(db):
    await load_demo()
    entries = await HistoryEvent.filter(customer_id__isnull=False)
    now = datetime.now(UTC)
    assert all(entry.at < now for entry in entries)
    assert min(entry.at for entry in entries) < now - timedelta(days=500)
    assert {entry.kind for entry in entries} >= {'customer.created', 'rfi.submitted', 'connect.completed'}


async def test_the_cards_of_a_customer_tell_the_same_moments(db):
    await load_demo()
    of_the_watched = {'Thresholds of the queues were reviewed', 'Signed on to the Administration Console'}
    texts = {text.event_id: text for text in await HistoryText.all()}
    told = 0
    for customer in await Customer.all().prefetch_related('rfi_form', 'steps'):
        entries = await HistoryEvent.filter(customer_id=customer.id).order_by('sequence')
        steps = {step.key: step for step in customer.steps}
        done = {key: step.completed_at for key, step in steps.items() if step.state == StepState.COMPLETE}
        completed = [e for e in entries if e.kind == 'connect.step_complete']
        assert {texts[e.id].facts['step']: e.at for e in completed} == done, customer.name
        assert len(completed) == len(done)
        told += len(done)
        form = customer.rfi_form
        moments = {e.kind: e.at for e in entries}
        assert moments.get('rfi.requested') == form.requested_at
        assert moments.get('rfi.submitted') == form.returned_at
        assert moments.get('rfi.complete') == form.completed_at == done.get('rfi')
        ends = [step.completed_at for step in steps.values() if step.completed_at]
        if form.completed_at:
            assert min(ends) == form.completed_at
        for step in steps.values():
            assert step.started_at is None or step.completed_at is None or step.started_at <= step.completed_at
            needed = [steps[key].completed_at for key in BY_KEY[step.key].needs if key in steps]
            assert step.started_at is None or all(at and at <= step.started_at for at in needed), step.title
        if customer.completed_at:
            assert max(ends) == customer.completed_at
        watched = any(getattr(customer, kind.value) != Health.NOT_CONFIGURED for kind in MonitorKind)
        if customer.listing == Listing.WAITING or not watched:
            assert not of_the_watched & {texts[e.id].summary for e in entries}, customer.name
    assert told > 200
    assert of_the_watched <= {text.summary for text in texts.values()}


async def test_every_customer_of_the_cast_has_facts_that_could_be_saved_again(db):
    await load_demo()
    for customer in await Customer.all():
        contacts = await Contact.filter(customer_id=customer.id)
        assert 1 <= len(contacts) <= 4
        assert ContactKind.MAIN in {contact.kind for contact in contacts}
        for contact in contacts:
            facts = {name: getattr(contact, name) for name in Contact.FACTS}
            assert Contact.check(facts) == facts
            assert contact.email.endswith(f'@{customer.domain}')
        known = await Infrastructure.get(customer_id=customer.id)
        facts = {name: getattr(known, name) for name in Infrastructure.FACTS}
        assert Infrastructure.check(facts, documentation=True) == facts
        assert facts['domains'][0] == customer.domain
        if customer.directory_connector != Health.NOT_CONFIGURED:
            assert known.directory not in (Directory.NONE, Directory.UNKNOWN)
    addresses = [ip for known in await Infrastructure.all() for ip in known.outbound_ips]
    assert len(set(addresses)) == len(addresses)


async def test_the_forms_of_the_cast_are_filled_in_as_far_as_their_state_says(db):
    await load_demo()
    for form in await Rfi.all():
        answers = form.answers
        assert bool(answers) == (
            form.state not in (RfiState.NOT_REQUESTED, RfiState.REQUESTED, RfiState.NOT_APPLICABLE)
        )
        assert ('outbound_ips' in answers) == (form.state in (RfiState.SUBMITTED, RfiState.COMPLETE, RfiState.ERROR))
        assert bool(form.errors) == (form.state == RfiState.ERROR)
        assert all(error['field'] in answers and error['message'] for error in form.errors)
        if answers:
            assert answers['emergency_email'] in {c.email for c in await Contact.filter(customer_id=form.customer_id)}
            if admin := answers.get('partner_admin_email'):
                theirs = PortalUser.filter(partner__customers__id=form.customer_id)
                at_home = await theirs.filter(email__endswith=admin.partition('@')[2]).exists()
                assert form.errors or at_home, 'of another MSP'
    wrong = await Rfi.get(state=RfiState.ERROR)
    assert '192.168.10.4' in wrong.answers['outbound_ips']


async def test_notes_of_the_cast_are_by_those_who_see_the_customer(db):
    await load_demo()
    people = {user.id: user for user in await PortalUser.filter(can_sign_in=True)}
    notes = await Note.all().order_by('id')
    seen = {id_: {c.id for c in await Customer.visible_to(user)} for id_, user in people.items()}
    for note in notes:
        assert note.customer_id in seen[note.author_id]
        assert people[note.author_id].name == note.author
        assert Note.clean(note.body) == note.body
        assert note.created_at < datetime.now(UTC)
        versions = await NoteVersion.filter(note_id=note.id)
        assert len(versions) == note.version - 1
        if note.edited_at:
            assert note.created_at <= versions[0].at <= note.edited_at < datetime.now(UTC)
            assert versions[0].body != note.body
    assert {note.version for note in notes} == {1, 2}
    assert {note.author for note in notes} == {'Ana Lindqvist', 'Tom Okafor', 'Eve Moreau'}
    assert [note.created_at for note in notes if note.author != 'Eve Moreau'] == sorted(
        note.created_at for note in notes if note.author != 'Eve Moreau'
    )
    of_each = Counter(note.customer_id for note in notes)
    assert max(of_each.values()) <= 6
    assert len(of_each) < await Customer.all().count()
    assert any('https://' in note.body for note in notes)
    assert any('\n' in note.body for note in notes)


async def test_charts_of_the_cast_agree_with_the_flips_and_the_icons(db):
    await load_demo()
    now = datetime.now(UTC)
    shown = 0
    for customer in await Customer.all():
        charts = await Sample.chart(customer.id)
        monitors = {m.kind.value: m for m in await Monitor.filter(customer_id=customer.id, read_at__isnull=False)}
        assert set(charts) == set(monitors)
        for kind, chart in charts.items():
            monitor, points = monitors[kind], chart['points']
            slots = [at // EVERY for at, _, _ in points]
            assert slots == sorted(set(slots))
            shown += len(points)
            for at, value, state in points:
                assert at <= monitor.read_at.timestamp() <= now.timestamp()
                flips = [flip for flip in chart['flips'] if flip[0] <= at]
                following = [flip for flip in chart['flips'] if flip[0] > at]
                assert state == (flips[-1][2] if flips else following[0][1] if following else monitor.state)
                assert (value is None) == (state == 'unknown' or monitor.threshold is None)
                if value is not None:
                    assert (value > monitor.threshold) == (state == 'bad')
    assert shown > 10_000


async def test_in_connect_what_was_switched_on_is_read(db):
    await load_demo()
    switches = {
        'outbound_email': ('outbound_queue',), 'inbound_email': ('inbound_queue',),
        'journaling': ('journal_queue', 'journal_connector'), 'directory_sync': ('directory_connector',),
    }  # fmt: skip
    read = 0
    for customer in await Customer.filter(listing=Listing.IN_PROGRESS):
        steps = {step.key: step for step in await ConnectStep.filter(customer_id=customer.id)}
        for key, kinds in switches.items():
            done = key in steps and steps[key].state == StepState.COMPLETE
            for kind in kinds:
                assert (getattr(customer, kind) != Health.NOT_CONFIGURED) == done, (customer.name, kind)
                read += done
    assert read > 20


async def test_steps_have_due_dates_and_products_renew(db):
    await load_demo()
    today = datetime.now(UTC).date()
    for product in await CustomerProduct.all():
        assert product.renews_on > today
        assert (product.renews_on.month, product.renews_on.day) in (
            (product.since.month, product.since.day), (2, 28),
        )  # fmt: skip
    open_steps = await ConnectStep.filter(
        state__in=[StepState.IN_PROGRESS, StepState.BLOCKED], is_optional=False, customer__listing=Listing.IN_PROGRESS
    )
    late = [step.due_at.date() < today for step in open_steps]
    assert any(late)
    assert not all(late)
    assert not await ConnectStep.filter(is_optional=True, due_at__isnull=False).exists()


async def test_the_price_lists_of_the_demo_leave_something_out(db):
    await load_demo()
    for partner in await Partner.all():
        customers = await Customer.filter(partner=partner, listing=Listing.COMPLETE)
        found = [option for customer in customers for option in await options(customer)]
        assert any(option.available for option in found)
        assert 'Not in your price list' in {option.why for option in found}
        assert all(option.price and option.price > 0 for option in found if option.available)
        currencies = await Price.filter(partner=partner).values_list('currency', flat=True)
        assert set(currencies) == {partner.currency}


async def test_an_order_of_the_demo_is_drawn_when_somebody_asks_for_it(sqlite_db):
    await load_demo()
    documents = await Attachment.filter(kind=AttachmentKind.ORDER).order_by('id')
    assert len(documents) == await Customer.all().count()
    later = await Attachment.exclude(kind=AttachmentKind.ORDER).order_by('id')
    assert {document.kind for document in later} == {AttachmentKind.ADDENDUM, AttachmentKind.CANCELLATION}
    for document in (documents[0], documents[-1], later[0], later[-1]):
        assert not document.pdf.exists()
        assert await document.is_there()
        stored, order = await Attachment.get(id=document.id), await Order.get(attachment_id=document.id)
        content = stored.pdf.read_bytes()
        assert (stored.size, stored.pdf_size) == (len(content), len(content))
        assert stored.sha256 == hashlib.sha256(content).hexdigest()
        with pdfium.PdfDocument(content) as pdf:
            assert stored.pages == len(pdf)
            text = ' '.join(' '.join(page.get_textpage().get_text_bounded() for page in pdf).split())
        assert order.number in text
        assert 'nothing was ordered' in text
        assert all(line['name'].split()[0] in text for line in order.lines)
        assert set(order.fees.values()) - {'0.00'}
    # One whose file was lost is not drawn again: nobody knows what it said.
    documents[0].pdf.unlink()
    assert not await (await Attachment.get(id=documents[0].id)).is_there()


async def test_who_is_closed_left_in_order_and_nothing_of_them_is_watched(db):
    await load_demo()
    now = datetime.now(UTC)
    kinds = {
        Closing.CANCELLED: ['cancellation.requested', 'order.passed_on', 'order.accepted', 'cancellation.effective',
                            'customer.closed'],
        Closing.ABANDONED: ['connect.abandoned'],
    }  # fmt: skip
    kinds[Closing.MOVED] = [*kinds[Closing.CANCELLED]]
    kinds[Closing.MOVED].insert(3, 'cancellation.exported')
    for customer in await Customer.filter(listing=Listing.CLOSED):
        entries = await HistoryEvent.filter(customer_id=customer.id).order_by('sequence')
        moments = [entry.at for entry in entries]
        assert moments == sorted(moments), customer.name
        assert moments[-1] == customer.closed_at == customer.connect_since < now
        expected = kinds[customer.closing]
        assert [entry.kind for entry in entries][-len(expected) :] == expected
        assert customer.closed_because in (await HistoryText.get(event_id=entries[-1].id)).summary
        assert customer.worst == Health.NOT_CONFIGURED
        orders = await Order.filter(customer_id=customer.id).order_by('id')
        assert [order.kind for order in orders] == [OrderKind.NEW, OrderKind.CANCELLATION][: 1 + (len(expected) > 1)]
        assert all(order.attachment_id for order in orders)
        if len(expected) > 1:
            assert orders[1].effective_on >= add_months(customer.contract_start, TERM)
            assert orders[1].submitted_at <= orders[1].decided_at <= orders[1].applied_at == customer.closed_at
    assert await verify() == []


async def test_changes_of_the_demo_are_at_every_stage_and_come_about_when_their_day_comes(db):
    await load_demo()
    changes = {
        order.customer.name: order for order in await Order.filter(kind=OrderKind.CHANGE).prefetch_related('customer')
    }
    assert Counter((order.state, order.vendor) for order in changes.values()) == {
        (OrderState.APPLIED, VendorState.ACCEPTED): 1, (OrderState.WITHDRAWN, VendorState.RECALL): 1,
        (OrderState.SUBMITTED, VendorState.DELIVERED): 1, (OrderState.SUBMITTED, VendorState.BY_HAND): 1,
        (OrderState.SUBMITTED, VendorState.ACCEPTED): 1, (OrderState.DRAFT, VendorState.NOT_TOLD): 2,
    }  # fmt: skip
    assert 'recalled' in changes['Fjord Seafood'].moves()
    grown = changes['Tidewater Credit Union']
    first = await Order.get(customer_id=grown.customer_id, kind=OrderKind.NEW)
    assert (first.seats, grown.was_seats, grown.seats, grown.customer.seats) == (220, 220, 280, 280)
    assert {line['quantity'] for line in first.lines} == {220}
    for order in await Order.filter(kind=OrderKind.CHANGE, state=OrderState.DRAFT):
        reviewed = await changing.review(
            await Customer.get(id=order.customer_id), await Partner.get(id=order.partner_id), order.id
        )  # fmt: skip
        assert reviewed.found.fees == order.fees
    assert await effective.due() == []
    late = datetime.now(UTC) + timedelta(days=60)
    waiting = [order.id for order in await Order.filter(id__in=await effective.due(now=late)).order_by('id')]
    came = {order_id: await effective.come_about(order_id) for order_id in waiting}
    assert sorted(came.values()) == [False, True, True, True]  # one has to be passed on first
    turned = await Customer.get(name='Yıldız Tekstil')
    assert (turned.seats, (await Customer.get(name='Alder & Sons Timber')).listing) == (240, Listing.CLOSED)
    assert await verify() == []


async def test_a_prospect_of_the_demo_has_an_order_that_can_be_reviewed(db):
    await load_demo()
    order = await Order.get(prospect_id__isnull=False).prefetch_related('prospect', 'partner')
    reviewed, found = await ordering.review(order.partner, order.prospect)
    assert (reviewed.id, found.fees.as_data()) == (order.id, order.fees)


async def test_every_database_has_a_demo_password_of_its_own_and_keeps_it(sqlite_db, monkeypatch):
    assert await demo_password() is None
    await load_demo()
    first = await demo_password()
    await load_demo()
    assert await demo_password() == first
    assert first is not None
    assert len(first) >= 16
    for row in await PortalUser.all().values():  # sealed
        assert first not in str(row)
    await PortalUser.all().update(preferences={})  # as before it was kept
    assert await demo_password() != first


async def test_two_databases_with_one_secret_have_two_demo_passwords(sqlite_template, tmp_path, test_settings):
    found = set()
    for name in ('one', 'two'):
        place = tmp_path / name
        place.mkdir()
        given = test_settings.model_copy(update={'data_dir': place})
        shutil.copy(sqlite_template, given.sqlite_path)
        async with opened(given):
            await load_demo()
            found.add(await demo_password())
    assert len(found) == 2


async def test_an_msp_with_the_name_of_a_demo_msp_is_none(sqlite_db):
    await Partner.set_up('Northwind IT', domain='northwind-it.com')
    assert await demo_partners() == []
    assert await demo_password() is None


async def test_a_database_with_an_msp_is_left_as_it_is(db):
    await Partner.set_up('Contoso', domain='contoso.example')
    await load_demo()
    assert await Partner.all().count() == 1
    assert not await Customer.exists()


async def test_a_demo_that_fails_half_way_leaves_nothing(db, monkeypatch):
    async def fails(*args):
        raise OSError('disk full')

    monkeypatch.setattr('models.demo_cast._delegate', fails)
    with pytest.raises(OSError, match='disk full'):
        await load_demo()
    assert not await Partner.exists()


# -- as many as somebody wants ----------------------------------------------------------------------------------------


async def _facts(partner: Partner) -> list[tuple]:
    names = ('name', 'domain', 'seats', 'products_in_short', 'listing', 'connect_status', 'rfi', 'worst')
    return [tuple(row.values()) for row in await Customer.filter(partner=partner).order_by('id').values(*names)]


async def test_the_same_seed_makes_the_same_customers(db, northwind, fabrikam):
    assert await make_customers(northwind.partner, 400, seed=7) == 400
    await make_customers(fabrikam.partner, 400, seed=7)
    assert await _facts(northwind.partner) == await _facts(fabrikam.partner)
    for model, names in (
        (Contact, ('kind', *Contact.FACTS)), (Infrastructure, ('domains', 'mail_platform', 'outbound_ips')),
    ):  # fmt: skip
        ours, theirs = [
            await model.filter(customer__partner=owner).order_by('customer_id', 'id').values_list(*names)
            for owner in (northwind.partner, fabrikam.partner)
        ]
        assert ours == theirs
    await make_customers(fabrikam.partner, 50, seed=8)
    assert (await _facts(fabrikam.partner))[-50:] != (await _facts(northwind.partner))[:50]


async def test_made_customers_are_consistent_and_believable(db, northwind):
    await make_customers(northwind.partner, 2000, seed=1)
    await _check_that_they_are_believable()
    await _check_icons_agree_with_monitors()
    assert await Monitor.all().count() == 10_000
    assert await Rfi.all().count() == 2000
    assert await Customer.filter(products__id__isnull=True).count() == 0
    assert await CustomerProduct.all().count() > 2000
    assert await Contact.all().count() == 4000
    assert await Infrastructure.all().count() == 2000
    assert not await Note.exists()
    assert not await Sample.exists()
    for contact in (await Contact.all())[::20]:
        facts = {name: getattr(contact, name) for name in Contact.FACTS}
        assert Contact.check(facts) == facts
    for known in (await Infrastructure.all())[::10]:
        facts = {name: getattr(known, name) for name in Infrastructure.FACTS}
        assert Infrastructure.check(facts, documentation=True) == facts
    unfinished = await Customer.exclude(listing=Listing.COMPLETE)
    for customer in unfinished[:: len(unfinished) // 60]:
        await _check_as_verbs_leave_it(customer)
    complete = await Customer.filter(listing=Listing.COMPLETE)
    for customer in complete[:20]:
        await _check_as_verbs_leave_it(customer)
    assert not await ConnectStep.filter(customer__listing=Listing.COMPLETE).exists()
    live = [customer.id for customer in complete]
    kinds = set(await HistoryEvent.filter(customer_id__in=live).values_list('kind', flat=True))
    assert 'connect.completed' in kinds
    assert not {kind for kind in kinds if str(kind).startswith('connect.step_')}


async def _check_that_they_are_believable() -> None:
    customers = await Customer.all()
    shares = Counter(customer.listing for customer in customers)
    assert 0.01 < shares[Listing.WAITING] / 2000 < 0.05
    assert 0.11 < shares[Listing.IN_PROGRESS] / 2000 < 0.19
    problems = sum(customer.worst in (Health.BAD, Health.BAD_OLD) for customer in customers)
    assert 0.004 < problems / shares[Listing.COMPLETE] < 0.03
    initials = Counter(customer.initial for customer in customers)
    assert set(initials) == set('abcdefghijklmnopqrstuvwxyz#')
    assert max(initials.values()) < 200
    now = datetime.now(UTC)
    assert all(customer.is_simulated and customer.created_at < now for customer in customers)
    assert min(customer.created_at for customer in customers) < now - timedelta(days=700)
    assert all(c.created_at <= c.connect_since <= now for c in customers)


async def test_making_more_customers_takes_no_code_twice(db, northwind):
    for _ in range(2):
        await make_customers(northwind.partner, 30, seed=5)
    await Customer.add(northwind.partner, name='By hand', account_code='BYHAND1')
    await make_customers(northwind.partner, 30, seed=5)
    codes = await Customer.all().values_list('account_code', flat=True)
    assert len(set(codes)) == len(codes) == 91


async def test_ids_of_deleted_customers_are_not_used_again(db, northwind):
    await make_customers(northwind.partner, 5, seed=5)
    last = await Customer.all().order_by('-id').first()
    assert last is not None
    await last.delete()
    await make_customers(northwind.partner, 1, seed=6)
    assert not await Customer.filter(id=last.id).exists()
    added = await Customer.add(northwind.partner, name='By hand', account_code='BYHAND1')
    assert added.id > last.id


async def test_making_customers_tells_the_pages_once(db, northwind, monkeypatch):
    monkeypatch.setattr('models.demo.CHUNK', 200)
    told: list[int | None] = []
    done: list[tuple[int, int]] = []
    events.MANY_CHANGED.subscribe(told.append)
    await make_customers(northwind.partner, 250, seed=1, progress=lambda made, count: done.append((made, count)))
    assert told == [northwind.partner.id]
    assert done == [(200, 250), (250, 250)]
    assert await make_customers(northwind.partner, 0, seed=1) == 0
    assert len(told) == 1
