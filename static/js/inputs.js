// Searchable selects, related records, tags, dates. Called again after every swap; each input is made once.
const FLAT = { allowInput: true, time_24hr: true, disableMobile: true };
const FEW_OPTIONS = 8;

function labelOf(element) {
  const label = element.id && document.querySelector(`label[for="${CSS.escape(element.id)}"]`);
  return element.getAttribute('aria-label') || label?.textContent.trim() || element.name;
}

// Tom Select puts its own input in place of the field and takes its label: name (as it was) and descriptions have to
// follow, and the field itself is there only for the form.
function describe(select, original, name) {
  const input = select.control_input;
  original.setAttribute('aria-label', name);
  original.setAttribute('aria-hidden', 'true');
  input.setAttribute('aria-label', name);
  for (const about of ['aria-describedby', 'aria-invalid']) {
    if (original.hasAttribute(about)) input.setAttribute(about, original.getAttribute(about));
  }
  select.dropdown_content.setAttribute('aria-label', name);
}

function searchable(element) {
  const plugins = element.multiple ? ['remove_button'] : [];
  const name = labelOf(element);
  const select = new window.TomSelect(element, {
    plugins,
    allowEmptyOption: true,
    maxOptions: 1000,
    refreshThrottle: 0,
  });
  describe(select, element, name);
}

function related(element) {
  const many = element.dataset.multiple === '1';
  const stored = element.dataset.json ? JSON.parse(element.dataset.json) : null;
  const chosen = stored ? (many ? stored : [stored]) : [];
  const plugins = [];
  if (element.dataset.allowBlank) plugins.push('clear_button');
  if (many) plugins.push('remove_button');
  const name = labelOf(element);
  const select = new window.TomSelect(element, {
    plugins,
    valueField: 'id',
    labelField: 'text',
    searchField: [],
    maxItems: many ? null : 1,
    delimiter: ',',
    preload: 'focus',
    placeholder: element.dataset.placeholder,
    options: chosen.map(([id, text]) => ({ id: String(id), text })),
    items: chosen.map(([id]) => String(id)),
    shouldLoad: () => true,
    load(term, done) {
      const url = new URL(element.dataset.url, window.location.origin);
      url.searchParams.set('query', term);
      url.searchParams.set('limit', '20');
      fetch(url, { headers: { Accept: 'application/json' } })
        .then((answer) => (answer.ok ? answer.json() : []))
        .then((rows) => {
          this.clearOptions((option) => this.items.includes(option.id));
          done(rows.map(([id, text]) => ({ id: String(id), text })));
        })
        .catch(() => done());
    },
  });
  describe(select, element, name);
}

function tags(element) {
  const name = labelOf(element);
  const select = new window.TomSelect(element, {
    plugins: ['remove_button'],
    create: true,
    persist: false,
    delimiter: ',',
    // beside what is chosen: what may be chosen, if the page says so
    options: JSON.parse(element.dataset.options || '[]').map((text) => ({ value: text, text })),
    render: { no_results: () => null },
  });
  describe(select, element, name);
}

function picker(element) {
  const kind = element.dataset.picker;
  const range = kind === 'daterange';
  const dateFormat = kind === 'datetime' ? 'Y-m-d H:i' : 'Y-m-d';
  window.flatpickr(element, {
    ...FLAT,
    dateFormat,
    enableTime: kind === 'datetime',
    mode: range ? 'range' : 'single',
    locale: { rangeSeparator: ' to ', firstDayOfWeek: 1 },
    // a preset such as "last-7-days" is a value too, which flatpickr must not try to read
    parseDate: (text, format) => (/^\d{4}-/.test(text) ? window.flatpickr.parseDate(text, format) : undefined),
    onChange: () => element.dispatchEvent(new Event('input', { bubbles: true })),
  });
}

export function enhance(root) {
  const within = (selector) => [...root.querySelectorAll(selector)].filter((element) => !element.tomselect);
  for (const element of within('select[data-role=select2], select[multiple]')) {
    if (element.options.length > FEW_OPTIONS || element.multiple) searchable(element);
  }
  for (const element of within('input[data-role=select2-ajax]')) related(element);
  for (const element of within('input[data-tags], input[data-role=select2-tags]')) tags(element);
  for (const element of root.querySelectorAll('input[data-picker]')) {
    if (!element._flatpickr && !/^[a-z]/.test(element.value)) picker(element);
  }
}
