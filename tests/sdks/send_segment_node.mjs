// Sends COUNT events with @segment/analytics-node and prints their messageIds, one a line.
//     node send_segment_node.mjs HOST WRITE_KEY COUNT PREFIX
import { Analytics } from '@segment/analytics-node';

const [host, writeKey, count, prefix] = process.argv.slice(2);
const analytics = new Analytics({ writeKey, host, flushAt: 15 });
const failures = [];
analytics.on('error', (error) => failures.push(error));

const sent = [];
for (let n = 0; n < Number(count); n += 1) {
  sent.push(new Promise((resolve) => analytics.track(
    { event: 'Product Viewed', anonymousId: `${prefix}-${n}`, properties: { product_id: 'c-01', n, prefix } },
    (error, context) => resolve(error ? failures.push(error) : context.event.messageId),
  )));
}
await analytics.closeAndFlush();
console.log((await Promise.all(sent)).join('\n'));
if (failures.length) {
  console.error(failures);
  process.exit(1);
}
