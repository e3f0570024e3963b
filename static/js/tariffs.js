// The tariff form shows the prices of the chosen type only; the group page closes its dialog and filters its list.
const dashed = (kind) => kind.replaceAll('_', '-');

function headingTypes(box) {
  return JSON.parse(box.dataset.sections);
}

// A pane is a flat run of headings, paragraphs and fields; what follows a heading belongs to it.
function arrange(box, pane, kind) {
  const sections = headingTypes(box);
  let wanted = '';
  for (const child of pane.children) {
    if (child.matches('h2')) wanted = sections[child.textContent.trim()] || '';
    const typed = child.querySelector('[data-types]');
    const owned = child.matches('h2, p, .inline, .invalid-feedback') && wanted;
    const shown = typed ? typed.dataset.types.split(' ').includes(kind) : !owned || wanted === kind;
    child.hidden = !shown;
    if (typed) typed.disabled = !shown;
    if (child.matches('.inline')) {
      for (const input of child.querySelectorAll('input, select, button')) input.disabled = !shown;
    }
  }
}

function startForm() {
  const box = document.getElementById('tariff-types');
  const type = document.getElementById('type');
  const pane = document.getElementById('tab-pricing');
  if (!box || !type || !pane) return;
  const hint = document.getElementById('type-hint');
  const show = () => {
    arrange(box, pane, type.value);
    const text = box.getAttribute(`data-hint-${dashed(type.value)}`);
    if (hint && text) hint.textContent = text;
  };
  type.addEventListener('change', show);
  show();
}

function startGroup() {
  document.addEventListener('htmx:after:swap', (event) => {
    const { target } = event.detail.ctx;
    const modal = document.getElementById('modal');
    if (target?.id !== 'group-tariffs' || !modal) return;
    (window.tabler || window.bootstrap).Modal.getInstance(modal)?.hide();
  });
  document.addEventListener('input', (event) => {
    if (!event.target.matches('[data-filter-rows]')) return;
    const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = document.querySelectorAll(`${event.target.dataset.filterRows} tbody tr`);
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
  });
}

startForm();
startGroup();
