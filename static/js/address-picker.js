// The address picker: a map whose pin and the typed coordinates follow one another, and, when a geocoder is set, the
// address that follows both. What an admin typed into the address is never replaced without being asked.
const CLOSE_ZOOM = 16;
const FAR_ZOOM = 4;
const PIN = '<svg viewBox="0 0 24 32" width="30" height="40" aria-hidden="true"><path d="M12 1C5.9 1 1 5.8 1 11.8 1 20 12 31 12 31s11-11 11-19.2C23 5.8 18.1 1 12 1z"></path><circle cx="12" cy="12" r="4.5"></circle></svg>';

function token() {
  return document.querySelector('meta[name=csrf-token]')?.content || '';
}

async function post(url, fields) {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { Accept: 'application/json', 'X-CSRFToken': token() },
    body: new URLSearchParams(fields),
  });
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(said.message || 'That did not work. Reload the page and try again.');
  return said;
}

function typed(input, limit) {
  const text = input.value.trim().replace(',', '.');
  const value = Number(text);
  return text !== '' && Number.isFinite(value) && Math.abs(value) <= limit ? value : null;
}

class Picker {
  constructor(box) {
    this.box = box;
    this.latitude = document.getElementById(box.dataset.latitudeField || 'latitude');
    this.longitude = document.getElementById(box.dataset.longitudeField || 'longitude');
    this.said = box.querySelector('[data-address-said]');
    this.found = box.querySelector('[data-address-found]');
    this.filled = {};
    this.asked = 0;
    this.fields = {
      address: document.getElementById(`address-${box.dataset.language}`),
      city: document.getElementById('city'),
      postcode: document.getElementById('postcode'),
      region: document.getElementById('region'),
      country: document.getElementById('country'),
    };
    // a page that asks only where, has none of these
    for (const name of Object.keys(this.fields)) if (!this.fields[name]) delete this.fields[name];
    this.draw();
    this.listen();
  }

  point() {
    const [latitude, longitude] = [typed(this.latitude, 90), typed(this.longitude, 180)];
    return latitude === null || longitude === null ? null : [latitude, longitude];
  }

  draw() {
    const { L } = window;
    const start = this.point();
    const centre = start || [Number(this.box.dataset.latitude), Number(this.box.dataset.longitude)];
    this.map = L.map(this.box.querySelector('[data-address-map]'), { minZoom: 2, maxZoom: 19, worldCopyJump: true, scrollWheelZoom: false })
      .setView(centre, start ? CLOSE_ZOOM : FAR_ZOOM);
    this.map.attributionControl.setPrefix(false);
    if (this.box.dataset.tiles) {
      const attribution = document.createElement('span');
      attribution.textContent = this.box.dataset.attribution;
      L.tileLayer(this.box.dataset.tiles, { maxZoom: 19, attribution: attribution.innerHTML, referrerPolicy: 'strict-origin-when-cross-origin' }).addTo(this.map);
    } else {
      if (start) this.map.setZoom(6); // the outline shows nothing closer
      fetch(this.box.dataset.outline)
        .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(answer.statusText))))
        .then((world) => L.geoJSON(world, { interactive: false, className: 'address-country' }).addTo(this.map))
        .catch(() => {}); // a map without borders still has its pin
    }
    if (start) this.put(start);
    new ResizeObserver(() => this.map.invalidateSize()).observe(this.box);
  }

  put(point, { centre = false } = {}) {
    const { L } = window;
    if (!this.pin) {
      const icon = L.divIcon({ className: 'address-pin', html: PIN, iconSize: [30, 40], iconAnchor: [15, 39] });
      this.pin = L.marker(point, { icon, draggable: true, autoPan: true, title: 'Drag to the location', alt: 'Pin of the location', keyboard: true });
      this.pin.addTo(this.map);
      this.pin.on('dragend', () => this.picked(this.pin.getLatLng()));
    } else this.pin.setLatLng(point);
    if (centre || !this.map.getBounds().contains(point)) {
      this.map.setView(point, Math.max(this.map.getZoom(), this.box.dataset.tiles ? CLOSE_ZOOM : 6));
    }
  }

  type([latitude, longitude]) {
    for (const [input, value] of [[this.latitude, latitude], [this.longitude, longitude]]) {
      input.value = value.toFixed(6);
      input.dispatchEvent(new Event('input', { bubbles: true }));
    }
  }

  picked({ lat, lng }) {
    const point = [lat, ((((lng + 180) % 360) + 360) % 360) - 180];
    this.put(point);
    this.type(point);
    this.reverse(point);
  }

  listen() {
    this.map.on('click', (event) => this.picked(event.latlng));
    for (const input of [this.latitude, this.longitude]) {
      input.addEventListener('change', () => {
        const point = this.point();
        if (!point) return;
        this.put(point, { centre: true });
        this.reverse(point);
      });
    }
    const search = this.box.querySelector('[data-address-search]');
    search?.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter') return;
      event.preventDefault(); // the form is not to be sent
      this.search(search.value);
    });
    this.box.querySelector('[data-address-find]')?.addEventListener('click', () => this.search(search.value));
  }

  async ask(fields) {
    this.asked += 1;
    const mine = this.asked;
    this.say('Looking it up…');
    try {
      const { places } = await post(this.box.dataset.lookup, fields);
      return mine === this.asked ? places : null;
    } catch (error) {
      if (mine === this.asked) this.say(error.message);
      return null;
    }
  }

  say(text, ...more) {
    this.said.replaceChildren(text, ...more);
  }

  async search(text) {
    if (!text.trim()) return;
    const places = await this.ask({ search: text });
    if (!places) return;
    this.found.replaceChildren(...places.map((place) => {
      const button = document.createElement('button');
      button.type = 'button';
      button.className = 'btn btn-ghost-secondary';
      button.textContent = place.label;
      button.addEventListener('click', () => this.choose(place));
      const item = document.createElement('li');
      item.append(button);
      return item;
    }));
    this.found.hidden = !places.length;
    this.say(places.length ? `${places.length} found. Choose one.` : 'Nothing found. Try fewer words, or put the pin on the map.');
    this.found.querySelector('button')?.focus();
  }

  choose(place) {
    const point = [place.latitude, place.longitude];
    this.found.hidden = true;
    this.found.replaceChildren();
    this.type(point);
    this.put(point, { centre: true });
    this.fill(place);
    this.latitude.focus();
  }

  async reverse([latitude, longitude]) {
    if (!this.box.dataset.lookup) return;
    const places = await this.ask({ latitude, longitude });
    if (!places) return;
    if (!places.length) {
      this.say('No address is known here; enter it by hand.');
      return;
    }
    const [place] = places;
    if (!Object.keys(this.fields).length) {
      this.say(`Here is: ${place.label}`);
      return;
    }
    if (this.untouched()) {
      this.fill(place);
      return;
    }
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'btn btn-sm ms-2';
    button.textContent = 'Use this address';
    button.addEventListener('click', () => { this.fill(place); this.fields.address.focus(); });
    this.say(`Here is: ${place.label}`, button);
  }

  valueOf(name) {
    return this.fields[name].value.trim().replace(/^__None$/, '');
  }

  // empty, or still as it was filled from the map
  untouched() {
    return Object.keys(this.fields).every((name) => !this.valueOf(name) || this.valueOf(name) === this.filled[name]);
  }

  fill(place) {
    for (const [name, field] of Object.entries(this.fields)) {
      if (name === 'country' && !place.country) continue;
      if (field.tomselect) field.tomselect.setValue(place[name], true);
      else field.value = place[name];
      field.dispatchEvent(new Event('input', { bubbles: true }));
      this.filled[name] = this.valueOf(name);
    }
    if (!Object.keys(this.fields).length) {
      this.say(place.label);
      return;
    }
    this.say(`Address filled in: ${place.label}. Review it, and the other languages.`);
  }
}

async function fillWords(button) {
  const said = document.querySelector('[data-what3words-said]');
  const input = document.getElementById('what3words');
  said.textContent = 'Asking what3words…';
  try {
    const answer = await post(button.dataset.what3words, {
      latitude: document.getElementById('latitude').value,
      longitude: document.getElementById('longitude').value,
    });
    input.value = answer.words;
    input.dispatchEvent(new Event('input', { bubbles: true }));
    said.textContent = `Filled in: ${answer.words}`;
  } catch (error) {
    said.textContent = error.message;
  }
}

const box = document.querySelector('[data-address-picker]');
if (box) new Picker(box);
document.addEventListener('click', (event) => {
  const button = event.target.closest('[data-what3words]');
  if (button) fillWords(button);
});
