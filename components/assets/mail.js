// The MSP's mail: the list (table.js), how it is going, and a panel about one message. What a message says is not here: it
// may hold a link that opens something. All of it is asked for again whenever mail moves.
import { exact, h, live, number, spoken, when } from './live.js';
import { shape, stateIcon } from './icons.js';
import { send } from './dialog.js';
import { read } from './tips.js';
import { mount as mountTable } from './table.js';

const MAIL = '/api/ui/mail';

export function mount(root, config, tell) {
  const page = new MailPage(root, config, tell);
  return { destroy: () => page.destroy() };
}

class MailPage {
  constructor(root, config, tell) {
    // Newest first, unless the address says otherwise; now it says so, and Back finds the same.
    if (!new URLSearchParams(location.search).get('sort')) {
      const params = new URLSearchParams(location.search);
      params.set('sort', config.table.asked.sort);
      params.set('dir', config.table.asked.dir);
      history.replaceState(history.state, '', `${location.pathname}?${params}${location.hash}`);
    }
    this.standing = h('div', { class: 'mail-standing', role: 'status' });
    const box = h('div', { class: 'people-table' });
    root.append(h('div', { class: 'page-head' }, h('h1', {}, 'Mail')), this.standing, box);
    this.drawStanding(config.standing);
    this.table = mountTable(box, config.table, tell);
    this.onClick = (event) => {
      const link = event.target.closest?.('a[href^="/mail#"]');
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      event.stopPropagation();
      this.show(Number(link.hash.slice(1)));
    };
    root.addEventListener('click', this.onClick, true);
    this.onHash = () => this.goToHash();
    addEventListener('hashchange', this.onHash);
    const renew = ({ what } = { what: 'mail' }) => {
      if (what !== 'mail' && what !== 'settings') return;
      this.load();
      this.panel?.load();
    };
    this.undo = [live.on('partner', renew), live.on('again', () => renew())];
    this.goToHash();
  }

  destroy() {
    this.gone = true;
    this.undo.forEach((undo) => undo());
    removeEventListener('hashchange', this.onHash);
    this.panel?.box.close();
    this.table.destroy();
  }

  goToHash() {
    const wanted = location.hash.slice(1);
    if (/^\d{1,9}$/.test(wanted)) this.show(Number(wanted));
  }

  setHash(text) { history.replaceState(history.state, '', location.pathname + location.search + text); }

  show(id) {
    if (this.panel?.id === id) return;
    this.panel?.box.close();
    this.setHash(`#${id}`);
    this.panel = new Panel(id, () => { this.panel = null; this.setHash(''); });
  }

  // -- how it is going --------------------------------------------------------------------------------------------------

  async load() {
    if (this.loading) return void (this.again = true);
    this.loading = true;
    this.again = false;
    try {
      const found = await read(await fetch(MAIL, { cache: 'no-store', signal: AbortSignal.timeout(15000) }));
      if (!this.gone) this.drawStanding(found);
    } catch (error) {
      if (error.status === 401) live.leave(); // else what is shown is older; the dot in the frame says so
    } finally {
      this.loading = false;
    }
    if (this.again && !this.gone) this.load();
  }

  drawStanding(now) {
    const said = JSON.stringify(now);
    if (said === this.said) return;
    this.said = said;
    const focused = this.standing.contains(document.activeElement);
    const parts = [];
    if (!now.server) {
      parts.push(h('p', { class: 'notice' }, h('span', {}, 'No mail server is set, so nothing is sent: whoever makes a link is shown it, to copy and pass on. '),
        now.may_set ? h('a', { href: '/settings#mail' }, 'Set one up') : 'An administrator can set one up.'));
    } else if (now.error) {
      const retry = h('button', { class: 'button small', type: 'button', onclick: () => this.retryAll(retry) }, now.waiting === 1 ? 'Try again now' : 'Try all again now');
      parts.push(h('p', { class: 'notice bad' }, shape('bad'), h('span', { class: 'mail-why' },
        `${now.waiting === 1 ? 'A message waits' : `${number(now.waiting)} messages wait`} after a try that failed. ${now.error}`,
        now.next_at && h('span', { class: 'quiet' }, ' The next try is ', Date.parse(now.next_at) <= live.now() ? 'due.' : [soon(now.next_at), '.'])), retry));
    }
    this.standing.replaceChildren(...parts);
    if (focused) this.standing.querySelector('button')?.focus();
  }

  async retryAll(button) {
    if (button.getAttribute('aria-busy')) return;
    button.setAttribute('aria-busy', 'true');
    try {
      await send('POST', `${MAIL}/retry`, {});
      this.load();
    } catch (error) {
      this.standing.append(h('p', { class: 'form-error', role: 'alert' }, error.message));
    } finally {
      button.removeAttribute('aria-busy');
    }
  }
}

// -- one message ------------------------------------------------------------------------------------------------------------

class Panel {
  constructor(id, closed) {
    this.id = id;
    this.opener = document.activeElement;
    this.title = h('h2', { id: 'mail-title' }, ' ');
    this.body = h('div', { class: 'person-body' }, h('span', { class: 'skeleton' }), h('span', { class: 'skeleton' }));
    const close = h('button', { class: 'icon-button', type: 'button', 'aria-label': 'Close', onclick: () => this.box.close() }, '✕');
    this.box = h('dialog', { class: 'dialog person', 'aria-labelledby': 'mail-title' }, h('div', { class: 'person-head' }, this.title, close), this.body);
    this.box.addEventListener('close', () => {
      this.gone = true;
      this.box.remove();
      closed();
      if (this.opener?.isConnected) this.opener.focus();
    });
    this.box.addEventListener('click', (event) => event.target === this.box && this.box.close()); // beside it
    document.body.append(this.box);
    this.box.showModal();
    this.load();
  }

  // One request at a time: an answer never overtakes a newer one.
  async load() {
    if (this.loading) return void (this.again = true);
    this.loading = true;
    this.again = false;
    try {
      const found = await read(await fetch(`${MAIL}/${this.id}`, { cache: 'no-store', signal: AbortSignal.timeout(15000) }));
      if (!this.gone) this.draw(found);
    } catch (error) {
      if (error.status === 401) live.leave();
      else if (!this.gone) {
        const none = error.status === 404 || error.status === 403;
        if (none) this.title.textContent = 'No such message';
        this.body.replaceChildren(h('p', { class: 'notice bad', role: 'alert' }, none ? 'There is no such message any more, or it is not yours to see.' : `This cannot be read just now: ${error.message}`),
          none ? '' : h('button', { class: 'button small', type: 'button', onclick: () => this.load() }, 'Try again'));
        this.said = null;
      }
    } finally {
      this.loading = false;
    }
    if (this.again && !this.gone) this.load();
  }

  draw(mail) {
    const said = JSON.stringify(mail);
    if (said === this.said) return;
    this.said = said;
    const hadFocus = this.body.contains(document.activeElement);
    this.title.textContent = mail.subject;
    const row = (term, ...content) => [h('dt', {}, term), h('dd', {}, h('div', {}, ...content))];
    const [drawn, tone, word] = mail.mark;
    this.body.replaceChildren(
      h('dl', { class: 'person-facts' },
        ...row('To', mail.recipient),
        ...row('Kind', mail.kind),
        ...(mail.customer ? row('Customer', h('a', { href: `/customers/${mail.customer.id}` }, mail.customer.name)) : []),
        ...(mail.document ? row('Document', h('a', { href: mail.document.href, target: '_blank', rel: 'noopener' }, mail.document.name)) : []),
        ...row('Written', when(mail.written_at)),
        h('dt', {}, 'State'), h('dd', {}, h('div', { class: 'mail-state' },
          h('p', {}, stateIcon({ shape: drawn, tone, word }), mail.state_title, mail.sent_at && [', ', when(mail.sent_at)]), ...this.standing(mail)),
        mail.may_try && h('div', { class: 'person-acts' }, this.retryButton())),
        ...row('Tried', mail.attempts === 0 ? 'Not yet' : mail.attempts === 1 ? 'Once' : `${number(mail.attempts)} times`),
        ...row('Message-ID', h('span', { class: 'mono mail-id' }, mail.message_id), h('p', { class: 'quiet small' }, 'A message that arrives twice after a breakdown has the same one both times.'))),
      h('p', { class: 'quiet small' }, 'What a message says is kept sealed until it is sent, and then erased. It is not shown here.'));
    if (hadFocus || !this.drawn) (this.body.querySelector('button') || this.box.querySelector('button')).focus();
    this.drawn = true;
  }

  standing(mail) {
    const error = mail.error && h('p', { class: mail.state === 'failed' ? 'form-error' : 'mail-why' }, mail.error);
    if (mail.state === 'failed') {
      const { said, text, href } = mail.anew;
      return [error, h('p', {}, `It cannot be tried again, because what it said is erased. ${said}`), href && h('p', {}, h('a', { class: 'button small', href }, text))];
    }
    if (mail.state !== 'waiting') return [];
    return [error,
      !error && h('p', {}, mail.may_try ? 'It is sent as soon as the mail server takes it.' : 'It is being sent at this moment.'),
      error && mail.next_at && h('p', { class: 'quiet small' }, 'The next try is ', Date.parse(mail.next_at) <= live.now() ? 'due' : soon(mail.next_at), '.'),
      mail.last_moment && h('p', { class: 'quiet small' }, 'It is given up ', soon(mail.last_moment), '.')];
  }

  retryButton() {
    const button = h('button', { class: 'button small', type: 'button', onclick: async () => {
      if (button.getAttribute('aria-busy')) return;
      button.setAttribute('aria-busy', 'true');
      this.body.querySelector('.person-trouble')?.remove();
      try {
        await send('POST', `${MAIL}/${this.id}/retry`, {});
        this.load();
      } catch (error) {
        this.said = null;
        await this.load();
        this.body.prepend(h('p', { class: 'notice bad person-trouble', role: 'alert' }, error.message));
      } finally {
        button.removeAttribute('aria-busy');
      }
    } }, 'Try again now');
    return button;
  }
}

// A moment to come.
function soon(at) {
  const ms = Date.parse(at);
  if (ms - live.now() < 60000) return h('time', { datetime: at, title: exact(ms) }, 'in a moment');
  const text = spoken(ms);
  return h('time', { datetime: at, title: exact(ms) }, /^\d\d:\d\d$/.test(text) ? `at ${text}` : `on ${text}`);
}
