// Maps of locations: pins and clusters by status, popups filled by htmx, colours that follow what happens, and the
// outline of countries where no tile server is set. A classic script, because folium's own script calls it.
window.SyncMap = (() => {
  // app.dashboard.sites.SiteStatus, best first
  const STATUSES = ['not-in-service', 'available', 'in-use', 'unavailable', 'disturbed', 'faulty'];
  const REFRESH_MS = 5000;
  const PIN = '<svg viewBox="0 0 24 32" width="24" height="32" aria-hidden="true"><path class="pin-shape" d="M12 1C5.9 1 1 5.8 1 11.8 1 20 12 31 12 31s11-11 11-19.2C23 5.8 18.1 1 12 1z"></path><path class="pin-bolt" d="M13.2 5.5 7.5 13h3.6l-.6 5 5.9-7.6h-3.7z"></path></svg>';

  function icon(status) {
    return L.divIcon({
      className: `pin pin-${STATUSES[status] || STATUSES[0]}`,
      html: PIN,
      iconSize: [24, 32],
      iconAnchor: [12, 31],
      popupAnchor: [0, -28],
    });
  }

  function popup(id) {
    const box = document.createElement('div');
    box.className = 'pin-popup';
    box.setAttribute('hx-get', `/dashboard/map/locations/${id}/`);
    box.setAttribute('hx-trigger', 'load');
    box.textContent = 'Loading…';
    return box;
  }

  function marker([latitude, longitude, id, name, status]) {
    const made = L.marker([latitude, longitude], { icon: icon(status), title: name, alt: name });
    made.locationId = id;
    made.status = status;
    // the same element while it is open: Leaflet asks for it again whenever its size is to be measured
    let box = null;
    made.bindPopup(() => { box = box || popup(id); return box; }, { minWidth: 240, maxWidth: 320 });
    made.on('popupclose', () => { box = null; });
    return made;
  }

  function cluster(group) {
    const worst = group.getAllChildMarkers().reduce((status, child) => Math.max(status, child.status), 0);
    const number = group.getChildCount();
    const size = number < 10 ? 34 : number < 100 ? 40 : number < 1000 ? 46 : 54;
    return L.divIcon({
      className: `pin-cluster pin-${STATUSES[worst]}`,
      html: `<span>${number}</span>`,
      iconSize: [size, size],
    });
  }

  function outline(map, url) {
    const pane = map.createPane('countries');
    pane.style.zIndex = 150;
    fetch(url)
      .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(answer.statusText))))
      .then((world) => L.geoJSON(world, { pane: 'countries', interactive: false, className: 'map-country' }).addTo(map))
      .catch(() => {}); // a map without borders still shows its pins
  }

  function count(card, markers) {
    const numbers = STATUSES.map(() => 0);
    markers.forEach((each) => { numbers[each.status] += 1; });
    card.querySelectorAll('[data-legend]').forEach((entry) => {
      entry.textContent = numbers[Number(entry.dataset.legend)].toLocaleString('en');
    });
  }

  class Live {
    constructor(card) {
      this.card = card;
      this.map = window[card.dataset.map];
      this.group = window[card.dataset.cluster];
      this.key = card.dataset.key;
      this.waiting = null;
      this.askedAt = 0;
    }

    markers() {
      return this.group.getLayers().sort((a, b) => a.locationId - b.locationId);
    }

    // at most every REFRESH_MS, and never the last news forgotten
    changed() {
      if (this.waiting || document.hidden) return;
      const wait = Math.max(0, this.askedAt + REFRESH_MS - Date.now());
      this.waiting = setTimeout(() => {
        this.waiting = null;
        this.askedAt = Date.now();
        this.refresh().catch(() => {}); // the next event tries again
      }, wait);
    }

    async ask(query = '') {
      const answer = await fetch(`${this.card.dataset.pins}${query}`, { headers: { Accept: 'application/json' } });
      if (!answer.ok) throw new Error(answer.statusText);
      return answer.json();
    }

    async refresh() {
      const found = await this.ask();
      const markers = this.markers();
      if (found.key !== this.key || found.statuses.length !== markers.length) {
        await this.replace();
        return;
      }
      const changed = markers.filter((each, index) => {
        const status = Number(found.statuses[index]);
        if (each.status === status) return false;
        each.status = status;
        each.setIcon(icon(status));
        return true;
      });
      if (!changed.length) return;
      this.group.refreshClusters(changed);
      count(this.card, markers);
    }

    async replace() {
      const found = await this.ask('?all=1');
      this.group.clearLayers();
      this.group.addLayers(found.rows.map(marker));
      this.key = found.key;
      count(this.card, this.markers());
    }
  }

  function start(card) {
    const live = new Live(card);
    if (card.dataset.outline) outline(live.map, card.dataset.outline);
    live.map.attributionControl?.setPrefix(false);
    live.map.on('popupopen', (event) => window.htmx.process(event.popup.getElement()));
    card.addEventListener('htmx:after:swap', () => live.map._popup?.update());
    document.body.addEventListener('charge_points', () => live.changed());
    document.addEventListener('visibilitychange', () => live.changed());
    new ResizeObserver(() => live.map.invalidateSize()).observe(card);
  }

  document.addEventListener('DOMContentLoaded', () => {
    document.querySelectorAll('[data-locations-map]').forEach(start);
  });

  return { marker, cluster };
})();
