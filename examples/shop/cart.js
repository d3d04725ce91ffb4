/* The cart: lines of {product_id, quantity} in this browser. Prices are always the catalogue's. */

import { byId, inEvent } from './catalogue.js';

const KEY = 'shop_cart';
const empty = () => ({ cart_id: crypto.getRandomValues(new Uint32Array(2)).join('-'), lines: [] });

export function cart() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) || empty();
  } catch (e) {
    return empty();
  }
}
function keep(changed) {
  localStorage.setItem(KEY, JSON.stringify(changed));
  showCount();
}
export const clear = () => keep(empty());
export const count = () => cart().lines.reduce((sum, line) => sum + line.quantity, 0);
export const lines = () => cart().lines.map((line) => ({ ...byId(line.product_id), quantity: line.quantity }));
export const total = () => Math.round(lines().reduce((sum, l) => sum + l.price * l.quantity, 0) * 100) / 100;
export const linesInEvent = () => lines().map((l, i) => inEvent(l, { quantity: l.quantity, position: i + 1 }));

export function add(product, quantity) {
  const now = cart();
  const line = now.lines.find((l) => l.product_id === product.product_id);
  if (line) line.quantity += quantity;
  else now.lines.push({ product_id: product.product_id, quantity });
  keep(now);
  shopTracking.track('Product Added', inEvent(product, { cart_id: now.cart_id, quantity }));
}
export function remove(product) {
  const now = cart();
  const line = now.lines.find((l) => l.product_id === product.product_id);
  now.lines = now.lines.filter((l) => l !== line);
  keep(now);
  shopTracking.track('Product Removed', inEvent(product, { cart_id: now.cart_id, quantity: line.quantity }));
}
export function showCount() {
  document.getElementById('cart-count').textContent = count();
}
