// The RFI form, for whoever has a link to it and for people of the MSP: rfi_public.js and rfi_page.js give it a place and
// say how the server is reached. What is typed is saved as one goes; until it is, this browser keeps it, through an
// outage, a reload and a closed window. What somebody else saves meanwhile appears by itself, and where two have typed
// into the same field, whoever was later is asked.
import { shape } from './icons.js';

const SAVE_AFTER = 600; // ms without a keystroke
const RETRY = [1500, 3000, 6000, 12000]; // ms between attempts while the server does not answer
const KEPT = 'portal draft ';

// Its own: that of live.js comes with the socket of somebody signed in, and here nobody may be.
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value == null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'class') element.className = value;
    else element.setAttribute(name, value === true ? '' : value);
  }
  for (const child of children.flat()) if (child != null && child !== false) element.append(child);
  return element;
}

// Ask the server: gives the answer, or throws an error with `status` (0: no answer) and the whole `answer`.
export async function ask(method, address, body, { keepalive = false } = {}) {
  let response;
  try {
    response = await fetch(address, {
      method, cache: 'no-store', keepalive, signal: AbortSignal.timeout(15000),
      ...(body === undefined ? {} : { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }),
    });
  } catch {
    throw Object.assign(new Error('The server does not answer.'), { status: 0, answer: {} });
  }
  let answer = {};
  try { answer = await response.json(); } catch { /* the status says enough */ }
  if (response.ok) return answer;
  throw Object.assign(new Error(answer.error || `The server answered ${response.status}.`), { status: response.status, answer });
}

// `ways`: {answers, submit, now, domains}, each an async function of what is sent, and inside the portal `check`;
// `config`: {sections, about, now, me, canFill}.
export class RfiForm {
  constructor(root, config, ways, { onState = () => {} } = {}) {
    Object.assign(this, { root, config, ways, onState });
    this.fields = Object.fromEntries(config.sections.flatMap((section) => section.fields).map((field) => [field.key, field]));
    this.letters = Object.fromEntries(config.sections.flatMap((section) => section.fields.map((field) => [field.key, section.letter])));
    this.base = {}; // answers as the server has them
    this.typed = {}; // what is not saved yet: { value, was }, and `sent` where some of it is on its way
    this.sent = {}; // what was sent last, whatever became of it
    this.refused = {}; // sentences of the server about what it would not even keep
    this.conflicts = {}; // what somebody else has saved where something else was typed
    this.now = null;
    this.tries = 0;
    this.recall();
    this.undo = [];
    const listen = (target, name, handler) => { target.addEventListener(name, handler); this.undo.push(() => target.removeEventListener(name, handler)); };
    listen(document, 'visibilitychange', () => (document.hidden ? this.save({ keepalive: true }) : this.renew()));
    listen(window, 'pagehide', () => this.save({ keepalive: true }));
    listen(window, 'online', () => this.retryNow());
    this.ticking = setInterval(() => this.showTimes(), 20000);
    this.take(config.now);
  }

  destroy() {
    this.gone = true;
    this.undo.forEach((undo) => undo());
    [this.saveTimer, this.retryTimer].forEach(clearTimeout);
    clearInterval(this.ticking);
    this.save({ keepalive: true, leaving: true });
  }

  get isOpen() { return this.config.canFill && this.now.is_open; }

  // -- answers --------------------------------------------------------------------------------------------------------

  value(key) { return key in this.typed ? this.typed[key].value : this.base[key] ?? empty(this.fields[key]); }

  holds(conditions) {
    return conditions.every(([name, wanted]) => {
      if (name === 'services') return !this.config.about.services || [...this.config.about.services].some((letter) => wanted.includes(letter));
      return name in this.fields && wanted.includes(String(this.value(name)));
    });
  }

  applies(field) { return this.holds(field.when); }
  isRequired(field) { return field.required || (field.required_when.length > 0 && this.holds(field.required_when)); }

  // The form as the server has it now.
  take(now, { mine = {} } = {}) {
    if (this.now && (now.version < this.now.version || !now.answers)) return;
    const wasOpen = this.now && this.isOpen;
    this.now = now;
    this.base = now.answers;
    for (const key of Object.keys(this.typed)) {
      const theirs = this.base[key] ?? empty(this.fields[key]);
      const { value, was } = this.typed[key];
      if (same(theirs, value)) delete this.typed[key];
      else if (key in mine || same(theirs, this.sent[key])) this.typed[key].was = theirs; // it is our own, and one has typed on
      else if (!same(theirs, was)) this.conflicts[key] = theirs;
      if (!(key in this.typed) || same(theirs, was)) delete this.conflicts[key];
    }
    if (wasOpen && !this.isOpen) this.tooLate();
    this.remember();
    if (this.shown === undefined || wasOpen !== this.isOpen) this.build();
    else if (this.isOpen) this.show();
    else this.build();
    if (this.late?.length && wasOpen && !this.isOpen) this.said.scrollIntoView({ block: 'center' });
    this.onState(now);
    this.askDns();
    // What was typed before, and never reached the server.
    if (this.isOpen && Object.keys(this.dirty()).length) this.saveSoon();
  }

  // Somebody else has sent it back: what is not saved by now is not kept either, or it would turn up when it is reopened.
  tooLate() {
    this.late = Object.entries(this.typed).map(([key, { value }]) => [this.fields[key].label, plain(value)]);
    this.typed = {};
    this.conflicts = {};
    this.refused = {};
  }

  dirty() {
    return Object.fromEntries(Object.entries(this.typed).filter(([key]) => !(key in this.conflicts) && !(key in this.refused)).map(([key, { value }]) => [key, value]));
  }

  changed(key, value) {
    if (!this.isOpen) return; // a field that is taken away says once more what was typed
    const theirs = this.base[key] ?? empty(this.fields[key]);
    delete this.refused[key];
    if (same(value, theirs) && !(key in this.conflicts)) delete this.typed[key];
    else this.typed[key] = { ...this.typed[key], value, was: this.typed[key]?.was ?? theirs };
    this.remember();
    this.show();
    this.saveSoon();
  }

  saveSoon() {
    clearTimeout(this.saveTimer);
    this.saveTimer = setTimeout(() => this.save(), SAVE_AFTER);
    this.status();
  }

  async save({ keepalive = false, leaving = false } = {}) {
    clearTimeout(this.saveTimer);
    if (!this.now || !this.isOpen || this.closed) return;
    if (this.saving) { await this.saving; if (!leaving && Object.keys(this.dirty()).length) return this.save(); return; }
    const values = this.dirty();
    if (!Object.keys(values).length) return;
    const was = Object.fromEntries(Object.keys(values).map((key) => [key, this.typed[key].was]));
    Object.assign(this.sent, values);
    for (const key of Object.keys(values)) this.typed[key].sent = values[key]; // also where the window is closed before the answer
    this.remember();
    this.saving = this.ways.answers({ values, was }, { keepalive }).then(
      (now) => { this.tries = 0; this.saving = null; this.saved = true; if (!this.gone) this.take(now, { mine: values }); },
      (error) => { this.saving = null; if (!this.gone) this.notSaved(error); },
    );
    this.status();
    await this.saving;
    this.status();
    if (!this.gone && !this.closed && !this.retryTimer && Object.keys(this.dirty()).length) this.saveSoon();
  }

  notSaved(error) {
    const { field, now } = error.answer;
    if (error.status === 409) {
      if (field in this.typed) this.conflicts[field] = now;
      this.renew(); // who it was, and what else is new
    }
    else if (error.status === 422 && field in this.typed) this.refused[field] = sentence(this.fields[field].label, error.message);
    else if ([401, 403, 404, 410].includes(error.status)) this.close(error);
    else {
      clearTimeout(this.retryTimer);
      this.retryTimer = setTimeout(() => this.retryNow(), RETRY[Math.min(this.tries++, RETRY.length - 1)]);
    }
    if (this.isOpen && !this.closed) this.show();
  }

  retryNow() {
    clearTimeout(this.retryTimer);
    this.retryTimer = null;
    if (!this.gone) this.save();
  }

  // Nothing more can be saved here: the link is closed, the session is over, or the form is complete (`done`).
  close({ status, message, answer = {} }) {
    this.closed = { status, message, answer };
    if (answer.done) try { localStorage.removeItem(KEPT + this.config.about.key); } catch { /* it was not kept */ }
    clearTimeout(this.retryTimer);
    this.retryTimer = null;
    const late = Object.keys(this.typed).map((key) => this.fields[key].label).join(', ');
    const kept = !late ? '' : answer.done ? ` What you typed last came too late and is not in it: ${late}.`
      : ` What you typed last is not saved yet: ${late}. This browser keeps it, and saves it once the form can be filled in here again.`;
    const back = status === 401 && h('a', { href: `/login?next=${encodeURIComponent(location.pathname)}` }, 'Sign in');
    this.notice.replaceChildren(shape(answer.done ? 'done' : 'bad'), h('span', {}, status === 401 ? 'You are signed out.' : message, kept, ' ', back || ''));
    this.notice.className = answer.done ? 'notice' : 'notice bad';
    this.notice.hidden = false;
    this.head.textContent = answer.done ? 'This form is complete' : status === 401 ? 'You are signed out' : 'Nothing more can be filled in here';
    // It can still be read and copied.
    for (const input of this.root.querySelectorAll('.rfi-cards :is(input, select, textarea, button)')) {
      if (/^(text|email|tel|textarea)$/.test(input.type)) input.readOnly = true;
      else input.disabled = true;
    }
    this.declaration.hidden = true;
    this.status();
    this.onState(this.now);
  }

  // What others have saved meanwhile; not while something of ours is on its way.
  async renew() {
    if (this.saving || this.sending || this.asking || this.closed || this.gone) return;
    this.asking = true;
    try {
      const now = await this.ways.now(this.now);
      if (!this.saving && !this.gone) {
        if (now.answers) this.take(now);
        if (this.retryTimer) this.retryNow();
      }
    } catch (error) {
      // Sent back meanwhile by ourselves, the link is closed because all is well.
      if ([404, 410].includes(error.status) && !this.sending && this.isOpen) this.close(error);
    } finally {
      this.asking = false;
    }
  }

  async submit() {
    if (this.sending) return;
    if (!this.agrees.checked) return this.saySubmit('Tick that the answers are accurate, then send the form back.', this.agrees);
    this.sending = true;
    this.button.setAttribute('aria-busy', 'true');
    this.saySubmit('');
    try {
      await this.save();
      while (this.saving) await this.saving;
      if (this.closed) return;
      const [wrong] = Object.keys(this.refused);
      if (wrong) throw Object.assign(new Error(`One answer cannot be kept as it is. ${this.refused[wrong]}`), { where: this.rows[wrong].input });
      if (Object.keys(this.conflicts).length) throw new Error('Somebody else has changed an answer that you were typing. Say which one counts, then send the form back.');
      if (Object.keys(this.typed).length) throw new Error('Not everything that you typed is saved yet. Try again in a moment.');
      const { now } = await this.ways.submit({ declares: true });
      this.justSent = true;
      this.take(now);
      if (this.isOpen) { this.agrees.checked = false; this.summary.focus(); } else { this.head.focus(); this.said.scrollIntoView({ block: 'center' }); }
    } catch (error) {
      if ([404, 410, 401].includes(error.status)) this.close(error);
      else this.saySubmit(error.status === 0 ? 'The server does not answer. Nothing is lost: try again in a moment.' : error.message, error.where);
      if (error.status === 409) { this.sending = false; this.renew(); }
    } finally {
      this.sending = false;
      this.button.removeAttribute('aria-busy');
    }
  }

  saySubmit(text, where) {
    this.trouble.hidden = !text;
    this.trouble.textContent = text;
    where?.focus();
  }

  // What DNS says of the domains, below the field: worth a look, and never in the way.
  async askDns() {
    const row = this.rows?.email_domains;
    if (!row || !this.isOpen || this.now.problems.email_domains) return;
    const wanted = plain(this.base.email_domains);
    if (this.askedDns === wanted) return;
    this.askedDns = wanted;
    try {
      const { domains } = wanted ? await this.ways.domains() : { domains: [] };
      if (this.askedDns === wanted) row.dns.replaceChildren(...domains.map(({ domain, said }) => h('div', {}, h('b', {}, domain), `: ${said}`)));
    } catch { this.askedDns = undefined; /* asked again with the next answer */ }
  }

  // -- what a browser keeps -------------------------------------------------------------------------------------------

  recall() {
    try { this.typed = JSON.parse(localStorage.getItem(KEPT + this.config.about.key)) || {}; } catch { this.typed = {}; }
    for (const key of Object.keys(this.typed)) if (!(key in this.fields) || !this.config.canFill) delete this.typed[key];
    for (const [key, { sent }] of Object.entries(this.typed)) if (sent !== undefined) this.sent[key] = sent;
  }

  remember() {
    try {
      if (Object.keys(this.typed).length) localStorage.setItem(KEPT + this.config.about.key, JSON.stringify(this.typed));
      else localStorage.removeItem(KEPT + this.config.about.key);
    } catch { /* the page itself still has it */ }
  }

  // -- drawing --------------------------------------------------------------------------------------------------------

  build() {
    this.shown = true;
    this.rows = {};
    this.cards = {};
    this.links = {};
    this.head = h('h2', { tabindex: '-1', class: 'rfi-head' });
    this.notice = h('div', { class: 'notice bad', role: 'alert', hidden: true });
    this.summary = h('div', { class: 'notice bad-list', tabindex: '-1', role: 'group', 'aria-label': 'To be corrected', hidden: true });
    this.said = h('div', { class: 'notice', role: 'status', hidden: true });
    this.saveState = h('span', { class: 'rfi-saved quiet', role: 'status' });
    const parts = this.isOpen ? this.formParts() : this.readParts();
    this.root.replaceChildren(h('div', { class: 'rfi-form' },
      h('div', { class: 'rfi-top' }, this.head, this.saveState, this.notice), this.said, this.summary, ...parts));
    this.show();
    if (this.closed) this.close(this.closed);
  }

  customerCard() {
    return h('section', { class: 'card rfi-card', 'aria-labelledby': 'rfi-A' }, h('h3', { id: 'rfi-A' }, 'Customer'),
      h('dl', { class: 'facts' }, ...this.config.about.facts.filter(([, text]) => text).flatMap(([label, text]) => [h('dt', {}, label), h('dd', { dir: 'auto' }, text)])));
  }

  formParts() {
    const sections = this.config.sections.map((section) => {
      const id = `rfi-${section.letter}`;
      const link = h('a', { href: `#${id}`, onclick: (event) => { event.preventDefault(); this.goTo(section.letter); } }, h('span', { class: 'rfi-mark' }), h('span', {}, section.title), h('span', { class: 'rfi-count quiet' }));
      this.links[section.letter] = link;
      const heading = h('h3', { id, tabindex: '-1' }, section.title);
      const card = h('section', { class: 'card rfi-card', 'aria-labelledby': id }, heading, h('p', { class: 'quiet' }, section.about), ...section.fields.map((field) => this.row(field)));
      this.cards[section.letter] = { section, card, heading };
      return card;
    });
    this.agrees = h('input', { type: 'checkbox', id: 'rfi-agrees' });
    this.trouble = h('p', { class: 'form-error', role: 'alert', hidden: true });
    this.button = h('button', { class: 'button primary', type: 'submit' }, 'Send the form back');
    this.declaration = h('section', { class: 'card rfi-card', 'aria-labelledby': 'rfi-I' }, h('h3', { id: 'rfi-I' }, 'Declaration'),
      h('label', { class: 'rfi-tick', for: 'rfi-agrees' }, this.agrees, h('span', {}, 'To the best of my knowledge, these answers are accurate, and I may give them.')),
      this.trouble, h('div', { class: 'rfi-end' }, this.button, h('span', { class: 'quiet small' }, 'The answers are checked at once. What has to be corrected is shown here.')));
    const form = h('form', { class: 'form rfi-cards', novalidate: true, onsubmit: (event) => { event.preventDefault(); this.submit(); } }, this.customerCard(), ...sections, this.declaration);
    this.bar = h('progress', { max: 1, value: 0, 'aria-label': 'Answered of what is needed' });
    this.far = h('span', { class: 'quiet small' });
    const nav = h('nav', { class: 'rfi-nav', 'aria-label': 'Sections of the form' }, h('div', { class: 'rfi-far' }, this.bar, this.far), ...Object.values(this.links));
    return [h('div', { class: 'rfi-body-grid' }, nav, form)];
  }

  readParts() {
    const cards = this.config.sections.map((section) => {
      const asked = section.fields.filter((field) => this.applies(field) && (this.now.shown[field.key] || []).length);
      return asked.length ? h('section', { class: 'card rfi-card', 'aria-labelledby': `rfi-${section.letter}` }, h('h3', { id: `rfi-${section.letter}` }, section.title),
        h('dl', { class: 'facts' }, ...asked.flatMap((field) => [h('dt', {}, field.label), h('dd', { dir: 'auto' }, ...this.now.shown[field.key].map((line) => h('div', { class: field.kind === 'text' ? 'rfi-lines' : null }, line)))]))) : null;
    }).filter(Boolean);
    if (!cards.length) cards.push(h('div', { class: 'card rfi-card' }, h('p', { class: 'calm' }, 'Nothing has been filled in yet.')));
    return [h('div', { class: 'rfi-cards' }, this.customerCard(), ...cards)];
  }

  row(field) {
    const [id, helpId, whoId] = [`rfi-${field.key}`, `rfi-${field.key}-help`, `rfi-${field.key}-who`];
    const input = control(field, id, `${helpId} ${whoId}`);
    const help = h('p', { class: 'form-help', id: helpId });
    const who = h('p', { class: 'rfi-who quiet small', id: whoId });
    const conflict = h('div', { class: 'notice rfi-conflict', role: 'alert', hidden: true });
    const optional = h('span', { class: 'quiet rfi-optional' });
    const label = h('label', { for: id }, field.label, ' ', optional);
    const dns = field.key === 'email_domains' && h('div', { class: 'rfi-dns quiet small', role: 'status' });
    const read = () => (field.kind === 'yes_no' ? input.checked : field.many ? lines(input.value) : input.value);
    input.addEventListener('input', () => this.changed(field.key, read()));
    input.addEventListener('change', () => { this.changed(field.key, read()); this.save(); });
    input.addEventListener('blur', () => { this.save(); this.showRow(field); });
    const box = field.kind === 'yes_no'
      ? h('div', { class: 'rfi-field' }, h('label', { class: 'rfi-tick', for: id }, input, h('span', {}, field.label)), help, conflict, who)
      : h('div', { class: 'rfi-field' }, label, input, help, dns, conflict, who);
    this.rows[field.key] = { field, box, input, help, who, conflict, optional, dns };
    return box;
  }

  show() {
    const { now } = this;
    this.head.textContent = this.config.inside ? this.config.states[now.state] : this.isOpen ? (now.errors.length ? 'Please correct these answers' : 'Please fill in this form') : { complete: 'This form is complete', submitted: 'This form has been sent back' }[now.state] || 'This form is not needed';
    this.showSaid();
    this.showSummary();
    this.status();
    if (!this.isOpen) return;
    for (const { field } of Object.values(this.rows)) this.showRow(field);
    this.showProgress();
  }

  showSaid() {
    const { now } = this;
    const parts = [];
    if (now.state === 'complete') {
      parts.push(h('p', {}, shape('done'), h('b', {}, this.justSent ? ' Thank you. ' : ' '), this.justSent ? `All answers were accepted${this.config.inside ? '' : ', and nothing more is needed from you'}.` : h('span', {}, now.returned_by ? `Sent back by ${now.returned_by}, ` : 'Complete, ', time(now.completed_at), '.')));
      for (const { field, message } of now.warnings) parts.push(h('p', { class: 'quiet' }, h('b', {}, 'Worth a look: '), this.named(field, message)));
      if (this.late?.length) parts.push(h('p', {}, 'What you typed last came too late and is not in it: ', ...this.late.flatMap(([label, text]) => [h('b', {}, `${label}: `), h('span', { class: 'rfi-lines', dir: 'auto' }, text || 'nothing'), ' '])));
    } else if (now.state === 'submitted' && this.config.inside) {
      parts.push(h('p', {}, 'The form came back outside of the portal, so nothing has checked it here. Have it checked: it is complete then, or what is missing is named and can be filled in.'));
      if (this.ways.check && this.config.canFill) parts.push(this.checkButton());
    } else if (now.is_open && now.reopened_because) parts.push(h('p', {}, h('b', {}, 'It was reopened: '), now.reopened_because));
    if (this.config.inside && now.state === 'not_applicable') parts.push(h('p', {}, 'No form is asked for: the customer was brought in as one that needs none. What is shown is what the portal knows.'));
    if (now.state === 'error' && !now.errors.length) parts.push(h('p', {}, 'It was found in error outside of the portal, which was not told what is wrong. Sent back from here, it is checked anew.'));
    if (this.config.inside && now.is_open && !this.config.canFill) parts.push(h('p', {}, 'Your role in the portal does not include filling in the form; you can read it.'));
    const told = parts.map((part) => part.textContent).join('\n');
    this.said.hidden = parts.length === 0;
    if (this.toldSaid !== told || !this.said.firstChild) this.said.replaceChildren(...parts);
    this.toldSaid = told;
  }

  checkButton() {
    const trouble = h('p', { class: 'form-error', role: 'alert', hidden: true });
    const button = h('button', { class: 'button primary', type: 'button', onclick: async () => {
      if (button.getAttribute('aria-busy')) return;
      button.setAttribute('aria-busy', 'true');
      try {
        this.take((await this.ways.check()).now);
        (this.isOpen ? this.summary : this.head).focus();
      } catch (error) {
        trouble.textContent = error.message;
        trouble.hidden = false;
        if (error.status === 409) this.renew();
      }
      button.removeAttribute('aria-busy');
    } }, 'Check it now');
    return h('div', { class: 'rfi-choose rfi-check' }, button, trouble);
  }

  showSummary() {
    const errors = this.isOpen || this.now.state === 'error' ? this.now.errors : [];
    this.summary.hidden = errors.length === 0;
    const told = JSON.stringify(errors);
    if (this.toldErrors === told && this.summary.firstChild) return;
    this.toldErrors = told;
    this.summary.replaceChildren(h('b', {}, errors.length === 1 ? 'One answer has to be corrected' : `${errors.length} answers have to be corrected`),
      h('ul', {}, ...errors.map(({ field, message }) => h('li', {}, this.isOpen && field in this.rows
        ? h('a', { href: `#rfi-${field}`, onclick: (event) => { event.preventDefault(); this.rows[field].input.scrollIntoView({ block: 'center' }); this.rows[field].input.focus(); } }, this.named(field, message)) : this.named(field, message)))));
  }

  // What is wrong, with the name of the field where the sentence has none.
  named(key, message) {
    const label = this.fields[key]?.label;
    return !label || message.startsWith(label) ? message : `${label}: ${message}`;
  }

  showRow(field) {
    const row = this.rows[field.key];
    if (!row) return;
    const { input } = row;
    row.box.hidden = !this.applies(field);
    const value = this.value(field.key);
    const focused = document.activeElement === input;
    if (field.kind === 'yes_no') input.checked = value === true;
    else {
      const text = field.many ? value.join('\n') : String(value);
      // Not while somebody is typing there: what they type is not yet what is stored (a space at the end, say).
      if (!(focused && field.key in this.typed) && !same(read(field, input), value)) input.value = text;
    }
    const required = this.isRequired(field);
    if (row.optional.textContent !== (required ? '' : 'optional')) row.optional.textContent = required ? '' : 'optional';
    input.toggleAttribute('required', required && field.kind !== 'yes_no');
    const error = this.now.errors.find((each) => each.field === field.key)?.message;
    const problem = this.refused[field.key] || (field.key in this.typed ? '' : error || this.now.problems[field.key]) || '';
    const wasBad = row.help.classList.contains('form-error');
    if (problem && (!focused || wasBad || this.refused[field.key])) {
      row.help.className = 'form-error';
      row.help.textContent = problem;
      input.setAttribute('aria-invalid', 'true');
    } else if (!problem || !wasBad) {
      row.help.className = 'form-help';
      row.help.textContent = field.help;
      input.removeAttribute('aria-invalid');
    }
    this.showConflict(row);
    const edit = this.now.edits[field.key];
    const theirs = edit && edit.by !== this.config.me;
    row.who.replaceChildren(...(theirs && !(field.key in this.typed) ? [`${capital(edit.by)}, `, time(edit.at)] : []));
    row.who.hidden = !row.who.firstChild;
    if (row.version !== undefined && theirs && row.version !== edit.at && !focused) flash(row.box);
    row.version = edit?.at ?? '';
  }

  showConflict(row) {
    const { key } = row.field;
    const isOpen = key in this.conflicts;
    const who = this.now.edits[key]?.by;
    const told = isOpen ? JSON.stringify([this.conflicts[key], who]) : '';
    if (row.toldConflict === told) return;
    row.toldConflict = told;
    row.conflict.hidden = !isOpen;
    if (!isOpen) return row.conflict.replaceChildren();
    const theirs = this.conflicts[key];
    const choose = (mine) => {
      delete this.conflicts[key];
      if (mine) this.typed[key].was = theirs;
      else { delete this.typed[key]; this.base[key] = theirs; }
      this.remember();
      this.showRow(row.field);
      row.input.focus();
      this.save();
    };
    const words = Array.isArray(theirs) ? theirs.join(', ') : theirs === true ? 'yes' : theirs === false ? 'no' : String(theirs);
    const title = row.field.kind === 'date' && /^\d{4}-\d{2}-\d{2}$/.test(words) ? dayInWords(words) : Object.fromEntries(row.field.choices)[words] || words;
    row.conflict.replaceChildren(h('p', {}, who && who !== this.config.me ? `${capital(who)} has changed this meanwhile. It is now: ` : 'This has been changed meanwhile. It is now: ', h('b', { dir: 'auto' }, title || 'empty')),
      h('div', { class: 'rfi-choose' }, h('button', { type: 'button', class: 'button small', onclick: () => choose(true) }, 'Use what I typed'), h('button', { type: 'button', class: 'button small', onclick: () => choose(false) }, 'Keep theirs')));
  }

  showProgress() {
    let [done, of] = [0, 0];
    for (const { section, card } of Object.values(this.cards)) {
      const asked = section.fields.filter((field) => this.applies(field));
      const needed = asked.filter((field) => this.isRequired(field));
      const isWrong = (field) => this.rows[field.key].help.classList.contains('form-error') || field.key in this.conflicts;
      const right = needed.filter((field) => !isNothing(this.value(field.key)) && !isWrong(field)).length;
      const link = this.links[section.letter];
      card.hidden = asked.length === 0;
      link.hidden = asked.length === 0;
      const bad = asked.some(isWrong);
      const answered = asked.filter((field) => !isNothing(this.value(field.key))).length;
      link.className = bad ? 'is-bad' : needed.length ? (right === needed.length ? 'is-done' : '') : answered ? 'is-done' : '';
      const count = needed.length ? `${right} of ${needed.length}` : 'optional';
      link.lastChild.textContent = count;
      const mark = bad ? 'bad' : link.className ? 'done' : 'empty';
      if (link.dataset.mark !== mark) { link.dataset.mark = mark; link.firstChild.replaceChildren(shape(mark)); }
      link.setAttribute('aria-label', `${section.title}: ${needed.length ? `${count} answered` : 'optional'}${bad ? ', something to correct' : ''}`);
      done += right;
      of += needed.length;
    }
    this.bar.max = of || 1;
    this.bar.value = done;
    this.far.textContent = `${done} of ${of} needed answers`;
  }

  // Whether everything is safe.
  status() {
    if (!this.saveState) return;
    const waits = Object.keys(this.typed).length;
    const [text, tone] = !this.isOpen ? ['', '']
      : this.closed ? ['', '']
        : Object.keys(this.refused).length ? ['One answer cannot be kept as it is', 'late']
        : Object.keys(this.conflicts).length ? ['Somebody else has changed an answer', 'late']
          : this.retryTimer ? ['Not saved yet: the server does not answer. What you type is kept here', 'late']
            : this.saving || waits ? ['Saving …', '']
              : this.saved || this.now.version ? ['Saved', 'saved'] : ['Saved as you type', ''];
    if (this.saveState.textContent !== text) this.saveState.replaceChildren(...(tone === 'saved' ? [shape('done')] : []), text);
    this.saveState.classList.toggle('tone-late', tone === 'late');
  }

  goTo(letter) {
    const { heading } = this.cards[letter];
    heading.scrollIntoView({ block: 'start', behavior: matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth' });
    heading.focus({ preventScroll: true });
  }

  showTimes() {
    for (const each of this.root.querySelectorAll('time[data-said]')) each.textContent = spoken(Number(each.dataset.said));
  }
}

const empty = (field) => (field?.many ? [] : field?.kind === 'yes_no' ? false : '');
const capital = (who) => (who.includes('@') ? who : who[0].toUpperCase() + who.slice(1));
const dayInWords = (value) => new Date(value).toLocaleDateString('en-GB', { dateStyle: 'long', timeZone: 'UTC' });
const isNothing = (value) => value === '' || value == null || (Array.isArray(value) && !value.length);
const lines = (text) => text.split('\n').map((line) => line.replace(/\s+/g, ' ').trim()).filter(Boolean);
const read = (field, input) => (field.many ? lines(input.value) : input.value);
const plain = (value) => (value == null ? '' : Array.isArray(value) ? value.map((one) => String(one).trim()).join('\n') : typeof value === 'boolean' ? String(value) : String(value).replace(/\r/g, '').split('\n').map((line) => line.trimEnd()).join('\n').trim());
const same = (one, other) => plain(one) === plain(other);
const sentence = (label, message) => `${/^[a-z]/.test(message) ? `${label} ${message}` : message}.`.replace(/([.!?])\.$/, '$1');

function control(field, id, describedBy) {
  const shared = { id, name: field.key, 'aria-describedby': describedBy, autocomplete: 'off', spellcheck: field.kind === 'text' ? 'true' : 'false', placeholder: field.placeholder || null };
  if (field.kind === 'yes_no') return h('input', { ...shared, type: 'checkbox' });
  if (field.choices.length) return h('select', shared, h('option', { value: '' }, 'Choose …'), ...field.choices.map(([value, title]) => h('option', { value }, title)));
  if (field.kind === 'text' || field.many) return h('textarea', { ...shared, rows: field.kind === 'text' ? 5 : 3, dir: 'auto' });
  const type = { email: 'email', phone: 'tel', date: 'date' }[field.kind] || 'text';
  return h('input', { ...shared, type, dir: type === 'text' ? 'auto' : null, maxlength: type === 'date' ? null : 1000, inputmode: type === 'tel' ? 'tel' : null });
}

function flash(element) {
  element.classList.remove('changed');
  requestAnimationFrame(() => element.classList.add('changed'));
}

// As whoever is signed in has chosen to see times (live.js); who holds a link sees those of the browser.
const inZone = (options) => ({ ...options, timeZone: document.querySelector('meta[name=portal-zone]')?.content || undefined });

function spoken(at) {
  const s = Math.max(0, Math.round((Date.now() - at) / 1000));
  if (s < 60) return 'just now';
  if (s < 3600) return `${Math.floor(s / 60)} min ago`;
  const date = new Date(at);
  const dayOf = (one) => one.toLocaleDateString('en-CA', inZone({}));
  const clock = { hour: '2-digit', minute: '2-digit' };
  return date.toLocaleString('en-GB', inZone(dayOf(date) === dayOf(new Date()) ? clock : { day: 'numeric', month: 'short', ...clock }));
}

function time(value) {
  const at = Date.parse(String(value).replace(' ', 'T').replace(/(\.\d{3})\d+/, '$1'));
  if (Number.isNaN(at)) return '';
  return h('time', { datetime: new Date(at).toISOString(), title: new Date(at).toLocaleString('en-GB', inZone({ dateStyle: 'medium', timeStyle: 'short' })), 'data-said': at }, spoken(at));
}
