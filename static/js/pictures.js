// Pictures in forms: preview of what was chosen, its size, order and removal of what is there.
const MEGABYTE = 1024 * 1024;

function said(box, text) {
  const status = box.querySelector('[data-photo-said]');
  if (status) status.textContent = text;
}

function preview(box, files) {
  const list = box.querySelector('[data-chosen]');
  list.replaceChildren();
  for (const file of files) {
    if (!file.type.startsWith('image/')) continue;
    const image = document.createElement('img');
    image.alt = `${file.name}, chosen`;
    const item = document.createElement('div');
    item.className = 'photo';
    item.append(image);
    list.append(item);
    // as data: the policy lets no other address of the browser's own be loaded
    const reader = new FileReader();
    reader.addEventListener('load', () => { image.src = reader.result; });
    reader.readAsDataURL(file);
  }
}

function weigh(box, input) {
  const note = box.querySelector('[data-too-large]');
  const bytes = [...input.files].reduce((sum, file) => sum + file.size, 0);
  const most = Number(box.dataset.maxBytes);
  const wrong = bytes > most ? `Together ${Math.ceil(bytes / MEGABYTE)} MB; at most ${Math.floor(most / MEGABYTE)} MB can be uploaded at once.` : '';
  note.textContent = wrong;
  note.hidden = !wrong;
  note.classList.toggle('d-block', Boolean(wrong));
  input.setCustomValidity(wrong);
  return !wrong;
}

function move(button) {
  const item = button.closest('[data-photo]');
  const step = Number(button.dataset.photoMove);
  const other = step < 0 ? item.previousElementSibling : item.nextElementSibling;
  const box = item.closest('[data-picture-upload]');
  const name = item.querySelector('img').alt;
  if (!other) {
    said(box, `${name} is ${step < 0 ? 'first' : 'last'} already.`);
    return;
  }
  if (step < 0) other.before(item);
  else other.after(item);
  button.focus();
  said(box, `${name} is now number ${[...item.parentElement.children].indexOf(item) + 1}.`);
  item.closest('form')?.dispatchEvent(new Event('change', { bubbles: true }));
}

function choose(box, select) {
  const addresses = JSON.parse(box.dataset.imageChoice);
  const image = box.querySelector('[data-image-preview]');
  const found = addresses[select.value];
  if (found) image.src = found;
  image.hidden = !found;
}

document.addEventListener('change', (event) => {
  const { target } = event;
  const box = target.closest?.('[data-picture-upload]');
  if (box && target.type === 'file') {
    preview(box, target.files);
    weigh(box, target);
  }
  if (box && target.type === 'checkbox') target.closest('[data-photo]').classList.toggle('photo-removed', target.checked);
  const choice = target.closest?.('[data-image-choice]');
  if (choice && target.matches('select')) choose(choice, target);
});
document.addEventListener('click', (event) => {
  const button = event.target.closest('[data-photo-move]');
  if (button) move(button);
});
// the server would refuse the whole form, and with it everything that was typed
document.addEventListener('submit', (event) => {
  const inputs = event.target.querySelectorAll('[data-picture-upload] input[type=file]');
  const heavy = [...inputs].find((input) => !weigh(input.closest('[data-picture-upload]'), input));
  if (!heavy) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  const pane = heavy.closest('.tab-pane');
  const link = pane && document.querySelector(`[data-bs-toggle=tab][href="#${pane.id}"]`);
  if (link) (window.tabler || window.bootstrap).Tab.getOrCreateInstance(link).show();
  heavy.focus();
}, true);
