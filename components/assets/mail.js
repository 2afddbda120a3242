// The MSP's mail: the list (table.js), how it is going, and a panel about one message. What a message says is not here: it
// may hold a link that opens something. All of it is asked for again whenever mail moves.
import { exact, h, live, number, spoken, when } from './live.js';
import { shape, stateIcon } from './icons.js';
import { send } from './dialog.js';
import { Asking } from './asking.js';
import { Named, Panel } from './panel.js';
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
    this.named = new Named(root, '/mail', (id, closed) => new MessagePanel(id, closed));
    this.asking = new Asking(MAIL, { found: (standing) => this.drawStanding(standing) }); // where it fails, the dot in the frame says so
    const renew = () => {
      this.asking.load();
      this.named.panel?.load();
    };
    this.undo = [live.news(renew, 'mail', 'settings')];
    this.named.go();
  }

  destroy() {
    this.asking.stop();
    this.undo.forEach((undo) => undo());
    this.named.destroy();
    this.table.destroy();
  }

  // -- how it is going --------------------------------------------------------------------------------------------------

  drawStanding(now) {
    const said = JSON.stringify(now);
    if (said === this.said) return;
    this.said = said;
    const focused = this.standing.contains(document.activeElement);
    const parts = [];
    if (!now.server) {
      const waits = now.waiting === 1 ? 'A message waits until there is one. ' : now.waiting ? `${number(now.waiting)} messages wait until there is one. ` : '';
      parts.push(h('p', { class: 'notice' }, h('span', {}, `No mail server is set, so nothing is sent: whoever makes a link is shown it, to copy and pass on. ${waits}`),
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
      this.asking.load();
    } catch (error) {
      this.standing.append(h('p', { class: 'form-error', role: 'alert' }, error.message));
    } finally {
      button.removeAttribute('aria-busy');
    }
  }
}

// -- one message ------------------------------------------------------------------------------------------------------------

class MessagePanel extends Panel {
  constructor(id, closed) {
    super('mail', `${MAIL}/${id}`, { title: 'No such message', text: 'There is no such message any more, or it is not yours to see.' }, closed);
    this.id = id;
  }

  draw(mail) {
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
        mail.may_try && h('div', { class: 'person-acts' }, this.retryButton(mail))),
        ...row('Tried', mail.attempts === 0 ? 'Not yet' : mail.attempts === 1 ? 'Once' : `${number(mail.attempts)} times`),
        ...row('Message-ID', h('span', { class: 'mono mail-id' }, mail.message_id), h('p', { class: 'quiet small' }, 'A message that arrives twice after a breakdown has the same one both times.'))),
      h('p', { class: 'quiet small' }, 'What a message says is kept sealed until it is sent, and then erased. It is not shown here.'));
  }

  standing(mail) {
    const error = mail.error && h('p', { class: mail.state === 'failed' ? 'form-error' : 'mail-why' }, mail.error);
    if (mail.state === 'failed') {
      const { said, text, href } = mail.anew;
      return [error, h('p', {}, `It cannot be tried again, because what it said is erased. ${said}`), href && h('p', {}, h('a', { class: 'button small', href }, text))];
    }
    if (mail.state !== 'waiting') return [error];
    return [error,
      !error && h('p', {}, mail.may_try ? 'It is sent as soon as the mail server takes it.' : 'It is being sent at this moment.'),
      mail.next_at && (error || Date.parse(mail.next_at) > live.now()) && h('p', { class: 'quiet small' }, 'The next try is ', Date.parse(mail.next_at) <= live.now() ? 'due' : soon(mail.next_at), '.'),
      mail.last_moment && h('p', { class: 'quiet small' }, 'It is given up ', soon(mail.last_moment), '.')];
  }

  retryButton(mail) {
    const button = this.button(mail.attempts ? 'Try again now' : 'Try now', 'retry', () => this.act(button, () => send('POST', `${MAIL}/${this.id}/retry`, {})));
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
