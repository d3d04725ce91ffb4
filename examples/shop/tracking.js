/*
 * The shop's two lines of tracking, and nothing else of the shop.
 *
 * Normally the page loads Rapport's own library:
 *     <script async src="/rapport.js" data-write-key="KEY"></script>
 * With ?sdk=segment it loads the unmodified @segment/analytics-next instead, pointed at this host, and
 * rapport.js beside it with data-track="off" to show prompts and vouchers. ?sdk=rapport goes back.
 * A classic script, run before the page's module, so that `shopTracking` is there when the module starts.
 */
(() => {
  'use strict';
  const writeKey = document.currentScript.getAttribute('data-write-key');
  const asked = new URLSearchParams(location.search).get('sdk');
  let sdk = asked;
  try {
    if (asked) sessionStorage.setItem('shop_sdk', asked);
    sdk = sessionStorage.getItem('shop_sdk');
  } catch (e) { /* then the choice lasts for this page */ }

  function load(src, attributes, then) {
    const script = document.createElement('script');
    script.async = true;
    Object.keys(attributes).forEach((name) => script.setAttribute(name, attributes[name]));
    if (then) script.onload = then;
    script.src = src;
    document.head.append(script);
  }

  window.rapport = window.rapport || []; // calls made before the library is there wait in the array

  if (sdk !== 'segment') {
    load('/rapport.js', { 'data-write-key': writeKey, 'data-chat': 'button' });
    window.shopTracking = {
      track: (event, properties) => window.rapport.push(['track', event, properties]),
      identify: (userId, traits, userHash) => window.rapport.push(['identify', userId, traits, { userHash }]),
      known: () => {}, // rapport.js keeps the hash itself
      reset: () => window.rapport.push(['reset']),
    };
    return;
  }

  const loaded = new Promise((resolve) => load('/shop/vendor/analytics.js', {}, () => {
    window.analytics = window.AnalyticsNext.AnalyticsBrowser.load(
      { writeKey, cdnURL: location.origin },
      { integrations: { 'Segment.io': { apiHost: location.host + '/v1', protocol: location.protocol.slice(0, -1) } } },
    );
    window.analytics.page();
    resolve(); // not with the SDK: it is a promise itself, of something else
  }));
  load('/rapport.js', { 'data-write-key': writeKey, 'data-track': 'off', 'data-chat': 'desk' });
  let options;
  function known(userHash) { // the SDK has no place for it but each event's context
    options = { context: { userHash } };
    window.rapport.push(['use', { userHash }]);
  }
  window.shopTracking = {
    known,
    track: (event, properties) => loaded.then(() => window.analytics.track(event, properties, options)),
    identify: (userId, traits, userHash) => {
      known(userHash);
      return loaded.then(() => window.analytics.identify(userId, traits, options));
    },
    reset: () => {
      known(undefined);
      return loaded.then(() => window.analytics.reset());
    },
  };
})();
