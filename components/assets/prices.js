// The catalogue and the price list of the MSP: a table by kind, and a form for one product. What changes elsewhere is
// asked for again.
import { h, live, number } from './live.js';
import { shape } from './icons.js';
import { Asking } from './asking.js';
import { openForm, send } from './dialog.js';

const ADDRESS = '/api/ui/prices';
const NONE = '–';
const PAUSE = 2000; // ms at least between two questions for the same: it counts customers

export function mount(root, config) {
  const page = new PricesPage(root, config);
  return { destroy: () => page.destroy() };
}

class PricesPage {
  constructor(root, config) {
    this.config = config;
    this.about = h('p', { class: 'quiet prices-about' });
    this.body = h('div', { class: 'prices-body' });
    this.said = h('p', { class: 'sr-only', role: 'status' });
    this.add = h('button', { class: 'button primary', type: 'button', hidden: true, onclick: () => this.edit(null) }, shape('plus'), 'Add a product');
    root.append(h('div', { class: 'page-scroll prices' },
      h('div', { class: 'page-head' }, h('h1', {}, 'Catalogue and prices'), h('span', { class: 'grow' }), this.add), this.about, this.body, this.said));
    this.take(config);
    this.asking = new Asking(ADDRESS, { found: (found) => this.take(found) }); // where it fails, the live dot says so
    this.undo = [live.news(() => this.renew(), 'settings')];
  }

  destroy() {
    this.undo.forEach((undo) => undo());
    this.asking.stop();
    clearTimeout(this.soon);
  }

  renew() {
    if (this.soon) { this.again = true; return; }
    this.soon = setTimeout(() => {
      this.soon = null;
      if (this.again) { this.again = false; this.renew(); }
    }, PAUSE);
    this.asking.load();
  }

  take(state) {
    const told = JSON.stringify([state.rows, state.currency, state.may_change]);
    this.state = state;
    this.rows = Object.fromEntries(state.rows.map((row) => [row.code, row]));
    this.add.hidden = !state.may_change;
    if (told === this.told) return;
    this.told = told;
    const focused = document.activeElement?.dataset?.keep;
    const currency = state.may_set ? h('a', { href: '/settings#msp' }, state.currency) : h('b', {}, state.currency);
    this.about.replaceChildren('What you can order for customers, and what a licence costs you in ', currency, '. Products marked “Sample” came with the portal: change them to what you have agreed with the vendor, or add your own.');
    const sold = state.rows.filter((row) => row.is_active);
    const groups = [...this.config.kinds.map(([kind, title]) => [`${title}s`, sold.filter((row) => row.kind === kind)]), ['Not sold any more', state.rows.filter((row) => !row.is_active)]];
    this.body.replaceChildren(...groups.filter(([, rows]) => rows.length).map(([title, rows]) => this.group(title, rows)));
    if (focused) this.body.querySelector(`[data-keep="${CSS.escape(focused)}"]`)?.focus();
  }

  group(title, rows) {
    const id = `prices-${title.replace(/\W/g, '-').toLowerCase()}`;
    const heads = [['Product'], ['Rules'], ['A licence', 'number'], ['Billed'], ['One-time', 'number'], ['Customers', 'number'], ...(this.state.may_change ? [['']] : [])];
    return h('section', { class: 'card prices-group', 'aria-labelledby': id }, h('h2', { id }, title), h('div', { class: 'plain-table-box' }, h('table', { class: 'plain-table prices-table' },
      h('thead', {}, h('tr', {}, ...heads.map(([text, kind]) => h('th', { scope: 'col', class: kind }, text || h('span', { class: 'sr-only' }, 'Change'))))),
      h('tbody', {}, ...rows.map((row) => this.row(row))))));
  }

  row(row) {
    const unpriced = row.elsewhere ? h('span', { class: 'quiet', title: 'In the currency of before; enter it anew' }, row.elsewhere) : h('span', { class: 'quiet' }, row.is_active ? 'No price' : NONE);
    const rules = this.rulesOf(row);
    const cell = (label, kind, ...content) => h('td', { 'data-label': label, class: `${kind}${content[0] === NONE ? ' is-none' : ''}` }, ...content);
    return h('tr', { class: row.is_active ? null : 'quiet' },
      h('td', { class: 'prices-what' }, h('div', {}, h('b', {}, row.name), row.is_sample && h('span', { class: 'chip prices-sample', title: 'It came with the portal' }, 'Sample')),
        h('div', { class: 'quiet small' }, h('span', { class: 'mono' }, row.code), ...this.services(row))),
      cell('Rules', 'prices-rules small quiet', rules.length ? h('div', {}, ...rules.map((rule) => h('div', {}, rule))) : NONE),
      cell('A licence', 'number', row.price ? h('span', {}, money(row.price)) : unpriced),
      cell('Billed', '', row.price ? this.termOf(row.term) : NONE),
      cell('One-time', 'number', row.one_time_fee ? money(row.one_time_fee) : NONE),
      cell('Customers', 'number', number(row.customers)),
      this.state.may_change && h('td', { class: 'prices-edit' }, h('button', { class: 'button small', type: 'button', 'data-keep': `edit ${row.code}`, 'aria-label': `Edit ${row.name}`, onclick: () => this.edit(row.code) }, 'Edit')));
  }

  services(row) {
    const known = Object.fromEntries(this.config.services);
    const words = [...row.connect_services].map((letter) => known[letter].toLowerCase());
    return words.length ? [` · Connect: ${words.join(' and ')}`] : [];
  }

  rulesOf(row) {
    const names = (codes) => codes.map((code) => this.rows[code]?.name || code);
    return this.config.rules.filter((rule) => row[rule].length).map((rule) => `${this.config.titles[rule]} ${names(row[rule]).join(', ')}`);
  }

  termOf(term) { return Object.fromEntries(this.config.terms)[term]; }

  // -- the form -------------------------------------------------------------------------------------------------------

  edit(code) {
    const row = code === null ? { code: '', name: '', kind: 'addon', connect_services: '', requires: [], excludes: [], replaces: [], is_active: true, price: '', term: 'month', one_time_fee: '' } : this.rows[code];
    const { titles, kinds, terms, services, rules } = this.config;
    const { currency, example } = this.state;
    const others = this.state.rows.filter((each) => each.code !== code && (each.is_active || rules.some((rule) => row[rule].includes(each.code)))).map((each) => [each.code, each.name]);
    const helps = { requires: 'Without one of these it cannot be ordered.', excludes: 'It cannot be ordered for who has one of these.', replaces: 'Whoever takes it gives these up.' };
    const fields = [
      code === null && { name: 'code', label: titles.code, value: '', help: 'Up to 20 letters, digits and + - . _ /. It stays what it is.' },
      { name: 'name', label: titles.name, value: row.name },
      { name: 'kind', label: titles.kind, kind: 'choice', value: row.kind, choices: kinds },
      { name: 'price', label: `${titles.price} (${currency})`, value: row.price, help: `${row.elsewhere ? `It was ${row.elsewhere}. ` : ''}Such as ${example}. Empty: it is not in your price list and cannot be ordered.` },
      { name: 'term', label: titles.term, kind: 'choice', value: row.term, choices: terms },
      { name: 'one_time_fee', label: `${titles.one_time_fee} (${currency})`, value: row.one_time_fee, help: 'Once for each order, however many licences. Empty: none.' },
      { name: 'connect_services', label: titles.connect_services, value: row.connect_services, help: 'Which steps of Connect apply follows from it.', make: (shared) => letterTicks(shared, titles.connect_services, services) },
      ...rules.map((rule) => ({ name: rule, label: titles[rule], value: row[rule], help: helps[rule], make: (shared) => codePicker(shared, titles[rule], others) })),
      code !== null && { name: 'is_active', label: titles.is_active, kind: 'choice', value: String(row.is_active), choices: [['true', 'Yes'], ['false', 'No, not any more']], help: 'Customers who have it keep it.' },
    ].filter(Boolean);
    const sent = (name, text) => (rules.includes(name) ? text.split('\n').filter(Boolean) : name === 'is_active' ? text === 'true' : text);
    openForm({
      title: code === null ? 'Add a product' : row.name, button: code === null ? 'Add' : 'Save', fields,
      about: code === null ? '' : row.is_sample ? `${row.code}, a sample. Its price is yours already; once you change anything else of it, it is your own product.` : row.code,
      draft: `${this.config.me} product ${code ?? ''}`,
      store: async (values, was) => {
        const names = code === null ? Object.keys(values) : Object.keys(values).filter((name) => values[name] !== was[name].text);
        if (!names.length) return;
        const facts = Object.fromEntries(names.map((name) => [name, sent(name, values[name])]));
        const seen = Object.fromEntries(names.map((name) => [name, name === 'is_active' ? was[name].raw === 'true' : was[name].raw]));
        const { now } = await send('POST', code === null ? ADDRESS : `${ADDRESS}/change`, code === null ? { facts } : { code, facts, was: seen });
        this.asking.overtaken();
        this.take(now);
        this.said.textContent = code === null ? `${values.name} was added.` : `${values.name} was saved.`;
      },
      onConflict: (answer, was) => {
        if (!('now' in answer)) return [];
        was[answer.field] = { ...was[answer.field], raw: typeof answer.now === 'boolean' ? String(answer.now) : answer.now };
        return h('p', { class: 'notice' }, 'It now says: ', h('b', {}, [answer.now].flat().join(', ') || '(empty)'), '. Save again to put yours in its place.');
      },
    });
  }
}

// An amount with its thousands set apart; as text, for no amount is ever a float.
export function money(amount) {
  const [whole, rest] = amount.split('.');
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ',');
  return rest === undefined ? grouped : `${grouped}.${rest}`;
}

// The same with its currency: everywhere before the amount, with the sign that people write.
export const priced = (amount, currency) => `${currency}\u00a0${signed(amount)}`;
export const signed = (amount) => (amount.startsWith('-') ? `−${money(amount.slice(1))}` : money(amount));

// -- controls of the form: elements with a `value`, as inputs have ---------------------------------------------------------

function valued(shared, label, content, get, set) {
  const box = h('div', { id: shared.id, class: 'control', role: 'group', 'aria-label': label, 'aria-describedby': shared['aria-describedby'] }, ...content);
  Object.defineProperty(box, 'value', { get, set });
  box.focus = () => box.querySelector('input, select, button')?.focus();
  return box;
}

function letterTicks(shared, label, choices) {
  const boxes = choices.map(([letter, title]) => h('label', {}, h('input', { type: 'checkbox', value: letter }), h('span', {}, title)));
  const inputs = boxes.map((box) => box.firstChild);
  return valued(shared, label, boxes, () => inputs.filter((input) => input.checked).map((input) => input.value).join(''),
    (text) => inputs.forEach((input) => { input.checked = text.includes(input.value); }));
}

// Products by their codes, one to a line.
function codePicker(shared, label, choices) {
  let chosen = [];
  const names = Object.fromEntries(choices);
  const list = h('ul', { class: 'chips', 'aria-label': label });
  const add = h('select', { 'aria-label': `${label}: add a product` });
  const tell = () => box.dispatchEvent(new Event('input', { bubbles: true }));
  const draw = () => {
    list.hidden = !chosen.length;
    list.replaceChildren(...chosen.map((code) => h('li', { class: 'chip' }, names[code] || code, h('button', { type: 'button', 'aria-label': `Take ${names[code] || code} out`, onclick: () => { chosen = chosen.filter((one) => one !== code); draw(); tell(); add.focus(); } }, '✕'))));
    add.replaceChildren(h('option', { value: '' }, 'Add a product …'), ...choices.filter(([code]) => !chosen.includes(code)).map(([code, name]) => h('option', { value: code }, name)));
  };
  add.addEventListener('input', (event) => event.stopPropagation());
  add.addEventListener('change', () => { if (add.value) { chosen = [...chosen, add.value]; draw(); tell(); } });
  const box = valued(shared, label, [list, add], () => chosen.join('\n'), (text) => { chosen = text.split('\n').filter(Boolean); draw(); });
  return box;
}
