/* What the shop sells, and how it is written down in an event. No page and no cart in here. */

const answer = await fetch('products.json');
const catalogue = await answer.json();

export const { products, categories, currency } = catalogue;
export const byId = (id) => products.find((p) => p.product_id === id);
export const money = (amount) => amount.toLocaleString('en-IE', { style: 'currency', currency });

/** A product as Segment's e-commerce events name its parts. */
export function inEvent(product, more) {
  const { product_id, name, category, price } = product;
  const url = new URL('product.html?id=' + product_id, location.href).href;
  return { product_id, name, category, price, currency, url, ...more };
}
