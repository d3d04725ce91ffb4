/* The mailbox's page. What a mail says is put in as text; its HTML stays in a frame that may do nothing. */
(() => {
  'use strict';
  const LOOK_MS = 1000;
  const $ = (id) => document.getElementById(id);
  let whose = 'own';
  let drawn = '';
  let open = 0;
  let unsubscribeUrl = '';

  function made(tag, words, cls) {
    const element = document.createElement(tag);
    if (words !== undefined) element.textContent = words;
    if (cls) element.className = cls;
    return element;
  }
  const time = (ms) => new Date(ms).toLocaleTimeString('en-GB');
  async function ask(path) {
    const answer = await fetch(path, { cache: 'no-store' });
    if (!answer.ok) throw new Error('this mail is gone');
    return answer.json();
  }
  function press(name, value) {
    document.querySelectorAll(`[data-${name}]`).forEach((button) => {
      button.setAttribute('aria-pressed', String(button.dataset[name] === value));
    });
  }

  // ---- the list

  async function look() {
    try {
      const { count, mails } = await ask('/mailbox/mails?whose=' + whose);
      $('state').textContent = '';
      $('count').textContent = count ? `(${count})` : '';
      const now = JSON.stringify([open, mails]);
      if (now !== drawn) list(mails);
      drawn = now;
    } catch (problem) {
      $('state').textContent = 'The demonstration has ended, or cannot be reached.';
    }
  }
  function list(mails) {
    const focused = document.activeElement && document.activeElement.dataset.number;
    $('none').hidden = mails.length > 0;
    $('mails').replaceChildren(...mails.map((mail) => {
      const button = made('button');
      button.type = 'button';
      button.dataset.number = mail.number;
      if (mail.number === open) button.setAttribute('aria-current', 'true');
      button.append(made('strong', mail.subject), made('time', time(mail.at)), made('span', mail.to));
      button.addEventListener('click', () => show(mail.number));
      const item = made('li');
      item.append(button);
      return item;
    }));
    const again = [...$('mails').querySelectorAll('button')].find((button) => button.dataset.number === focused);
    if (again) again.focus();
  }

  // ---- one mail

  async function show(number) {
    const mail = await ask('/mailbox/mails/' + number);
    open = number;
    $('notice').textContent = '';
    $('mail').hidden = false;
    ['subject', 'sender', 'to'].forEach((name) => { $(name).textContent = mail[name]; });
    $('at').textContent = time(mail.at);
    $('html').src = `/mailbox/mails/${number}/html`;
    $('text').replaceChildren(...linked(mail.text));
    $('headers').replaceChildren(...mail.headers.flatMap(([name, value]) => [made('dt', name), made('dd', value)]));
    unsubscribeUrl = mail.unsubscribe_url;
    $('unsubscribe').hidden = !unsubscribeUrl;
    view(mail.has_html ? 'html' : 'text');
    $('subject').focus();
    look();
  }
  function linked(text) { // every second part is an address
    return text.split(/(https?:\/\/[^\s<>"]+)/).map((part, n) => {
      if (n % 2 === 0) return document.createTextNode(part);
      const link = made('a', part);
      Object.assign(link, { href: part, target: '_blank', rel: 'noopener' });
      return link;
    });
  }
  function view(name) {
    press('view', name);
    ['html', 'text', 'headers'].forEach((each) => { $(each).hidden = each !== name; });
  }

  document.querySelectorAll('[data-whose]').forEach((button) => button.addEventListener('click', () => {
    whose = button.dataset.whose;
    press('whose', whose);
    look();
  }));
  document.querySelectorAll('[data-view]').forEach((button) => {
    button.addEventListener('click', () => view(button.dataset.view));
  });
  // What mail programs do when they offer a button of their own: RFC 8058. By its path: this page may have been opened
  // under another name of the same machine.
  $('unsubscribe').addEventListener('click', async () => {
    const body = new URLSearchParams({ 'List-Unsubscribe': 'One-Click' });
    const answer = await fetch(new URL(unsubscribeUrl).pathname, { method: 'POST', body }).catch(() => ({}));
    $('notice').textContent = answer.ok ? 'Unsubscribed with one click.' : 'That did not work, try again.';
  });

  look();
  setInterval(look, LOOK_MS);
})();
