// The people of the MSP: the list (table.js), a panel about one person, and the forms by which people are invited and
// changed. What the panel shows is asked for again whenever people of the MSP change.
import { exact, h, inZone, live, number, when } from './live.js';
import { shape } from './icons.js';
import { openForm, openText, send } from './dialog.js';
import { Named, Panel } from './panel.js';
import { read, reasonOf } from './tips.js';
import { mount as mountTable } from './table.js';

const PEOPLE = '/api/ui/people';
const SHOWN = 8; // customers that are named before the others are counted

export function mount(root, config, tell) {
  const page = new UsersPage(root, config, tell);
  return { destroy: () => page.destroy() };
}

class UsersPage {
  constructor(root, config, tell) {
    this.config = config;
    const invite = h('button', { class: 'button primary', type: 'button', 'data-keep': 'invite', onclick: () => this.invite() }, shape('plus'), 'Invite');
    const box = h('div', { class: 'people-table' });
    root.append(h('div', { class: 'page-head people-head' }, h('h1', {}, 'Users'), h('span', { class: 'grow' }), invite), box);
    this.table = mountTable(box, config.table, tell);
    this.named = new Named(root, '/users', (id, closed) => new PersonPanel(this, id, closed), { invite: () => this.invite() });
    this.undo = [live.news(() => this.named.panel?.load(), 'users')];
    this.named.go();
  }

  destroy() {
    this.undo.forEach((undo) => undo());
    this.named.destroy();
    this.table.destroy();
  }

  invite() {
    openForm({
      title: 'Invite somebody', button: 'Invite', draft: `${this.config.me} invite`,
      about: 'They get a link, good once and for 72 hours, by which they choose a password.',
      fields: [
        { name: 'name', label: 'Name', longest: 120 },
        { name: 'email', label: 'E-mail', kind: 'email', help: 'They sign in with it.' },
        this.roleField('technician'),
        { name: 'sight', label: 'Customers they see', value: asText({ everything: true, customers: [], tags: [] }), make: sightEditor },
      ],
      store: async ({ name, email, role, sight }) => {
        const issued = await send('POST', PEOPLE, { name, email, role, sight: asSent(sight) });
        setTimeout(() => showLink(issued, 'invite'));
      },
    });
    if (location.hash === '#invite') this.named.say('');
  }

  roleField(value) {
    return { name: 'role', label: 'Role', value, make: (shared) => roleEditor(shared, this.config.roles) };
  }
}

// -- one person -----------------------------------------------------------------------------------------------------------

class PersonPanel extends Panel {
  constructor(page, id, closed) {
    super('person', `${PEOPLE}/${id}`, { title: 'Nobody', text: 'There is nobody here, or it is not yours to see.' }, closed);
    Object.assign(this, { page, id });
    this.timer = setInterval(() => this.load(), 5000); // which sessions have a page open, nobody tells
  }

  ended() { clearInterval(this.timer); }

  draw(person) {
    this.title.textContent = person.name;
    this.isMe = person.id === this.page.config.me;
    const generic = person.state === 'generic';
    this.body.replaceChildren(
      h('p', { class: 'person-who' }, generic && h('span', {}, person.email), chip(person), this.isMe && h('span', { class: 'quiet' }, 'That is you')),
      generic ? h('p', { class: 'notice' }, 'This account holds Partner Administrator on every customer and grants that role where nobody else can. Nobody signs in with it, and it stays as it is.') : '',
      ...(generic ? [] : [this.facts(person), this.sessions(person)]));
  }

  facts(person) {
    const { roles } = this.page.config;
    const about = roles.find(([value]) => value === person.role)?.[2];
    const names = person.sight.customers.slice(0, SHOWN).map((each) => h('a', { href: `/customers/${each.id}` }, each.name));
    const left = person.sight.customers.length - names.length + person.sight.hidden;
    const listed = names.length || left ? h('p', { class: 'quiet small person-names' }, ...names.flatMap((name, n) => (n ? [', ', name] : [name])), left ? `${names.length ? ' and ' : ''}${number(left)} more` : '') : '';
    const row = (term, ...content) => [h('dt', {}, term), h('dd', {}, ...content)];
    return h('dl', { class: 'person-facts' },
      ...row('E-mail', h('div', {}, person.email, h('p', { class: 'quiet small' }, 'They sign in with it.')), this.button('Correct', 'facts', () => this.correct(person), { 'aria-label': 'Correct name and e-mail' })),
      ...row('Role', h('div', {}, person.role_title, h('p', { class: 'quiet small' }, about)), this.button('Change', 'role', () => this.changeRole(person), { 'aria-label': 'Change the role' })),
      ...row('Sees', h('div', {}, person.sight.words, listed), this.button('Change', 'sight', () => this.changeSight(person), { 'aria-label': 'Change what they see' })),
      ...row('Account', h('div', {}, ...this.standing(person)), h('div', { class: 'person-acts' }, ...this.acts(person))),
      ...row('Two-factor', h('div', {}, person.two_factor ? 'On' : 'Off'), person.two_factor && !this.isMe && this.button('Reset', 'two-factor', () => openForm({
        title: `Reset the two-factor of ${person.name}?`, button: 'Reset', fields: [],
        about: 'For somebody who has lost the authenticator and the recovery codes: make sure that it is really them. They are signed out everywhere and sign in with the password alone.',
        store: () => send('POST', `${PEOPLE}/${this.id}/two-factor/reset`, {}),
      }), { 'aria-label': 'Reset the two-factor' })),
      ...(person.provider ? row('Single sign-on', h('div', {}, 'Linked'), this.button('Unlink', 'provider', () => openForm({
        title: `Unlink the single sign-on of ${person.name}?`, button: 'Unlink', fields: [],
        about: 'For somebody who has another account at the provider now. They are signed out everywhere; the next account there with their verified e-mail address is theirs.',
        store: () => send('POST', `${PEOPLE}/${this.id}/single-sign-on/unlink`, {}),
      }), { 'aria-label': 'Unlink the single sign-on' })) : []),
      ...row('Last sign-in', h('div', {}, person.last_sign_in_at ? when(person.last_sign_in_at) : 'Never')));
  }

  standing(person) {
    const { link, mail } = person;
    const says = { invited: 'Invited, no password chosen yet', registered: 'Registered', disabled: 'Disabled: cannot sign in' }[person.state];
    const failed = mail && mail.state === 'failed' && link;
    return [says,
      person.state === 'disabled' && h('p', { class: 'quiet small' }, 'Since ', when(person.disabled_at)),
      link && h('p', { class: 'quiet small' }, link.kind === 'invite' ? 'The invitation is good until ' : 'A link to choose another password is good until ', until(link.expires_at)),
      person.state === 'invited' && !link && h('p', { class: 'quiet small' }, 'The invitation has expired or was withdrawn.'),
      failed ? h('p', { class: 'form-error' }, `The mail could not be sent: ${mail.error} Check the address, or make a link and hand it over yourself.`)
        : mail && link && h('p', { class: 'quiet small' }, mail.state === 'sent' ? 'The mail was sent ' : 'The mail is on its way, written ', when(mail.at))];
  }

  acts(person) {
    const invited = person.state === 'invited';
    const address = `${PEOPLE}/${this.id}`;
    const send_ = (by_mail) => this.send('/link', { by_mail }, (issued) => showLink(issued, issued.kind));
    if (person.state === 'disabled') return [this.button('Enable', 'enable', () => this.send('/enable'))];
    return [
      this.button(invited ? 'Invite again' : 'Send a password link', 'link', () => send_(true)),
      this.button('Make a link to hand over', 'copy', () => send_(false)),
      person.link && this.button('Withdraw the link', 'revoke', () => this.send('/link/revoke')),
      this.button('Disable', 'disable', () => openForm({
        title: `Disable ${person.name}?`, button: 'Disable', danger: true, fields: [],
        about: `${this.isMe ? 'This is you: you are signed out at once, and somebody else has to enable you again.' : 'They are signed out everywhere within seconds and cannot sign in until somebody enables them again.'} What they did stays in the history.`,
        store: () => send('POST', `${address}/disable`, {}),
      }), { class: 'button small tone-bad' })];
  }

  send(path, body = {}, then = null) {
    return this.act(null, async () => {
      const answer = await send('POST', `${PEOPLE}/${this.id}${path}`, body);
      then?.(answer);
    });
  }

  correct(person) {
    openForm({
      title: `Name and e-mail of ${person.name}`, button: 'Save',
      about: person.link ? 'With another address, the link that is good now opens nothing any more: send a new one afterwards.' : 'For what was mistyped, or has changed. What they did stays theirs.',
      fields: [
        { name: 'name', label: 'Name', value: person.name, longest: 120 },
        { name: 'email', label: 'E-mail', kind: 'email', value: person.email, help: 'They sign in with it from now on.' },
      ],
      store: (values) => send('POST', `${PEOPLE}/${this.id}/facts`, values),
    });
  }

  changeRole(person) {
    openForm({
      title: `The role of ${person.name}`, button: 'Change role', fields: [this.page.roleField(person.role)],
      about: this.isMe ? 'This is your own role: what you give up now, somebody else has to give back.' : 'Pages that they have open follow within seconds.',
      store: ({ role }) => {
        if (this.isMe && role !== person.role && !this.sure) {
          this.sure = true;
          setTimeout(() => { this.sure = false; }, 60000);
          throw Object.assign(new Error('You are about to change your own role. Press “Change role” again if that is what you want.'), { status: 0 });
        }
        this.sure = false;
        return send('POST', `${PEOPLE}/${this.id}/role`, { role });
      },
    });
  }

  changeSight(person) {
    const { hidden } = person.sight;
    openForm({
      title: `What ${person.name} sees`, button: 'Save',
      about: hidden ? `${number(hidden)} of the customers here are not yours to see; they stay as they are.` : 'Pages that they have open follow within seconds.',
      fields: [{ name: 'sight', label: 'Customers they see', value: asText(person.sight), make: sightEditor }],
      store: ({ sight }) => send('POST', `${PEOPLE}/${this.id}/sight`, { sight: asSent(sight) }),
    });
  }

  sayEnded() {
    this.trouble = h('p', { class: 'notice person-trouble', role: 'status' }, 'This session had ended already.');
    this.body.prepend(this.trouble);
  }

  sessions(person) {
    const rows = person.sessions.map((each) => h('tr', {},
      h('td', {}, each.browser, each.is_mine && h('span', { class: 'quiet' }, ' (this one)')),
      h('td', { 'data-label': 'Address', class: 'mono' }, each.address || '–'),
      h('td', { 'data-label': 'Since' }, when(each.since)),
      h('td', { 'data-label': 'Now' }, each.is_open ? 'Open' : '–'),
      h('td', { class: 'person-end' }, this.button('End', `end ${each.id}`, () => this.send('/sessions/end', { session: each.id }, ({ ended }) => { if (!ended) this.sayEnded(); }), { 'aria-label': `End the session of ${each.browser} at ${each.address}` }))));
    return h('section', { 'aria-labelledby': 'person-sessions' },
      h('div', { class: 'person-sessions-head' }, h('h3', { id: 'person-sessions' }, 'Sessions'),
        rows.length > 1 && this.button('End all', 'end all', () => this.send('/sessions/end', { session: null }))),
      rows.length ? h('div', { class: 'plain-table-box' }, h('table', { class: 'plain-table' },
        h('thead', {}, h('tr', {}, ...['Browser', 'Address', 'Since', 'Now'].map((text) => h('th', { scope: 'col' }, text)), h('th', {}, h('span', { class: 'sr-only' }, 'End')))),
        h('tbody', {}, ...rows))) : h('p', { class: 'calm' }, 'Not signed in anywhere.'));
  }
}

function chip(person) { return h('span', { class: `chip is-${person.state}` }, person.state_title); }

function until(at) {
  const ms = Date.parse(at);
  return h('time', { datetime: at, title: exact(ms) }, new Date(ms).toLocaleString('en-GB', inZone({ weekday: 'short', day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' })));
}

// -- a link to hand over: shown once -----------------------------------------------------------------------------------------

function showLink(issued, kind) {
  const what = kind === 'invite' ? 'invitation' : 'link to choose another password';
  if (issued.mailed) {
    openText('It is on its way', h('p', {}, `The ${what} goes to `, h('b', {}, issued.email), ' by e-mail.'),
      h('p', { class: 'quiet' }, 'It is good once, until ', until(issued.until), '. What becomes of the message is under ', h('a', { href: '/mail', onclick: (event) => event.target.closest('dialog').close() }, 'Mail'), '.'));
    return;
  }
  const field = h('input', { class: 'mono', type: 'text', readonly: true, value: issued.link, 'aria-label': 'Link', onfocus: (event) => event.target.select() });
  const copy = h('button', { class: 'button', type: 'button', onclick: async () => {
    field.select();
    try { await navigator.clipboard.writeText(issued.link); } catch { document.execCommand('copy'); } // by http, the old way
    copy.replaceChildren('✓ Copied');
  } }, shape('copy'), 'Copy');
  openText(kind === 'invite' ? `${issued.name} is invited` : `A link for ${issued.name}`,
    h('p', {}, `Hand this ${what} to `, h('b', {}, issued.email), ' in a way that only they can read. It is shown this once.'),
    h('div', { class: 'link-box' }, field, copy),
    h('p', { class: 'quiet' }, 'It is good once, until ', until(issued.until), '. Whoever has it can sign in as this person.'));
  copy.focus();
}

// -- controls of the forms: elements with a `value`, as inputs have --------------------------------------------------------

function control(shared, label, content, get, set) {
  const box = h('div', { id: shared.id, class: 'control', role: 'group', 'aria-label': label, 'aria-describedby': shared['aria-describedby'] }, ...content);
  Object.defineProperty(box, 'value', { get, set });
  box.focus = () => (box.querySelector('input:checked') || box.querySelector('input, button'))?.focus();
  return box;
}

function radios(name, choices) {
  return choices.map(([value, title, about], n) => h('label', { class: 'radio' },
    h('input', { type: 'radio', name, value, 'aria-describedby': about ? `${name}-${n}` : null }), h('span', {}, title, about && h('span', { class: 'quiet small', id: `${name}-${n}` }, about))));
}

function roleEditor(shared, roles) {
  const choices = radios(`${shared.id}-choice`, roles);
  const more = h('p', { class: 'form-help' }, h('a', { href: '/help/access/rights', target: '_blank', rel: 'noopener' }, 'What each role may do')); // beside the form
  return control(shared, 'Role', [...choices, more],
    () => choices.map((each) => each.firstChild).find((input) => input.checked)?.value ?? '',
    (value) => choices.forEach((each) => { each.firstChild.checked = each.firstChild.value === value; }));
}

// `none`: that only some are seen, and none of them is named, is meant; so it is where there are some that the viewer
// cannot see (`hidden`), and where it was so before.
const asText = ({ everything, customers, tags, hidden = 0 }) => JSON.stringify({ mode: everything ? (customers.length ? 'but' : 'all') : 'only', customers: customers.map(({ id, name, account_code }) => ({ id, name, account_code })), tags, hidden, none: !everything && !hidden && !customers.length && !tags.length });

function asSent(text) {
  const { mode, customers, tags, hidden, none } = JSON.parse(text);
  return { everything: mode !== 'only', customers: mode === 'all' ? [] : customers.map(({ id }) => id), tags: mode === 'only' ? tags : [], none: Boolean(none || hidden) };
}

const MODES = [['all', 'All customers'], ['but', 'All but some', 'Those that you name are hidden from them.'], ['only', 'Only some', 'Those that you name, and those with a tag.']];

function sightEditor(shared) {
  let state = { mode: 'all', customers: [], tags: [] };
  let known = null; // every tag, once it has been asked for
  const modes = radios(`${shared.id}-mode`, MODES);
  const chosen = h('ul', { class: 'chips', 'aria-label': 'Chosen customers' });
  const search = h('input', { type: 'search', placeholder: 'Search customers to add', 'aria-label': 'Search customers to add', autocomplete: 'off', spellcheck: 'false', maxlength: 200 });
  const offers = h('ul', { class: 'picks', hidden: true, 'aria-label': 'Customers found' });
  const said = h('p', { class: 'form-help', role: 'status' });
  const tagBox = h('fieldset', { class: 'tag-picks' });
  const nobody = h('input', { type: 'checkbox', onchange: () => { state.none = nobody.checked; tell(); } });
  const nobodyBox = h('p', { class: 'sight-nobody' }, 'No customer is chosen yet. ', h('label', { class: 'tick' }, nobody, 'They see no customer for now'));
  const some = h('div', { class: 'sight-some' }, chosen, search, offers, said, tagBox, nobodyBox);
  const tell = () => box.dispatchEvent(new Event('input', { bubbles: true }));

  const drawNobody = () => {
    nobodyBox.hidden = state.mode !== 'only' || Boolean(state.customers.length || state.tags.length || state.hidden);
    if (nobodyBox.hidden) state.none = false; // it was meant of nothing else
    nobody.checked = state.none;
  };
  const draw = () => {
    for (const { firstChild: input } of modes) input.checked = input.value === state.mode;
    some.hidden = state.mode === 'all';
    tagBox.hidden = state.mode !== 'only';
    drawNobody();
    chosen.replaceChildren(...state.customers.map((each) => h('li', { class: 'chip' }, each.name,
      h('button', { type: 'button', 'aria-label': `Take ${each.name} out`, onclick: () => {
        state.customers = state.customers.filter(({ id }) => id !== each.id);
        draw();
        tell();
        search.focus();
      } }, '✕'))));
    chosen.hidden = !state.customers.length;
    const all = [...new Set([...(known || []), ...state.tags])].sort();
    tagBox.replaceChildren(h('legend', {}, 'And whatever has one of these tags'), ...all.map((tag) => {
      const tick = h('input', { type: 'checkbox', value: tag, onchange: () => {
        state.tags = all.filter((one) => (one === tag ? tick.checked : state.tags.includes(one)));
        drawNobody();
        tell();
      } });
      tick.checked = state.tags.includes(tag);
      return h('label', { class: 'tick' }, tick, tag);
    }), all.length ? '' : h('p', { class: 'quiet small' }, 'No customer has a tag yet. Tags are set on the page of a customer, under Edit.'));
    if (!some.hidden && known === null) {
      known = [];
      fetch(`${PEOPLE}/tags`, { cache: 'no-store' }).then(read).then((found) => { known = found.tags; draw(); }).catch(() => { known = null; });
    }
  };

  let asked = 0;
  let soon = null;
  const look = async () => {
    const mine = ++asked;
    const q = search.value.trim();
    if (!q) {
      offers.hidden = true;
      said.textContent = '';
      return;
    }
    try {
      const found = await read(await fetch(`${PEOPLE}/customers?q=${encodeURIComponent(q)}`, { cache: 'no-store' }));
      if (mine !== asked) return;
      const fresh = found.rows.filter(({ id }) => !state.customers.some((each) => each.id === id));
      offers.replaceChildren(...fresh.map((each) => h('li', {}, h('button', { type: 'button', onclick: () => add(each) }, h('span', {}, each.name), h('span', { class: 'quiet mono small' }, each.account_code)))));
      offers.hidden = !fresh.length;
      offers.scrollIntoView({ block: 'nearest' }); // they would be behind the buttons of the dialog
      said.textContent = found.more ? 'There are more: type a little more of the name.' : fresh.length ? '' : found.rows.length ? 'Already chosen.' : 'No customer that you see matches this.';
    } catch (error) {
      if (mine === asked) said.textContent = `Customers cannot be searched just now: ${reasonOf(error)}`;
    }
  };
  const add = (customer) => {
    state.customers = [...state.customers, customer];
    search.value = '';
    offers.hidden = true;
    asked++;
    draw();
    tell();
    search.focus();
  };
  search.addEventListener('input', (event) => {
    event.stopPropagation(); // what is searched is not what is chosen
    clearTimeout(soon);
    soon = setTimeout(look, 200);
  });
  some.addEventListener('keydown', (event) => {
    const buttons = [...offers.querySelectorAll('button')];
    const at = buttons.indexOf(document.activeElement);
    if (event.key === 'Enter' && event.target === search && !event.ctrlKey && !event.metaKey) {
      event.preventDefault(); // not the whole form
      if (buttons.length && !offers.hidden) buttons[0].click();
    } else if (event.key === 'ArrowDown' && !offers.hidden && (at >= 0 || event.target === search)) {
      event.preventDefault();
      buttons[Math.min(at + 1, buttons.length - 1)]?.focus();
    } else if (event.key === 'ArrowUp' && at >= 0) {
      event.preventDefault();
      (buttons[at - 1] || search).focus();
    } else if (event.key === 'Escape' && !offers.hidden) {
      event.preventDefault();
      event.stopPropagation();
      offers.hidden = true;
      search.focus();
    }
  });
  for (const { firstChild: input } of modes) input.addEventListener('change', () => { state.mode = input.value; draw(); });
  const box = control(shared, 'Customers they see', [...modes, some], () => JSON.stringify(state), (text) => { state = JSON.parse(text); draw(); });
  return box;
}

