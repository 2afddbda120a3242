"""The board of Connect: what somebody does is seen on every open one, without a reload, nobody losing their place."""

import re
import time
from datetime import datetime, timedelta

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.conftest import Line, Visitors, eventually, once

pytestmark = pytest.mark.browser


def opened(visitors: Visitors, who: str, address: str = '/connect') -> Page:
    page = visitors.page(who, address)
    page.wait_for_selector('.board-card')
    page.wait_for_function("document.documentElement.dataset.live === 'live' && !document.getElementById('early')")
    page.evaluate('window.stillHere = true')
    return page


def column(page: Page, title: str) -> Locator:
    return page.get_by_role('region', name=re.compile(f'^{re.escape(title)} '))


def card(page: Page, title: str, name: str) -> Locator:
    return column(page, title).get_by_role('listitem').filter(has=page.get_by_role('link', name=name, exact=True))


def width_of(box: Locator) -> float:
    found = box.bounding_box()
    assert found is not None
    return found['width']


def lefts(page: Page) -> list[float]:
    return page.locator('.board-column').evaluate_all('(all) => all.map((box) => box.getBoundingClientRect().left)')


def move(page: Page, name: str, step: str, verb: str, **more: str) -> None:
    """As the customer's page does it."""
    href = page.get_by_role('link', name=name, exact=True).first.get_attribute('href')
    answer = page.request.post(
        f'/api/ui{href}/steps/{step}/move',
        data={'verb': verb, **more},
        headers={'Origin': page.url.split('/connect')[0]},
    )
    assert answer.ok, answer.text()


def test_a_card_moves_on_every_open_board(visitors: Visitors) -> None:
    name, before, after = 'Håkansson Forestry', 'Validate domains', 'Directory synchronization'
    ana, tom = opened(visitors, 'ana'), opened(visitors, 'tom')
    assert column(tom, 'Account configuration').get_by_role('listitem').count() == 0, 'Tom does not see who is there'
    emptied, place = column(tom, before), column(tom, before).bounding_box()
    assert place is not None
    assert 3 * width_of(column(tom, 'Account configuration')) < width_of(emptied), 'nobody was there from the beginning'
    expect(card(tom, before, name)).to_contain_text('Blocked')
    for page in (ana, tom):
        page.route(
            '**/api/ui/connect*', lambda route: None
        )  # what is told has to be enough: nothing is asked for again
    mine = card(tom, before, name).get_by_role('link', name=name)
    mine.focus()
    move(ana, name, 'domain_validation', 'complete')
    move(ana, name, 'directory_sync', 'start')
    for page in (ana, tom):
        expect(card(page, after, name)).to_be_visible()
        expect(column(page, before).get_by_role('link', name=name)).to_have_count(0)
        expect(card(page, after, name)).not_to_contain_text('Blocked')
        assert page.evaluate('window.stillHere') is True
    assert tom.evaluate('document.activeElement.textContent') == name, 'the focus went with the card'
    expect(emptied.get_by_text('Nobody')).to_be_visible()
    assert emptied.bounding_box() == place, 'a column stays where it is, whoever leaves it'

    # Under a pointer nothing moves: the card says where it is by now, and goes there when the pointer has left.
    here = card(ana, after, name)
    here.hover()
    move(ana, name, 'directory_sync', 'block', because='Nobody answers')
    expect(here).to_contain_text('Blocked: Nobody answers')
    move(ana, name, 'directory_sync', 'complete')
    expect(here).to_contain_text('Now: ')
    expect(ana.get_by_role('button', name='1 moved')).to_be_visible()
    ana.mouse.move(5, 5)
    expect(column(ana, after).get_by_role('link', name=name)).to_have_count(0)
    expect(ana.get_by_role('link', name=name, exact=True)).to_have_count(1)


def test_a_board_that_is_told_much_is_not_drawn_for_each_of_it_and_hears_of_who_comes(visitors: Visitors) -> None:
    page = visitors.browser_of('ana').new_page()
    line = Line(page)
    complete = page.request.get(visitors.portal.address + '/api/ui/tables/complete/rows?end=1').json()['rows'][0]['id']
    asked, read, late = list[str](), list[str](), list[Route]()
    page.on('request', lambda request: asked.append(request.url) if '?ids=' in request.url else None)
    page.on('requestfinished', lambda request: read.append(request.url) if '/ui/connect' in request.url else None)
    page.route('**/looking_after.js', lambda route: late.append(route))
    page.goto('/connect', wait_until='commit')
    # The cards were read, and much changes before there is a board that could hear of it: they are read once more.
    once(page, lambda: bool(read and late) and line.n >= 0)
    line.say_many()
    late.pop().continue_()
    once(page, lambda: len(read) >= 2)
    page.wait_for_selector('.board-card')
    page.wait_for_function("!document.getElementById('early')")
    name, before, after = 'Plum Telecom', 'Account configuration', 'Validate domains'
    plum = int(str(card(page, before, name).get_attribute('data-id')))
    page.evaluate(
        "window.drawn = 0; new MutationObserver(() => window.drawn++).observe(document.querySelector('.board-columns'),"
        '{ childList: true, subtree: true, characterData: true })'
    )
    began = time.monotonic()
    for turn in range(60):
        title, key = ((after, 'domain_validation'), (before, 'account_configuration'))[turn % 2]
        line.say({plum: {'connect_key': key, 'connect_status': title, 'steps_done': turn}})
    line.say({plum: {'connect_key': 'domain_validation', 'connect_status': after, 'steps_done': 99}})
    expect(card(page, after, name)).to_contain_text('99/')
    # At most twice for every 200 ms, on whatever machine they took longer to be told.
    assert page.evaluate('window.drawn') < max(45, 12 * (time.monotonic() - began)), 'of 61'
    midnight = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    for due, said in ((midnight - timedelta(hours=1), '1 day late'), (midnight, 'Overdue since today')):
        line.say({plum: {'connect_due': due.isoformat()}})
        expect(card(page, after, name)).to_contain_text(said)
    # Wherever in a long column a card goes, the focus goes with it.
    card(page, after, name).get_by_role('link', name=name).focus()
    others = page.evaluate("[...document.querySelectorAll('.board-card')].map((card) => Number(card.dataset.id))")
    there = {'connect_key': 'domain_validation', 'connect_status': after, 'listing': 'in_progress', 'held_at': None}
    line.say(dict.fromkeys(others, there) | {plum: {'connect_since': midnight.isoformat(), 'connect_due': None}})
    amount = column(page, after).locator('.board-count')
    once(page, lambda: int(amount.inner_text().split()[0]) > 8)  # more than are drawn at first
    expect(page.locator(':focus')).to_have_text(name)
    # Somebody comes, and others go on being told of: what is not known here yet is asked for all the same.
    line.say({complete: {'listing': 'in_progress'}}, lists={'in-progress': [complete]})

    def heard() -> None:
        for _ in range(4):
            line.say({plum: {'steps_done': line.n}})
            page.wait_for_timeout(10)
        assert asked

    eventually(page, heard)
    assert asked[0].endswith(f'?ids={complete}')


def test_what_could_not_be_read_is_asked_for_again_by_itself(visitors: Visitors) -> None:
    visitors.expect_trouble('503', '403')
    context = visitors.browser_of('ana')
    context.add_init_script(
        'const later = setTimeout;'
        'window.setTimeout = (f, ms, ...more) => later(f, [3000, 5000].includes(ms) ? 200 : ms, ...more)'
    )
    for address, asked, shown in (
        ('/connect', '**/api/ui/connect', '.board-card'),
        ('/customers/complete', '**/rows?*', '.grid .ag-cell[col-id=name] a'),
    ):
        page, failures, held = context.new_page(), [], list[Route]()

        def fail(route: Route, *, failures: list[str] = failures, held: list[Route] = held) -> None:
            failures.append(route.request.url)
            if len(failures) == 1:
                held.append(route)
            else:
                route.continue_()

        page.route(asked, fail)
        page.goto(address, wait_until='commit')
        once(page, lambda held=held: bool(held))
        places = []
        if address == '/connect':  # where the cards will be, something in their shape; nothing of it is read out
            expect(page.locator('.board-coming').first).to_be_visible()
            expect(page.get_by_role('status').filter(has_text='Loading')).to_be_visible()
            expect(page.locator('.board-columns')).to_have_attribute('aria-hidden', 'true')
            places = lefts(page)
        held[0].fulfill(status=503)
        expect(page.locator(shown).first).to_be_visible()
        if places:
            assert lefts(page) == places
            expect(page.locator('.board-coming, .board-columns[aria-hidden], .board-columns[inert]')).to_have_count(0)
        expect(page.get_by_role('alert').filter(visible=True)).to_have_count(0)
        assert len(failures) > 1
        # What is refused is not asked for again until somebody wants it.
        page.unroute_all()
        refused = list[str]()

        def refuse(route: Route, *, refused: list[str] = refused) -> None:
            refused.append(route.request.url)
            route.fulfill(status=403, json={'error': 'Not yours.'})

        page.route(asked, refuse)
        page.reload()
        expect(page.get_by_role('alert').filter(visible=True)).to_contain_text('Not yours.')
        page.evaluate('new Promise((done) => setTimeout(done, 700))')
        assert len(refused) == 1
        if places:
            expect(page.locator('.board-columns')).to_be_hidden()  # neither as empty, nor as if it were on its way
        page.unroute_all()
        page.get_by_role('button', name='Try again').click()
        expect(page.locator(shown).first).to_be_visible()


def test_back_before_the_framework_is_there_is_no_error(visitors: Visitors) -> None:
    page = visitors.browser_of('ana').new_page()
    # It is mounted when the first cards are painted, and at the latest after this time.
    page.add_init_script(
        'const later = setTimeout; window.setTimeout = (f, ms, ...more) => later(f, ms === 700 ? 9000 : ms, ...more)'
    )
    waiting: list[Route] = []
    page.route('**/api/ui/connect', lambda route: waiting.append(route))
    page.goto('/connect', wait_until='commit')
    page.wait_for_function(
        "window.portalPainted && performance.getEntriesByType('resource').some(({ name }) => /sub_pages/.test(name))"
    )
    page.evaluate(
        "history.pushState({}, '', '/connect?state=held');"
        "new Promise((back) => { addEventListener('popstate', back, { once: true }); history.back(); }).then(() => {})"
    )
    expect(page).to_have_url(re.compile('/connect$'))
    page.route('**/api/ui/connect', lambda route: route.continue_())  # whatever is asked for from now on
    while waiting:
        waiting.pop().continue_()
    page.wait_for_function("!document.getElementById('early')")
    expect(page.locator('.board-card').first).to_be_visible()


def test_what_narrows_the_board_is_a_step_that_back_undoes(visitors: Visitors) -> None:
    ana = opened(visitors, 'ana')
    names = ana.locator('.board-name')
    count = ana.locator('.count')  # of all, however many cards are drawn by now
    everybody = count.inner_text()
    ana.get_by_role('button', name=re.compile('^On hold')).click()
    expect(names).to_have_text(['Tamura Ceramics'])
    expect(ana.locator('.board-card')).to_contain_text('On hold, RFI requested')
    ana.get_by_label('Search customers in Connect').fill('ÉMILE')
    expect(ana.get_by_text('Nobody in Connect matches “ÉMILE”')).to_be_visible()
    ana.get_by_role('button', name='Show everybody').click()
    expect(count).to_have_text(everybody)
    ana.go_back()
    expect(ana).to_have_url(re.compile(r'q=.*state=held'))
    ana.go_back()
    expect(names).to_have_text(['Tamura Ceramics'])
    ana.go_back()
    expect(count).to_have_text(everybody)
    first = names.first
    first.focus()
    ana.keyboard.press('ArrowRight')
    ana.wait_for_function(
        "document.activeElement.closest('.board-column') === document.querySelectorAll('.board-column')[1]"
    )
    # Tab goes on to the button of this card, and then to the next column: each is one stop.
    ana.keyboard.press('Tab')
    expect(ana.locator(':focus')).to_have_accessible_name(re.compile('^Looked after by'))
    ana.keyboard.press('Tab')
    third = ana.locator('.board-column').nth(2).locator('.board-name').first
    expect(third).to_be_focused()
    ana.keyboard.press('Enter')
    expect(ana).to_have_url(re.compile(r'/customers/\d+$'))
    expect(ana.locator('.fold-title').first).to_be_visible()


def test_somebody_is_chosen_to_look_after_a_customer_on_the_board(visitors: Visitors) -> None:
    ana, tom = opened(visitors, 'ana', '/connect?q=Forestry'), opened(visitors, 'tom', '/connect?who=mine')
    name = 'Håkansson Forestry'
    box = ana.get_by_role('listitem').filter(has=ana.get_by_role('link', name=name, exact=True))
    box.get_by_role('button', name=re.compile('^Looked after by')).click()
    choice = ana.get_by_label('Looks after this customer')
    other = 'Tom Okafor' if choice.locator('option:checked').text_content() != 'Tom Okafor' else 'Ana Lindqvist'
    choice.select_option(label=other)
    ana.get_by_role('button', name='Save').click()
    expect(box.get_by_role('button', name=f'Looked after by {other}: change')).to_be_visible()
    expect(tom.get_by_role('link', name=name, exact=True)).to_have_count(1 if other == 'Tom Okafor' else 0)
