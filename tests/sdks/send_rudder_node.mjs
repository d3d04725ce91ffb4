// Sends COUNT events with @rudderstack/rudder-sdk-node. It never tells the messageIds that it makes: `n` is
// in the properties, so that what arrived can be counted.
//     node send_rudder_node.mjs HOST WRITE_KEY COUNT PREFIX
import RudderAnalytics from '@rudderstack/rudder-sdk-node';

const [host, writeKey, count, prefix] = process.argv.slice(2);
const client = new RudderAnalytics(writeKey, { dataPlaneUrl: host, flushAt: 15, logLevel: 'error' });

let waiting = Number(count);
const sent = [];
for (let n = 0; n < Number(count); n += 1) {
  const message = { event: 'Product Viewed', anonymousId: `${prefix}-${n}`, properties: { product_id: 'c-01', n, prefix } };
  sent.push(new Promise((resolve, reject) => {
    client.track(message, (error) => {
      waiting -= 1;
      if (error) reject(error);
      else resolve();
    });
  }));
}
const all = Promise.all(sent);
all.catch(() => {}); // looked at below
while (waiting > 0) {
  await client.flush(); // one call is one batch, however many are left
  await new Promise(setImmediate); // its callbacks run there
}
await all;
process.exit(0); // its timers would keep the process alive
