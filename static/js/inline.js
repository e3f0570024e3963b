// Records inside a record's form: add from the template, duplicate, remove; to any depth.
import { enhance } from './inputs.js';

function renumber(list) {
  [...list.children].forEach((item, index) => {
    item.querySelector('[data-number]').textContent = index + 1;
  });
}

// The template holds names with a placeholder for its own index; inner templates have placeholders of their own.
export function add(box) {
  const list = box.querySelector(':scope > [data-inline-list]');
  const template = box.querySelector(':scope > template');
  const next = Number(box.dataset.next || list.children.length);
  box.dataset.next = next + 1;
  const holder = document.createElement('template');
  holder.innerHTML = template.innerHTML.replaceAll(box.dataset.inline, String(next));
  const item = holder.content.firstElementChild;
  list.append(item);
  renumber(list);
  enhance(item);
  box.dispatchEvent(new Event('inline-changed', { bubbles: true }));
  return item;
}

function ownInputs(item) {
  return [...item.querySelectorAll('[name]')].filter((input) => input.closest('[data-inline-item]') === item);
}

function shortName(input) {
  return input.name.split('-').pop();
}

function copyValue(from, to) {
  if (from.type === 'checkbox') to.checked = from.checked;
  else if (to.tomselect) {
    for (const option of Object.values(from.tomselect?.options || {})) to.tomselect.addOption({ ...option });
    to.tomselect.setValue(from.tomselect ? from.tomselect.getValue() : from.value, true);
  } else to.value = from.value;
}

function duplicate(item) {
  const box = item.closest('[data-inline]');
  const copy = add(box);
  const unique = box.dataset.unique.split(' ');
  const targets = ownInputs(copy);
  ownInputs(item).forEach((input) => {
    const name = shortName(input);
    if (name === 'id' || unique.includes(name) || input.name.startsWith('del-')) return;
    const target = targets.find((other) => shortName(other) === name);
    if (target) copyValue(input, target);
  });
  const inner = (element) => [...element.querySelectorAll('[data-inline]')].filter((found) => found.parentElement.closest('[data-inline-item]') === element);
  const copies = inner(copy);
  inner(item).forEach((list, index) => {
    for (const child of list.querySelector(':scope > [data-inline-list]').children) {
      const made = add(copies[index]);
      const made_inputs = ownInputs(made);
      ownInputs(child).forEach((input) => {
        const target = made_inputs.find((other) => shortName(other) === shortName(input));
        if (target && shortName(input) !== 'id' && !input.name.startsWith('del-')) copyValue(input, target);
      });
    }
  });
  return copy;
}

function focusFirst(item) {
  item.querySelector('input:not([type=hidden]), select, textarea')?.focus();
  item.scrollIntoView({ block: 'nearest' });
}

export function start() {
  document.addEventListener('click', (event) => {
    const adding = event.target.closest('[data-inline-add]');
    if (adding) focusFirst(add(adding.closest('[data-inline]')));
    const copying = event.target.closest('[data-inline-duplicate]');
    if (copying) focusFirst(duplicate(copying.closest('[data-inline-item]')));
    const removing = event.target.closest('[data-inline-remove]');
    if (removing) {
      const list = removing.closest('[data-inline-list]');
      const box = list.closest('[data-inline]');
      removing.closest('[data-inline-item]').remove();
      renumber(list);
      box.querySelector(':scope > [data-inline-add]').focus();
      box.dispatchEvent(new Event('inline-changed', { bubbles: true }));
    }
  });
  document.addEventListener('change', (event) => {
    if (!event.target.matches('[data-inline-delete]')) return;
    const item = event.target.closest('[data-inline-item]');
    item.classList.toggle('inline-deleted', event.target.checked);
    item.querySelector('[data-inline-delete-text]').textContent = event.target.checked ? 'Will be removed – undo' : 'Remove';
  });
}
