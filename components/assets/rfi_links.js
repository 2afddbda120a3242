// What is done about links to an RFI form: send one, copy one, take them back.
import { h, inZone, number, parseTime, when } from './live.js';
import { openForm, openText, send } from './dialog.js';
import { shape } from './icons.js';

// Buttons for one customer; `address` is where its form is asked for.
export function linkActions(address, { recipient = '', done = () => {}, small = false } = {}) {
  const look = `button${small ? ' small' : ''}`;
  return [
    h('button', { class: look, type: 'button', 'data-keep': 'rfi send', onclick: () => sendLink(address, recipient, done) }, shape('mail'), recipient ? 'Send again' : 'Send the link'),
    h('button', { class: look, type: 'button', 'data-keep': 'rfi copy', onclick: () => copyLink(address, done) }, shape('copy'), 'Copy a link'),
  ];
}

export function sendLink(address, recipient, done = () => {}) {
  openForm({
    title: 'Send the link to the form', about: 'By the link somebody without an account fills in the form. Links that were sent before stay good.',
    fields: [{ name: 'recipient', label: 'E-mail', kind: 'email', value: recipient, longest: 254, help: 'Usually of the implementation lead.' }], button: 'Send',
    store: async (values) => {
      if (!values.recipient.trim()) throw Object.assign(new Error('cannot be empty'), { field: 'recipient' });
      const told = await send('POST', `${address}/send`, values);
      done();
      if (!told.is_mailed) showLink(told.address, 'No mail server is set up, so the link could not be mailed. Pass it on yourself:');
    },
  });
}

let isCopying = false; // one link for one press, however often it is pressed
export async function copyLink(address, done = () => {}) {
  if (isCopying) return;
  isCopying = true;
  try {
    const told = await send('POST', `${address}/send`, { recipient: '' });
    done();
    showLink(told.address, 'Whoever has this link can fill in the form. It is shown only now.');
  } catch (error) {
    openText('No link could be made', h('p', {}, error.message));
  } finally {
    isCopying = false;
  }
}

function showLink(link, about) {
  const input = h('input', { value: link, readonly: true, 'aria-label': 'Link to the form', onfocus: () => input.select() });
  const said = h('p', { class: 'form-help', role: 'status' });
  const copy = h('button', { class: 'button', type: 'button', onclick: async () => {
    input.select();
    try { await navigator.clipboard.writeText(link); said.textContent = 'Copied.'; } catch { said.textContent = 'Press Ctrl+C to copy it.'; }
  } }, shape('copy'), 'Copy');
  openText('Link to the form', h('p', { class: 'quiet' }, about), h('div', { class: 'link-box' }, input, copy), said);
}

export function revokeLinks(address, done = () => {}) {
  openForm({
    title: 'Revoke every link', about: 'Whoever has one can no longer open the form, and no reminders are sent. What was filled in is kept.', fields: [], button: 'Revoke',
    store: async () => { await send('POST', `${address}/revoke`, {}); done(); },
  });
}

export function reopenForm(address, done = () => {}) {
  openForm({
    title: 'Reopen the form', about: 'It can be filled in again, and its Connect step is worked on once more. Links that were sent stay closed: send a new one if the customer is to correct something.',
    fields: [{ name: 'because', label: 'Reason', longest: 200, help: 'It is shown in the form and recorded.' }], button: 'Reopen',
    store: async (values) => { await send('POST', `${address}/reopen`, values); done(); },
  });
}

// On the card of a customer: how the form was sent, and what can be done about that.
export function rfiActions(content, page) {
  const address = `${page.address}/rfi`;
  const mayFill = page.may('rfi.fill') && (content.is_open || content.is_unchecked);
  const maySend = page.may('rfi.send') && content.is_open;
  return [
    content.is_unchecked && h('p', { class: 'quiet' }, 'It came back outside of the portal, so nothing has checked it yet. That is done where the form is.'),
    ...howItWasSent(content),
    h('div', { class: 'card-actions' },
      h('a', { class: 'button', href: `/customers/${page.id}/rfi`, 'data-keep': 'rfi form' }, !mayFill ? 'Open the form' : content.is_open ? 'Fill in the form' : 'Check the form'),
      ...(maySend ? linkActions(address, { recipient: content.sent_to }) : []),
      content.icon === 2 && page.may('rfi.reopen') && h('button', { class: 'button', type: 'button', 'data-keep': 'rfi reopen', onclick: () => reopenForm(address) }, 'Reopen')),
    maySend && linkList(content.links, address),
  ];
}

// When and to whom the form was sent, and what became of it; what is in the way stands by itself.
function howItWasSent({ sent_to: whom, requested_at: at, opened_at: opened, reminders, remind_at: next, links, is_open: isOpen }) {
  const parts = [
    whom ? [at ? 'Sent to ' : 'To be sent to ', h('span', { dir: 'auto' }, whom), at && ', ', at && when(at)] : at && ['Asked for ', when(at)],
    whom && at && (opened ? ['opened ', when(opened)] : ['not opened yet']),
    reminders && [`${reminders} ${reminders === 1 ? 'reminder' : 'reminders'}`], next && ['next reminder ', when(next)],
  ].filter(Boolean);
  const last = isOpen && whom && links.find((link) => link.is_open && link.recipient === whom);
  const trouble = last && { failed: 'could not be sent. Send it again, or copy a link and pass it on.', '': 'was not sent, because no mail server was set up. Copy a link and pass it on, or send it again.' }[last.mail];
  return [
    parts.length > 0 && h('p', { class: 'quiet' }, ...parts.flatMap((part, index) => [index ? ' · ' : '', ...part]).filter(Boolean)),
    trouble && h('p', { class: last.mail ? 'tone-bad' : null }, `The mail to ${whom} ${trouble}`),
  ].filter(Boolean);
}

const MAIL = { waiting: 'the mail waits to be sent, ', sent: 'mailed ', failed: 'the mail failed, ', stopped: 'not mailed, ' };

// The links that open the form now, and what takes back one or all of them.
function linkList(links, address, leave = () => {}) {
  const open = links.filter((link) => link.is_open);
  if (!open.length) return null;
  const about = (link) => [
    link.is_reminder && 'reminder, ', MAIL[link.mail] || (link.recipient && 'not mailed, ') + (link.made_by ? `made by ${link.made_by} ` : 'made '), when(link.at), ' · ',
    link.opened_at ? ['opened ', when(link.last_opened_at)] : 'not opened', ` · good until ${day(link.until)}`,
  ].flat().filter(Boolean);
  const take = (link) => () => { leave(); revokeOne(`${address}/links/${link.id}`, link.recipient); };
  return h('div', { class: 'rfi-links' }, h('ul', { 'aria-label': 'Links that open the form' }, ...open.map((link) => h('li', {},
    h('span', {}, h('span', { dir: 'auto' }, link.recipient || 'To be passed on'), h('span', { class: 'quiet small' }, ...about(link))),
    h('button', { class: 'button plain small', type: 'button', 'data-keep': `rfi link ${link.id}`, 'aria-label': `Revoke the link ${link.recipient ? `for ${link.recipient}` : 'to be passed on'}`, onclick: take(link) }, 'Revoke')))),
    open.length > 1 && h('button', { class: 'button plain small', type: 'button', 'data-keep': 'rfi revoke', onclick: () => { leave(); revokeLinks(address); } }, `Revoke all ${open.length}`));
}

const day = (value) => new Date(parseTime(String(value))).toLocaleDateString('en-GB', inZone({ day: 'numeric', month: 'short', year: 'numeric' }));

function revokeOne(address, recipient) {
  openForm({
    title: 'Revoke this link', about: `${recipient || 'Whoever has it'} can no longer open the form by it. What was filled in is kept.`, fields: [], button: 'Revoke',
    store: () => send('POST', `${address}/revoke`, {}),
  });
}

// A row of the list of those who wait for their form.
export async function openRow(row) {
  const address = `/api/ui/customers/${row.id}/rfi`;
  const recipient = row.rfi_form__sent_to || '';
  const close = () => document.querySelector('dialog[open] .dialog-buttons .button')?.click();
  const act = (doing) => () => { close(); doing(); };
  const told = h('div', { class: 'rfi-told', role: 'status' }, h('p', { class: 'quiet' }, 'Looking …'));
  openText(`RFI link of ${row.name}`, told,
    h('div', { class: 'rfi-rows' },
      h('button', { class: 'button', type: 'button', onclick: act(() => sendLink(address, recipient)) }, shape('mail'), recipient ? 'Send again' : 'Send the link'),
      h('button', { class: 'button', type: 'button', onclick: act(() => copyLink(address)) }, shape('copy'), 'Copy a link'),
      h('a', { class: 'button', href: `/customers/${row.id}/rfi`, onclick: close }, shape('page'), 'Open the form')));
  try {
    const now = await send('GET', `${address}/links`);
    const how = howItWasSent(now);
    told.replaceChildren(...(how.length ? how : [h('p', { class: 'quiet' }, 'It was sent to nobody by the portal yet.')]), linkList(now.links, address, close) || '');
  } catch (error) { told.replaceChildren(h('p', { class: 'form-error' }, error.message)); }
}

// Several of that list at once: those that it shows now, up to as many as can be asked for.
export async function openSeveral(table) {
  const asked = new URLSearchParams(Object.entries(table.asked).filter(([, value]) => value));
  asked.set('end', '200');
  let rows;
  try {
    rows = (await send('GET', `/api/ui/tables/${table.config.key}/rows?${asked}`)).rows;
  } catch (error) { return openText('Several links', h('p', { role: 'alert' }, error.message)); }
  if (!rows.length) return openText('Several links', h('p', {}, 'Nobody waits for a form here.'));
  const ticks = rows.map((row) => Object.assign(h('input', { type: 'checkbox' }), { row }));
  const count = h('p', { class: 'quiet', role: 'status' });
  const chosen = () => ticks.filter((tick) => tick.checked);
  const all = table.counts?.shown > rows.length ? `the first ${number(rows.length)} of ${number(table.counts.shown)}` : number(rows.length);
  const say = () => { count.textContent = `${chosen().length} of ${all} chosen`; };
  const pick = (which) => { ticks.forEach((tick) => { tick.checked = which(tick.row); }); say(); };
  const about = (row) => [row.rfi_form__sent_to || 'sent to nobody yet', row.rfi_form__opened_at ? 'opened' : 'not opened'].join(' · ');
  const list = h('ul', { class: 'rfi-several', onchange: say }, ...ticks.map((tick) => h('li', {}, h('label', {}, tick, h('span', {}, h('b', { dir: 'auto' }, tick.row.name), h('span', { class: 'quiet small' }, about(tick.row)))))));
  const told = h('div', { role: 'status' });
  const work = async (what, button) => {
    if (button.getAttribute('aria-busy')) return;
    if (!chosen().length) return told.replaceChildren(h('p', { class: 'form-error' }, 'Choose somebody first.'));
    button.setAttribute('aria-busy', 'true');
    try {
      const { done, why } = await send('POST', `/api/ui/rfi/${what}`, { customers: chosen().map((tick) => tick.row.id) });
      const whose = `${done.length} ${done.length === 1 ? 'customer' : 'customers'}`;
      const problems = Object.values(why).map((text) => h('li', {}, text));
      told.replaceChildren(h('p', {}, what === 'send' ? `The link was sent again for ${whose}.` : `The links of ${whose} were revoked.`), problems.length ? h('ul', { class: 'notice bad-list' }, ...problems) : '');
    } catch (error) { told.replaceChildren(h('p', { class: 'form-error' }, error.message)); }
    button.removeAttribute('aria-busy');
  };
  const button = (what, icon, text) => {
    const made = h('button', { class: 'button', type: 'button', onclick: () => work(what, made) }, shape(icon), text);
    return made;
  };
  const picks = [['All', () => true], ['Not opened', (row) => !row.rfi_form__opened_at], ['None', () => false]];
  pick(() => false);
  openText('Several links',
    h('div', { class: 'rfi-choose' }, ...picks.map(([text, which]) => h('button', { class: 'button small', type: 'button', onclick: () => pick(which) }, text))),
    list, count, told, h('div', { class: 'rfi-choose' }, button('send', 'mail', 'Send again'), button('revoke', 'lock', 'Revoke')));
}
