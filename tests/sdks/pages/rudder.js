/* Query: host (scheme and all), key, count, prefix, and beacon=1 for the SDK's beacon. */
(async () => {
  const query = new URLSearchParams(location.search);
  const host = query.get('host');
  const prefix = query.get('prefix');
  const made = window.rudderanalytics;
  const rudder = made && made.load ? made : new made.RudderAnalytics();
  window.rudder = rudder;
  rudder.load(query.get('key'), host, {
    configUrl: host, logLevel: 'ERROR', useBeacon: Boolean(query.get('beacon')),
    beaconQueueOptions: { maxItems: 5, flushQueueInterval: 500 },
  });
  rudder.page();
  rudder.identify(prefix, { email: 'ada@example.com' });
  for (let n = 0; n < Number(query.get('count')); n += 1) {
    // The browser lets 64 KB of beacons be under way; the SDK drops what it refuses beyond that.
    if (query.get('beacon') && n % 10 === 9) await new Promise((resolve) => { setTimeout(resolve, 200); });
    rudder.track('Product Viewed', { product_id: 'c-01', n, prefix });
  }
  window.sent = [];
})();
