// A template fills the form of a new charge point: its fields, then its EVSEs with their connectors.
import { add } from './inline.js';

function put(control, value) {
  if (!control || value === undefined || value === null) return;
  if (control.type === 'checkbox') control.checked = Boolean(value);
  else if (control.tomselect) {
    const values = Array.isArray(value) ? value : [value];
    for (const each of values) {
      if (control.hasAttribute('data-tags')) control.tomselect.addOption({ value: String(each), text: String(each) });
    }
    control.tomselect.setValue(values.map(String), true);
  } else control.value = Array.isArray(value) ? value.join(',') : value;
  control.dispatchEvent(new Event('change', { bubbles: true }));
}

function fill(item, fields) {
  const inputs = [...item.querySelectorAll('[name]')].filter((input) => input.closest('[data-inline-item]') === item);
  for (const [name, value] of Object.entries(fields)) put(inputs.find((input) => input.name.split('-').pop() === name), value);
}

function fillEvses(form, evses) {
  const box = form.querySelector('[data-inline]');
  if (!box) return;
  box.querySelector(':scope > [data-inline-list]').replaceChildren();
  for (const evse of evses) {
    const item = add(box);
    fill(item, evse.fields);
    const inner = item.querySelector('[data-inline]');
    for (const connector of evse.connectors) fill(add(inner), connector);
  }
}

function startTemplates() {
  const select = document.querySelector('[data-template-url]');
  const form = select?.closest('form');
  if (!form) return;
  const said = document.createElement('p');
  said.className = 'form-hint mb-0';
  said.setAttribute('role', 'status');
  select.parentElement.append(said);
  let asked = 0;
  select.addEventListener('change', async () => {
    asked += 1;
    const mine = asked;
    if (!/^\d+$/.test(select.value)) return;
    said.textContent = 'Filling the form…';
    let found;
    try {
      const answer = await fetch(`${select.dataset.templateUrl}?template=${select.value}`, { headers: { Accept: 'application/json' } });
      if (!answer.ok) throw new Error(answer.statusText);
      found = await answer.json();
    } catch {
      said.textContent = 'The template cannot be loaded. Reload the page and try again.';
      return;
    }
    if (mine !== asked) return; // another one was chosen meanwhile
    for (const [name, value] of Object.entries(found.fields)) put(document.getElementById(name), value);
    fillEvses(form, found.evses);
    const number = found.evses.length;
    said.textContent = `Filled from “${found.fields.name}”: ${number} EVSE${number === 1 ? '' : 's'}. Change the name, and enter the Charge Point ID (tab OCPP).`;
  });
}

startTemplates();
