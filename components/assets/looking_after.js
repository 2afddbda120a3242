// Saying who looks after a customer, and who sees to a step of its Connect where that is somebody else.
import { openForm, send } from './dialog.js';
import { read } from './tips.js';

const idOf = (person) => (person ? String(person[0]) : '');

// Only who sees the customer and can sign in is offered; who does it now is shown in any case. `step` is the key of the
// step that is asked about beside the customer; `stored` is called when something was stored.
export async function lookAfter({ id, name, step, stored }) {
  const address = `/api/ui/customers/${id}`;
  const { people, responsible, steps } = await fetch(`${address}/looking-after`, { cache: 'no-store', signal: AbortSignal.timeout(15000) }).then(read);
  const about = steps.find(({ key }) => key === step);
  const choices = (person, nobody) => {
    const known = people.map(([number, called]) => [String(number), called]);
    const gone = person && !people.some(([number]) => number === person[0]);
    return [['', nobody], ...(gone ? [[idOf(person), `${person[1]} (${person[2] ? 'does not see this customer' : 'disabled'})`]] : []), ...known];
  };
  const fields = [
    { name: 'customer', label: 'Looks after this customer', kind: 'choice', value: idOf(responsible), choices: choices(responsible, 'Nobody'), help: 'All of its steps, where a step is not somebody else’s.' },
    about && { name: 'step', label: `Sees to “${about.title}”`, kind: 'choice', value: idOf(about.assignee), choices: choices(about.assignee, 'Whoever looks after the customer'), help: '' },
  ].filter(Boolean);
  const one = (value) => (value ? Number(value) : null);
  return openForm({
    title: `Who looks after ${name}`, fields, button: 'Save',
    store: async (values) => {
      try {
        if (values.customer !== idOf(responsible)) await send('POST', `${address}/looking-after`, { person: one(values.customer), was: responsible ? responsible[0] : null });
        if (about && values.step !== idOf(about.assignee)) await send('POST', `${address}/steps/${about.key}/assignee`, { person: one(values.step), was: about.assignee ? about.assignee[0] : null });
      } catch (error) {
        if (error.status === 409) throw Object.assign(new Error('Somebody else has just changed this. Close the form and open it again.'), { status: 409 });
        throw error;
      }
      stored?.();
    },
  });
}
