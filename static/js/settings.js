// The settings page: finding one by its words, and putting one back to its default.
const form = document.querySelector('form[data-guard]');
const search = document.querySelector('[data-settings-search]');
const lines = [...document.querySelectorAll('[data-setting]')];

function find() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let found = 0;
  for (const line of lines) {
    const text = line.dataset.setting.toLowerCase();
    line.hidden = !words.every((word) => text.includes(word));
    found += line.hidden ? 0 : 1;
  }
  for (const section of form.querySelectorAll('section')) {
    section.hidden = ![...section.querySelectorAll('[data-setting]')].some((line) => !line.hidden);
    for (const link of document.querySelectorAll(`a[href="#${section.id}"]`)) link.classList.toggle('d-none', section.hidden);
  }
  document.querySelector('[data-settings-none]').hidden = found > 0;
  document.querySelector('[data-settings-found]').textContent = words.length ? `${found} found` : '';
}

function reset(button) {
  const value = button.dataset.settingReset;
  const wanted = value.split(', ');
  let last = null;
  for (const input of form.querySelectorAll(`[name="${CSS.escape(button.dataset.settingOf)}"]`)) {
    if (input.type === 'radio') input.checked = input.value === value;
    else if (input.type === 'checkbox') input.checked = wanted.includes(input.value);
    else if (input.tomselect) input.tomselect.setValue(value);
    else input.value = value;
    last = input;
  }
  last?.dispatchEvent(new Event('change', { bubbles: true }));
  last?.focus();
  button.replaceWith('Will be the default once saved.');
}

search?.addEventListener('input', find);
search?.addEventListener('keydown', (event) => {
  if (event.key === 'Enter') event.preventDefault();
  if (event.key === 'Escape') { search.value = ''; find(); }
});
document.addEventListener('click', (event) => {
  const button = event.target.closest('[data-setting-reset]');
  if (button) reset(button);
});
