// Contacts (to call, to mail, to copy) and the forms for what is known about a customer.
import { h } from './live.js';
import { shape } from './icons.js';
import { openForm, send } from './dialog.js';

// The form of facts as models describe them (components/cards.py, `described`).
export function factsForm(page, { title, about, facts, address, draft }) {
  const fields = facts.map((fact) => ({
    ...fact, kind: fact.choices ? 'choice' : fact.many ? 'lines' : fact.kind || fact.name, help: fact.many ? 'One on each line.' : fact.help || '',
  }));
  openForm({
    title, about, fields, button: 'Save', draft: `${page.config.me} ${page.id} ${draft}`,
    store: (values, was) => {
      const changed = Object.keys(values).filter((name) => values[name] !== was[name].text);
      if (!changed.length) return;
      const pick = (from) => Object.fromEntries(changed.map((name) => [name, from(name)]));
      return send('POST', page.address + address, { facts: pick((name) => values[name]), was: pick((name) => was[name].raw) });
    },
    onConflict: (answer, was) => {
      if (!('now' in answer)) return [];
      const now = Array.isArray(answer.now) ? answer.now.join(', ') : String(answer.now || '(empty)');
      was[answer.field] = { ...was[answer.field], raw: answer.now }; // pressing Save again says: mine, knowing theirs
      return h('p', { class: 'notice' }, 'It now says: ', h('b', {}, now), '. Save again to put yours in its place.');
    },
  });
}

export function editFacts(page) {
  factsForm(page, { title: 'Edit customer', facts: page.parts.head.facts, address: '/facts', draft: 'facts' });
}

export function contactsPanel(page, box, contacts) {
  const mayEdit = page.may('contact.change');
  box.replaceChildren(...contacts.map((contact) => {
    const known = Object.fromEntries(contact.facts.map((fact) => [fact.name, fact.text]));
    const name = [known.first_name, known.last_name].filter(Boolean).join(' ');
    const edit = mayEdit && h('button', { class: 'button plain small', type: 'button', 'data-keep': `edit ${contact.kind}`, 'aria-label': `Edit ${contact.title}`, onclick: () => factsForm(page, { title: contact.title, facts: contact.facts, address: `/contacts/${contact.kind}`, draft: `contact ${contact.kind}` }) }, name || known.email ? 'Edit' : 'Add');
    return h('div', { class: 'contact' },
      h('div', { class: 'contact-head' }, h('h3', {}, contact.title), edit || ''),
      name ? h('p', { class: 'contact-name', dir: 'auto' }, name) : !known.email && h('p', { class: 'quiet small' }, 'Nobody entered yet.'),
      known.email && reach('mail', `mailto:${known.email}`, known.email, `${contact.title} e-mail`, contact.kind),
      known.phone && reach('phone', `tel:${known.phone.replace(/[^+\d]/g, '')}`, known.phone, `${contact.title} phone`, contact.kind),
      known.mobile && reach('mobile', `tel:${known.mobile.replace(/[^+\d]/g, '')}`, known.mobile, `${contact.title} mobile`, contact.kind));
  }));
}

function reach(icon, href, text, what, kind) {
  const copy = h('button', { class: 'icon-button small', type: 'button', 'aria-label': `Copy ${what}`, title: 'Copy', 'data-keep': `copy ${kind} ${href}`, onclick: () => copied(copy, text, what) }, shape('copy'));
  return h('p', { class: 'reach' }, shape(icon === 'mobile' ? 'phone' : icon), icon === 'mobile' && h('span', { class: 'quiet small' }, 'mobile'), h('a', { href, 'data-keep': `${kind} ${href}` }, text), copy);
}

async function copied(button, text, what) {
  try {
    await navigator.clipboard.writeText(text);
  } catch { // only on https and this machine; elsewhere the old way
    const area = h('textarea', { class: 'sr-only' }, text);
    document.body.append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
    button.focus();
  }
  button.replaceChildren('✓');
  button.setAttribute('aria-label', 'Copied');
  setTimeout(() => { button.replaceChildren(shape('copy')); button.setAttribute('aria-label', `Copy ${what}`); }, 1500);
}
