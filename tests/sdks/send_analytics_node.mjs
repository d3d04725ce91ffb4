// Sends COUNT events with the older analytics-node and prints their messageIds, one a line.
//     node send_analytics_node.mjs HOST WRITE_KEY COUNT PREFIX
import Analytics from 'analytics-node';

const [host, writeKey, count, prefix] = process.argv.slice(2);
const analytics = new Analytics(writeKey, { host, flushAt: 15 });

const sent = [];
for (let n = 0; n < Number(count); n += 1) {
  const message = { event: 'Product Viewed', anonymousId: `${prefix}-${n}`, properties: { product_id: 'c-01', n, prefix } };
  sent.push(new Promise((resolve, reject) => {
    analytics.track(message, (error, data) => {
      if (error) reject(error);
      else resolve(data.batch.find((m) => m.properties.n === n).messageId);
    });
  }));
}
await analytics.flush();
console.log((await Promise.all(sent)).join('\n'));
