// The desk's page: shows the conversations and sends what the agent says. Whatever anybody wrote is shown as text.
(() => {
  'use strict';
  const $ = (id) => document.getElementById(id);
  const HEARTBEAT_MS = 15000;
  const MOST_LINES = 200; // the server sends no more: from then on all are drawn anew
  let source = null;
  let shown = ''; // the conversation that is open on this page
  let drawn = ''; // what is drawn of it
  let drafts = {};
  let heartbeat;

  async function ask(path, body) {
    const post = body && {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body),
    };
    const response = await fetch('/desk/' + path, { credentials: 'same-origin', cache: 'no-store', ...post });
    const answer = await response.json().catch(() => ({}));
    if (response.status === 401 && path !== 'login') leave();
    if (!response.ok) throw new Error(answer.message || 'that did not work, try again');
    return answer;
  }
  function made(tag, words, cls) {
    const element = document.createElement(tag);
    if (words !== undefined) element.textContent = words;
    if (cls) element.className = cls;
    return element;
  }
  const time = (ms) => new Date(ms).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  const day = (ms) => (ms ? new Date(ms).toLocaleDateString() : 'never');
  const money = (cents, currency) => `${(cents / 100).toFixed(2)} ${currency}`.trim();
  const who = (customer) => (customer.startsWith('u:') ? customer.slice(2) : 'Visitor ' + customer.slice(2, 8));

  // ---- coming and going

  function leave() {
    if (source) source.close();
    source = null;
    clearInterval(heartbeat);
    shown = drawn = '';
    drafts = {};
    $('said').replaceChildren();
    $('facts').replaceChildren();
    $('conversations').replaceChildren();
    $('desk').hidden = true;
    $('door').hidden = false;
    $('agent').focus();
  }
  async function enter() {
    const me = await ask('me').catch(() => null);
    if (!me) return;
    $('door').hidden = true;
    $('desk').hidden = false;
    $('me').textContent = me.name;
    $('available').checked = me.available;
    $('video').hidden = !me.video;
    heartbeat = setInterval(() => $('available').checked && present(true), HEARTBEAT_MS);
    source = new EventSource('/desk/events');
    source.addEventListener('list', (event) => list(JSON.parse(event.data)));
    source.addEventListener('over', leave);
    source.onopen = () => { $('state').textContent = ''; };
    source.onerror = () => { $('state').textContent = 'The connection is lost, trying again …'; };
  }
  const present = (available) => ask('presence', { available }).catch((e) => { $('state').textContent = e.message; });

  $('login').addEventListener('submit', async (event) => {
    event.preventDefault();
    $('refused').textContent = '';
    try {
      await ask('login', { agent: $('agent').value.trim(), password: $('password').value });
      $('password').value = '';
      await enter();
    } catch (problem) {
      $('refused').textContent = problem.message;
      $('password').select();
    }
  });
  $('logout').addEventListener('click', () => ask('logout', {}).catch(() => 0).finally(leave));
  $('available').addEventListener('change', () => present($('available').checked));
  addEventListener('pagehide', () => {
    if (source && $('available').checked) {
      fetch('/desk/presence', {
        method: 'POST', keepalive: true, headers: { 'Content-Type': 'application/json' }, body: '{"available":false}',
      });
    }
  });

  // ---- the list

  function list({ conversations }) {
    const focused = document.activeElement && document.activeElement.dataset.id;
    const waiting = conversations.filter((it) => it.state === 'waiting').length;
    document.title = (waiting ? `(${waiting}) ` : '') + 'Rapport – desk';
    $('none').hidden = conversations.length > 0;
    $('conversations').replaceChildren(...conversations.map((it) => {
      const button = made('button', undefined, it.state);
      button.type = 'button';
      button.dataset.id = it.id;
      if (it.id === shown) button.setAttribute('aria-current', 'true');
      button.append(made('strong', who(it.customer) + (it.proven ? '' : ' (not proven)')),
        made('span', it.state === 'waiting' ? 'waiting' : it.agent, 'badge'),
        made('span', it.preview, 'preview'), made('time', time(it.last_at)));
      button.addEventListener('click', () => open(it.id, true));
      const item = made('li');
      item.append(button);
      return item;
    }));
    const again = [...$('conversations').querySelectorAll('button')].find((b) => b.dataset.id === focused);
    if (again) again.focus();
    if (shown) open(shown, false);
  }

  // ---- one conversation

  async function open(id, chosen) {
    if (chosen) {
      drafts[shown] = $('words').value;
      if (shown !== id) $('words').value = drafts[id] || '';
      shown = id;
      $('problem').textContent = '';
    }
    let it;
    try {
      it = await ask('conversations/' + id);
    } catch (problem) {
      $('problem').textContent = problem.message;
      return;
    }
    if (id !== shown) return; // another one was chosen meanwhile
    $('talk').hidden = $('file').hidden = false;
    for (const button of $('conversations').querySelectorAll('button')) {
      if (button.dataset.id === id) button.setAttribute('aria-current', 'true');
      else button.removeAttribute('aria-current');
    }
    const look = JSON.stringify(it);
    if (look !== drawn) draw(it);
    drawn = look;
    if (chosen) $('words').focus();
  }
  function draw(it) {
    $('with').textContent = who(it.customer);
    $('claim').hidden = it.proven;
    const said = $('said');
    // Only what is new is added, so that it alone is read aloud.
    const isLonger = said.children.length <= it.said.length && it.said.length < MOST_LINES;
    const rest = said.dataset.id === it.id && isLonger ? said.children.length : 0;
    if (!rest) said.replaceChildren();
    said.dataset.id = it.id;
    said.append(...it.said.slice(rest).map(line));
    said.scrollTop = said.scrollHeight;
    const closed = it.state === 'closed';
    for (const name of ['words', 'send', 'close', 'link', 'video']) $(name).disabled = closed;
    $('problem').textContent = closed ? 'This conversation is over.' : '';
    facts(it.customer_file);
  }
  function line(it) {
    const item = made('li', undefined, it.by + (it.kind === 'message' ? '' : ' note'));
    const name = it.by === 'agent' ? it.agent : 'Visitor';
    if (it.kind === 'message') {
      item.append(made('span', `${name} · ${time(it.at)}`, 'by'), made('p', it.text));
      if (it.url.startsWith('https:')) {
        const link = made('a', it.url);
        Object.assign(link, { href: it.url, target: '_blank', rel: 'noopener noreferrer' });
        item.append(link);
      }
    } else {
      item.append(made('span', `${name} ${it.kind === 'opened' ? 'began' : 'ended'} the conversation · ${time(it.at)}`));
    }
    return item;
  }
  function facts(file) {
    const rows = [];
    const row = (name, ...values) => {
      if (!values.length) return;
      rows.push(made('dt', name), ...values.map((value) => made('dd', value)));
    };
    if (!file) {
      row('File', 'closed: it is not proven who this is');
    } else {
      const bought = file.purchases;
      row('Id', file.id);
      row('Stage', file.stage);
      row('About', ...Object.entries(file.identity.traits).map(([name, value]) => `${name}: ${value}`));
      row('Visits', `${file.activity.visits}, first on ${day(file.activity.first_seen_at)}`);
      row('Cart', ...(file.activity.cart.length ? file.activity.cart.map((l) => `${l.quantity} × ${l.product_id} (${l.category || 'no category'})`) : ['empty']));
      row('Looked at', ...file.activity.recent_views.slice(-3).reverse().map((v) => `${v.product_id} ${v.category}`));
      row('Orders', `${bought.orders}`, ...bought.last_orders.slice().reverse().map((o) => `${day(o.ordered_at)} ${o.order_id}: ${money(o.spent_cents, o.currency)}${o.cancelled ? ', cancelled' : ''}`));
      row('Vouchers', ...file.vouchers.map((v) => `${v.code}: ${v.status}`));
      row('Conversations', `${file.chat.conversations}`);
    }
    $('facts').replaceChildren(...rows);
  }
  async function say(body) {
    $('problem').textContent = '';
    $('send').disabled = true;
    try {
      await ask(`conversations/${shown}/messages`, body);
      $('words').value = $('link').value = '';
      delete drafts[shown];
    } catch (problem) {
      $('problem').textContent = problem.message;
    }
    $('send').disabled = false;
    $('words').focus();
  }
  $('answer').addEventListener('submit', (event) => {
    event.preventDefault();
    if ($('words').value.trim() || $('link').value) say({ text: $('words').value, url: $('link').value });
  });
  $('words').addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      $('answer').requestSubmit();
    }
  });
  $('video').addEventListener('click', () => say({ text: $('words').value, video: true }));
  $('close').addEventListener('click', () => ask(`conversations/${shown}/close`, {}).catch((problem) => {
    $('problem').textContent = problem.message;
  }));

  $('door').hidden = false;
  enter();
})();
