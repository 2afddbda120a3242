// What is inside each card. A body is made once when its card opens: `show(content)` draws what was read, `destroy()` ends it.
import { h, inZone, number, parseTime, live, when } from './live.js';
import { HEALTH, RFI, shape, stateIcon } from './icons.js';
import { chart } from './chart.js';
import { factsForm } from './contacts.js';
import { NotesBody } from './notes.js';
import { HistoryBody } from './history.js';
import { AttachmentsBody } from './attachments.js';
import { OrdersBody } from './orders_card.js';
import { rfiActions } from './rfi_links.js';
import { ConnectBody } from './connect.js';

const drawn = (draw) => (page, box) => ({ show: (content) => box.replaceChildren(...[draw(content, page)].flat().filter(Boolean)) });

export const bodies = {
  products: drawn(products),
  upgrades: drawn(upgrades),
  infrastructure: drawn(infrastructure),
  rfi: drawn(rfi),
  connect: (page, box) => new ConnectBody(page, box),
  monitor: drawn(monitor),
  notes: (page, box) => new NotesBody(page, box),
  history: (page, box) => new HistoryBody(page, box),
  attachments: (page, box) => new AttachmentsBody(page, box),
  orders: (page, box) => new OrdersBody(page, box),
};

export const empty = (text) => h('p', { class: 'calm' }, text);
export const day = (text) => (text ? new Date(parseTime(String(text))).toLocaleDateString('en-GB', /^[-\d]{10}$/.test(text) ? { dateStyle: 'medium', timeZone: 'UTC' } : inZone({ dateStyle: 'medium' })) : '–'); // a day is the same everywhere

export function table(heads, rows, label) {
  return h('div', { class: 'plain-table-box', tabindex: '0', role: 'region', 'aria-label': label, 'data-keep': `table ${label}` }, h('table', { class: 'plain-table' },
    h('thead', {}, h('tr', {}, ...heads.map(([text, kind]) => h('th', { scope: 'col', class: kind }, text)))),
    h('tbody', {}, ...rows.map((row) => h('tr', {}, ...row.map((cell, index) => h('td', { class: heads[index][1], 'data-label': heads[index][0] }, cell ?? '–')))))));
}

function products({ rows, renews, contract_start: begun }, page) {
  if (!rows.length) return empty('Nothing was bought yet.');
  const contract = begun ? `Contract since ${day(begun)}.` : renews && `When the contract began is not known; renewals and cancelling go by it.${page.may('customer.change') ? ' Edit the customer to say so.' : ''}`;
  return [table([['Product'], ['Kind'], ['Quantity', 'number'], ['Since', 'date'], ...(renews ? [['Next renewal', 'date']] : [])],
    rows.map((row) => [named(row), row.kind, number(row.quantity), day(row.since), ...(renews ? [day(row.renews_on)] : [])]), 'Products'), contract && h('p', { class: 'quiet small' }, contract)];
}

const named = (row) => [h('b', {}, row.name), ' ', h('span', { class: 'mono quiet' }, row.code)];

function upgrades({ rows, why_not: why, quotes }, page) {
  const order = page.may('prospect.change') && !why && h('a', { class: 'button', href: `/customers/${page.id}/upgrade`, 'data-keep': 'upgrade' }, 'Upgrade', quotes ? h('span', { class: 'quiet' }, ` · ${quotes} ${quotes === 1 ? 'quote' : 'quotes'}`) : '');
  const actions = order && h('div', { class: 'card-actions' }, order);
  if (!rows.length) return [empty('Everything in the catalogue is in use here.'), actions];
  const cost = (row) => (row.price == null ? '–' : `${row.currency}\u00a0${row.price} a ${row.term}`);
  const priced = rows.some((row) => row.price != null); // whose role has no prices sees no column for them
  // Where nothing can be ordered at all, that is said once.
  return [why && h('p', { class: 'notice' }, h('b', {}, 'No upgrade now. '), why),
    table([['Product'], ['Kind'], ...(priced ? [['A licence', 'number']] : []), ...(why ? [] : [['Availability']])], rows.map((row) => [named(row), row.kind, ...(priced ? [cost(row)] : []),
      ...(why ? [] : [row.available ? h('span', {}, 'Available') : h('span', { class: 'quiet' }, row.why)])]), 'Upgrade options'), actions];
}

function factList(facts) {
  return h('dl', { class: 'facts' }, ...facts.flatMap(({ label, text }) => [h('dt', {}, label), h('dd', { dir: 'auto' }, text || '–')]));
}

function infrastructure({ facts }, page) {
  const edit = page.may('infrastructure.change') && h('button', { class: 'button', type: 'button', 'data-keep': 'edit infrastructure', onclick: () => factsForm(page, { title: 'Infrastructure', facts, address: '/infrastructure', draft: 'infrastructure' }) }, 'Edit');
  return [factList(facts), edit && h('div', { class: 'card-actions' }, edit)];
}

const RFI_ARTICLES = ['error', 'incomplete', 'complete', 'not_applicable']; // by icon

function rfi(content, page) {
  const state = h('p', { class: 'state-line' }, stateIcon(RFI[content.icon], `RFI: ${content.state}`), h('b', {}, helpLink(page, `rfi/${RFI_ARTICLES[content.icon]}`, content.state)), content.since && h('span', { class: 'quiet' }, 'since ', when(content.since)));
  const steps = [['Sent back', content.returned_at], ['Complete', content.completed_at]].filter(([, at]) => at);
  return [
    state,
    steps.length > 0 && h('p', { class: 'quiet' }, ...steps.flatMap(([word, at], index) => [index ? ' · ' : '', `${word} `, when(at)])),
    ...rfiActions(content, page),
    content.errors.length > 0 && h('div', { class: 'notice bad-list', role: 'group', 'aria-label': 'What is wrong' }, h('b', {}, 'To be corrected'),
      h('ul', {}, ...content.errors.map((error) => h('li', {}, h('b', {}, error.field), ': ', error.message || 'is not right')))),
    content.warnings.length > 0 && h('div', { class: 'notice bad-list rfi-warned', role: 'group', 'aria-label': 'Worth a look' }, h('b', {}, 'Worth a look'),
      h('ul', {}, ...content.warnings.map((each) => h('li', {}, h('b', {}, each.field), ': ', each.message)))),
    content.answers.length > 0 ? factList(content.answers.map(([label, text]) => ({ label, text }))) : h('p', { class: 'quiet' }, 'The form has supplied nothing yet.'),
    content.happened.length > 0 && h('ul', { class: 'happened' }, ...content.happened.map((entry) => h('li', {}, entry.summary, h('span', { class: 'quiet' }, ` – ${entry.actor || 'Portal'}, `, when(entry.at))))),
  ];
}

// A name that leads to what can be read about it, here or wherever the MSP says.
export function helpLink(page, article, text) {
  const address = page.config.helps[article] || `${page.config.help}/${article}`;
  return h('a', { href: address, ...(address.startsWith('/') ? {} : { target: '_blank', rel: 'noopener' }), 'data-keep': article }, text);
}

function monitor({ signals }, page) {
  return h('ul', { class: 'monitors' }, ...signals.map((signal) => {
    const state = HEALTH[signal.health];
    const configured = signal.state !== 'not_configured';
    return h('li', { class: 'monitor' },
      h('div', { class: 'monitor-head' }, stateIcon(state, `${signal.title}: ${state.word}`), h('b', {}, helpLink(page, `monitor/${signal.kind}`, signal.title)), h('span', { class: state.tone === 'bad' ? 'tone-bad' : 'quiet' }, state.word),
        h('span', { class: 'grow' }), signal.value != null && h('span', { class: 'monitor-value' }, number(signal.value), signal.threshold != null && h('span', { class: 'quiet' }, ` / ${number(signal.threshold)}`))),
      configured && h('p', { class: 'quiet small' }, signal.since ? ['since ', when(signal.since), ' · '] : '', 'last read ', signal.read_at ? when(signal.read_at) : 'never', signal.reason ? ` · ${signal.reason}` : ''),
      (configured || signal.chart?.points?.length > 0) && chart(signal));
  }));
}
