// The settings of the MSP: sections with a form each. What is typed is a draft until it is saved or thrown away: it
// outlives a failed save, a reload, and what somebody else saves meanwhile.
import { h, live, number, when } from './live.js';
import { shape } from './icons.js';
import { openForm, send, worded, wrongFields } from './dialog.js';
import { Asking } from './asking.js';
import { recall, remember } from './drafts.js';

const RENEW = 15000; // ms after which mail and backups are asked for again
const MOVES = ['wheel', 'touchmove', 'pointerdown', 'keydown']; // by which somebody scrolls
const ADDRESS = '/api/ui/settings';

export function mount(root, config) {
  const page = new SettingsPage(root, config);
  return { destroy: () => page.destroy() };
}

class SettingsPage {
  constructor(root, config) {
    this.config = config;
    this.state = config;
    this.sections = [
      this.msp(), this.form('customers', 'Customers', '', [this.rule()]), this.orders(), this.rfi(), this.connect(), this.security(), this.help(), this.mail(),
      config.tokens && this.tokens(), this.backups(),
    ].filter(Boolean);
    this.links = this.sections.map((section) => h('a', { href: `#${section.id}`, onclick: (event) => { event.preventDefault(); this.goTo(section); } }, section.title));
    root.append(h('div', { class: 'page-scroll settings' },
      h('div', { class: 'page-head' }, h('h1', {}, 'Settings')),
      h('nav', { class: 'settings-nav', 'aria-label': 'Sections of the settings' }, ...this.links),
      h('div', { class: 'settings-sections' }, ...this.sections.map((section) => section.box))));
    this.scroller = root.closest('.page');
    this.asking = new Asking(ADDRESS, { found: (state) => this.take(state) }); // where it fails, the live dot says so
    this.undo = [live.news(() => this.renew()), () => this.asking.stop()];
    this.timer = setInterval(() => !document.hidden && this.renew(), RENEW);
    // A section near the end never comes to the top: what was chosen stays marked until somebody scrolls on.
    this.onScroll = () => this.mark(this.chosen);
    this.onMove = () => { this.chosen = null; };
    for (const kind of MOVES) this.scroller?.addEventListener(kind, this.onMove, { passive: true });
    this.scroller?.addEventListener('scroll', this.onScroll, { passive: true });
    this.onHash = () => this.toHash();
    addEventListener('hashchange', this.onHash);
    this.take(config);
    this.mark();
    requestAnimationFrame(() => this.toHash());
  }

  destroy() {
    this.undo.forEach((undo) => undo());
    clearInterval(this.timer);
    this.scroller?.removeEventListener('scroll', this.onScroll);
    for (const kind of MOVES) this.scroller?.removeEventListener(kind, this.onMove);
    removeEventListener('hashchange', this.onHash);
  }

  toHash() {
    const section = this.sections.find(({ id }) => `#${id}` === location.hash);
    if (section) this.goTo(section);
  }

  goTo(section) {
    history.replaceState(history.state, '', `#${section.id}`);
    section.box.scrollIntoView({ block: 'start', behavior: matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth' });
    section.heading.focus({ preventScroll: true });
    this.chosen = section;
    this.mark(section);
  }

  // Which section is being read.
  mark(chosen) {
    const top = (this.scroller?.getBoundingClientRect().top ?? 0) + 120;
    const atEnd = this.scroller && this.scroller.scrollHeight - this.scroller.scrollTop - this.scroller.clientHeight < 2;
    const here = chosen || (atEnd && this.scroller.scrollTop > 0 ? this.sections.at(-1) : this.sections.findLast(({ box }) => box.getBoundingClientRect().top <= top)) || this.sections[0];
    this.links.forEach((link, index) => (this.sections[index] === here ? link.setAttribute('aria-current', 'true') : link.removeAttribute('aria-current')));
  }

  renew() { return this.asking.load(); }

  // What the answer to something that was stored says of how it is now.
  stored(state) {
    this.asking.overtaken();
    this.take(state);
  }

  take(state) {
    this.state = { ...this.config, ...state };
    for (const section of this.sections) section.take(this.state);
  }

  // -- a section with a form ------------------------------------------------------------------------------------------

  form(id, title, about, fields, { above = [], below = [], buttons = [], onChange = () => {} } = {}) {
    const form = new Form(this, id, fields, { buttons, onChange });
    const section = this.section(id, title, about, [...above, form.box, ...below]);
    section.take = (state) => { form.take(state.facts); onChange(form, state); section.more?.(state); };
    section.form = form;
    return section;
  }

  section(id, title, about, content) {
    const heading = h('h2', { id: `${id}-title`, tabindex: '-1' }, title);
    const box = h('section', { class: 'card settings-card', id, 'aria-labelledby': `${id}-title` }, heading, about && h('p', { class: 'quiet settings-about' }, about), ...content);
    return { id, title, box, heading, take() {} };
  }

  // -- the sections ---------------------------------------------------------------------------------------------------

  msp() {
    const zones = this.config.time_zones.includes(this.config.facts.time_zone) ? this.config.time_zones : [this.config.facts.time_zone, ...this.config.time_zones];
    const picture = h('div', { class: 'settings-logo' });
    const problem = h('p', { class: 'form-help', role: 'status' });
    const usual = `PNG, JPEG or WebP, up to ${this.config.logo_kb} KB. It is shown here and on the wall.`;
    const say = (text, bad) => { problem.className = bad ? 'form-error' : 'form-help'; problem.textContent = text; };
    say(usual);
    const change = async (work, said) => {
      try { this.stored((await work()).now); say(said); } catch (error) { say(error.field === 'logo' ? worded('The logo', error.message) : error.message, true); }
    };
    const file = h('input', { type: 'file', id: 'logo-file', class: 'sr-only', accept: 'image/png,image/jpeg,image/webp', onchange: () => {
      const [chosen] = file.files;
      file.value = '';
      if (!chosen) return;
      if (chosen.size > this.config.logo_kb * 1000) { say(`The logo is larger than ${this.config.logo_kb} KB.`, true); return; }
      say('Uploading …');
      change(() => upload(chosen), 'The logo was changed.');
    } });
    const choose = h('label', { class: 'button', for: 'logo-file' }, shape('upload'), h('span', {}, 'Choose a logo'));
    const remove = h('button', { class: 'button plain', type: 'button', onclick: () => change(() => send('DELETE', `${ADDRESS}/logo`), 'The logo was removed.') }, 'Remove');
    const section = this.form('msp', 'The MSP', '', [
      { name: 'name', label: 'Name', longest: 120 },
      { name: 'address', label: 'Address', kind: 'area', help: 'As it stands on a letter.' },
      { name: 'currency', label: 'Currency', kind: 'choice', choices: this.config.currencies, help: 'What prices and orders are in. When it changes, prices are entered anew.' },
      { name: 'time_zone', label: 'Time zone', kind: 'choice', choices: zones.map((zone) => [zone, zone.replaceAll('_', ' ')]), help: 'Days are counted in it: when something is due or takes effect, and when reminders go out. People see times in the zone of their browser, or of their account page.' },
    ], { above: [h('div', { class: 'settings-brand' }, picture, h('div', {}, h('div', { class: 'settings-row' }, file, choose, remove), problem))] });
    section.more = ({ logo, facts }) => {
      remove.hidden = !logo;
      choose.lastChild.textContent = logo ? 'Change the logo' : 'Choose a logo';
      if (picture.dataset.shown === logo + facts.name) return;
      picture.dataset.shown = logo + facts.name;
      picture.replaceChildren(logo ? h('img', { src: logo, alt: `Logo of ${facts.name}` }) : h('span', { 'aria-hidden': 'true' }, [...facts.name][0] || '?'));
    };
    return section;
  }

  rule() {
    return { name: 'lists_unsent_rfi', label: 'When a new customer is listed under In Progress', kind: 'radio', yes: true, choices: [
      ['false', 'When its RFI has come back', 'Until then it is under Waiting for RFI.'],
      ['true', 'At once', 'Also while the RFI is still with the customer.'],
    ] };
  }

  orders() {
    const standing = h('div', { class: 'settings-standing' });
    const section = this.form('orders', 'Orders', 'Where orders, change orders and cancellations go once they are submitted, and what holds for them.', [
      { name: 'order_desk', label: 'Vendor’s order desk', kind: 'email', placeholder: 'orders@vendor.example', help: 'Each is sent there with its PDF. Empty: somebody passes them on by hand, and says so on the customer’s page.' },
      { name: 'agreement', label: 'Agreement', longest: 200, help: 'What whoever orders agrees to, as the order and its PDF name it.' },
      { name: 'withdraw_days', label: 'Days to withdraw', kind: 'number', half: true, help: 'A change can be withdrawn until so many days before it is effective.' },
      { name: 'sales_limit', label: 'Most that Sales may submit themselves, per month', kind: 'amount', placeholder: 'No limit' },
      { name: 'upgrades_when_complete', label: 'Which customers can be upgraded', kind: 'radio', yes: true, choices: [
        ['false', 'Those in Connect as well', 'Also while the customer is still being connected.'],
        ['true', 'Complete ones only', 'Until then, the page of the customer says that Connect comes first.'],
      ] },
    ], { below: [standing] });
    section.more = ({ facts }) => {
      section.form.helps.sales_limit = `In ${facts.currency}: by how much one order, change order or cancellation of theirs may change the fees of a month. Annual fees count as a twelfth, one-time fees do not. Above it, an administrator submits. Empty: no limit.`;
      section.form.clear('sales_limit', true);
      standing.hidden = !facts.order_desk || Boolean(facts.smtp_host);
      standing.replaceChildren(...(standing.hidden ? [] : [h('p', { class: 'notice' }, 'There is no mail server yet, so orders have to be passed on by hand all the same. ', h('a', { href: '#mail' }, 'Set one up'))]));
    };
    return section;
  }

  rfi() {
    const each = `One to a line, ${this.config.most} at most.`;
    return this.form('rfi', 'RFI', 'What every new Request for Information begins with, because it is the same for all customers, and how it is asked for.', [
      { name: 'outbound_ips', label: 'Outbound IP addresses', kind: 'lines', help: `Public addresses, or networks such as 198.51.0.0/24. ${each}` },
      { name: 'inbound_ips', label: 'Inbound IP addresses', kind: 'lines', help: each },
      { name: 'smart_hosts', label: 'Smart hosts', kind: 'lines', help: `Names such as relay.example.com, or public addresses. ${each}` },
      { name: 'rfi_link_days', label: 'A link to the form is good for', kind: 'number', help: 'Days. It also ends when the form is complete, or when somebody revokes it.' },
      { name: 'rfi_reminder_days', label: 'Reminders', kind: 'lines', help: 'After how many days without an answer whoever was sent the form is reminded, in the morning of that day: one number to a line. None, and nobody is reminded. Reminders need a mail server, and PORTAL_PUBLIC_URL for the address in them.' },
    ]);
  }

  connect() {
    const templates = h('p', { class: 'quiet' }, 'Which steps new customers go through is in the ', h('a', { href: '/settings/templates' }, 'Connect templates'), '.');
    return this.form('connect', 'Connect', 'What automatic checks compare with, and who says that a customer is live.', [
      { name: 'completion', label: 'When every step is done', kind: 'radio', choices: this.config.completions },
      { name: 'mx_hosts', label: 'MX records lead to', kind: 'lines', help: 'The vendor’s mail servers, or what their names end in: one to a line. The check of inbound email passes when every MX record of a customer leads there.' },
      { name: 'spf_include', label: 'SPF records include', kind: 'text', longest: 253, help: 'The name of the vendor’s own SPF record, such as _spf.example.com. The check of outbound email looks for it.' },
    ], { below: [templates] });
  }

  security() {
    const warning = h('p', { class: 'notice', hidden: true }, 'You have no second factor yourself. Once this is saved, the portal asks you to set one up at your next sign-in. ', h('a', { href: '/account' }, 'Set it up now'));
    return this.form('security', 'Security', '', [
      { name: 'two_factor', label: 'Second factor at sign-in', kind: 'radio', choices: this.config.two_factors },
    ], { below: [warning], onChange: (form, state) => { warning.hidden = form.value('two_factor') === 'off' || state.mine.second_factor; } });
  }

  help() {
    const { articles, link } = this.config;
    const groups = articles.map(([title, keys]) => ({ title, names: keys.map(([key]) => link + key) }));
    const fields = [
      { name: 'help_base', label: 'Base address', kind: 'url', placeholder: this.config.help_at === '/help' ? 'The articles that come with the portal' : this.config.help_at, help: 'Of a knowledge base with the same paths as the portal’s own articles, such as /step/journaling. Empty: the portal’s own.' },
      ...articles.flatMap(([, keys]) => keys.map(([key, title]) => ({ name: link + key, label: title, kind: 'url', article: key }))),
    ];
    const section = this.form('help', 'Help links', 'Where the names of statuses, steps, RFI states and monitors lead.', fields, {
      onChange: (form, state) => {
        const base = (form.value('help_base') || state.help_at).replace(/\/$/, '');
        for (const field of form.fields) if (field.article) form.inputs[field.name].placeholder = `${base}/${field.article}`;
        for (const group of groups) {
          const own = group.names.filter((name) => form.value(name)).length;
          group.count.textContent = own ? `${own} of ${group.names.length} with an address of their own` : `${group.names.length} at the base address`;
        }
      },
    });
    for (const group of groups) { // folded: hardly anybody wants all of them
      group.count = h('span', { class: 'quiet small' });
      const box = h('details', { class: 'settings-fold' }, h('summary', {}, shape('chevron'), h('b', {}, group.title), group.count), h('div', { class: 'settings-two' }, ...group.names.map((name) => section.form.rows[name])));
      section.form.body.append(box);
    }
    return section;
  }

  mail() {
    const told = h('div', { class: 'notice', role: 'status', hidden: true });
    const standing = h('div', { class: 'settings-standing' });
    const test = h('button', { class: 'button', type: 'button' }, shape('mail'), 'Send a test message');
    const say = (text, bad) => { told.hidden = !text; told.className = bad ? 'notice bad' : 'notice'; told.replaceChildren(...(bad ? [shape('bad')] : []), h('span', {}, text)); };
    test.addEventListener('click', async () => {
      if (test.getAttribute('aria-busy')) return;
      if (section.form.changed().length) { say('Save first: the test uses what is stored.', true); return; }
      if (!this.state.facts.smtp_host) { say('Enter a mail server and save it first.', true); return; }
      test.setAttribute('aria-busy', 'true');
      say(`Sending to ${this.state.mine.email} …`);
      try {
        const { ok, said } = await send('POST', `${ADDRESS}/mail/test`, {}, 40000);
        say(said, !ok);
      } catch (error) { say(error.message, true); }
      test.removeAttribute('aria-busy');
    });
    const section = this.form('mail', 'Mail', 'The mail server by which invitations and other messages are sent. Without one, a link is shown to whoever made it, to pass on.', [
      { name: 'smtp_host', label: 'Mail server', placeholder: 'smtp.example.com', half: true },
      { name: 'smtp_port', label: 'Port', kind: 'number', half: true },
      { name: 'smtp_security', label: 'Security of the connection', kind: 'choice', choices: this.config.securities },
      { name: 'smtp_user', label: 'User', help: 'Empty where the server asks for none.', half: true },
      { name: 'smtp_password', label: 'Password', kind: 'password', half: true },
      { name: 'mail_from', label: 'Sender', kind: 'email', placeholder: 'portal@example.com', help: 'The address that messages come from.' },
    ], { buttons: [test], below: [told, standing] });
    section.form.beforeSave = () => say('');
    section.more = (state) => {
      const input = section.form.inputs.smtp_password;
      input.placeholder = state.password_set ? 'Set; empty keeps it' : 'None';
      section.form.helps.smtp_password = state.password_set ? 'Stored sealed, and never shown again.' : '';
      section.form.clear('smtp_password', true);
      standing.replaceChildren(...this.standing(state));
    };
    return section;
  }

  standing({ mail, facts }) {
    if (!facts.smtp_host && !mail.waiting && !mail.failed) return [h('p', { class: 'quiet' }, 'No mail server yet: whoever invites somebody is shown the link, to copy.')];
    const parts = [
      mail.waiting ? `${number(mail.waiting)} ${mail.waiting === 1 ? 'message waits' : 'messages wait'}` : 'Nothing waits to be sent',
      mail.failed && h('span', { class: 'tone-bad' }, `${number(mail.failed)} failed in the last 7 days`),
      mail.sent_at && h('span', {}, 'last sent ', when(mail.sent_at)),
    ].filter(Boolean);
    const retry = h('button', { class: 'button small', type: 'button', 'data-keep': 'retry', onclick: async () => {
      try { this.stored((await send('POST', `${ADDRESS}/mail/retry`, {})).now); } catch { /* asked for again soon */ }
    } }, 'Try again now');
    return [
      h('p', {}, ...parts.flatMap((part, index) => [index ? ' · ' : '', part]), ' · ', h('a', { href: '/mail' }, 'All mail')),
      // Whoever writes a link from this machine's own address sends one that opens nothing elsewhere.
      !this.config.public_url && facts.smtp_host && h('p', { class: 'notice' }, `Links in messages begin with ${location.origin}, where you have the portal open, because PORTAL_PUBLIC_URL is not set; reminders are not sent without it. Set it to the address that everybody uses.`),
      mail.error && h('p', { class: 'notice bad' }, shape('bad'), h('span', {}, mail.error, h('span', { class: 'quiet' }, ` (to ${mail.error_to})`)), mail.waiting > 0 && h('span', { class: 'grow' }), mail.waiting > 0 && retry),
    ].filter(Boolean);
  }

  tokens() {
    const list = h('div', {});
    const made = h('div', { class: 'notice settings-token', role: 'status', hidden: true });
    const name = h('input', { id: 'token-name', maxlength: 80, autocomplete: 'off', placeholder: 'What it is for, such as “collector in Leeds”', 'aria-describedby': 'token-help' });
    const problem = h('p', { class: 'form-help', id: 'token-help' }, 'For programs that send readings to /api/v1/readings.');
    const say = (text, bad) => { problem.className = bad ? 'form-error' : 'form-help'; problem.textContent = text; };
    const form = h('form', { class: 'form settings-form' }, h('div', { class: 'field' }, h('label', { for: 'token-name' }, 'New token'),
      h('div', { class: 'settings-row' }, name, h('button', { class: 'button primary', type: 'submit' }, 'Make a token')), problem));
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      if (form.getAttribute('aria-busy')) return;
      form.setAttribute('aria-busy', 'true');
      try {
        const { token, now } = await send('POST', `${ADDRESS}/tokens`, { name: name.value });
        const copy = h('button', { class: 'button small', type: 'button', onclick: async () => { try { await navigator.clipboard.writeText(token); copy.textContent = 'Copied'; } catch { copy.textContent = 'Select it to copy'; } } }, shape('copy'), 'Copy');
        made.replaceChildren(h('p', {}, h('b', {}, `Token for “${name.value.trim()}”. `), 'It is shown this once: copy it to where it is used.'), h('div', { class: 'settings-row' }, h('code', {}, token), copy,
          h('button', { class: 'button plain small', type: 'button', onclick: () => { made.replaceChildren(); made.hidden = true; } }, 'Done')));
        made.hidden = false;
        name.value = '';
        say('For programs that send readings to /api/v1/readings.');
        this.stored(now);
      } catch (error) { say(error.field === 'name' ? worded('The name', error.message) : error.message, true); name.focus(); }
      form.removeAttribute('aria-busy');
    });
    const section = this.section('tokens', 'API tokens', '', [list, made, form]);
    section.take = ({ tokens }) => {
      const told = JSON.stringify(tokens);
      if (section.told === told) return;
      section.told = told;
      list.replaceChildren(tokens.length ? this.tokenTable(tokens) : h('p', { class: 'quiet' }, 'There are no tokens yet.'));
    };
    return section;
  }

  tokenTable(tokens) {
    const cell = (label, ...content) => h('td', { 'data-label': label }, ...content);
    const revoke = (token) => openForm({
      title: `Revoke “${token.name}”?`, about: 'What uses it is answered no more, at once and for good.', fields: [], button: 'Revoke', danger: true,
      store: async () => this.stored((await send('DELETE', `${ADDRESS}/tokens/${token.id}`)).now),
    });
    return h('div', { class: 'plain-table-box', tabindex: '0', role: 'region', 'aria-label': 'List of API tokens' }, h('table', { class: 'plain-table' },
      h('thead', {}, h('tr', {}, ...['Name', 'Made', 'Last used', ''].map((title) => h('th', { scope: 'col' }, title || h('span', { class: 'sr-only' }, 'What can be done'))))),
      h('tbody', {}, ...tokens.map((token) => h('tr', { class: token.revoked_at && 'quiet' }, cell('Name', h('span', { class: 'token-name' }, token.name)), cell('Made', when(token.created_at)), cell('Last used', token.used_at ? when(token.used_at) : 'never'),
        cell('', token.revoked_at ? h('span', {}, 'revoked ', when(token.revoked_at)) : h('button', { class: 'button small', type: 'button', 'aria-label': `Revoke ${token.name}`, onclick: () => revoke(token) }, 'Revoke')))))));
  }

  backups() {
    const body = h('div', { class: 'settings-standing' });
    const section = this.section('backups', 'Backups', 'Of everything in the portal: database and documents. docs/backup.md says how to restore one.', [body]);
    section.take = ({ backups }) => {
      const told = JSON.stringify(backups);
      if (section.told === told) return;
      section.told = told;
      body.replaceChildren(...backupLines(backups));
    };
    return section;
  }
}

function backupLines(backups) {
  const fact = (title, ...content) => [h('dt', {}, title), h('dd', {}, ...content)];
  const warning = backups.error ? `The last attempt failed: ${backups.error}`
    : !backups.at ? 'There is no backup yet.' : backups.old ? 'The last good backup is old. Look at the server’s log.' : '';
  return [
    warning && h('p', { class: 'notice bad' }, shape('bad'), h('span', {}, warning)),
    h('dl', { class: 'facts' },
      ...fact('Last good one', backups.at ? when(backups.at) : 'none'),
      ...(backups.at ? [...fact('File', h('span', { class: 'token-name' }, backups.name), h('span', { class: 'quiet' }, ` · ${bytes(backups.size)}`)),
        ...fact('Encrypted', backups.encrypted ? 'Yes' : 'No', h('span', { class: 'quiet' }, backups.has_key ? (backups.encrypted ? '' : ' · the next one is') : `${backups.encrypted ? ' · the next one is not:' : ' ·'} PORTAL_BACKUP_KEY is not set`)),
        ...fact('Read back', backups.verified_at ? when(backups.verified_at) : 'not yet')] : []),
      ...fact('Next', backups.running ? 'one is being made now' : !backups.on ? 'never by itself: PORTAL_BACKUP_DAYS is 0' : Date.parse(backups.next_at) <= live.now() ? 'within minutes' : when(backups.next_at))),
  ].filter(Boolean);
}

function bytes(size) {
  for (const [unit, name] of [[1e9, 'GB'], [1e6, 'MB'], [1e3, 'KB']]) if (size >= unit) return `${number(size / unit)} ${name}`;
  return `${number(size)} bytes`;
}

async function upload(file) {
  let response;
  try {
    response = await fetch(`${ADDRESS}/logo`, { method: 'POST', body: file, signal: AbortSignal.timeout(60000) });
  } catch { throw new Error('The server does not answer. Try again in a moment.'); }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw Object.assign(new Error(response.status === 401 ? 'You are signed out. Sign in in another tab, then try again.' : answer.error || `The server answered ${response.status}.`), { field: answer.field });
  return answer;
}

// -- a form that keeps what is typed --------------------------------------------------------------------------------------

class Form {
  constructor(page, id, fields, { buttons, onChange }) {
    this.page = page;
    this.fields = fields;
    this.onChange = onChange;
    this.draft = `settings ${id}`;
    this.kept = recall(this.draft) || {}; // name: {value, was}
    this.beforeSave = () => {};
    this.inputs = {};
    this.helps = {};
    this.problems = {};
    this.rows = Object.fromEntries(fields.map((field) => [field.name, this.row(id, field)]));
    this.body = h('div', { class: 'settings-fields' }, ...fields.filter((field) => !field.article).map((field) => this.rows[field.name]));
    this.trouble = h('p', { class: 'form-error', role: 'alert', hidden: true });
    this.note = h('span', { class: 'quiet small', role: 'status' });
    this.drop = h('button', { class: 'button plain', type: 'button', hidden: true, onclick: () => this.discard() }, 'Discard changes');
    this.save = h('button', { class: 'button primary', type: 'submit' }, 'Save');
    this.box = h('form', { class: 'form settings-form', novalidate: true, 'aria-labelledby': `${id}-title` }, this.body, this.trouble, h('div', { class: 'settings-buttons' }, this.save, ...buttons, this.drop, this.note));
    this.box.addEventListener('submit', (event) => { event.preventDefault(); this.store(); });
    this.box.addEventListener('input', (event) => this.typed(event.target.name));
    if (Object.keys(this.kept).length) this.note.textContent = 'What you had typed before is still here.';
  }

  row(id, field) {
    const inputId = `${id}-${field.name.replace(/\W/g, '-')}`;
    const helpId = `${inputId}-help`;
    this.helps[field.name] = field.help || '';
    const problem = this.problems[field.name] = h('p', { class: 'form-help', id: helpId }, field.help || '');
    if (field.kind === 'radio') {
      const set = h('fieldset', { class: 'field settings-choice', 'aria-describedby': helpId }, h('legend', {}, field.label), ...field.choices.map(([value, title, about], index) =>
        h('label', { class: 'settings-option' }, h('input', { type: 'radio', name: field.name, value, id: `${inputId}-${index}` }), h('span', {}, h('b', {}, title), h('span', { class: 'quiet small' }, about)))), problem);
      this.inputs[field.name] = set;
      return set;
    }
    const shared = { id: inputId, name: field.name, 'aria-describedby': helpId, autocomplete: field.kind === 'password' ? 'new-password' : 'off', spellcheck: 'false', placeholder: field.placeholder };
    const input = field.kind === 'choice' ? h('select', shared, ...field.choices.map(([value, title]) => h('option', { value }, title)))
      : ['area', 'lines'].includes(field.kind) ? h('textarea', { ...shared, rows: 4, dir: field.kind === 'area' ? 'auto' : null })
        : h('input', { ...shared, type: { password: 'password', email: 'email', url: 'url' }[field.kind] || 'text', inputmode: { number: 'numeric', amount: 'decimal' }[field.kind] || null, maxlength: field.longest, dir: field.kind ? null : 'auto' });
    this.inputs[field.name] = input;
    return h('div', { class: field.half ? 'field is-half' : 'field' }, h('label', { for: inputId }, field.label), input, problem);
  }

  field(name) { return this.fields.find((field) => field.name === name); }

  value(name) {
    const input = this.inputs[name];
    return input.tagName === 'FIELDSET' ? input.querySelector('input:checked')?.value ?? '' : input.value;
  }

  setValue(name, value) {
    const input = this.inputs[name];
    if (input.tagName === 'FIELDSET') for (const each of input.querySelectorAll('input')) each.checked = each.value === value;
    else if (input.value !== value) input.value = value;
  }

  stored(name) { return name === 'smtp_password' ? '' : this.facts[name] ?? ''; }

  changed() { return this.fields.map(({ name }) => name).filter((name) => name in this.kept); }

  // What is stored now; what is being typed stays.
  take(facts) {
    this.facts = facts;
    for (const { name } of this.fields) {
      if (name in this.kept && this.kept[name].value === plain(this.stored(name))) delete this.kept[name];
      this.setValue(name, this.kept[name]?.value ?? plain(this.stored(name)));
    }
    this.keep();
  }

  typed(name) {
    if (!name) return;
    const value = this.value(name);
    if (value === plain(this.stored(name))) delete this.kept[name];
    else this.kept[name] = { value, was: this.kept[name]?.was ?? this.stored(name) };
    this.clear(name);
    this.note.textContent = '';
    this.keep();
    this.onChange(this, this.page.state);
  }

  keep() {
    const names = this.changed();
    this.drop.hidden = !names.length;
    if (names.length && !this.note.textContent) this.note.textContent = 'Not saved yet.';
    if (!names.length && /^(Not saved|What you)/.test(this.note.textContent)) this.note.textContent = '';
    const safe = Object.fromEntries(names.filter((name) => name !== 'smtp_password').map((name) => [name, this.kept[name]]));
    remember(this.draft, Object.keys(safe).length ? safe : null);
  }

  discard() {
    this.kept = {};
    this.fields.forEach(({ name }) => this.clear(name));
    this.trouble.hidden = true;
    this.note.textContent = '';
    this.take(this.facts);
    this.onChange(this, this.page.state);
    this.save.focus();
  }

  clear(name, onlyHelp) {
    const problem = this.problems[name];
    if (onlyHelp && problem.className === 'form-error') return;
    this.inputs[name].removeAttribute('aria-invalid');
    problem.className = 'form-help';
    if (problem.textContent !== this.helps[name]) problem.textContent = this.helps[name];
  }

  async store() {
    if (this.save.getAttribute('aria-busy')) return;
    const names = this.changed();
    this.trouble.hidden = true;
    this.beforeSave();
    this.fields.forEach(({ name }) => this.clear(name));
    if (!names.length) { this.note.textContent = 'Nothing was changed.'; return; }
    const sent = Object.fromEntries(names.map((name) => [name, this.kept[name].value]));
    const facts = Object.fromEntries(names.map((name) => [name, this.field(name).yes ? sent[name] === 'true' : sent[name]]));
    const was = Object.fromEntries(names.filter((name) => name !== 'smtp_password').map((name) => [name, this.kept[name].was]));
    this.save.setAttribute('aria-busy', 'true');
    try {
      const { now } = await send('POST', ADDRESS, { facts, was });
      for (const name of names) if (this.kept[name]?.value === sent[name]) delete this.kept[name]; // typed on meanwhile: stays
      this.note.textContent = 'Saved.';
      this.page.stored(now);
    } catch (error) {
      this.say(error);
    }
    this.save.removeAttribute('aria-busy');
  }

  say(error) {
    this.note.textContent = 'Not saved.';
    const wrong = Object.fromEntries(wrongFields(error));
    const shown = this.fields.filter(({ name }) => name in wrong);
    this.trouble.hidden = shown.length > 0;
    this.trouble.textContent = shown.length ? '' : error.message;
    for (const { name, label } of shown) this.mark(name, worded(label, wrong[name]), error);
    if (!shown.length) return;
    const first = this.inputs[shown[0].name];
    (first.tagName === 'FIELDSET' ? first.querySelector('input:checked') || first.querySelector('input') : first).focus();
  }

  mark(name, text, error) {
    if (error.status === 409 && 'now' in error.answer && name in this.kept) {
      this.kept[name].was = error.answer.now; // from now on against what it says now
      this.keep();
      text = `Somebody else has changed this meanwhile, to “${plain(error.answer.now).replaceAll('\n', ', ') || 'nothing'}”. Save again to replace it, or discard your change.`;
    }
    this.problems[name].className = 'form-error';
    this.problems[name].textContent = text;
    this.inputs[name].setAttribute('aria-invalid', 'true');
    this.inputs[name].closest('details')?.setAttribute('open', '');
  }
}

function plain(value) {
  return Array.isArray(value) ? value.join('\n') : value == null ? '' : String(value);
}
