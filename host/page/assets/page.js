// Everything works without this file (forms and links); it adds live search, keys, the waveform and channels.
const $ = (s, r = document) => r.querySelector(s), $$ = (s, r = document) => [...r.querySelectorAll(s)];
const html = document.documentElement;
try { const t = localStorage.theme; if (t) html.dataset.theme = t; } catch {}
const say = t => { const l = $('#say'); if (l) l.textContent = t; };
// What cannot be played is told by the event `error`.
const toggle = a => a.paused ? a.play().catch(() => {}) : a.pause();
const clock = s => { s = Math.max(0, Math.floor(s)); const h = Math.floor(s / 3600), m = Math.floor(s % 3600 / 60); return (h ? h + ':' + String(m).padStart(2, '0') : m) + ':' + String(s % 60).padStart(2, '0'); };

// Times come in UTC; those of a list and of a recording can be told as this computer's clock has them.
let zoned = false; try { zoned = localStorage.zone === 'local'; } catch {}
const two = n => String(n).padStart(2, '0');
function zone() {
  $$('time[datetime]').forEach(t => {
    const at = new Date(t.dateTime); if (isNaN(at)) return; t.dataset.utc ??= t.textContent;
    t.textContent = zoned ? `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}` : t.dataset.utc;
  });
  $$('.zone').forEach(s => s.textContent = zoned ? Intl.DateTimeFormat().resolvedOptions().timeZone : 'UTC');
  $$('[data-do=zone]').forEach(b => b.setAttribute('aria-pressed', zoned));
}

document.addEventListener('click', async e => {
  const b = e.target.closest('[data-do]');
  if (b?.dataset.do === 'theme') { const dark = matchMedia('(prefers-color-scheme: dark)').matches, now = html.dataset.theme || (dark ? 'dark' : 'light'); html.dataset.theme = now === 'dark' ? 'light' : 'dark'; try { localStorage.theme = html.dataset.theme; } catch {} dispatchEvent(new Event('repaint')); }
  if (b?.dataset.do === 'keys') $('#keys').showModal();
  if (b?.dataset.do === 'zone') { zoned = !zoned; try { localStorage.zone = zoned ? 'local' : ''; } catch {} zone(); say(zoned ? 'Times are local' : 'Times are in UTC'); }
  if (b?.dataset.do === 'copy') { await navigator.clipboard?.writeText(b.value).catch(() => {}); say('Copied'); b.textContent = 'Copied'; }
  const row = e.target.closest('a.open');
  if (row && innerWidth > 1000 && !e.ctrlKey && !e.metaKey && !e.shiftKey) { e.preventDefault(); open(row.href, row); }
});

// Search: POSTed, so that no number or name gets into an address, a history or a log.
const form = $('form.find');
let wait, ask;
async function search(extra, by) {
  ask?.abort(); ask = new AbortController();
  const body = new URLSearchParams(new FormData(form)); if ($('#facets')) body.set('facets', '1');
  // A facet is a field of the form, too, so that the next search keeps it.
  if (extra) for (const [k, v] of extra) { body.set(k, v); const f = form.elements[k]; if (f && f.type !== 'checkbox') f.value = v; }
  $('#results').setAttribute('aria-busy', 'true');
  try {
    const r = await fetch(form.action, { method: 'POST', body, headers: { 'x-part': 'results' }, signal: ask.signal });
    swap('#results', await r.text()); say($('#count')?.textContent || '');
    if (by) ($$('#results button').find(b => b.name === by.name && b.dataset.of === by.dataset.of && !b.disabled) || $('#count'))?.focus();
    // A search that tells of no person has an address; of a recording that is open, its own stays.
    if ($('#detail')?.hidden !== false) history.replaceState(null, '', $('#link')?.getAttribute('href') || '/recordings');
  } catch (x) { if (x.name !== 'AbortError') say('The search failed'); }
}
const swap = (sel, text) => { const d = new DOMParser().parseFromString(text, 'text/html'), o = $(sel), n = $(sel, d); if (o && n) { o.replaceWith(document.adoptNode(n)); zone(); } };
form?.addEventListener('input', () => { clearTimeout(wait); wait = setTimeout(() => search(), 150); });
form?.addEventListener('submit', e => { e.preventDefault(); search(); });
document.addEventListener('submit', e => { const f = e.target.closest('form.page'); if (f) { e.preventDefault(); search(new FormData(f, e.submitter), e.submitter); } });

async function open(url, link) {
  const r = await fetch(url, { headers: { 'x-part': 'detail' } }); swap('#detail', await r.text());
  history.replaceState(null, '', url);
  $$('tr[aria-selected=true]').forEach(t => t.setAttribute('aria-selected', 'false')); link?.closest('tr')?.setAttribute('aria-selected', 'true');
  player(); say('Opened ' + ($('#detail h1')?.textContent || ''));
}

// Keys: / search, j and k or arrows in lists, arrows in the calendar, ? all of them.
document.addEventListener('keydown', e => {
  const typing = /INPUT|SELECT|TEXTAREA/.test(e.target.tagName);
  if (e.key === '/' && !typing) { e.preventDefault(); $('input[type=search]')?.focus(); }
  if (e.key === '?' && !typing) { e.preventDefault(); $('#keys').showModal(); }
  if ($('#keys').open) return;
  const cell = e.target.closest?.('.cal a.c');
  if (cell) { const d = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[e.key]; if (d) { e.preventDefault(); const [w, k] = cell.dataset.at.split(',').map(Number), n = $(`.cal a.c[data-at="${w + d[0]},${k + d[1]}"]`); if (n) { cell.tabIndex = -1; n.tabIndex = 0; n.focus(); } } return; }
  if (!typing && (e.key === 'j' || e.key === 'k' || (e.target.matches?.('a.open') && /^Arrow(Up|Down)$/.test(e.key)))) { const l = $$('a.open'), i = l.indexOf(document.activeElement), n = l[i + (e.key === 'j' || e.key === 'ArrowDown' ? 1 : -1)]; if (n) { e.preventDefault(); n.focus(); } }
  const a = $('audio'); if (a && !typing && e.target.tagName !== 'BUTTON' && e.key === ' ') { e.preventDefault(); toggle(a); }
});

function player() {
  const box = $('#player'); if (!box) return;
  const a = $('audio', box), cv = $('canvas', box), slider = $('input[type=range]', box); a.controls = false; $('.ctl', box).hidden = slider.hidden = false;
  let peaks, buckets = 0, channels = 1, graph;
  const len = () => isFinite(a.duration) ? a.duration : +box.dataset.seconds;
  const draw = () => {
    const w = cv.clientWidth, h = cv.clientHeight, k = devicePixelRatio || 1; if (!w) return; cv.width = w * k; cv.height = h * k;
    const g = cv.getContext('2d'), css = getComputedStyle(html), at = a.currentTime / (len() || 1) * w; g.scale(k, k);
    const probe = document.createElement('i'); cv.after(probe); const colour = v => { probe.style.color = `var(${v})`; return getComputedStyle(probe).color; };
    const hues = [colour('--left'), colour('--right')], dim = colour('--dim'), lane = h / channels;
    for (let c = 0; c < channels; c++) {
      const mid = lane * c + lane / 2; g.fillStyle = dim; g.globalAlpha = .35; g.fillRect(0, mid - .5, w, 1);
      if (peaks) for (let x = 0; x < w; x += 3) { const lo = Math.floor(x / w * buckets), hi = Math.max(lo + 1, Math.floor((x + 3) / w * buckets)); let m = 0; for (let i = lo; i < hi; i++) m = Math.max(m, peaks[c * buckets + i]); const y = Math.max(1, m / 255 * (lane / 2 - 5)); g.globalAlpha = x <= at ? 1 : .42; g.fillStyle = hues[c]; g.fillRect(x, mid - y, 2, 2 * y); }
    }
    g.globalAlpha = 1; g.fillStyle = colour('--ink'); g.fillRect(Math.min(w - 2, at), 0, 2, h);
    if (channels > 1) { g.font = '11px system-ui, sans-serif'; g.fillStyle = dim; g.fillText('Left', 6, 14); g.fillText('Right', 6, lane + 14); }
    probe.remove();
  };
  fetch(box.dataset.peaks).then(async r => { if (r.status !== 200) return; cv.hidden = false; const b = new Uint8Array(await r.arrayBuffer()); buckets = (b.length - 1) / b[0]; channels = Math.min(2, b[0]); peaks = b.subarray(1); $('.seg', box).hidden = channels < 2; draw(); });
  const time = () => { $('.now', box).textContent = clock(a.currentTime) + ' / ' + clock(len()); slider.value = a.currentTime; slider.max = len(); slider.setAttribute('aria-valuetext', clock(a.currentTime) + ' of ' + clock(len())); draw(); };
  let raf; const tick = () => { time(); raf = requestAnimationFrame(tick); };
  a.onplay = () => { wire(); graph?.ctx.resume(); tick(); $('[data-p=play]', box).textContent = 'Pause'; }; a.onpause = () => { cancelAnimationFrame(raf); $('[data-p=play]', box).textContent = 'Play'; }; a.onseeked = a.onloadedmetadata = time;
  a.onerror = () => say('This browser cannot play the format; download it instead');
  // The graph is made at the first play only: browsers refuse sound before a gesture.
  function wire() { if (graph) return; const ctx = new AudioContext(), s = ctx.createMediaElementSource(a), sp = ctx.createChannelSplitter(2), me = ctx.createChannelMerger(2), g = [[0, 0], [0, 0]].map((r, i) => r.map((_, o) => { const n = ctx.createGain(); n.gain.value = +(i === o); sp.connect(n, i); n.connect(me, 0, o); return n; })); s.connect(sp); me.connect(ctx.destination); graph = { ctx, g }; hear(mode); }
  let mode = 'both'; const hear = m => { mode = m; const t = { both: [1, 0, 0, 1], left: [1, 1, 0, 0], right: [0, 0, 1, 1], mono: [.7, .7, .7, .7] }[m]; graph?.g.flat().forEach((n, i) => n.gain.value = t[i]); $$('.seg button', box).forEach(b => b.setAttribute('aria-pressed', b.value === m)); };
  box.onclick = e => { const b = e.target.closest('button'); if (!b) return; const p = b.dataset.p; if (p === 'play') toggle(a); if (p === 'skip') a.currentTime = Math.max(0, a.currentTime + +b.value); if (p === 'hear') hear(b.value); };
  $('select', box).onchange = e => { a.playbackRate = +e.target.value; }; slider.oninput = () => { a.currentTime = +slider.value; time(); };
  const seek = e => { const r = cv.getBoundingClientRect(); a.currentTime = Math.min(1, Math.max(0, (e.clientX - r.left) / r.width)) * len(); time(); };
  cv.onpointerdown = e => { cv.setPointerCapture(e.pointerId); seek(e); cv.onpointermove = seek; }; cv.onpointerup = () => { cv.onpointermove = null; };
  new ResizeObserver(draw).observe(cv); addEventListener('repaint', draw); time();
}
player();
document.addEventListener('submit', async e => { const b = $('button[data-verify]', e.target); if (!b) return; e.preventDefault(); b.disabled = true; say('Hashing'); const r = await fetch(b.dataset.verify, { method: 'POST', headers: { 'x-part': 'proof' } }); swap('#proof', await r.text()); say($('#proof')?.textContent || ''); $('#proof button')?.focus(); });

// The run that goes on: its part anew every other second, the archive's figures when they have changed. Focus stays where it is.
function anew(sel, text) {
  const old = $(sel), at = old.contains(document.activeElement) ? document.activeElement : null, left = $('.cal', old)?.scrollLeft;
  swap(sel, text); const box = $(sel);
  if (left !== undefined && $('.cal', box)) $('.cal', box).scrollLeft = left;
  const same = at && $$('a', box).find(a => a.getAttribute('href') === at.getAttribute('href')); if (same) { if (same.matches('.c')) { $$('.cal a.c', box).forEach(a => a.tabIndex = -1); same.tabIndex = 0; } same.focus({ preventScroll: true }); }
}
async function look() {
  const part = async name => { const r = await fetch('/', { headers: { 'x-part': name } }); if (!r.ok) throw r.status; return r.text(); };
  if (!document.hidden) try {
    const before = $('#live').dataset.state; anew('#live', await part('live')); $('#gone').hidden = true;
    const { state, version } = $('#live').dataset; if (state !== before) say('The run: ' + state);
    if (version !== $('#figures').dataset.version) anew('#figures', await part('figures'));
  } catch { $('#gone').hidden = false; }
  setTimeout(look, 2000);
}
if ($('#live')) setTimeout(look, 2000);
$$('.cal').forEach(c => c.scrollLeft = c.scrollWidth);
$$('header.top [data-do]').forEach(b => b.hidden = false);
zone();
html.dataset.ready = '1';
