/* Query: host (scheme and all), key, count, prefix, and batching=1 for the SDK's own batching. */
(async () => {
  const query = new URLSearchParams(location.search);
  const host = new URL(query.get('host'));
  const deliveryStrategy = query.get('batching') ? { strategy: 'batching', config: { size: 10, timeout: 200 } } : undefined;
  const [analytics] = await window.AnalyticsNext.AnalyticsBrowser.load(
    { writeKey: query.get('key'), cdnURL: host.origin },
    { integrations: { 'Segment.io': { apiHost: host.host + '/v1', protocol: host.protocol.slice(0, -1), deliveryStrategy } } },
  );
  const prefix = query.get('prefix');
  await analytics.page();
  await analytics.identify(prefix, { email: 'ada@example.com' });
  const sent = [];
  for (let n = 0; n < Number(query.get('count')); n += 1) {
    const context = await analytics.track('Product Viewed', { product_id: 'c-01', n, prefix });
    sent.push(context.event.messageId);
  }
  window.sent = sent;
})();
