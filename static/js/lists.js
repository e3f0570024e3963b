// Selecting rows, on the page or all that match, and what is done with them.
const form = () => document.getElementById('list-form');
const boxes = () => [...(form()?.querySelectorAll('input[name=rowid]') || [])];

function show() {
  const list = document.getElementById('list');
  if (!list || !form()) return;
  const all = form().elements.all_matching.value === '1';
  const ticked = boxes().filter((box) => box.checked).length;
  const count = Number(list.dataset.count);
  const text = list.querySelector('[data-selected-text]');
  if (!text) return;
  text.textContent = all ? `${count.toLocaleString('en')} selected` : ticked ? `${ticked} selected` : 'Select';
  list.querySelector('[data-tick]').dataset.tick = all || (ticked && ticked === boxes().length) ? 'all' : ticked ? 'some' : '';
  list.querySelector('[data-bulk]').hidden = !all && !ticked;
}

function select(which) {
  if (!form()) return;
  form().elements.all_matching.value = which === 'matching' ? '1' : '0';
  for (const box of boxes()) box.checked = which !== 'none';
  show();
}

function openAction(address) {
  const url = new URL(address, window.location.origin);
  const data = new FormData(form());
  if (data.get('all_matching') === '1') {
    url.searchParams.set('all_matching', '1');
    url.searchParams.set('expected_count', data.get('expected_count'));
  } else {
    for (const id of data.getAll('rowid')) url.searchParams.append('rowid', id);
  }
  window.htmx.ajax('GET', url.pathname + url.search, { target: '#modal-content' });
}

export function start() {
  document.addEventListener('click', (event) => {
    const choice = event.target.closest('[data-select]');
    if (choice) select(choice.dataset.select);
    const action = event.target.closest('[data-bulk-action]');
    if (action) openAction(action.dataset.bulkAction);
    const pick = event.target.closest('[data-export-pick]');
    if (pick) {
      for (const box of pick.closest('form').elements.columns) box.checked = pick.dataset.exportPick === 'all' || 'shown' in box.dataset;
    }
    const exporting = event.target.closest('[data-bulk-export]');
    if (exporting) {
      form().action = exporting.dataset.bulkExport;
      form().submit();
    }
  });
  // a download leaves the page where it is: the dialog has done its work
  document.addEventListener('submit', (event) => {
    if (event.target.matches('[data-export-form]')) setTimeout(() => document.querySelector('#modal-content .btn-close')?.click(), 100);
  });
  let last = null;
  document.addEventListener('click', (event) => {
    if (!event.target.matches('#list-form input[name=rowid]')) return;
    const all = boxes();
    if (event.shiftKey && last && all.includes(last)) {
      const [from, to] = [all.indexOf(last), all.indexOf(event.target)].sort((a, b) => a - b);
      for (const box of all.slice(from, to + 1)) box.checked = event.target.checked;
    }
    last = event.target;
    form().elements.all_matching.value = '0';
    show();
  });
  // cells that are cut off tell their whole text
  document.addEventListener('mouseover', (event) => {
    const cell = event.target.closest?.('.list-cell');
    if (cell && !cell.title && cell.scrollWidth > cell.clientWidth) cell.title = cell.textContent.trim();
  });
  document.addEventListener('htmx:after:swap', () => {
    const search = document.getElementById('list-search');
    const list = document.getElementById('list');
    if (search && list && document.activeElement !== search) search.value = list.dataset.search;
    show();
  });
}
