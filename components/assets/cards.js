// What is inside each card. A body is made once when its card opens: `show(content)` draws what was read, `destroy()` ends it.
import { h, inZone, number, parseTime, live, when } from './live.js';
import { HEALTH, RFI, shape, stateIcon } from './icons.js';
import { chart } from './chart.js';
import { factsForm } from './contacts.js';
import { NotesBody } from './notes.js';
import { HistoryBody } from './history.js';
import { AttachmentsBody } from './attachments.js';

const drawn = (draw) => (page, box) => ({ show: (content) => box.replaceChildren(...[draw(content, page)].flat().filter(Boolean)) });

export const bodies = {
  products: drawn(products),
  upgrades: drawn(upgrades),
  infrastructure: drawn(infrastructure),
  rfi: drawn(rfi),
  connect: drawn(connect),
  monitor: drawn(monitor),
  notes: (page, box) => new NotesBody(page, box),
  history: (page, box) => new HistoryBody(page, box),
  attachments: (page, box) => new AttachmentsBody(page, box),
};

export const empty = (text) => h('p', { class: 'calm' }, text);
const day = (text) => (text ? new Date(parseTime(String(text))).toLocaleDateString('en-GB', /^[-\d]{10}$/.test(text) ? { dateStyle: 'medium', timeZone: 'UTC' } : inZone({ dateStyle: 'medium' })) : '–'); // a day is the same everywhere

export function table(heads, rows, label) {
  return h('div', { class: 'plain-table-box', tabindex: '0', role: 'region', 'aria-label': label, 'data-keep': `table ${label}` }, h('table', { class: 'plain-table' },
    h('thead', {}, h('tr', {}, ...heads.map(([text, kind]) => h('th', { scope: 'col', class: kind }, text)))),
    h('tbody', {}, ...rows.map((row) => h('tr', {}, ...row.map((cell, index) => h('td', { class: heads[index][1], 'data-label': heads[index][0] }, cell ?? '–')))))));
}

function products({ rows }) {
  if (!rows.length) return empty('Nothing was bought yet.');
  return table([['Product'], ['Kind'], ['Quantity', 'number'], ['Since', 'date'], ['Next renewal', 'date']],
    rows.map((row) => [named(row), row.kind, number(row.quantity), day(row.since), day(row.renews_on)]), 'Products');
}

const named = (row) => [h('b', {}, row.name), ' ', h('span', { class: 'mono quiet' }, row.code)];

function upgrades({ rows }) {
  if (!rows.length) return empty('Everything in the catalogue is in use here.');
  return table([['Product'], ['Kind'], ['Seat and month', 'number'], ['Availability']],
    rows.map((row) => [named(row), row.kind, row.price == null ? '–' : `${row.price} ${row.currency}`,
      row.available ? h('span', {}, 'Available') : h('span', { class: 'quiet' }, row.why)]), 'Upgrade options');
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
  const state = h('p', { class: 'state-line' }, stateIcon(RFI[content.icon], RFI[content.icon].word), h('b', {}, helpLink(page, `rfi/${RFI_ARTICLES[content.icon]}`, content.state)), content.since && h('span', { class: 'quiet' }, 'since ', when(content.since)));
  const steps = [['Sent', content.requested_at], ['Sent back', content.returned_at], ['Complete', content.completed_at]].filter(([, at]) => at);
  return [
    state,
    steps.length > 0 && h('p', { class: 'quiet' }, ...steps.flatMap(([word, at], index) => [index ? ' · ' : '', `${word} `, when(at)])),
    content.errors.length > 0 && h('div', { class: 'notice bad-list', role: 'group', 'aria-label': 'What is wrong' }, h('b', {}, 'To be corrected'),
      h('ul', {}, ...content.errors.map((error) => h('li', {}, h('b', {}, error.field), ': ', error.message || 'is not right')))),
    content.answers.length > 0 ? factList(content.answers.map(([label, text]) => ({ label, text }))) : h('p', { class: 'quiet' }, 'The form has supplied nothing yet.'),
    content.happened.length > 0 && h('ul', { class: 'happened' }, ...content.happened.map((entry) => h('li', {}, entry.summary, h('span', { class: 'quiet' }, ` – ${entry.actor || 'Portal'}, `, when(entry.at))))),
  ];
}

const STEP = {
  complete: ['done', 'good', 'Complete'], in_progress: ['half', 'accent', 'In progress'], todo: ['empty', 'good', 'Incomplete'],
  locked: ['lock', 'none', 'Incomplete, locked until earlier steps are done'], blocked: ['bad', 'bad', 'Blocked'], skipped: ['none', 'none', 'Skipped'],
};

// A name that leads to what can be read about it, here or wherever the MSP says.
function helpLink(page, article, text) {
  const address = page.config.helps[article] || `${page.config.help}/${article}`;
  return h('a', { href: address, ...(address.startsWith('/') ? {} : { target: '_blank', rel: 'noopener' }), 'data-keep': article }, text);
}

function connect(content, page) {
  if (!content.steps.length) return empty(content.completed_at ? 'Connect was completed before this customer came to the portal.' : 'There are no steps.');
  const share = content.of ? content.done / content.of : 1;
  return [
    h('div', { class: 'progress-line' },
      h('progress', { max: content.of || 1, value: content.done, 'aria-label': 'Connect progress' }), h('b', {}, `${content.done} of ${content.of}`), h('span', { class: 'quiet' }, `${Math.round(100 * share)} %`)),
    h('ol', { class: 'steps' }, ...content.steps.map((step) => {
      const [picture, tone, word] = STEP[step.state];
      const late = step.due_at && ['todo', 'in_progress', 'blocked', 'locked'].includes(step.state) && parseTime(step.due_at) < live.now();
      return h('li', { class: `step is-${step.state}` },
        stateIcon({ shape: picture, tone, word }),
        h('div', { class: 'step-what' },
          helpLink(page, `step/${step.key}`, step.title),
          h('span', { class: 'quiet small' }, [word, step.is_optional ? 'optional' : '', step.owner].filter(Boolean).join(' · ')),
          step.reason && h('span', { class: step.state === 'blocked' ? 'tone-bad small' : 'quiet small', dir: 'auto' }, step.reason)),
        h('div', { class: 'step-when small' }, step.completed_at ? [step.state === 'skipped' ? 'skipped ' : 'done ', when(step.completed_at)]
          : step.due_at ? h('span', { class: late ? 'tone-late' : 'quiet' }, late ? 'overdue since ' : 'due ', day(step.due_at)) : ''));
    })),
  ];
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
