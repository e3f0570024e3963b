// Pages of stations: fields that depend on others, EVSE IDs drawn by the server, the OCPP URL, lists that follow events.
const LIST_SPACING_MS = 1500;
const RETRY_MS = 1000;

// --- fields shown only with another field's value
function idOf(row) {
  const label = row.querySelector('label[for], [id$="-label"]');
  return label ? label.getAttribute('for') || label.id.replace(/-label$/, '') : '';
}

// an EVSE's own field comes before the charge point's of that name
function controlOf(name, prefix) {
  return document.getElementById(prefix + name) || document.getElementById(name);
}

function holds(control, value) {
  if (!control) return true;
  if (value === '!') return !control.checked;
  return control.type === 'checkbox' ? control.checked : control.value === value;
}

function hideEmptySections() {
  for (const heading of document.querySelectorAll('.form-section')) {
    const rows = [];
    const notes = [];
    for (let next = heading.nextElementSibling; next && !next.matches('.form-section'); next = next.nextElementSibling) {
      (next.matches('.field') ? rows : notes).push(next);
    }
    const empty = rows.length > 0 && rows.every((row) => row.classList.contains('only-with-hidden'));
    for (const part of [heading, ...notes]) part.classList.toggle('only-with-hidden', empty);
  }
}

function showOnlyWith() {
  const holder = document.querySelector('[data-only-with]');
  const rules = JSON.parse(holder.dataset.onlyWith || '{}');
  for (const row of document.querySelectorAll('.record-form .field')) {
    const id = idOf(row);
    const name = id.split('-').pop();
    const prefix = id.slice(0, id.length - name.length);
    const rule = rules[name];
    if (!rule) continue;
    const all = (conditions) => conditions.every(([control, value]) => holds(controlOf(control, prefix), value));
    const shown = Array.isArray(rule[0]?.[0]) ? rule.some(all) : all(rule);
    row.classList.toggle('only-with-hidden', !shown);
  }
  hideEmptySections();
}

// --- EVSEs of the form: a fresh ID and the next Network ID for new ones
async function drawCode(button) {
  const answer = await fetch(button.dataset.evseCode, { headers: { Accept: 'text/plain' } });
  if (!answer.ok) return;
  const input = button.closest('.input-group').querySelector('input');
  input.value = await answer.text();
  input.dispatchEvent(new Event('input', { bubbles: true }));
}

function completeNewEvses() {
  const inputs = [...document.querySelectorAll('.record-form [data-inline-item] input[name$="-network_id"]')];
  const numbers = inputs.map((input) => Number(input.value) || 0);
  for (const input of inputs) {
    if (input.value) continue;
    input.value = Math.max(0, ...numbers) + 1;
    numbers.push(Number(input.value));
  }
  for (const button of document.querySelectorAll('.record-form [data-inline-item] [data-evse-code]')) {
    const input = button.closest('.input-group').querySelector('input');
    if (!input.value && !input.dataset.asked) {
      input.dataset.asked = '1';
      drawCode(button);
    }
  }
}

// --- the address on the sticker, and its QR code
function showQr(input) {
  const box = document.querySelector(`[data-qr-for="${CSS.escape(input.id)}"]`);
  if (!box) return;
  const code = input.value.trim();
  box.hidden = !code;
  box.querySelector('[data-qr-shown]').textContent = box.dataset.qrUrl + code;
  for (const link of box.querySelectorAll('[data-qr-kind]')) {
    link.href = `${box.dataset.qrDownload}?code=${encodeURIComponent(code)}&format=${link.dataset.qrKind}`;
  }
}

// --- the address that goes into the station
function showOcppUrl(input) {
  const code = document.querySelector(`[data-ocpp-for="${input.id}"]`);
  if (code) code.textContent = code.dataset.ocppUrl + (encodeURIComponent(input.value.trim()) || '<ChargePointID>');
}

function startForm() {
  if (!document.querySelector('.record-form')) return;
  document.addEventListener('change', showOnlyWith);
  document.addEventListener('inline-changed', () => { showOnlyWith(); completeNewEvses(); });
  document.addEventListener('click', (event) => {
    const button = event.target.closest('[data-evse-code]');
    if (button) drawCode(button);
  });
  document.addEventListener('input', (event) => {
    if (event.target.id === 'identifier') showOcppUrl(event.target);
    else if (event.target.name?.endsWith('-code')) showQr(event.target);
  });
  showOnlyWith();
}

// --- lists that follow what happens, unless the admin is busy in them
function busy() {
  const list = document.getElementById('list');
  if (!list || document.hidden) return true;
  const open = '.dropdown-menu.show, details[open], input[name=rowid]:checked, .list-table :focus-visible';
  return Boolean(list.querySelector(open) || document.querySelector('.modal.show, .offcanvas.show'));
}

function followList(topic) {
  let timer = null;
  let last = 0;
  const refresh = () => {
    timer = null;
    if (busy()) {
      timer = setTimeout(refresh, RETRY_MS);
      return;
    }
    last = Date.now();
    window.htmx.trigger(document.body, 'record-changed');
  };
  document.body.addEventListener(topic, () => {
    timer ??= setTimeout(refresh, Math.max(0, last + LIST_SPACING_MS - Date.now()));
  });
}

startForm();
const stream = document.querySelector('[data-live-list]');
if (stream) followList(stream.dataset.liveList);
