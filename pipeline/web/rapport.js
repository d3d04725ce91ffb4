/*
 * rapport.js: what a website loads to tell Rapport what its visitors do, and to show what Rapport answers.
 *
 *   <script async src="https://HOST/rapport.js" data-write-key="KEY"></script>
 *
 * Attributes: data-host and data-stream-host (default: where this file came from), data-page="off" (no page
 * view of its own), data-track="off" (another SDK tracks; this file only opens the site stream, under that
 * SDK's ids), data-consent="wait" (stores, sends and opens nothing until rapport.consent({...: true})).
 * data-chat="desk" (a chat with the shop's desk: after a prompt, or by rapport.chat()), data-chat="button" (the same,
 * and a button that begins one).
 * A slot <div data-rapport-slot="NAME"> is filled in; rapport.form('consent' | 'preferences' | QUESTIONNAIRE) opens a form:
 * both come with a second file, rapport-forms.js, which is loaded when a page has one.
 * Before it has loaded: window.rapport = window.rapport || []; rapport.push(['track', 'Cart Viewed', {...}]).
 *
 * Laws: nothing is kept that the collector has answered for, nothing is forgotten that it has not; a retry
 * has the same messageId; what comes from the network is shown as text, never as markup; plain ES2018.
 */
(() => {
  'use strict';
  const script = document.currentScript || document.querySelector('script[data-write-key]');
  const waiting = window.rapport || [];
  if (!script || waiting.version) return;

  const VERSION = '0.1.0';
  const PREFIX = 'rapport_';
  const GATHER_MS = 250; // events this close together share a request
  const DEAD_MS = 180000; // a page looks after its queue every minute; one that does not is gone
  const LEASE_MS = 30000; // an answer still missing after this long is taken as lost
  const UNSURE_MS = 12 * 3600000; // the collector knows a messageId again for 24 h; stop well before that
  const EVENT_BYTES = 32000;
  const BATCH_BYTES = 56000; // browsers refuse a beacon or keepalive request above 64 KB
  const QUEUE_EVENTS = 500;
  const QUEUE_CHARACTERS = 500000;
  const SHOWN_IDS = 200;

  const setting = (name) => script.getAttribute('data-' + name);
  const withoutSlash = (url) => url.replace(/\/+$/, '');
  const writeKey = setting('write-key');
  const host = withoutSlash(setting('host') || new URL(script.src, location.href).origin);
  const streamHost = withoutSlash(setting('stream-host') || host);
  const tracks = setting('track') !== 'off';
  const warn = (...words) => console.warn('rapport:', ...words);

  // ---- storage: localStorage, else memory (private windows refuse it, a full one throws)

  const memory = {};
  function read(key) {
    if (key in memory) return memory[key];
    try {
      return JSON.parse(localStorage.getItem(PREFIX + key));
    } catch (e) {
      return null;
    }
  }
  function write(key, value) {
    try {
      if (value === null) localStorage.removeItem(PREFIX + key);
      else localStorage.setItem(PREFIX + key, JSON.stringify(value));
      delete memory[key];
      return true;
    } catch (e) {
      memory[key] = value;
      return false;
    }
  }
  function cookie(name) {
    try {
      const found = document.cookie.split('; ').find((c) => c.indexOf(name + '=') === 0);
      return found ? decodeURIComponent(found.slice(name.length + 1)) : null;
    } catch (e) {
      return null;
    }
  }
  function uuid() {
    // Not crypto.randomUUID: a page without TLS does not have it.
    const b = crypto.getRandomValues(new Uint8Array(16));
    b[6] = (b[6] & 15) | 64;
    b[8] = (b[8] & 63) | 128;
    const hex = Array.from(b, (n) => (n + 256).toString(16).slice(1)).join('');
    return hex.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, '$1-$2-$3-$4-$5');
  }

  // ---- identity: our own ids, or those of the SDK that tracks

  let given = {}; // what the page said by use(): it knows best
  const user = () => read('user') || {};

  function ownAnonymousId(fresh) {
    let id = fresh ? null : read('anonymous_id') || cookie(PREFIX + 'anonymous_id');
    if (!id) id = uuid();
    if (!write('anonymous_id', id)) {
      const secure = location.protocol === 'https:' ? '; secure' : '';
      try {
        document.cookie = PREFIX + 'anonymous_id=' + id + '; path=/; max-age=31536000; samesite=lax' + secure;
      } catch (e) { /* then the id lives as long as the page */ }
    }
    return id;
  }
  function sdkValue(key) {
    let raw = null;
    try {
      raw = localStorage.getItem(key);
    } catch (e) { /* the cookie may still be readable */ }
    raw = raw || cookie(key);
    try {
      // RudderStack wraps base64 of JSON; Segment writes JSON to localStorage and the bare id to its cookie.
      if (raw && raw.indexOf('RS_ENC_v3_') === 0) raw = decodeURIComponent(escape(atob(raw.slice(10))));
      const value = JSON.parse(raw);
      if (value === null || value === '') return undefined;
      return typeof value === 'string' ? value : raw;
    } catch (e) {
      return raw || undefined;
    }
  }
  function identity() {
    const known = user();
    let me;
    if (tracks) {
      me = { anonymousId: ownAnonymousId(), userId: known.userId };
    } else {
      const sdk = sdkValue('ajs_anonymous_id') ? 'ajs_' : 'rl_';
      me = { anonymousId: sdkValue(sdk + 'anonymous_id'), userId: sdkValue(sdk + 'user_id') };
    }
    me = Object.assign(me, given);
    // A hash belongs to one user: under another id it would only be refused.
    if (!me.userHash && me.userId && me.userId === known.userId) me.userHash = known.userHash;
    return me;
  }

  // ---- consent

  const anyTrue = (preferences) => Object.keys(preferences || {}).some((k) => preferences[k] === true);
  let allowed = setting('consent') !== 'wait' || anyTrue(read('consent'));
  let began = false;
  let held = []; // calls made before consent, in memory only

  function consent(preferences) {
    const before = allowed;
    write('consent', preferences);
    allowed = anyTrue(preferences);
    if (allowed || before) enqueue('track', { event: 'Segment Consent Preference Updated', properties: {} });
    if (allowed) {
      begin();
      claimStream();
      return;
    }
    flush();
    held = [];
    closeStream();
    hideAll();
    ['anonymous_id', 'user', 'token', 'vouchers', 'shown', 'last_event'].forEach((key) => write(key, null));
  }

  // ---- events

  function context(me) {
    const made = {
      page: {
        path: location.pathname, referrer: document.referrer, search: location.search,
        title: document.title, url: location.href,
      },
      locale: navigator.language,
      timezone: Intl.DateTimeFormat().resolvedOptions().timeZone,
      userAgent: navigator.userAgent,
      library: { name: 'rapport.js', version: VERSION },
    };
    const campaign = {};
    new URLSearchParams(location.search).forEach((value, key) => {
      if (key.indexOf('utm_') === 0) campaign[key === 'utm_campaign' ? 'name' : key.slice(4)] = value;
    });
    if (Object.keys(campaign).length) made.campaign = campaign;
    if (me.userHash) made.userHash = me.userHash;
    if (navigator.globalPrivacyControl) made.gpc = true;
    const preferences = read('consent');
    if (preferences) made.consent = { categoryPreferences: preferences };
    return made;
  }
  function enqueue(type, fields) {
    if (!tracks) return;
    const me = identity();
    const event = Object.assign({
      type, messageId: uuid(), anonymousId: me.anonymousId, userId: me.userId,
      timestamp: new Date().toISOString(), context: context(me),
    }, fields);
    if (bytes(JSON.stringify(event)) > EVENT_BYTES) {
      warn('an event above 32 KB was dropped:', fields.event || type);
      return;
    }
    keep(queued().concat({ due: Date.now() + GATHER_MS, event }));
    plan();
  }

  // ---- sending: a queue for each page (browsers run pages in processes of their own: one that all of them
  // rewrite would lose events). A page that is left frees its queue, and the next one takes it over.

  const tab = uuid();
  const QUEUE = 'queue_' + tab;
  let left = false;
  const queued = () => (read(QUEUE) || { entries: [] }).entries;
  function keep(entries) {
    while (entries.length > QUEUE_EVENTS) entries.shift();
    while (entries.length > 1 && JSON.stringify(entries).length > QUEUE_CHARACTERS) entries.splice(0, 10);
    write(QUEUE, entries.length ? { alive: left ? 0 : Date.now(), entries } : null);
  }
  function adopt() {
    let keys = [];
    try {
      keys = Object.keys(localStorage).map((key) => key.slice(PREFIX.length));
    } catch (e) { /* no storage, no earlier pages */ }
    keys.filter((key) => key.indexOf('queue_') === 0 && key !== QUEUE).forEach((key) => {
      const other = read(key);
      if (!other || other.alive > Date.now() - DEAD_MS) return;
      keep(other.entries.concat(queued())); // first ours, then theirs away: at worst an event goes twice
      write(key, null);
    });
    plan();
  }
  const bytes = (text) => new Blob([text]).size;
  let sending = false; // events taken now are leased: due again only when an answer is overdue
  let failures = 0;
  let timer;

  function take() {
    const now = Date.now();
    if ((read('pause') || 0) > now) return [];
    const taken = [];
    let size = 0;
    const queue = queued().filter((e) => !e.tried || e.tried > now - UNSURE_MS);
    for (const entry of queue) {
      if (entry.due > now + GATHER_MS) continue;
      size += bytes(JSON.stringify(entry.event)) + 1;
      if (taken.length && size > BATCH_BYTES) break;
      entry.due = now + LEASE_MS;
      entry.tried = entry.tried || now;
      taken.push(entry.event);
    }
    keep(queue);
    return taken;
  }
  function settle(taken, due) {
    // due 0: answered for, forget; else: try again then.
    const ids = taken.map((event) => event.messageId);
    const queue = queued().filter((e) => due || ids.indexOf(e.event.messageId) < 0);
    queue.forEach((e) => {
      if (ids.indexOf(e.event.messageId) >= 0) e.due = due;
    });
    keep(queue);
  }
  const pack = (batch) => JSON.stringify({ writeKey, sentAt: new Date().toISOString(), batch });

  function plan() {
    clearTimeout(timer);
    const queue = queued();
    if (!queue.length || sending) return;
    const due = Math.max(Math.min(...queue.map((e) => e.due)), read('pause') || 0);
    timer = setTimeout(flush, Math.min(Math.max(due - Date.now(), 0), 60000));
  }
  function post(path, body) {
    // text/plain needs no preflight; a redirect would turn the POST into a GET that looks delivered.
    const aborter = new AbortController();
    const limit = setTimeout(() => aborter.abort(), LEASE_MS / 2);
    return fetch(host + path, {
      method: 'POST', body, headers: { 'Content-Type': 'text/plain' }, credentials: 'omit',
      redirect: 'error', keepalive: body.length < BATCH_BYTES, signal: aborter.signal,
    }).then((response) => {
      const after = response.headers.get('Retry-After');
      return response.json().then(
        (answer) => ({ status: response.status, answer: answer || {}, after }),
        () => ({ status: response.ok ? 0 : response.status, answer: {}, after }),
      );
    }).catch(() => ({ status: 0, answer: {}, after: null })).finally(() => clearTimeout(limit));
  }
  const passing = (status) => status === 0 || status === 408 || status === 429 || status >= 500;

  function backOff(times, after) {
    const asked = after === null ? NaN : isNaN(after) ? Date.parse(after) - Date.now() : after * 1000;
    if (asked >= 0) return Math.min(asked, 3600000) * (1 + Math.random() / 10); // not all browsers at once
    return Math.min(60000, 500 * Math.pow(2, times)) * (0.5 + Math.random() / 2);
  }
  function flush() {
    if (sending) return;
    const taken = take();
    if (!taken.length) {
      plan();
      return;
    }
    sending = true;
    // The failure of a page that is being left is none: the request goes on. Its timer never fires.
    const later = (reply) => new Promise((resolve) => { setTimeout(() => resolve(reply), 100); });
    post('/v1/batch', pack(taken)).then((reply) => (reply.status ? reply : later(reply))).then((reply) => {
      const { status, answer, after } = reply;
      sending = false;
      // A hotel's log-in page also answers 200: only the collector says success.
      if (status === 200 && answer.success === true) {
        failures = 0;
        settle(taken, 0);
        (answer.rejected || []).forEach((r) => warn('event refused:', r.messageId, r.code, r.message));
      } else if (passing(status) || status === 200) {
        const again = Date.now() + backOff(++failures, after);
        write('pause', again);
        settle(taken, again);
      } else {
        settle(taken, 0);
        warn('batch refused:', status, answer.code, answer.message);
      }
      plan();
    });
  }
  function flushOnLeaving() {
    // No answer is seen to a beacon: the events stay leased and go again, which the collector recognises.
    for (let batch = take(); batch.length; batch = take()) {
      const sent = navigator.sendBeacon
        && navigator.sendBeacon(host + '/v1/batch', new Blob([pack(batch)], { type: 'text/plain' }));
      if (!sent) {
        settle(batch, Date.now() + GATHER_MS + 1);
        return;
      }
    }
  }

  // ---- the site stream: one per browser, held by the tab that was looked at last

  let source = null;
  let turn = 0; // a newer turn makes an opening under way stale
  let streamFailures = 0;
  let streamTimer;
  let streamOf = '';

  function closeStream() {
    turn += 1;
    clearTimeout(streamTimer);
    if (source) source.close();
    source = null;
    streamOf = '';
  }
  function claimStream() {
    // Browsers allow six connections to a host: a stream in every tab would stop the site itself.
    if (document.hidden || !allowed || !began) return;
    write('stream_tab', tab);
    if (!streamOf) openStream();
  }
  function reopenLater(after) {
    closeStream();
    streamOf = 'later';
    streamTimer = setTimeout(() => openStream(true), backOff(streamFailures++, after));
  }
  async function openStream(renew) {
    closeStream();
    const me = identity();
    if (!me.anonymousId) return;
    const mine = turn;
    const whose = (streamOf = JSON.stringify(me));
    let kept = read('token');
    if (renew || !kept || kept.whose !== whose || kept.until < Date.now()) {
      const asked = JSON.stringify(Object.assign({ writeKey }, me));
      const { status, answer, after } = await post('/v1/stream/token', asked);
      if (mine !== turn) return;
      if (status !== 200 || !answer.token) {
        if (passing(status) || status === 200) reopenLater(after);
        else warn('no site stream:', status, answer.code, answer.message);
        return;
      }
      kept = { whose, token: answer.token, until: Date.now() + (answer.expires_in_seconds - 30) * 1000 };
      write('token', kept);
    }
    // Last-Event-ID is only sent by the object that saw the event: a new one has to say it in the address.
    const last = read('last_event') || {};
    const since = last.whose === whose ? '&last_event_id=' + encodeURIComponent(last.id) : '';
    source = new EventSource(streamHost + '/v1/stream?token=' + encodeURIComponent(kept.token) + since);
    source.onopen = () => {
      streamFailures = 0;
    };
    source.onerror = () => {
      if (mine !== turn || source.readyState !== 2) return; // the browser reconnects by itself
      reopenLater(null); // a page that is being left gets here too: its timer never fires, its token stays
    };
    ['prompt', 'voucher', 'revoked', 'module', 'chat'].forEach((name) => source.addEventListener(name, (message) => {
      if (mine !== turn) return;
      if (message.lastEventId) write('last_event', { whose, id: message.lastEventId });
      try {
        receive(name, JSON.parse(message.data));
      } catch (e) {
        warn('a stream event could not be shown:', e);
      }
    }));
  }
  function watchIdentity() {
    // Storage tells its own tab nothing, so another SDK's ids can only be looked at.
    if (!began || document.hidden) return;
    const me = identity();
    if (me.anonymousId) ready(rapport);
    if (streamOf && streamOf !== 'later' && streamOf !== JSON.stringify(me)) openStream();
    else if (!streamOf && me.anonymousId && read('stream_tab') === tab) openStream();
  }

  // ---- what arrives

  const handlers = {};
  function call(name, detail) {
    return (handlers[name] || []).map((fn) => {
      try {
        return fn(detail);
      } catch (e) {
        warn('handler of', name, 'failed:', e);
        return undefined;
      }
    }).indexOf(false) < 0;
  }
  const over = (voucher) => voucher.expires_at && voucher.expires_at < Date.now();
  const openVouchers = () => (read('vouchers') || []).filter((v) => !over(v));
  const dropVoucher = (id) => write('vouchers', openVouchers().filter((v) => v.id !== id));

  function receive(name, detail) {
    if (name === 'chat') {
      hear(detail);
      return;
    }
    const shown = read('shown') || [];
    const mark = name + ':' + detail.id;
    if (!detail.id || shown.indexOf(mark) >= 0) return;
    if (detail.not_after && detail.not_after < Date.now()) return;
    if (name === 'voucher' && (over(detail) || shown.indexOf('revoked:' + detail.id) >= 0)) return;
    write('shown', shown.concat(mark).slice(-SHOWN_IDS));
    if (name === 'revoked') {
      dropVoucher(detail.id);
      showVoucher();
      call(name, detail);
    } else if (call(name, detail)) { // a handler that returns false shows it itself
      if (name === 'prompt') {
        showPrompt(detail);
      } else if (name === 'voucher') {
        write('vouchers', openVouchers().concat(detail).slice(-5));
        showVoucher();
      }
    }
  }
  const tell = (what, properties) => report('Live Chat ' + what, properties);
  function report(event, properties) {
    const sdk = window.analytics || window.rudderanalytics;
    if (tracks) enqueue('track', { event, properties });
    else if (sdk && sdk.track) sdk.track(event, properties);
  }
  function startChat(prompt) {
    const properties = {
      conversation_id: uuid(), prompt_id: prompt.id, reason: prompt.reason,
      product_id: prompt.product_id, category: prompt.category,
    };
    tell('Conversation Started', properties);
    if (!call('chat', Object.assign({ prompt }, properties)) || !chats) return; // the site shows a chat of its own
    write('talk', { id: properties.conversation_id, lines: [], open: true });
    showTalk(true);
  }

  // ---- the talk with an agent: kept over page changes, shared by the tabs

  const chats = setting('chat'); // desk, button, or nothing
  const talk = () => read('talk');

  function hear(said) {
    const now = talk() || { id: said.conversation_id, lines: [] };
    if (!chats || said.conversation_id !== now.id || now.lines.some((line) => line.id === said.id)) return;
    if (said.kind === 'closed') now.over = true;
    else now.lines = now.lines.concat(said).slice(-100);
    write('talk', Object.assign(now, { open: true }));
    showTalk();
  }
  function say(field) {
    const now = talk();
    const text = field.value.trim();
    if (!text || !now || now.over) return;
    now.lines = now.lines.concat({ text }).slice(-100);
    write('talk', now);
    tell('Message Sent', { conversation_id: now.id, message_body: text });
    field.value = '';
    showTalk(true);
  }
  function endTalk() {
    const now = talk();
    if (now && !now.over) tell('Conversation Ended', { conversation_id: now.id });
    write('talk', null);
    showTalk();
  }
  function foldTalk() {
    write('talk', Object.assign(talk(), { open: false }));
    showTalk();
    if (parts.begin) parts.begin.focus();
  }
  function openChat() {
    const now = talk();
    if (!now || now.over) startChat({});
    else {
      write('talk', Object.assign(now, { open: true }));
      showTalk(true);
    }
  }
  function showTalk(focus) {
    const now = talk();
    if (!chats || (!now && !parts && chats !== 'button')) return;
    stage();
    if (!now || !now.open) {
      if (parts.talk) parts.talk.remove();
      parts.talk = null;
      if (!parts.begin && (now || chats === 'button')) {
        parts.begin = button('main begin', texts.chat, openChat);
        parts.root.insertBefore(parts.begin, parts.voucher);
      } else if (!now && chats !== 'button' && parts.begin) {
        parts.begin.remove();
        parts.begin = null;
      }
      return;
    }
    if (parts.begin) parts.begin.remove();
    parts.begin = null;
    if (!parts.talk || parts.talkOf !== now.id) {
      if (parts.talk) parts.talk.remove();
      parts.talkOf = now.id;
      parts.said = element('ol', { role: 'log', 'aria-label': texts.chat, tabindex: '0' });
      const words = element('textarea', { id: 'say', rows: '2', maxlength: '2000' });
      const send = (pressed) => {
        pressed.preventDefault();
        say(words);
      };
      words.addEventListener('keydown', (pressed) => {
        if (pressed.key === 'Enter' && !pressed.shiftKey && !pressed.isComposing) send(pressed);
      });
      parts.talk = element('div', { class: 'prompt talk', role: 'dialog', 'aria-labelledby': 'talk' },
        element('h2', { id: 'talk' }, texts.chat), button('x', '×', foldTalk, { 'aria-label': texts.close }),
        parts.said,
        element('form', { onsubmit: send }, element('label', { for: 'say' }, texts.message), words,
          element('div', { class: 'row' }, element('button', { class: 'main' }, texts.send),
            button('', texts.end, endTalk))));
      parts.talk.addEventListener('keydown', (pressed) => {
        if (pressed.key === 'Escape') foldTalk();
      });
      parts.root.insertBefore(parts.talk, parts.voucher);
    }
    now.lines.slice(parts.said.children.length).forEach((line) => {
      parts.said.append(element('li', { class: line.id ? '' : 'own' },
        line.id && element('b', {}, line.agent || texts.agent), line.text,
        /^https:/.test(line.url) && element(
          'a', { href: line.url, target: '_blank', rel: 'noopener noreferrer' }, texts.video,
        )));
    });
    if (now.over && parts.overOf !== now.id) parts.said.append(element('li', {}, texts.over));
    if (now.over) parts.overOf = now.id;
    parts.said.scrollTop = parts.said.scrollHeight;
    if (focus) parts.root.getElementById('say').focus();
  }

  // ---- showing: a shadow root, so that neither the site's styles nor ours leak

  const texts = {
    help: 'Do you need help?', chat: 'Chat', decline: 'No, thanks', copy: 'Copy code', copied: 'Copied',
    close: 'Close', voucher: 'A voucher for you', off: 'off', from: 'from', until: 'until',
    example: 'An example: this code cannot be redeemed.', message: 'Your message', send: 'Send',
    end: 'End chat', agent: 'Agent', video: 'Open the video call', over: 'This chat is over.',
  };
  const STYLES = `
    :host { all: initial; position: fixed; inset: auto 0 0 0; z-index: 2147483000; display: flex;
      flex-direction: column; align-items: flex-end; pointer-events: none;
      font: 16px/1.45 system-ui, sans-serif; color: #1d2433; }
    * { box-sizing: border-box; }
    p, h2 { margin: 0; font: inherit; overflow-wrap: anywhere; }
    h2 { font-weight: 650; }
    .prompt { pointer-events: auto; width: min(22rem, calc(100vw - 2rem)); margin: 1rem; padding: 1rem 1.1rem;
      background: #fff; border: 1px solid #d5dae3; border-radius: 14px 14px 4px 14px;
      box-shadow: 0 10px 30px rgb(20 30 60 / .2); }
    .prompt p { margin-top: .25rem; }
    .row { display: flex; flex-wrap: wrap; gap: .6rem; margin-top: .9rem; }
    .voucher { pointer-events: auto; align-self: stretch; }
    .strip { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem 1.1rem;
      padding: .8rem 3.6rem .8rem 1.2rem; position: relative; background: #10302a; color: #fff; }
    .strip div { min-width: 0; }
    .small { font-size: .88em; opacity: .85; }
    code { font: 600 1.05em ui-monospace, monospace; letter-spacing: .06em; padding: .3rem .7rem;
      border: 1.5px dashed #9fd8c6; border-radius: 6px; overflow-wrap: anywhere; user-select: all; }
    button { font: inherit; font-weight: 600; padding: .45rem 1rem; border-radius: 8px; cursor: pointer;
      border: 1px solid #8b94a7; background: #fff; color: #1d2433; }
    button.main { background: var(--rapport-accent, #0b6b57); border-color: transparent; color: #fff; }
    :focus-visible { outline: 3px solid #f5a524; outline-offset: 2px; }
    button.x { position: absolute; right: .7rem; top: .6rem; padding: .2rem .65rem; background: none;
      border-color: transparent; color: inherit; font-size: 1.3em; line-height: 1.2; }
    .talk { position: relative; }
    .begin { pointer-events: auto; margin: 1rem; }
    label { display: block; margin-bottom: .3rem; }
    ol { list-style: none; margin: .5rem 0; padding: 0; max-height: 40vh; overflow: auto; }
    li { margin: .3rem 0; white-space: pre-wrap; overflow-wrap: anywhere; }
    li b, li a { display: block; }
    li.own { text-align: right; color: #0b5345; }
    textarea { font: inherit; width: 100%; border: 1px solid #8b94a7; border-radius: 8px; padding: .4rem; }
    .heard { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
    @media (prefers-reduced-motion: no-preference) {
      .prompt, .strip { animation: in .25s ease-out; }
      @keyframes in { from { opacity: 0; transform: translateY(12px); } } }
    @media (min-width: 40rem) { .strip { justify-content: center; } }
    @media print { :host { display: none; } }`;
  let parts = null;

  function element(tag, attributes, ...children) {
    const made = document.createElement(tag);
    Object.keys(attributes).forEach((name) => {
      if (name.slice(0, 2) === 'on') made.addEventListener(name.slice(2), attributes[name]);
      else made.setAttribute(name, attributes[name]);
    });
    made.append(...children.filter((child) => child)); // strings become text nodes, never markup
    return made;
  }
  function stage() {
    if (parts && parts.host.isConnected) return parts;
    const shell = element('div', { 'data-rapport': '' });
    const root = shell.attachShadow({ mode: 'open' });
    try {
      const sheet = new CSSStyleSheet(); // allowed by a policy without 'unsafe-inline'
      sheet.replaceSync(STYLES);
      root.adoptedStyleSheets = [sheet];
    } catch (e) {
      root.append(element('style', script.nonce ? { nonce: script.nonce } : {}, STYLES));
    }
    // Live regions are announced only if they were there before their words.
    parts = {
      host: shell, root, prompt: null, before: null,
      heard: element('div', { class: 'heard', role: 'log', 'aria-live': 'polite' }),
      voucher: element('div', { class: 'voucher', role: 'status' }),
    };
    root.append(parts.heard, parts.voucher);
    document.body.append(shell);
    return parts;
  }
  function hidePrompt() {
    if (!parts || !parts.prompt) return;
    const hadFocus = parts.prompt.contains(parts.root.activeElement);
    parts.prompt.remove();
    parts.prompt = null;
    parts.heard.textContent = '';
    if (hadFocus && parts.before && parts.before.isConnected) parts.before.focus();
  }
  const button = (cls, words, onclick, more) => element(
    'button', Object.assign({ type: 'button', class: cls, onclick }, more), words,
  );
  function showPrompt(prompt) {
    stage();
    hidePrompt();
    const asks = /\?$/.test(prompt.text); // one question is enough
    const title = asks ? prompt.text : texts.help;
    const words = asks ? '' : prompt.text;
    parts.before = document.activeElement;
    parts.prompt = element('div', {
      class: 'prompt', role: 'dialog', 'aria-modal': 'false', 'aria-labelledby': 'title', tabindex: '-1',
    },
    element('h2', { id: 'title' }, title),
    words && element('p', { id: 'words' }, words),
    element('div', { class: 'row' },
      button('main', texts.chat, () => { hidePrompt(); startChat(prompt); }),
      button('', texts.decline, () => { hidePrompt(); call('declined', prompt); })));
    if (words) parts.prompt.setAttribute('aria-describedby', 'words');
    parts.root.insertBefore(parts.prompt, parts.voucher);
    parts.heard.textContent = title + ' ' + (words || ''); // it does not take the focus, so it is said aloud
  }
  function describe(v) {
    const style = { style: 'currency', currency: v.currency || 'EUR' };
    const money = (cents) => (cents / 100).toLocaleString(undefined, style);
    const day = (ms) => new Date(ms).toLocaleDateString(undefined, { day: 'numeric', month: 'long' });
    const amount = v.discount_percent ? v.discount_percent + ' %' : v.discount_cents && money(v.discount_cents);
    return [
      amount && amount + ' ' + texts.off + (v.category ? ' ' + v.category : ''),
      v.minimum_spend_cents && texts.from + ' ' + money(v.minimum_spend_cents),
      v.expires_at && texts.until + ' ' + day(v.expires_at),
    ].filter((part) => part).join(' · ');
  }
  function copyCode(code, pressed) {
    const said = () => { pressed.textContent = texts.copied; };
    const byHand = () => {
      const field = element('textarea', { class: 'heard', readonly: '' }, code);
      parts.root.append(field);
      field.select();
      if (document.execCommand('copy')) said();
      field.remove();
    };
    if (navigator.clipboard) navigator.clipboard.writeText(code).then(said, byHand);
    else byHand(); // a page without TLS has no clipboard object
  }
  function showVoucher() {
    const voucher = openVouchers()[0];
    if (!voucher && !parts) return;
    stage();
    parts.voucher.textContent = '';
    if (!voucher) return;
    const copy = button('main', texts.copy, () => copyCode(voucher.code, copy));
    parts.voucher.append(element('div', { class: 'strip' },
      element('div', {},
        element('h2', {}, voucher.text || texts.voucher),
        element('p', { class: 'small' }, describe(voucher)),
        voucher.redeemable === false && element('p', { class: 'small' }, texts.example)),
      element('code', {}, voucher.code), copy,
      button('x', '×', () => { dropVoucher(voucher.id); showVoucher(); }, { 'aria-label': texts.close })));
  }
  function hideAll() {
    hidePrompt();
    write('vouchers', null);
    write('talk', null);
    showVoucher();
    showTalk();
  }

  // ---- the library as the page sees it

  let ready;
  let forms;
  function form(...asked) {
    forms = forms || new Promise((resolve) => {
      rapport.extend = (make) => resolve(make({
        element, button, stage, identity, read, write, report, consent, streamHost, writeKey, warn, allowed: () => allowed,
      }));
      const more = element('script', { src: host + '/rapport-forms.js' });
      more.nonce = script.nonce;
      more.onerror = () => {
        forms = null; // the next call tries again
        warn('the forms did not load');
      };
      document.head.append(more);
    });
    return forms.then((open) => open(...asked));
  }
  // Until the visitor was asked a call waits in memory, bounded; after a refusal it is dropped.
  const guarded = (fn) => (...args) => {
    if (allowed) fn(...args);
    else if (!read('consent') && held.length < 100) held.push(() => fn(...args));
  };
  const rapport = {
    version: VERSION,
    texts,
    ready: new Promise((resolve) => { ready = resolve; }),
    track: guarded((event, properties) => enqueue('track', { event, properties: properties || {} })),
    page: guarded((name, properties) => {
      const where = context({}).page;
      enqueue('page', { name: name || undefined, properties: Object.assign(where, properties) });
    }),
    identify: guarded((userId, traits, options) => {
      const before = user();
      if (!userId || typeof userId === 'object') { // traits of somebody who has not logged in
        enqueue('identify', { traits: userId || traits || {} });
        return;
      }
      const same = before.userId === String(userId);
      if (before.userId && !same) hideAll(); // another person at this browser
      const hash = (options && options.userHash) || (same ? before.userHash : undefined);
      write('user', { userId: String(userId), userHash: hash });
      enqueue('identify', { traits: traits || {} });
      if (streamOf && streamOf !== JSON.stringify(identity())) openStream();
    }),
    reset: guarded(() => {
      hideAll();
      given = {};
      ['user', 'token', 'last_event'].forEach((key) => write(key, null));
      if (tracks) ownAnonymousId(true);
      if (streamOf) openStream();
    }),
    use: guarded((ids) => {
      given = Object.assign({}, given, ids);
      claimStream();
      watchIdentity();
    }),
    consent,
    identity,
    chat: guarded(openChat),
    form,
    on: (name, fn) => {
      (handlers[name] = handlers[name] || []).push(fn);
    },
    push: (line) => rapport[line[0]](...line.slice(1)),
  };

  function begin() {
    if (began) return;
    if (!document.body) {
      addEventListener('DOMContentLoaded', begin);
      return;
    }
    began = true;
    if (tracks && setting('page') !== 'off') rapport.page();
    held.splice(0).forEach((late) => late());
    if (tracks || identity().anonymousId) ready(rapport);
    showVoucher(); // one that was not closed stays over page changes
    showTalk();
    claimStream();
    if (document.querySelector('[data-rapport-slot]')) form();
    if (!tracks) setInterval(watchIdentity, 1000);
  }
  window.rapport = rapport;

  addEventListener('online', () => {
    // The network is back: what waited for it need not wait on.
    write('pause', null);
    settle(queued().map((e) => e.event), Date.now());
    plan();
  });
  addEventListener('visibilitychange', () => {
    if (document.hidden) {
      if (!left) flush();
      return;
    }
    adopt();
    claimStream();
  }, true);
  addEventListener('focus', claimStream);
  addEventListener('storage', (change) => {
    if (change.key === PREFIX + 'stream_tab' && change.newValue !== JSON.stringify(tab)) closeStream();
  });
  addEventListener('pagehide', () => {
    left = true;
    keep(queued());
    flushOnLeaving();
    closeStream();
  });
  addEventListener('pageshow', (shown) => {
    if (!shown.persisted) return;
    left = false;
    adopt();
    claimStream();
  });
  addEventListener('keydown', (pressed) => {
    if (pressed.key === 'Escape') hidePrompt();
  });

  if (allowed) begin();
  Array.from(waiting).forEach(rapport.push);
  adopt();
})();
