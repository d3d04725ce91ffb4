/*
 * rapport-forms.js: slots, consent, preferences and questionnaires. rapport.js loads it when a page has one of them.
 *
 *   <div data-rapport-slot="home-hero">what everybody sees until then</div>
 *   rapport.form('consent')       what the visitor allows; also before they allowed anything
 *   rapport.form('preferences')   interests, channels, how often, when
 *   rapport.form('order')         the questionnaire after an order, if one is open; or a questionnaire's own name
 *   rapport.form('visit_end')     the one for who is about to leave: once the mouse goes out at the top; without one,
 *                                 at the return from another tab or app, or a minute after the last sign of life
 *
 * Laws: what comes from the network is shown as text, never as markup; a link leads to https or to this site; a slot
 * is in the page itself, for the site's own styles (.rapport-module), a form is in rapport.js's shadow root.
 */
(() => {
  'use strict';
  const rapport = window.rapport;
  if (!rapport.extend) return;
  const QUIET_MS = 60000;

  rapport.extend((kit) => {
    const { element, button, stage, identity, read, write, report, consent, streamHost, writeKey, warn } = kit;
    const texts = rapport.texts;
    const words = {
      save: 'Save my choice', all: 'Allow all', none: 'Allow nothing', saved: 'Your choice is saved.', submit: 'Send',
      missing: 'Please answer at least one question.', unavailable: 'This cannot be shown now. Please try again later.',
      consentTitle: 'What may we do?', consentAbout: 'You can change this at any time.',
      recognise: 'Recognise this browser and see how the shop is used', fit: 'Show me content that fits me',
      write: 'Write me e-mails with news and offers',
      preferencesTitle: 'What would you like to hear?', interests: 'I am interested in', channels: 'News and offers by',
      often: 'How often', often0: 'Whenever there is something', often1: 'At most once a day',
      often7: 'At most once a week', often30: 'At most once a month', oftenOther: 'At most once in {days} days',
      daytime: 'When', anytime: 'At any time', morning: 'In the morning', afternoon: 'In the afternoon',
      evening: 'In the evening',
      email: 'E-mail', push: 'Browser notifications', sms: 'Text messages', phone: 'Calls', post: 'Post',
    };
    Object.keys(words).forEach((name) => {
      if (!(name in texts)) texts[name] = words[name];
    });
    const STYLES = `
      .form { position: relative; max-height: calc(100vh - 2rem); overflow: auto; }
      .form h2 { padding-right: 2rem; }
      fieldset { border: 0; margin: .9rem 0 0; padding: 0; min-width: 0; }
      legend { padding: 0; font-weight: 600; }
      .form label { display: flex; gap: .5rem; align-items: baseline; margin: .35rem 0; }
      .form label.over { display: block; margin-top: .9rem; font-weight: 600; }
      .scale { display: flex; flex-wrap: wrap; gap: .2rem .9rem; }
      select { font: inherit; display: block; width: 100%; margin-top: .3rem; padding: .35rem; border: 1px solid #8b94a7;
        border-radius: 8px; background: #fff; color: inherit; }
      .wrong { color: #a11; margin-top: .6rem; }`;

    function ask(fields) {
      return fetch(streamHost + '/v1/personalize', {
        method: 'POST', headers: { 'Content-Type': 'text/plain' }, credentials: 'omit',
        body: JSON.stringify(Object.assign({ writeKey }, identity(), fields)),
      }).then((response) => response.json().then((answer) => {
        if (!response.ok) throw new Error(response.status + ' ' + answer.code + ' ' + answer.message);
        return answer;
      }));
    }

    // ---- slots

    const here = (url) => /^(https:\/\/|\/(?![/\\])|\?)/.test(url || '')
      || String(url).startsWith(location.origin + '/');
    const slots = (name) => Array.from(document.querySelectorAll('[data-rapport-slot]'))
      .filter((slot) => !name || slot.getAttribute('data-rapport-slot') === name);

    function price({ price_cents, currency }) {
      if (price_cents === undefined || !currency) return '';
      const money = new Intl.NumberFormat(undefined, { style: 'currency', currency });
      return money.format(money.resolvedOptions().maximumFractionDigits ? price_cents / 100 : price_cents);
    }
    function product(it, clicked) {
      const parts = [
        here(it.image_url) && element('img', { src: it.image_url, alt: '', loading: 'lazy' }),
        element('span', { class: 'rapport-name' }, it.name), ' ',
        price(it) && element('span', { class: 'rapport-price' }, price(it)),
      ];
      return element('li', {}, ...(here(it.url) ? [element('a', { href: it.url, onclick: clicked }, ...parts)] : parts));
    }
    function fill(slot, shown) {
      const { title, text, link_url, link_text, image_url, image_text } = shown.content;
      const products = shown.recommendations || [];
      const what = { promotion_id: shown.module, creative: shown.variant, position: shown.slot };
      slot.replaceChildren(element('section', { class: 'rapport-module' },
        here(image_url) && element('img', { src: image_url, alt: image_text || '' }),
        title && element('h2', {}, title),
        text && element('p', {}, text),
        products.length && element('ul', { class: 'rapport-products', 'aria-label': title }, ...products.map(
          (it) => product(it, () => report('Promotion Clicked', Object.assign({ product_id: it.product_id }, what))),
        )),
        here(link_url) && element(
          'a', { href: link_url, onclick: () => report('Promotion Clicked', what) }, link_text,
        )));
      report('Promotion Viewed', what);
    }
    function fillAll() {
      const names = Array.from(new Set(slots().map((slot) => slot.getAttribute('data-rapport-slot'))));
      if (!names.length) return Promise.resolve();
      return ask({ slots: names }).then((answer) => {
        slots().forEach((slot) => {
          const shown = answer.slots[slot.getAttribute('data-rapport-slot')];
          if (shown) fill(slot, shown);
        });
      }).catch((problem) => warn('the slots stay as they are:', problem));
    }
    const fillAs = (shown) => slots(shown.slot).forEach((slot) => fill(slot, shown));
    rapport.on('module', (shown) => {
      if (!shown.recommends) fillAs(shown);
      else if (slots(shown.slot).length) {
        ask({ recommendations: shown.recommends })
          .then(({ recommendations }) => recommendations.length && fillAs(Object.assign({ recommendations }, shown)))
          .catch((problem) => warn('the slot stays as it is:', problem));
      }
    });

    // ---- a form: one at a time, beside the page and not over it

    let open = null;
    let before = null;
    function close() {
      if (!open) return;
      open.remove();
      open = null;
      if (before && before.isConnected) before.focus();
    }
    function show(title, ...content) {
      const parts = stage();
      if (!parts.forms) {
        parts.forms = true;
        try {
          const sheet = new CSSStyleSheet();
          sheet.replaceSync(STYLES);
          parts.root.adoptedStyleSheets = [...parts.root.adoptedStyleSheets, sheet];
        } catch (e) {
          parts.root.append(element('style', {}, STYLES));
        }
      }
      if (open) open.remove();
      else before = document.activeElement;
      open = element('div', {
        class: 'prompt form', role: 'dialog', 'aria-modal': 'false', 'aria-labelledby': 'form-title', tabindex: '-1',
        onkeydown: (pressed) => {
          if (pressed.key === 'Escape') close();
        },
      },
      element('h2', { id: 'form-title' }, title), button('x', '×', close, { 'aria-label': texts.close }), ...content);
      parts.root.insertBefore(open, parts.voucher);
      open.focus();
    }
    const thank = (title, said) => show(title, element('p', { role: 'status' }, said),
      element('div', { class: 'row' }, button('main', texts.close, close)));

    let ids = 0;
    function tick(type, name, value, words, ticked) {
      const box = element('input', Object.assign({ type, name, value }, ticked ? { checked: '' } : {}));
      return element('label', {}, box, element('span', {}, words));
    }
    function choice(name, words, options, chosen) {
      const id = 'rapport-' + (ids += 1);
      const select = element('select', { id, name }, ...options.map(([value, label]) => element(
        'option', Object.assign({ value }, String(value) === String(chosen) ? { selected: '' } : {}), label,
      )));
      return [element('label', { class: 'over', for: id }, words), select];
    }
    const group = (legend, ...parts) => element('fieldset', {}, element('legend', {}, legend), ...parts);
    const ticked = (form, name) => Array.from(form.querySelectorAll('input'))
      .filter((box) => box.name === name && box.checked).map((box) => box.value);
    const form = (submit, ...content) => element('form', {
      novalidate: '',
      onsubmit: (pressed) => {
        pressed.preventDefault();
        submit(pressed.target);
      },
    }, ...content);

    // ---- what the visitor allows

    function askConsent() {
      const given = read('consent') || {};
      const choose = (recognise, fits, writes) => {
        consent({ analytics: recognise, site: { profiling: fits }, email: { marketing: writes } });
        thank(texts.consentTitle, texts.saved);
      };
      const own = form(
        (sent) => {
          const allowed = ticked(sent, 'allow');
          choose(...['analytics', 'site', 'email'].map((name) => allowed.indexOf(name) >= 0));
        },
        group(texts.consentAbout,
          tick('checkbox', 'allow', 'analytics', texts.recognise, given.analytics),
          tick('checkbox', 'allow', 'site', texts.fit, given.site && given.site.profiling),
          tick('checkbox', 'allow', 'email', texts.write, given.email && given.email.marketing)),
        element('div', { class: 'row' }, element('button', {}, texts.save),
          button('', texts.all, () => choose(true, true, true)),
          button('', texts.none, () => choose(false, false, false))),
      );
      // Whom we do not recognise we can neither show what fits nor remember that they wanted mail.
      const [first, ...others] = own.querySelectorAll('input');
      const follow = () => others.forEach((box) => {
        box.disabled = !first.checked;
        if (!first.checked) box.checked = false;
      });
      first.addEventListener('change', follow);
      follow();
      show(texts.consentTitle, own);
    }

    // ---- what they want to hear

    const OFTEN = [0, 1, 7, 30];
    const often = (days) => texts['often' + days] || texts.oftenOther.replace('{days}', days);
    const CHANNELS = ['email', 'push', 'sms', 'phone', 'post'];
    function showPreferences(now) {
      const granted = (name) => now.permissions[name] === 'granted' || now.permissions[name] === 'unconfirmed';
      show(texts.preferencesTitle, form(
        (sent) => {
          report('Preferences Updated', {
            interests: ticked(sent, 'interest'), every_days: Number(sent.elements.every_days.value),
            daytime: sent.elements.daytime.value,
          });
          const wanted = ticked(sent, 'channel');
          CHANNELS.filter((name) => (wanted.indexOf(name) >= 0) !== granted(name)).forEach((channel) => {
            const gives = wanted.indexOf(channel) >= 0;
            report(gives ? 'Consent Granted' : 'Consent Withdrawn', {
              channel, purpose: 'marketing', wording: texts.channels + ' ' + texts[channel], place: location.pathname,
            });
          });
          thank(texts.preferencesTitle, texts.saved);
        },
        now.interests.length && group(texts.interests,
          ...now.interests.map((it) => tick('checkbox', 'interest', it.name, it.label, it.ticked))),
        group(texts.channels, ...CHANNELS.map((name) => tick('checkbox', 'channel', name, texts[name], granted(name)))),
        // What was wished for elsewhere is among them: whoever saves the form keeps it.
        ...choice('every_days', texts.often,
          [...new Set([...OFTEN, now.every_days])].map((days) => [days, often(days)]), now.every_days),
        ...choice('daytime', texts.daytime, [['', texts.anytime], ...['morning', 'afternoon', 'evening'].map(
          (name) => [name, texts[name]],
        )], now.daytime),
        element('div', { class: 'row' }, element('button', { class: 'main' }, texts.save)),
      ));
    }

    // ---- what they think

    function field(question) {
      const { name, text, kind, options } = question;
      if (kind === 'text') {
        const id = 'rapport-' + (ids += 1);
        return [element('label', { class: 'over', for: id }, text), element(
          'textarea', { id, name, rows: '3', maxlength: '500' },
        )];
      }
      if (kind !== 'scale') {
        const type = kind === 'choice' ? 'radio' : 'checkbox';
        return [group(text, ...options.map((option) => tick(type, name, option, option)))];
      }
      const marks = [];
      for (let mark = question.least; mark <= question.most; mark += 1) marks.push(String(mark));
      const ends = { [question.least]: question.least_text, [question.most]: question.most_text };
      return [group(text, element('div', { class: 'scale' }, ...marks.map(
        (mark) => tick('radio', name, mark, ends[mark] ? mark + ' – ' + ends[mark] : mark),
      )))];
    }
    function answersOf(sent, questions) {
      const answers = {};
      questions.forEach(({ name, kind }) => {
        const marked = kind === 'text' ? [] : ticked(sent, name);
        const written = kind === 'text' ? sent.elements[name].value.trim() : '';
        if (written) answers[name] = written;
        else if (marked.length) answers[name] = { scale: Number(marked[0]), choice: marked[0], choices: marked }[kind];
      });
      return answers;
    }
    function showQuestionnaire(asked) {
      const wrong = element('p', { class: 'wrong', role: 'alert' });
      show(asked.title, form(
        (sent) => {
          const answers = answersOf(sent, asked.questions);
          if (!Object.keys(answers).length) {
            wrong.textContent = texts.missing;
            sent.querySelector('input, textarea').focus();
            return;
          }
          report('Questionnaire Answered', { questionnaire: asked.name, answers });
          thank(asked.title, asked.thanks);
        },
        ...[].concat(...asked.questions.map(field)), wrong,
        element('div', { class: 'row' }, element('button', { class: 'main' }, texts.submit)),
      ));
    }

    // ---- which of them

    function openForm(name) {
      if (!name) return fillAll();
      if (name === 'consent') {
        askConsent();
        return Promise.resolve();
      }
      if (!kit.allowed()) return rapport.ready.then(() => openForm(name));
      if (name === 'preferences') {
        return ask({ preferences: true }).then((answer) => showPreferences(answer.preferences))
          .catch((problem) => {
            warn('no preferences:', problem);
            thank(texts.preferencesTitle, texts.unavailable);
          });
      }
      return ask({ questionnaire: name }).then(({ questionnaire }) => {
        if (!questionnaire) return;
        if (name !== 'visit_end') showQuestionnaire(questionnaire);
        else if ((read('asked') || 0) < Date.now() - 86400000) whenLeaving(() => showQuestionnaire(questionnaire));
      }).catch((problem) => warn('no questionnaire:', problem));
    }
    // The mouse goes out at the top. Who has none comes back from another tab or app, or does nothing more.
    function whenLeaving(then) {
      const hidden = () => document.visibilityState === 'hidden';
      let away = hidden();
      let quiet = 0;
      let mouse = false;
      const leaves = () => {
        if (open) return;
        clearTimeout(quiet);
        signs.forEach(([where, name, heard]) => where.removeEventListener(name, heard));
        write('asked', Date.now());
        then();
      };
      const wait = (did) => {
        clearTimeout(quiet);
        mouse = mouse || did.pointerType === 'mouse';
        if (!mouse) quiet = setTimeout(silent, QUIET_MS, did);
      };
      const silent = (did) => {
        if (document.querySelector('input:focus, select:focus, textarea:focus')) wait(did);
        else if (!hidden()) leaves();
      };
      const signs = [
        [document.documentElement, 'mouseleave', (moved) => moved.clientY <= 0 && leaves()],
        [document, 'visibilitychange', () => {
          if (away && !hidden()) leaves();
          away = hidden();
        }],
        ...['pointerdown', 'pointermove', 'keydown', 'scroll'].map((name) => [window, name, wait]),
      ];
      signs.forEach(([where, name, heard]) => where.addEventListener(name, heard, { passive: true }));
      wait({});
    }
    return openForm;
  });
})();
