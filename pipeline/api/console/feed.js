/* The live feed: figures at the top, decisions below, the latest first. Everything is put in as text. */
(() => {
  'use strict';
  const SHOWN = 100;
  const find = (id) => document.getElementById(id);
  const list = find('entries');
  const state = find('state');
  const numbers = new Intl.NumberFormat('en-GB');
  const NAMES = {
    voucher: 'Voucher', prompt: 'Chat prompt', decision: 'Decision', revoked: 'Taken back', message: 'Message', task: 'Task',
    event: 'Customer',
  };
  let kind = '';
  let paused = false;
  let held = [];

  function element(tag, className, ...children) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    made.append(...children);
    return made;
  }
  function say(words, className) {
    state.textContent = words;
    state.className = className;
  }
  function moment(at) {
    const date = new Date(at);
    const time = date.toLocaleTimeString('en-GB');
    return date.toDateString() === new Date().toDateString() ? time : date.toLocaleDateString('en-GB') + ' ' + time;
  }
  const sentence = (words) => (words ? words[0].toUpperCase() + words.slice(1) : '');

  function line(entry) {
    const time = element('time', '', moment(entry.at));
    time.dateTime = new Date(entry.at).toISOString();
    const made = element('li', entry.kind + ' ' + entry.outcome + ' new',
      element('span', 'what', element('b', '', NAMES[entry.kind] || entry.kind), entry.headline), time,
      element('span', 'who', entry.campaign, ' · ', element('code', '', entry.customer)),
      element('span', 'why', [entry.reason, entry.facts].filter(Boolean).map(sentence).join('. ')));
    made.dataset.kind = entry.kind;
    made.hidden = Boolean(kind) && kind !== entry.kind;
    return made;
  }
  function show(entries) {
    entries.forEach((entry) => list.prepend(line(entry)));
    while (list.children.length > SHOWN) list.lastElementChild.remove();
    find('nothing').hidden = list.children.length > 0;
  }

  document.querySelectorAll('[data-kind]').forEach((button) => button.addEventListener('click', () => {
    kind = button.dataset.kind;
    document.querySelectorAll('button[data-kind]').forEach((b) => b.setAttribute('aria-pressed', String(b === button)));
    [...list.children].forEach((item) => { item.hidden = Boolean(kind) && kind !== item.dataset.kind; });
  }));
  find('pause').addEventListener('click', () => {
    paused = !paused;
    find('pause').setAttribute('aria-pressed', String(paused));
    find('pause').textContent = paused ? 'Go on' : 'Pause';
    if (!paused) show(held.splice(0));
  });

  const source = new EventSource('/feed/events' + location.search);
  source.onopen = () => {
    list.replaceChildren(); // what the page had is sent again
    say('live', 'live');
  };
  source.onerror = () => say(source.readyState === 2
    ? 'this address has ended: take the one printed at start' : 'connection lost, trying again …', 'down');
  source.addEventListener('counts', (message) => {
    Object.entries(JSON.parse(message.data)).forEach(([name, count]) => {
      const place = document.querySelector(`[data-count="${CSS.escape(name)}"]`);
      if (place) place.textContent = numbers.format(count);
    });
  });
  source.addEventListener('entries', (message) => {
    const entries = JSON.parse(message.data);
    if (paused) held = held.concat(entries).slice(-SHOWN);
    else show(entries);
  });
})();
