import re
from html import unescape
from pathlib import Path

import pytest

from models.access import ConsoleRole
from models.connect_step import TEMPLATES
from models.customer import AccountType, Listing
from models.customer_import import COLUMNS
from models.monitor import MonitorKind
from models.rfi import RfiIcon, RfiState
from models.rights import RIGHTS
from models.user import PortalRole
from pages.help import article

HELP = Path(__file__).parent.parent / 'docs' / 'help'
FILES = ['/api/ui/import-template.csv']
MADE = {'access/rights'}  # from the table of rights
ARTICLES = {path.relative_to(HELP).with_suffix('').as_posix(): path for path in sorted(HELP.rglob('*.md'))}
NEEDED = [
    *(f'step/{template.key}' for template in TEMPLATES),
    *(f'rfi/{icon.name.lower()}' for icon in RfiIcon),
    *(f'monitor/{kind.value}' for kind in MonitorKind),
    'monitor/states',
    *(f'role/{role.name.lower()}' for role in ConsoleRole),
    'role/none',
    # What `Customer.restate` sets beside the steps (`handover` is one of them), and what stops a customer.
    *(f'status/{key}' for key in ('rfi_requested', 'rfi_received', 'complete', 'blocked', 'on_hold', 'closed')),
    'import/customers',
    'api/readings',
    'index',
]


def links(text: str) -> set[str]:
    return {link.removeprefix('/help/') for link in re.findall(r'/help/[\w./-]*', text)}


@pytest.mark.parametrize('name', NEEDED)
def test_everything_that_has_a_name_in_the_portal_has_an_article(name: str) -> None:
    assert name in ARTICLES


@pytest.mark.parametrize('name', ARTICLES)
def test_an_article_has_a_title_and_something_to_say(name: str) -> None:
    title, _, body = ARTICLES[name].read_text(encoding='utf-8').partition('\n')
    assert re.fullmatch(r'# \S.*', title)
    assert len(re.findall(r'\w+', body)) >= 60


@pytest.mark.parametrize('name', ARTICLES)
def test_every_link_leads_to_an_article(name: str) -> None:
    text = ARTICLES[name].read_text(encoding='utf-8')
    assert links(text) <= {*ARTICLES, *MADE}
    targets = re.findall(r'\]\(([^)]*)\)', text)
    assert all(target.startswith('/help/') or target in FILES for target in targets)


def test_the_article_on_importing_names_every_column_and_every_state_and_leads_to_the_template() -> None:
    told = set(re.findall(r'`([^`]+)`', ARTICLES['import/customers'].read_text(encoding='utf-8')))
    assert told >= {*COLUMNS, *RfiState, *Listing, *AccountType}
    assert '<a download href="/api/ui/import-template.csv">' in (article('import', 'customers') or '')


def test_the_start_page_leads_to_every_article() -> None:
    assert links(ARTICLES['index'].read_text(encoding='utf-8')) == {*ARTICLES, *MADE} - {'index'}


def test_the_rights_are_told_as_they_are_in_the_table() -> None:
    shown = article('access', 'rights') or ''
    rows = re.findall(r'<tr><th scope="row">(.*?)(?:<span.*?)?</th>(.*?)</tr>', shown)
    told = {unescape(title): re.findall(r'sr-only">(Yes|No)<', cells) for title, cells in rows}
    assert told == {
        right.title: ['Yes' if role in right.roles else 'No' for role in PortalRole] for right in RIGHTS.values()
    }
    assert shown.index('Add a customer') < shown.index('See and export the audit')


def test_a_steps_article_is_called_what_the_step_is_called() -> None:
    titles = {template.key: f'# {template.title}' for template in TEMPLATES}
    assert {key: ARTICLES[f'step/{key}'].read_text(encoding='utf-8').splitlines()[0] for key in titles} == titles
