// The page of a prospect, and the form for a new one. What is typed is a draft until it is saved or thrown away: it
// outlives a reload, and what somebody else saves meanwhile. Nobody's change is overwritten unseen.
import { h, live, number, when } from './live.js';
import { shape, stateIcon } from './icons.js';
import { hold, openForm, send, worded, wrongFields } from './dialog.js';
import { Asking } from './asking.js';
import { recall, remember } from './drafts.js';

const ADDRESS = '/api/ui/prospects';
const TONES = { good: { shape: 'good', tone: 'good', word: 'Good' }, bad: { shape: 'bad', tone: 'bad', word: 'Problem' }, unknown: { shape: 'unknown', tone: 'unknown', word: 'Unknown' } };

export function mount(root, config) {
  const page = new ProspectPage(root, config);
  return { destroy: () => page.destroy() };
}

class ProspectPage {
  constructor(root, config) {
    Object.assign(this, { root, config, id: config.id, address: `${ADDRESS}/${config.id}` });
    this.draft = `prospect ${config.me} ${config.id ?? 'new'}`;
    this.kept = recall(this.draft) || {}; // name: {value, was}
    this.reading = new Asking(this.address, { found: (state) => this.take(state), failed: (error) => this.cannot(error) });
    this.build();
    this.take(config.state);
    this.undo = this.id ? [live.news(() => this.load(), 'prospects')] : [];
    if (Object.keys(this.kept).length) this.note.textContent = 'What you had typed before is still here.';
    if (!this.id) this.inputs.name.focus();
  }

  destroy() {
    this.undo.forEach((undo) => undo());
    this.reading.stop();
  }

  // -- what the page is made of ---------------------------------------------------------------------------------------

  build() {
    this.inputs = {};
    this.problems = {};
    this.fields = this.describe();
    this.title = h('h1', { dir: 'auto' }, 'New prospect');
    this.chip = h('span', { class: 'chip', hidden: true });
    this.notices = h('div', { class: 'prospect-notices' });
    this.found = h('div', { class: 'prospect-found', role: 'status' });
    this.alike = h('div', { class: 'prospect-alike' });
    this.verifying = h('button', { class: 'button', type: 'button', onclick: () => this.verify() }, shape('search'), h('span', {}, 'Verify'));
    const rows = Object.fromEntries(this.fields.map((field) => [field.name, this.row(field)]));
    rows.domain.append(this.found, this.alike);
    const card = (id, title, about, names, classes = 'prospect-fields') => h('section', { class: 'card prospect-card', 'aria-labelledby': id }, h('h2', { id }, title), about && h('p', { class: 'quiet' }, about), h('div', { class: classes }, ...names.map((name) => rows[name])));
    this.trouble = h('p', { class: 'form-error', role: 'alert', hidden: true });
    this.asking = h('div', { class: 'prospect-asking', role: 'alert', hidden: true });
    this.note = h('span', { class: 'quiet small', role: 'status' });
    this.drop = h('button', { class: 'button plain', type: 'button', hidden: true, onclick: () => this.discard() }, this.id ? 'Discard changes' : 'Start over');
    this.saving = h('button', { class: 'button primary', type: 'submit' }, this.id ? 'Save' : 'Save prospect');
    this.form = h('form', { class: 'prospect-form', novalidate: true },
      card('prospect-card-primary', 'Primary information', '', ['company_type', 'name', 'domain', 'website', 'sector', 'phone', 'address']),
      card('prospect-card-lead', 'Implementation lead', 'Who looks after it at the company. The form with the technical questions (RFI) is sent there once the order is submitted.', ['lead_first_name', 'lead_last_name', 'lead_email', 'lead_phone']),
      card('prospect-card-products', 'Products of interest', `The order begins with them. What is bought is decided there.${this.config.products.some(([, , , , isPriced]) => !isPriced) ? ' What has no price yet cannot be ordered until the price list says what it costs.' : ''}`, ['seats', 'products']),
      card('prospect-card-remarks', 'Remarks', '', ['remarks']),
      h('div', { class: 'prospect-save' }, this.trouble, this.asking, h('div', { class: 'prospect-buttons' }, this.saving, this.id ? this.provision('provision below', 'button prospect-provision') : h('a', { class: 'button', href: '/prospects' }, 'Cancel'), this.drop, this.note)));
    this.form.addEventListener('submit', (event) => { event.preventDefault(); this.store(); });
    this.form.addEventListener('input', (event) => this.typed(event.target.closest('[data-field]')?.dataset.field));
    this.form.addEventListener('keydown', (event) => { if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) this.form.requestSubmit(); });
    this.plain = h('div', { class: 'prospect-form', hidden: true });
    this.rail = h('aside', { class: 'prospect-rail', 'aria-label': 'State, order and history', hidden: !this.id });
    this.box = h('div', { class: 'page-scroll prospect' },
      h('div', { class: 'prospect-head' }, h('a', { class: 'quiet', href: '/prospects' }, 'Prospects'), h('div', { class: 'page-head' }, this.title, this.chip)),
      this.notices, h('div', { class: this.id ? 'prospect-columns' : 'prospect-columns is-new' }, h('div', {}, this.form, this.plain), this.rail));
    this.root.append(this.box);
  }

  describe() {
    const { types, sectors, titles } = this.config;
    const phone = 'With the country code, as in +44 20 7946 0123.';
    return [
      { name: 'company_type', label: 'Company type', kind: 'choice', choices: types, half: true },
      { name: 'name', label: 'Company name', longest: 200, help: 'The full name. Do not use abbreviations.', needed: true },
      { name: 'domain', label: 'Domain', longest: 253, mode: 'url', help: 'The main e-mail domain, such as example.com.', beside: () => this.verifying },
      { name: 'website', label: 'Website', longest: 300, mode: 'url', half: true },
      { name: 'sector', label: 'Sector', kind: 'choice', choices: sectors, half: true },
      { name: 'phone', label: 'Phone', kind: 'tel', help: phone, half: true },
      { name: 'address', label: 'Address', kind: 'area', rows: 4, help: 'As it stands on a letter.', half: true },
      { name: 'lead_first_name', label: 'First name', longest: 60, half: true },
      { name: 'lead_last_name', label: 'Last name', longest: 60, half: true },
      { name: 'lead_email', label: 'E-mail', kind: 'email', half: true, help: 'Needed before anything is ordered.' },
      { name: 'lead_phone', label: 'Phone', kind: 'tel', help: phone, half: true },
      { name: 'seats', label: 'Licences', mode: 'numeric', longest: 12, half: true, help: 'How many people, as far as is known.' },
      { name: 'products', label: 'Products', make: (shared) => this.ticks(shared) },
      { name: 'remarks', label: 'What else is known', kind: 'area', rows: 5, longest: 5000 },
    ].map((field) => ({ title: titles[field.name], ...field }));
  }

  row(field) {
    const id = `prospect-${field.name}`;
    const problem = this.problems[field.name] = h('p', { class: 'form-help', id: `${id}-help` }, field.help || '');
    const shared = { id, name: field.name, 'aria-describedby': `${id}-help`, 'aria-required': field.needed && 'true', autocomplete: 'off', spellcheck: field.kind === 'area' ? 'true' : 'false', maxlength: field.longest };
    const input = field.make ? field.make(shared)
      : field.kind === 'choice' ? h('select', shared, ...field.choices.map(([value, title]) => h('option', { value }, title)))
        : field.kind === 'area' ? h('textarea', { ...shared, rows: field.rows, dir: 'auto' })
          : h('input', { ...shared, type: field.kind || 'text', inputmode: field.mode, autocapitalize: field.mode ? 'none' : null, dir: field.kind || field.mode ? null : 'auto' });
    this.inputs[field.name] = input;
    const classes = field.half ? 'field is-half' : 'field';
    if (field.make) return h('div', { class: classes, 'data-field': field.name }, input, problem);
    const control = field.beside ? h('div', { class: 'prospect-beside' }, input, field.beside()) : input;
    return h('div', { class: classes, 'data-field': field.name }, h('label', { for: id }, field.label), control, problem);
  }

  // The products as ticks: an element with a `value`, a code to a line.
  ticks(shared) {
    const { products } = this.config;
    const tick = ([code, name, , isSample, isPriced = true]) => h('label', { class: 'tick' }, h('input', { type: 'checkbox', value: code }), h('span', {}, code, ' ', h('span', { class: 'quiet' }, name, isSample && ' (sample)', !isPriced && ' · no price yet')));
    const gone = h('div', { class: 'tick-group' });
    const box = h('fieldset', { id: shared.id, 'aria-describedby': shared['aria-describedby'] }, h('legend', { class: 'sr-only' }, 'Products'),
      ...[...new Set(products.map(([, , kind]) => kind))].map((kind) => h('div', { class: 'tick-group' }, h('div', { class: 'quiet small' }, `${kind}s`), ...products.filter((one) => one[2] === kind).map(tick))), gone);
    const inputs = () => [...box.querySelectorAll('input')];
    Object.defineProperty(box, 'value', {
      get: () => plain(inputs().filter((one) => one.checked).map((one) => one.value)),
      set: (text) => {
        const chosen = text.split('\n').filter(Boolean);
        const others = chosen.filter((code) => !products.some(([known]) => known === code)); // sold no more: it may stay
        gone.replaceChildren(...(others.length ? [h('div', { class: 'quiet small' }, 'Not sold any more'), ...others.map((code) => tick([code, this.config.names[code] || '', '', false]))] : []));
        for (const one of inputs()) one.checked = chosen.includes(one.value);
      },
    });
    box.focus = () => box.querySelector('input')?.focus();
    return box;
  }

  // -- what is stored, and what is typed --------------------------------------------------------------------------------

  load() { return this.reading.load(); }

  cannot(error) {
    if (error.status === 404 || error.status === 403) this.notices.replaceChildren(h('p', { class: 'notice bad', role: 'alert' }, 'This prospect is not here any more, or not yours to see.'));
  }

  // What the answer to something that was stored says of how it is now.
  takeStored(state) {
    this.reading.overtaken();
    this.take(state);
  }

  stored(name) { return this.state.facts[name] ?? ''; }

  take(state) {
    this.state = state;
    if (this.asked?.domain && !('domain' in this.kept) && this.asked.domain !== this.stored('domain')) this.asked = null; // of another one
    for (const { name } of this.fields) {
      const now = plain(this.stored(name));
      if (name in this.kept && this.kept[name].value === now) delete this.kept[name];
      const value = this.kept[name]?.value ?? now;
      if (this.inputs[name].value !== value) this.inputs[name].value = value;
    }
    this.form.hidden = !state.may_change;
    this.plain.hidden = state.may_change;
    if (!state.may_change) this.plain.replaceChildren(...this.readable());
    this.keep();
    this.showFound();
    this.showAlike();
    if (this.id) this.showAround();
  }

  typed(name) {
    if (!name) return;
    const value = this.inputs[name].value;
    if (value === plain(this.stored(name))) delete this.kept[name];
    else this.kept[name] = { value, was: this.kept[name]?.was ?? this.stored(name) };
    this.clear(name);
    if (name === 'domain') { this.asked = null; this.showFound(); this.showAlike(); }
    this.asking.hidden = true;
    this.note.textContent = '';
    this.keep();
  }

  changed() { return this.fields.map(({ name }) => name).filter((name) => name in this.kept); }

  keep() {
    const names = this.changed();
    this.drop.hidden = !names.length;
    if (names.length && !this.note.textContent) this.note.textContent = 'Not saved yet.';
    if (!names.length && /^(Not saved|What you)/.test(this.note.textContent)) this.note.textContent = '';
    remember(this.draft, names.length ? this.kept : null);
  }

  discard() {
    this.kept = {};
    this.fields.forEach(({ name }) => this.clear(name));
    this.trouble.hidden = this.asking.hidden = true;
    this.asked = null;
    this.note.textContent = '';
    this.take(this.state);
    this.inputs.name.focus();
  }

  clear(name) {
    const problem = this.problems[name];
    problem.className = 'form-help';
    problem.textContent = this.fields.find((field) => field.name === name).help || '';
    this.inputs[name].removeAttribute('aria-invalid');
  }

  say(error) {
    const wrong = Object.fromEntries(wrongFields(error).filter(([name]) => name in this.inputs));
    const shown = this.fields.filter(({ name }) => name in wrong);
    this.trouble.hidden = shown.length > 0;
    this.trouble.textContent = shown.length ? '' : error.message;
    for (const { name, label } of shown) {
      this.problems[name].className = 'form-error';
      this.problems[name].textContent = worded(label, wrong[name]);
      this.inputs[name].setAttribute('aria-invalid', 'true');
    }
    if (shown.length) this.inputs[shown[0].name].focus();
  }

  // -- saving -----------------------------------------------------------------------------------------------------------

  async store(confirmed = '') {
    if (this.saving.getAttribute('aria-busy') || this.isMade) return;
    const names = this.id ? this.changed() : this.fields.map(({ name }) => name);
    if (this.id && !names.length) { this.note.textContent = 'Nothing has changed.'; return; }
    this.saving.setAttribute('aria-busy', 'true');
    this.trouble.hidden = this.asking.hidden = true;
    this.fields.forEach(({ name }) => this.clear(name));
    const sent = Object.fromEntries(names.map((name) => [name, this.inputs[name].value]));
    const codes = this.config.products.map(([code]) => code); // primary products first, as they are offered
    const inOrder = (chosen) => [...codes.filter((code) => chosen.includes(code)), ...chosen.filter((code) => !codes.includes(code))];
    const facts = Object.fromEntries(names.map((name) => [name, name === 'products' ? inOrder(sent[name].split('\n').filter(Boolean)) : sent[name]]));
    const was = Object.fromEntries(names.filter((name) => name in this.kept).map((name) => [name, this.kept[name].was]));
    const letGo = this.id ? () => {} : hold(this.form); // another page comes next: there is nothing to type on in
    try {
      const answer = await send('POST', this.id ? this.address : ADDRESS, { facts, was, confirmed }).finally(letGo);
      if (answer.alike) return void this.confirm(answer);
      if (!this.id) {
        this.isMade = true; // another press, until its page is there, makes no second one
        remember(this.draft, null);
        return void this.go(`/prospects/${answer.id}`);
      }
      // What was typed while it was being saved stays typed.
      for (const name of names) if (this.inputs[name].value === sent[name]) delete this.kept[name];
      this.takeStored(answer.now);
      this.note.textContent = 'Saved.';
    } catch (error) {
      if (error.status === 409 && error.field in this.inputs) this.collided(error);
      else this.say(error);
    } finally {
      this.saving.removeAttribute('aria-busy');
    }
  }

  // The domain is somebody's already: that may be meant.
  confirm({ alike, domain }) {
    this.ask('The domain is known already: ', named(alike), h('button', { class: 'button', type: 'button', onclick: () => this.store(domain) }, 'Save all the same'));
  }

  // Somebody else has saved the field since it was typed into.
  collided(error) {
    const { name, title } = this.fields.find((field) => field.name === error.field);
    const { now } = error.answer;
    const said = this.inWords(name, now) || 'nothing';
    this.load();
    this.ask(`“${title}” was changed by somebody else meanwhile. It says now: `, h('b', { dir: 'auto' }, said.length > 120 ? `${said.slice(0, 120)}…` : said),
      h('button', { class: 'button', type: 'button', onclick: () => { this.kept[name].was = now; this.store(); } }, 'Save mine'),
      h('button', { class: 'button', type: 'button', onclick: () => { delete this.kept[name]; this.asking.hidden = true; this.take({ ...this.state, facts: { ...this.state.facts, [name]: now } }); this.inputs[name].focus(); } }, 'Take theirs'));
    this.problems[name].className = 'form-error';
    this.problems[name].textContent = 'Changed by somebody else meanwhile.';
  }

  ask(...content) {
    const buttons = content.filter((one) => one.tagName === 'BUTTON');
    this.asking.replaceChildren(h('p', { class: 'notice' }, ...content.filter((one) => !buttons.includes(one))), h('div', { class: 'prospect-buttons' }, ...buttons));
    this.asking.hidden = false;
    buttons[0].focus();
  }

  go(href) {
    if (!this.box.isConnected) return; // whoever has gone elsewhere meanwhile stays there
    const link = h('a', { href, hidden: true });
    this.box.append(link);
    link.click(); // as any link: without loading the portal anew
  }

  // -- the domain -------------------------------------------------------------------------------------------------------

  async verify() {
    if (this.verifying.getAttribute('aria-busy')) return;
    const domain = this.inputs.domain.value.trim();
    this.clear('domain');
    this.verifying.setAttribute('aria-busy', 'true');
    this.found.replaceChildren(h('p', { class: 'quiet' }, 'Asking the name servers …'));
    try {
      const { found, now } = await send('POST', this.id ? `${this.address}/verify` : `${ADDRESS}/verify`, { domain });
      if (this.inputs.domain.value.trim() === domain) this.asked = found;
      if (now) this.takeStored(now);
    } catch (error) {
      if (error.field === 'domain' || error.errors?.domain) this.say(error);
      else this.asked = { tone: 'unknown', said: error.message, mx: [], spf: [], looks_like: [] };
    }
    this.verifying.removeAttribute('aria-busy');
    this.showFound();
  }

  // What was just found for what stands there, or else what is stored, if it is about that.
  showFound() {
    const found = this.asked || ('domain' in this.kept ? null : this.state.found);
    this.found.replaceChildren(...(found ? this.findings(found) : []));
  }

  findings(found) {
    const { tone, said, mx, spf, looks_like: looks } = found;
    const line = (term, ...content) => [h('dt', {}, term), h('dd', {}, ...content)];
    const few = (hosts) => (hosts.length > 4 ? `${hosts.slice(0, 4).join(', ')} and ${hosts.length - 4} more` : hosts.join(', '));
    return [
      h('p', { class: `prospect-said is-${tone}` }, stateIcon(TONES[tone]), h('span', {}, said)),
      found.has_answer ? h('dl', { class: 'facts' },
        ...(mx.length ? line('Mail goes to (MX)', few(mx)) : []),
        ...line('May send (SPF)', spf.length > 1 ? `${spf.length} records, which receivers take for a mistake: there may be one.` : spf.length ? h('span', { class: 'mono' }, spf[0]) : 'No record was found.'),
        ...(looks.length ? line('Looks like', looks.join(', sends through '), h('span', { class: 'quiet' }, ' (a hint)')) : [])) : '',
      found.at ? h('p', { class: 'quiet small' }, 'Asked ', when(found.at)) : found.is_known ? h('p', { class: 'quiet small' }, 'Asked just now') : '',
    ].filter(Boolean);
  }

  showAlike() {
    const alike = 'domain' in this.kept ? [] : this.state.alike || [];
    this.alike.replaceChildren(...(alike.length ? [h('p', { class: 'notice' }, 'The same domain: ', named(alike))] : []));
  }

  // -- around the form --------------------------------------------------------------------------------------------------

  inWords(name, value) {
    const field = this.fields.find((one) => one.name === name);
    if (field.kind === 'choice') return value ? field.choices.find(([key]) => key === value)?.[1] ?? value : '';
    if (name === 'products') return (value || []).map((code) => (this.config.names[code] ? `${code} ${this.config.names[code]}` : code)).join(', ');
    return name === 'seats' ? (value ? number(value) : '') : String(value ?? '');
  }

  // For those who do not change it, and for what is lost or a customer.
  readable() {
    const lines = this.fields.map((field) => {
      const text = this.inWords(field.name, this.stored(field.name));
      if (!text) return null;
      const content = field.name === 'website' && /^https?:/.test(text) ? h('a', { href: text, target: '_blank', rel: 'noopener noreferrer' }, text) : h('span', { class: field.kind === 'area' ? 'prospect-text' : '', dir: 'auto' }, text);
      return [h('dt', {}, field.title), h('dd', {}, content)];
    }).filter(Boolean);
    const found = this.state.found ? h('div', { class: 'prospect-found' }, ...this.findings(this.state.found)) : '';
    return [h('section', { class: 'card prospect-card', 'aria-labelledby': 'prospect-known' }, h('h2', { id: 'prospect-known' }, 'What is known'), h('dl', { class: 'facts' }, ...lines.flat()), found)];
  }

  showAround() {
    const { state, state_title: word, facts, customer, lost_because: because } = this.state;
    this.title.textContent = facts.name;
    this.chip.hidden = false;
    this.chip.className = `chip is-${state}`;
    this.chip.textContent = word;
    const notice = state === 'converted' ? h('p', { class: 'notice' }, 'This prospect has become a customer. ', customer ? h('a', { href: `/customers/${customer.id}` }, `To the page of ${customer.name}`) : 'What is known of it is on the customer’s page, which is not yours to see.')
      : state === 'lost' ? h('p', { class: 'notice' }, h('b', {}, 'Lost: '), h('span', { dir: 'auto' }, because), '. It can be opened again.') : '';
    if (this.told !== JSON.stringify([state, customer, because])) this.notices.replaceChildren(...[notice].filter(Boolean));
    this.told = JSON.stringify([state, customer, because]);
    const focused = this.rail.contains(document.activeElement) ? document.activeElement.dataset.keep : null;
    this.rail.replaceChildren(...[this.orderCard(), this.stateCard(), this.historyCard()].filter(Boolean));
    if (focused) this.rail.querySelector(`[data-keep="${CSS.escape(focused)}"]`)?.focus();
  }

  // The way to the order, which begins with what is stored.
  provision(key, classes = 'button') {
    return h('a', { class: classes, href: `/prospects/${this.id}/order`, 'data-keep': key, onclick: (event) => {
      if (!this.changed().length) return;
      event.preventDefault();
      event.stopPropagation();
      this.trouble.hidden = false;
      this.trouble.textContent = 'Save what you typed first, or discard it: the order begins with what is stored.';
      this.saving.focus();
    } }, 'Provision');
  }

  orderCard() {
    const { orders, missing, may_change: may, state } = this.state;
    const open = orders.find((order) => order.state === 'draft');
    const lines = orders.map((order) => h('li', {},
      h('span', { class: 'recent-what' }, order.number, ' · ', order.title, order.vendor && ` · ${order.vendor}`),
      h('span', { class: 'quiet small' }, `${number(order.seats)} ${order.seats === 1 ? 'licence' : 'licences'} · `, when(order.at), order.by && ` · ${order.by}`)));
    if (!may && !lines.length) return null;
    const provision = may && this.provision('provision', 'button primary');
    const about = open ? `${open.number} is saved and not submitted yet.` : lines.length ? '' : 'Nothing is ordered yet. The order makes a customer of it.';
    return h('section', { class: 'card', 'aria-labelledby': 'prospect-order' }, h('h2', { id: 'prospect-order' }, 'Order'),
      lines.length ? h('ol', { class: 'recent' }, ...lines) : '', about && h('p', { class: 'quiet' }, about),
      state === 'draft' && may && h('p', {}, 'Still missing: ', missing.map((title) => title[0].toLowerCase() + title.slice(1)).join(', '), '.'), provision || '');
  }

  stateCard() {
    const { state, created_by: by, created_at: at, may_move: may } = this.state;
    const about = {
      draft: 'A draft: something is missing that an order begins with. It is open as soon as that is there.',
      open: 'Open: everything is there that an order begins with.', lost: 'Lost: it is kept, and can be opened again.',
      converted: 'Converted: its order has made a customer of it.',
    }[state];
    const move = state === 'lost'
      ? h('button', { class: 'button', type: 'button', 'data-keep': 'reopen', onclick: () => this.move({ state: 'open', was: state }) }, 'Open again')
      : h('button', { class: 'button', type: 'button', 'data-keep': 'lose', onclick: () => this.lose() }, 'Mark as lost');
    this.moved = h('p', { class: 'form-error', role: 'alert', hidden: true });
    return h('section', { class: 'card', 'aria-labelledby': 'prospect-state' }, h('h2', { id: 'prospect-state' }, 'State'),
      h('p', {}, about), h('p', { class: 'quiet small' }, 'Added ', when(at), by && ` by ${by}`), may && move, this.moved);
  }

  lose() {
    const { state } = this.state;
    openForm({
      title: `Mark ${this.state.facts.name} as lost?`, button: 'Mark as lost', draft: `${this.draft} lost`,
      about: 'It leaves the list of open prospects and stays under “Lost”. It can be opened again.',
      fields: [{ name: 'because', label: 'Reason', longest: 200, help: 'A few words, such as “chose another supplier”.' }],
      store: async ({ because }) => { this.takeStored((await send('POST', `${this.address}/state`, { state: 'lost', because, was: state })).now); },
    });
  }

  async move(body) {
    try {
      this.takeStored((await send('POST', `${this.address}/state`, body)).now);
    } catch (error) {
      this.moved.hidden = false;
      this.moved.textContent = error.message;
    }
  }

  historyCard() {
    const { history } = this.state;
    return h('section', { class: 'card prospect-history', 'aria-labelledby': 'prospect-history' }, h('h2', { id: 'prospect-history' }, 'History'),
      h('ol', { class: 'recent' }, ...(history.length ? history.map((entry) => h('li', { class: entry.milestone ? 'is-milestone' : '' },
        h('span', { class: 'recent-what', dir: 'auto' }, entry.erased ? h('em', {}, 'Erased on request') : entry.summary),
        h('span', { class: 'quiet small' }, entry.actor ? `${entry.actor} · ` : '', when(entry.at)))) : [h('li', { class: 'quiet' }, 'Nothing yet.')])));
  }
}

// Prospects and customers as links, with what they are.
function named(alike) {
  return h('span', {}, ...alike.flatMap((each, n) => [n ? ', ' : '', h('a', { href: `/${each.kind}s/${each.id}`, dir: 'auto' }, each.name), ` (${each.kind === 'customer' ? `a ${each.state.toLowerCase()}` : `a prospect, ${each.state.toLowerCase()}`})`]), '.');
}

// A value as it stands in its field; codes in one order, whatever order they were chosen in.
function plain(value) { return Array.isArray(value) ? [...value].sort().join('\n') : value ? String(value) : ''; }
