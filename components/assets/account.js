// One's own account: name, time zone, theme, password, two-factor and where one is signed in. What is being typed stays
// when the page hears that something changed.
import { clock, h, live, setZone, when } from './live.js';
import { send, worded } from './dialog.js';
import { read, reasonOf } from './tips.js';
import { shape } from './icons.js';
import { keepCodes } from './codes.js';

const ADDRESS = '/api/ui/account';
const FEW_CODES = 3;
const THEMES = [['light', 'Light'], ['dark', 'Dark'], ['system', 'System']];

export function mount(root, config) {
  const page = new AccountPage(root, config);
  return { destroy: () => page.destroy() };
}

class AccountPage {
  constructor(root, config) {
    this.config = config;
    this.facts = config.facts;
    const card = (id, title, ...content) => h('section', { class: 'card account-card', 'aria-labelledby': id }, h('h2', { id }, title), ...content);
    this.places = Object.fromEntries(['you', 'mail', 'password', 'two', 'sessions'].map((name) => [name, { shown: h('div', { class: 'account-shown' }), form: h('div', { class: 'account-form', hidden: true }) }]));
    this.notice = h('p', { class: 'notice', role: 'status', hidden: true });
    this.trouble = h('p', { class: 'notice bad', role: 'alert', hidden: true });
    const of = (name) => [this.places[name].shown, this.places[name].form];
    root.append(h('div', { class: 'page-scroll account' }, h('div', { class: 'page-head' }, h('h1', {}, 'Your account')), this.notice, this.trouble,
      card('account-you', 'You', ...of('you')), card('account-mail', 'E-mail about Connect', ...of('mail')), card('account-password', 'Password', ...of('password')),
      card('account-two', 'Two-factor', ...of('two')), card('account-sessions', 'Where you are signed in', ...of('sessions'))));
    this.undo = [live.news(() => this.ask())];
    this.timer = setInterval(() => this.show(), 30000); // "5 min ago" goes on
    this.show();
    this.ask();
  }

  destroy() {
    this.undo.forEach((undo) => undo());
    clearInterval(this.timer);
  }

  async ask() {
    try {
      this.facts = await fetch(ADDRESS, { cache: 'no-store', signal: AbortSignal.timeout(15000) }).then(read);
      this.trouble.hidden = true;
    } catch (error) {
      this.trouble.textContent = `What is shown may be old: ${reasonOf(error)}`;
      this.trouble.hidden = false;
    }
    this.show();
  }

  tell(text) {
    this.notice.textContent = text;
    this.notice.hidden = !text;
  }

  // -- what is shown --------------------------------------------------------------------------------------------------

  show() {
    const focused = document.activeElement?.dataset?.keep;
    this.showYou();
    this.showMail();
    this.showPassword();
    this.showTwoFactor();
    this.showSessions();
    if (focused && document.activeElement === document.body) document.querySelector(`[data-keep="${CSS.escape(focused)}"]`)?.focus();
  }

  button(title, onclick, more = {}) {
    return h('button', { class: 'button', type: 'button', onclick, 'data-keep': more.keep || title, ...more.attributes }, title);
  }

  line(label, value, ...actions) {
    return h('div', { class: 'account-line' }, h('div', { class: 'account-label' }, label), h('div', { class: 'account-value', dir: 'auto' }, value), h('div', { class: 'account-actions' }, ...actions));
  }

  showYou() {
    const { name, email, role, partner, time_zone: zone } = this.facts;
    const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const themes = h('div', { class: 'choices', role: 'group', 'aria-label': 'Theme' }, ...THEMES.map(([key, title]) => h('button', { type: 'button', class: 'choice', 'data-choose-theme': key, 'data-keep': `theme ${key}`, 'aria-pressed': String(document.documentElement.dataset.theme === key) }, title)));
    this.places.you.shown.replaceChildren(
      this.line('Name', h('b', {}, name), this.button('Change', () => this.nameForm(), { keep: 'name', attributes: { 'aria-label': 'Change the name' } })),
      this.line('E-mail', email), this.line('Role', `${role} of ${partner}`),
      this.line('Time zone', [zone || `That of this browser (${here})`, h('span', { class: 'quiet small' }, `now ${clock(live.now())}`)].flatMap((each, index) => (index ? [' ', each] : [each])).reduce((box, each) => { box.append(each); return box; }, h('span')), this.button('Change', () => this.zoneForm(), { keep: 'zone', attributes: { 'aria-label': 'Change the time zone' } })),
      this.line('Theme', themes));
  }

  showMail() {
    const { digest, reminders, works } = this.facts.mail;
    const one = (name, on, label, about) => this.line(h('span', { class: 'state-line' }, h('span', { class: on ? 'tone-accent' : 'tone-none' }, shape(on ? 'done' : 'none')), label), h('span', { class: 'quiet' }, about),
      this.button(on ? 'Turn off' : 'Turn on', () => this.chooseMail({ digest, reminders, [name]: !on }, `${label}: ${on ? 'off' : 'on'}.`), { keep: `mail ${name}`, attributes: { 'aria-label': `${label}: ${on ? 'on' : 'off'}. Turn ${on ? 'off' : 'on'}`, 'aria-pressed': String(on) } }));
    this.places.mail.shown.replaceChildren(
      ...(works ? [] : [h('p', { class: 'notice' }, 'Your MSP has no mail server set up: nothing is sent until it has.')]),
      one('digest', digest, 'Daily digest', 'At 7 in the morning, what is overdue or blocked among the customers and steps that you look after. None on a day when there is nothing.'),
      one('reminders', reminders, 'Reminders', 'When a step of yours becomes overdue, and every week that it stays so.'));
  }

  async chooseMail(wanted, text) {
    this.trouble.hidden = true;
    try {
      await send('POST', `${ADDRESS}/connect-mail`, wanted);
      this.tell(text);
    } catch (error) {
      this.trouble.textContent = error.message;
      this.trouble.hidden = false;
    }
    await this.ask();
  }

  showPassword() {
    const { has_password: has, provider } = this.facts;
    const text = has ? 'Changing it ends your other sessions.' : `You have none${provider ? `: you sign in with ${provider}` : ''}. An administrator can send you a link to choose one.`;
    this.places.password.shown.replaceChildren(this.line(has ? 'Password' : 'No password', h('span', { class: 'quiet' }, text), has && this.button('Change', () => this.passwordForm(), { keep: 'password', attributes: { 'aria-label': 'Change the password' } })));
  }

  showTwoFactor() {
    const { on, since, codes_left: left, must, rule } = this.facts.two_factor;
    const wanted = must ? 'Your MSP asks everybody for it.' : rule === 'console' ? 'Your MSP asks for it before a customer’s Administration Console opens.' : '';
    if (!on) {
      this.places.two.shown.replaceChildren(
        this.line(h('span', { class: 'state-line' }, h('span', { class: 'tone-none' }, shape('none')), 'Off'),
          h('span', { class: 'quiet' }, `A code from your phone beside the password: who learns the password still cannot sign in. ${wanted}`),
          this.button('Turn on', () => this.begin(), { keep: 'turn on two-factor', attributes: { class: 'button primary' } })));
      return;
    }
    const few = left <= FEW_CODES;
    this.places.two.shown.replaceChildren(
      this.line(h('span', { class: 'state-line' }, h('span', { class: 'tone-accent' }, shape('done')), 'On'), h('span', { class: 'quiet' }, 'since ', when(since), wanted && `. ${wanted}`), this.button('Turn off', () => this.offForm(), { keep: 'turn off two-factor', attributes: { 'aria-label': 'Turn two-factor off' } })),
      this.line('Recovery codes', h('span', { class: few ? 'tone-late' : 'quiet' }, left ? `${left} of 10 are left.${few ? ' Make new ones soon.' : ''}` : 'None is left. Make new ones now.'), this.button('New codes', () => this.codesForm(), { keep: 'new codes', attributes: { 'aria-label': 'New recovery codes' } })));
  }

  showSessions() {
    const { sessions } = this.facts;
    const shown = this.places.sessions.shown;
    if (!sessions) {
      shown.replaceChildren(h('span', { class: 'skeleton' }));
      return;
    }
    const others = sessions.filter((each) => !each.mine);
    shown.replaceChildren(
      h('ul', { class: 'account-sessions' }, ...[...sessions.filter((each) => each.mine), ...others].map((each) => h('li', { class: 'account-line' },
        h('div', { class: 'account-label' }, each.browser), h('div', { class: 'account-value quiet' }, h('span', { class: 'mono' }, each.address || 'unknown address'), ' · since ', when(each.since)),
        h('div', { class: 'account-actions' }, each.mine ? h('span', { class: 'chip' }, 'This one') : this.button('End', () => this.end(each.id), { keep: `end ${each.id}`, attributes: { 'aria-label': `End the session of ${each.browser}, ${each.address}` } }))))),
      others.length ? h('div', { class: 'card-actions' }, this.button('End all others', () => this.end('others'))) : h('p', { class: 'quiet small' }, 'You are signed in nowhere else.'));
  }

  // -- what is typed --------------------------------------------------------------------------------------------------

  open(name, ...content) {
    const { form: place, shown } = this.places[name];
    if (place.hidden) this.opener = document.activeElement?.dataset?.keep; // else the next step of the same
    shown.classList.add('is-behind'); // its buttons wait: one thing at a time
    place.replaceChildren(...content);
    place.hidden = false;
    (place.querySelector('input:not([hidden]), button') || place).focus();
    place.scrollIntoView({ block: 'nearest' });
  }

  close(name) {
    const { form, shown } = this.places[name];
    form.hidden = true;
    form.replaceChildren();
    shown.classList.remove('is-behind');
    if (document.activeElement !== document.body) return;
    ((this.opener && document.querySelector(`[data-keep="${CSS.escape(this.opener)}"]`)) || shown.querySelector('button'))?.focus();
  }

  // A form below the card's lines: `fields` are {name, label, help, attributes}; `store` gets what was typed.
  form(name, { fields, button, store, before = [], hidden }) {
    const rows = fields.map((field) => {
      const id = `account-field-${field.name}`;
      const input = h('input', { id, name: field.name, required: !field.optional, 'aria-describedby': `${id}-help`, ...field.attributes });
      return { field, input, help: h('p', { class: 'form-help', id: `${id}-help` }, field.help || ''), label: h('label', { for: id }, field.label) };
    });
    const trouble = h('p', { class: 'form-error', role: 'alert', hidden: true });
    const submit = h('button', { class: 'button primary', type: 'submit' }, button);
    const say = (error) => {
      const row = rows.find((each) => each.field.name === error.field);
      trouble.hidden = Boolean(row);
      trouble.textContent = row ? '' : error.message;
      if (!row) return;
      row.help.className = 'form-error';
      row.help.textContent = worded(row.field.label, error.message);
      row.input.setAttribute('aria-invalid', 'true');
      row.input.focus();
      row.input.select?.();
    };
    const form = h('form', { class: 'form', novalidate: true, onsubmit: async (event) => {
      event.preventDefault();
      if (submit.getAttribute('aria-busy')) return;
      trouble.hidden = true;
      for (const { input, help, field } of rows) { input.removeAttribute('aria-invalid'); help.className = 'form-help'; help.textContent = field.help || ''; }
      const typed = Object.fromEntries(rows.map(({ field, input }) => [field.name, input.value]));
      const missing = rows.find(({ field, input }) => !field.optional && !input.value.trim());
      if (missing) { say({ field: missing.field.name, message: 'is empty' }); return; }
      submit.setAttribute('aria-busy', 'true');
      try {
        await store(typed);
      } catch (error) {
        say(error);
      } finally {
        submit.removeAttribute('aria-busy');
      }
    } }, hidden, ...rows.flatMap(({ label, input, help }) => [label, input, help]), trouble,
      h('div', { class: 'dialog-buttons' }, h('button', { class: 'button', type: 'button', onclick: () => this.close(name) }, 'Cancel'), submit));
    form.addEventListener('keydown', (event) => { if (event.key === 'Escape') { event.stopPropagation(); this.close(name); } });
    this.open(name, ...before, form);
    return form;
  }

  async done(name, text) {
    await this.ask();
    this.close(name);
    this.tell(text);
  }

  nameForm() {
    const fields = [{ name: 'name', label: 'Name', help: 'As your colleagues see it in notes and in the history.', attributes: { value: this.facts.name, maxlength: 120, autocomplete: 'name' } }];
    this.form('you', { fields, button: 'Save', store: async ({ name }) => {
      const stored = await send('POST', `${ADDRESS}/name`, { name });
      const head = document.querySelector('.toolbar .menu-head > :first-child'); // the menu was drawn with the page
      if (head) head.textContent = stored.name;
      await this.done('you', 'Your name was changed.');
    } });
  }

  zoneForm() {
    const list = h('datalist', { id: 'account-zones' }, ...this.config.zones.map((zone) => h('option', { value: zone })));
    const fields = [{ name: 'time_zone', label: 'Time zone', optional: true, help: 'A city’s, as in Europe/Berlin. Leave it empty to see the times of whichever browser you use.', attributes: { value: this.facts.time_zone, list: 'account-zones', maxlength: 64, autocomplete: 'off', placeholder: Intl.DateTimeFormat().resolvedOptions().timeZone } }];
    this.form('you', { fields, button: 'Save', before: [list], store: async (typed) => {
      const stored = await send('POST', `${ADDRESS}/time-zone`, { time_zone: typed.time_zone.trim().replaceAll(' ', '_') });
      setZone(stored.time_zone);
      await this.done('you', stored.time_zone ? `Times are shown as in ${stored.time_zone}.` : 'Times are shown as in your browser.');
    } });
  }

  // Password managers want to know whose password it is.
  whose() {
    return h('input', { type: 'text', name: 'username', autocomplete: 'username', value: this.facts.email, hidden: true, readonly: true });
  }

  passwordForm() {
    const password = (name, label, autocomplete, help) => ({ name, label, help, attributes: { type: 'password', autocomplete, maxlength: 256 } });
    const fields = [password('old', 'Password now', 'current-password'), password('new', 'New password', 'new-password', `At least ${this.config.min_password} characters. A few words are easier to keep in mind.`), password('again', 'New password again', 'new-password')];
    this.form('password', { fields, button: 'Change password', hidden: this.whose(), store: async ({ old, new: chosen, again }) => {
      if (chosen !== again) throw Object.assign(new Error('The two passwords differ.'), { field: 'again' });
      await send('POST', `${ADDRESS}/password`, { old, new: chosen });
      await this.done('password', 'Your password was changed, and your other sessions were ended.');
    } });
  }

  codeField(label, help) {
    return { name: 'code', label, help, attributes: { class: 'code-input', autocomplete: 'one-time-code', autocapitalize: 'none', spellcheck: 'false', maxlength: 40 } };
  }

  // First the password, then the key and a code of it. Who has no password has signed in not long ago, or is told to.
  async begin() {
    this.tell('');
    this.trouble.hidden = true;
    const ask = (typed) => send('POST', `${ADDRESS}/two-factor/begin`, typed);
    if (this.facts.has_password) {
      const fields = [{ name: 'password', label: 'Password', attributes: { type: 'password', autocomplete: 'current-password', maxlength: 256 } }];
      this.form('two', { fields, button: 'Go on', before: [h('p', {}, 'Your password first, so that nobody else can do this on a page that you left open.')], hidden: this.whose(), store: async (typed) => this.keyForm(await ask(typed)) });
      return;
    }
    try {
      this.keyForm(await ask({}));
    } catch (error) {
      this.open('two', h('p', { class: 'form-error', role: 'alert' }, error.message), h('div', { class: 'card-actions' }, h('button', { class: 'button', type: 'button', onclick: () => this.close('two') }, 'Close')));
    }
  }

  keyForm(found) {
    // Drawn by the server; parsed as a picture, so nothing in it can be a page.
    const picture = document.importNode(new DOMParser().parseFromString(found.qr, 'image/svg+xml').documentElement, true);
    const before = h('div', { class: 'enrol' },
      h('div', { class: 'qr-box', role: 'img', 'aria-label': 'QR code of your key' }, picture),
      h('div', { class: 'enrol-words' }, h('p', {}, h('b', {}, '1. '), 'Scan this with an authenticator app on your phone.'),
        h('p', { class: 'quiet small' }, 'It cannot be scanned? Type this key into the app:'), h('p', { class: 'mono key' }, found.key), h('p', {}, h('b', {}, '2. '), 'Type the six digits that the app shows.')));
    this.form('two', { fields: [this.codeField('Code')], button: 'Turn on', before: [before], store: async (typed) => {
      const { codes } = await send('POST', `${ADDRESS}/two-factor/confirm`, typed);
      await this.ask();
      this.showCodes(codes, 'Two-factor is on, and your other sessions were ended.');
    } });
  }

  codesForm() {
    this.form('two', { fields: [this.codeField('Code', 'From your app, or one of the recovery codes that are left. The old codes are worth nothing afterwards.')], button: 'Make new codes', store: async (typed) => {
      const { codes } = await send('POST', `${ADDRESS}/two-factor/codes`, typed);
      await this.ask();
      this.showCodes(codes, 'You have new recovery codes; the old ones are worth nothing any more.');
    } });
  }

  showCodes(codes, text) {
    this.tell(text);
    const doing = (what, title) => h('button', { class: 'button', type: 'button', onclick: (event) => keepCodes(what, codes, event.currentTarget) }, title);
    this.open('two', h('h3', {}, 'Keep your recovery codes'),
      h('p', {}, 'Each lets you in once without your phone. They are shown ', h('b', {}, 'only now'), ': print them, or keep them where you keep passwords.'),
      h('ol', { class: 'recovery-codes mono' }, ...codes.map((code) => h('li', {}, code))),
      h('div', { class: 'card-actions' }, doing('copy', 'Copy'), doing('download', 'Download'), doing('print', 'Print'), h('span', { class: 'grow' }), h('button', { class: 'button primary', type: 'button', onclick: () => { this.close('two'); this.tell(''); } }, 'I have kept them')));
  }

  offForm() {
    const { has_password: has, two_factor: { must } } = this.facts;
    const password = { name: 'password', label: 'Password', attributes: { type: 'password', autocomplete: 'current-password', maxlength: 256 } };
    const fields = [has && password, this.codeField('Code', 'From your app, or a recovery code. If you have lost both, an administrator can reset your two-factor.')].filter(Boolean);
    const before = h('p', {}, must ? 'Your MSP asks everybody for two-factor: you will be signed out here, and set it up anew when you sign in again.' : 'Afterwards your password alone is enough to sign in. Your other sessions end.');
    this.form('two', { fields, button: 'Turn off', before: [before], hidden: has && this.whose(), store: async (typed) => {
      await send('POST', `${ADDRESS}/two-factor/off`, typed);
      if (!must) await this.done('two', 'Two-factor is off, and your other sessions were ended.');
    } });
  }

  async end(which) {
    try {
      const { ended } = await send('POST', `${ADDRESS}/sessions/${which}/end`, {});
      this.tell(which === 'others' ? 'Your other sessions were ended.' : ended ? 'The session was ended.' : 'This session had ended already.');
    } catch (error) {
      if (error.status !== 404) { this.trouble.textContent = error.message; this.trouble.hidden = false; return; }
      this.tell('This session had ended already.'); // so long ago that nothing is kept of it
    }
    await this.ask();
  }
}
