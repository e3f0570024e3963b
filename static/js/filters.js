// The filter drawer: only inputs with a value carry a name, so the address holds just the filters in force.
function valueInputs(filter) {
  return [...filter.querySelectorAll('[data-value-for]')];
}

function operationOf(filter) {
  const chooser = filter.querySelector('[data-operation]');
  return chooser.tagName === 'SELECT' ? chooser.value : chooser.dataset.value;
}

function update(filter) {
  const operation = operationOf(filter);
  for (const input of valueInputs(filter)) {
    const inForce = input.dataset.valueFor === operation;
    input.hidden = !inForce;
    if (inForce && input.value) input.name = `flt${filter.dataset.filter}_${operation}`;
    else input.removeAttribute('name');
  }
}

function updateAll() {
  for (const filter of document.querySelectorAll('[data-filter]')) update(filter);
}

export function start() {
  document.addEventListener('input', (event) => {
    const filter = event.target.closest?.('[data-filter]');
    if (filter) update(filter);
  });
  document.addEventListener('change', (event) => {
    const filter = event.target.closest?.('[data-filter]');
    if (filter) update(filter);
  });
  document.addEventListener('click', (event) => {
    const preset = event.target.closest('[data-preset]');
    if (!preset) return;
    const filter = preset.closest('[data-filter]');
    const input = filter.querySelector('[data-picker=daterange]');
    const chooser = filter.querySelector('select[data-operation]');
    if (chooser) chooser.value = input.dataset.valueFor;
    input._flatpickr?.destroy();
    input.value = preset.dataset.preset;
    update(filter);
    filter.closest('form').requestSubmit();
  });
  document.addEventListener('submit', (event) => {
    if (event.target.id !== 'filter-form') return;
    updateAll();
    const drawer = document.getElementById('filters');
    (window.tabler || window.bootstrap).Offcanvas.getOrCreateInstance(drawer).hide();
  }, true);
  document.addEventListener('htmx:after:swap', updateAll);
  updateAll();
}
