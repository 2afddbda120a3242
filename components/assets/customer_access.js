// Who holds which role in this customer's console, and granting it: a dialog on the page of the customer.
import { h, live, momentOf, when } from './live.js';
import { Asking } from './asking.js';
import { send, worded } from './dialog.js';

export function manageAccess(page) {
  new Dialog(page);
}

class Dialog {
  constructor(page) {
    this.page = page;
    this.address = `${page.address}/access`;
    this.opener = document.activeElement;
    this.asking = new Asking(this.address, { found: (found) => this.show(found), failed: (error) => this.cannot(error) });
    this.said = h('p', { class: 'access-said', role: 'status' });
    this.body = h('div', { class: 'access-body' }, h('span', { class: 'skeleton' }), h('span', { class: 'skeleton' }));
    this.box = h('dialog', { class: 'dialog access-dialog', 'aria-labelledby': 'access-title' },
      h('div', { class: 'dialog-form' },
        h('h2', { id: 'access-title', tabindex: '-1' }, `Console access: ${page.parts.head.name}`), this.body, this.said,
        h('div', { class: 'dialog-buttons' }, h('button', { class: 'button', type: 'button', onclick: () => this.box.close() }, 'Close'))));
    this.undo = [
      live.on('customer', (message) => message.id === page.id && message.parts.some((part) => ['access', 'all'].includes(part)) && this.load()),
      live.on('again', () => this.load()),
    ];
    this.box.addEventListener('close', () => {
      this.undo.forEach((undo) => undo());
      this.asking.stop();
      this.box.remove();
      (this.opener?.isConnected ? this.opener : document.querySelector('[data-keep="access"]'))?.focus();
    });
    document.body.append(this.box);
    this.box.showModal();
    this.box.querySelector('h2').focus();
    this.load();
  }

  load() { return this.asking.load(); }

  cannot(error) {
    this.isOld = true;
    this.tell(error.status === 404 ? 'This customer is not here any more, or not yours to see.' : `This cannot be read just now: ${error.message}`, true);
  }

  tell(text, isBad = false) {
    this.said.textContent = text;
    this.said.classList.toggle('form-error', isBad);
  }

  show(found) {
    if (this.isOld) this.tell('');
    this.isOld = false;
    const told = JSON.stringify(found);
    if (told === this.told) return;
    this.told = told;
    this.found = found;
    const kept = this.form && Object.fromEntries(['user', 'until', 'reason'].map((name) => [name, this.form.elements[name]?.value]));
    const focused = this.box.contains(document.activeElement) ? document.activeElement.dataset.keep : null;
    this.body.replaceChildren(this.holders(), this.granting(kept), this.console());
    if (focused) this.box.querySelector(`[data-keep="${CSS.escape(focused)}"]`)?.focus();
    if (!this.box.contains(document.activeElement)) this.box.querySelector('h2').focus();
  }

  holders() {
    const { holders, may, generic } = this.found;
    return h('ul', { class: 'access-holders', 'aria-label': 'Who holds a role here' }, ...holders.map((one) => {
      const isPartner = one.role === 'Partner Administrator';
      const revocable = isPartner && !one.is_generic && !one.is_everywhere && (may || generic);
      const more = [one.is_generic ? 'generic account, cannot sign in' : one.portal_role, one.is_disabled && 'disabled', one.is_everywhere && 'at every customer'].filter(Boolean).join(' · ');
      return h('li', {},
        h('div', { class: 'access-who' }, h('b', { dir: 'auto' }, one.name), h('span', { class: 'quiet small' }, `${one.email} · ${more}`)),
        h('div', { class: 'access-what' }, h('span', {}, one.role),
          h('span', { class: 'quiet small' }, 'since ', when(one.since), one.by ? ` by ${one.by}` : '', one.until ? [', until ', when(one.until)] : '')),
        revocable ? h('button', { class: 'button small', type: 'button', 'data-keep': `revoke ${one.user}`, 'aria-label': `Revoke from ${one.name}`, onclick: () => this.revoke(one) }, 'Revoke') : h('span', {}));
    }));
  }

  // What is missing for granting is said; where only the generic account can, it asks for a reason.
  granting(kept) {
    const { people, may, generic, granters } = this.found;
    if (!may && !generic) {
      return h('p', { class: 'notice' }, `To grant it, you would have to hold Partner Administrator here yourself. ${granters.slice(0, 3).join(', ')}${granters.length > 3 ? ' and others' : ''} can grant it.`);
    }
    const option = (one) => h('option', { value: String(one.id) }, `${one.name} (${one.email})${one.opens ? '' : ` – ${one.portal_role}, cannot open consoles`}`);
    this.form = h('form', { class: 'access-form', novalidate: true },
      h('h3', {}, 'Grant Partner Administrator'),
      !may && h('p', { class: 'notice' }, 'No administrator holds it here, so the generic administration account grants it on your behalf. The history names you and your reason.'),
      h('div', { class: 'access-fields' },
        h('label', { class: 'field' }, h('span', {}, 'To'), h('select', { name: 'user', 'data-keep': 'grant user' }, ...people.map(option))),
        h('label', { class: 'field' }, h('span', {}, 'Until (if not for good)'), h('input', { type: 'datetime-local', name: 'until', 'data-keep': 'grant until' })),
        !may && h('label', { class: 'field access-wide' }, h('span', {}, 'Reason'), h('input', { type: 'text', name: 'reason', maxlength: '200', autocomplete: 'off', 'data-keep': 'grant reason' }))),
      h('div', {}, h('button', { class: 'button primary', type: 'submit', 'data-keep': 'grant' }, 'Grant')));
    for (const [name, value] of Object.entries(kept || {})) if (value && this.form.elements[name]) this.form.elements[name].value = value;
    this.form.addEventListener('submit', (event) => { event.preventDefault(); this.grant(); });
    return this.form;
  }

  console() {
    const { consoles, console: chosen, console_url: url } = this.found;
    if (!consoles) return '';
    const choice = h('select', { name: 'console', 'data-keep': 'console choice', onchange: () => this.act('/console', { console: choice.value ? Number(choice.value) : null }, () => 'The console was changed.') },
      h('option', { value: '' }, 'The vendor’s own'), ...consoles.map((one) => h('option', { value: String(one.id) }, one.name)));
    choice.value = chosen == null ? '' : String(chosen);
    return h('label', { class: 'field' }, h('span', {}, 'Console'), choice, h('span', { class: 'form-help' }, chosen == null ? (url || 'Its address is not known yet.') : ''));
  }

  grant() {
    const { user, until, reason } = this.form.elements;
    if (until.validity.badInput) return this.tell('Until is not a whole date with a time.', true);
    const expires = until.value ? momentOf(until.value) : '';
    return this.act('', { user: Number(user.value), expires_at: expires, generic: !this.found.may, reason: reason?.value || '' }, (answer) => {
      this.form.reset();
      return answer.said;
    });
  }

  revoke(one) {
    const own = one.user === this.page.config.me;
    const left = this.found.holders.filter((other) => other.may_grant && other.user !== one.user).length;
    const sentences = [
      own && 'This is your own role: you can open the console no more, and grant nobody the role here.',
      one.may_grant && !left && 'Nobody who could grant it will hold it here; only the generic account can grant it then.',
    ].filter(Boolean);
    const go = (reason = '') => this.act('/revoke', { user: one.user, generic: !this.found.may, reason }, (answer) => answer.said);
    if (!sentences.length && this.found.may) return go();
    return confirm(this, one, sentences, go);
  }

  async act(path, body, said) {
    if (this.acting) return;
    this.acting = true;
    try {
      this.tell(said(await send('POST', this.address + path, body)));
      await this.load();
    } catch (error) {
      this.tell(fieldWords(error), true);
    } finally {
      this.acting = false;
    }
  }
}

const FIELDS = { expires_at: 'Until', reason: 'Reason', user: 'The person', customers: 'What you chose' };

export function fieldWords(error) {
  const name = FIELDS[error.field];
  return name ? worded(name, error.message) : error.message;
}

// What would surprise is asked about in the dialog itself, in place of the holders.
function confirm(dialog, one, sentences, go) {
  const reason = !dialog.found.may && h('input', { type: 'text', maxlength: '200', autocomplete: 'off' });
  const back = () => { dialog.told = null; dialog.show(dialog.found); };
  const yes = h('button', { class: 'button primary', type: 'button', onclick: () => { const why = reason ? reason.value : ''; back(); go(why); } }, 'Revoke');
  dialog.form = null;
  dialog.body.replaceChildren(h('div', { class: 'access-confirm', role: 'group', 'aria-label': `Revoke from ${one.name}` },
    h('p', {}, h('b', {}, `Revoke Partner Administrator from ${one.name}?`)), ...sentences.map((sentence) => h('p', {}, sentence)),
    reason && h('label', { class: 'field' }, h('span', {}, 'Reason'), reason),
    h('div', { class: 'dialog-buttons' }, h('button', { class: 'button', type: 'button', onclick: back }, 'Keep it'), yes)));
  (reason || yes).focus();
}
