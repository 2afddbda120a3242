// The audit page: the MSP's own history, read as a customer's is (history.js); newer entries come when one looks again.
import { h, live } from './live.js';
import { HistoryBody } from './history.js';

export function mount(root, config) {
  const box = h('section', { class: 'card audit-card', 'aria-label': 'Entries of the audit' });
  root.append(box);
  const page = { config, may: () => true };
  const body = new HistoryBody(page, box, { at: '/api/ui/audit', first: [['', 'Everything']], what: 'The audit', named: true });
  const renew = () => !document.hidden && body.renew();
  const undo = live.news(renew);
  const timer = setInterval(renew, 20000);
  addEventListener('focus', renew);
  document.addEventListener('visibilitychange', renew);
  return {
    destroy() {
      undo();
      clearInterval(timer);
      removeEventListener('focus', renew);
      document.removeEventListener('visibilitychange', renew);
      body.destroy();
    },
  };
}
