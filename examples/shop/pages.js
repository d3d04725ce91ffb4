/* What each page of the shop does: it fills in its HTML and says what happened. One function a page. */

import { byId, categories, currency, inEvent, money, products } from './catalogue.js';
import * as basket from './cart.js';
import { picture } from './pictures.js';

const PEOPLE = [
  { user_id: 'ada', name: 'Ada', about: 'buys coffee every month' },
  { user_id: 'ben', name: 'Ben', about: 'has not been here for a while' },
  { user_id: 'chloe', name: 'Chloe', about: 'is new' },
];
const find = (id) => document.getElementById(id);

function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, value));
  made.append(...children);
  return made;
}
function kept(key) {
  return JSON.parse(sessionStorage.getItem(key) || 'null');
}
const loggedIn = () => JSON.parse(localStorage.getItem('shop_user') || 'null');

/** Ask the shop's own server; its refusals carry words for the customer. */
async function ask(path, body) {
  const answer = await fetch(path, {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body),
  });
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(said.message || 'The shop cannot be reached. Please try again.');
  return said;
}

function cards(list, shown) {
  list.append(...shown.map((product) => element('li', {},
    element('a', { href: 'product.html?id=' + product.product_id }, picture(product),
      element('div', { class: 'about' },
        element('span', { class: 'name' }, product.name), element('span', { class: 'price' }, money(product.price)),
        element('span', { class: 'unit' }, product.unit))))));
}
function listPage(query) {
  const category = categories.find((c) => c.id === query.get('category'));
  const shown = products.filter((p) => !category || p.category === category.id);
  if (category) {
    find('list-title').textContent = category.name;
    find('list-about').textContent = category.about;
    document.title = category.name + ' – Kettle & Leaf';
    document.querySelector(`nav a[href$="category=${category.id}"]`).setAttribute('aria-current', 'page');
  }
  cards(find('products'), shown);
  shopTracking.track('Product List Viewed', {
    list_id: category ? category.id : 'all', category: category ? category.id : undefined,
    products: shown.map((p, i) => inEvent(p, { position: i + 1 })),
  });
}
function productPage(query) {
  const product = byId(query.get('id'));
  if (!product) {
    find('product').append(element('h1', {}, 'We do not have this any more'));
    return;
  }
  document.title = product.name + ' – Kettle & Leaf';
  const said = element('p', { class: 'said', role: 'status' });
  const quantity = element('input', { type: 'number', min: 1, max: 20, value: 1, name: 'quantity' });
  const form = element('form', { class: 'buy' }, element('label', {}, 'Quantity', quantity),
    element('button', { class: 'main' }, 'Add to cart'));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    basket.add(product, Number(quantity.value));
    said.textContent = 'In your cart.';
  });
  find('product').append(element('div', { class: 'frame' }, picture(product)), element('div', {},
    element('h1', {}, product.name), element('p', { class: 'unit' }, product.unit),
    element('p', {}, product.text), element('p', { class: 'price' }, money(product.price)), form, said));
  cards(find('also'), products.filter((p) => p.category === product.category && p !== product));
  shopTracking.track('Product Viewed', inEvent(product, { quantity: 1 }));
}
function cartTable() {
  const row = (line) => {
    const button = element('button', { class: 'plain', 'aria-label': 'Remove ' + line.name }, 'Remove');
    button.addEventListener('click', () => {
      basket.remove(line);
      showCart();
    });
    return element('tr', {},
      element('td', {}, element('a', { href: 'product.html?id=' + line.product_id }, line.name)),
      element('td', { class: 'right' }, String(line.quantity)),
      element('td', { class: 'right' }, money(line.price * line.quantity)), element('td', { class: 'right' }, button));
  };
  return element('div', { class: 'scroll' }, element('table', {},
    element('thead', {}, element('tr', {}, element('th', { scope: 'col' }, 'Product'),
      element('th', { scope: 'col', class: 'right' }, 'Quantity'), element('th', { scope: 'col', class: 'right' }, 'Price'),
      element('td', {}))),
    element('tbody', {}, ...basket.lines().map(row)),
    element('tfoot', {}, element('tr', {}, element('th', { scope: 'row', colspan: 2 }, 'Total'),
      element('td', { class: 'right' }, money(basket.total())), element('td', {})))));
}
function showCart() {
  find('cart').replaceChildren(...(basket.count() === 0
    ? [element('p', {}, 'There is nothing in it yet. '), element('a', { class: 'button', href: './' }, 'Look around')]
    : [cartTable(), element('p', { class: 'actions' }, element('a', { class: 'button', href: './' }, 'Go on looking'),
      element('a', { class: 'button main', href: 'checkout.html' }, 'Check out'))]));
}
function cartPage() {
  showCart();
  shopTracking.track('Cart Viewed', { cart_id: basket.cart().cart_id, currency, products: basket.linesInEvent() });
}
function summary(lines, amounts) {
  return [...lines.map((l) => element('p', {}, `${l.quantity} × ${l.name}`)),
    ...amounts.map(([words, amount]) => element('p', {}, element('strong', {}, words + ': ' + money(amount))))];
}
function checkoutPage() {
  const form = find('order');
  const checkout = kept('shop_checkout') || crypto.getRandomValues(new Uint32Array(4)).join('-');
  sessionStorage.setItem('shop_checkout', JSON.stringify(checkout)); // a second click is the same order
  const user = loggedIn();
  if (user) {
    form.elements.name.value = user.name;
    form.elements.email.value = user.user_id + '@example.com';
  }
  find('summary').append(...summary(basket.lines(), [['Total', basket.total()]]));
  const button = form.querySelector('button');
  button.disabled = false; // only now: before, the browser itself would send the form, into the address
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const coupon = form.elements.coupon.value.trim() || null;
    button.disabled = true;
    find('order-problem').textContent = '';
    try {
      if (coupon) shopTracking.track('Coupon Entered', { cart_id: basket.cart().cart_id, coupon });
      const ids = window.rapport.identity ? window.rapport.identity() : {};
      const order = await ask('order', {
        checkout_id: checkout, currency, products: basket.cart().lines, coupon,
        anonymous_id: ids.anonymousId || null, user_id: user && user.user_id, user_hash: user && user.user_hash,
      });
      sessionStorage.setItem('shop_order', JSON.stringify(order));
      sessionStorage.removeItem('shop_checkout');
      basket.clear();
      location.assign('thanks.html');
    } catch (problem) {
      find('order-problem').textContent = problem.message;
      button.disabled = false;
    }
  });
  shopTracking.track('Checkout Started', {
    checkout_id: checkout, value: basket.total(), currency, products: basket.linesInEvent(),
  });
}
function thanksPage() {
  const order = kept('shop_order');
  if (!order) {
    find('thanks').append(element('p', {}, 'There is no order to show.'));
    return;
  }
  window.rapport.push(['form', 'order']); // how was it? Nobody is asked twice about one order
  const amounts = [['Total', order.total]];
  if (order.discount) amounts.unshift(['Voucher ' + order.coupon, -order.discount]);
  find('thanks').append(element('p', {}, 'We have your order ', element('strong', {}, order.order_id), '.'),
    element('div', { class: 'card narrow' }, ...summary(order.products, amounts)));
  if (order.told) return; // a reload is not another order
  sessionStorage.setItem('shop_order', JSON.stringify({ ...order, told: true }));
  // The shop's server has sent the order with its own key; from here it only closes the cart.
  const { order_id, checkout_id, subtotal, discount, total, coupon } = order;
  shopTracking.track('Order Completed', {
    order_id, checkout_id, subtotal, discount, total, revenue: subtotal - discount, currency, coupon: coupon || undefined,
    products: order.products.map((p) => inEvent(p, { quantity: p.quantity })),
  });
}
function loginPage() {
  const user = loggedIn();
  find('people').append(...PEOPLE.map((person) => {
    const radio = element('input', { type: 'radio', name: 'user_id', value: person.user_id, required: '' });
    radio.checked = Boolean(user && user.user_id === person.user_id);
    return element('label', { class: 'person' }, radio,
      element('span', {}, element('strong', {}, person.name), ' ' + person.about));
  }));
  const boxes = [...find('login').querySelectorAll('.tick input')]; // one for each channel, which it is named by
  const said = (box, who) => localStorage.getItem(`shop_offers_${box.name}_${who}`) === 'yes';
  const tick = (event) => boxes.forEach((box) => { box.checked = said(box, event.target.value); });
  find('people').addEventListener('change', tick);
  if (user) tick({ target: { value: user.user_id } });
  find('logout').hidden = !user;
  find('logout').addEventListener('click', () => {
    localStorage.removeItem('shop_user');
    shopTracking.reset();
    location.assign('./');
  });
  find('login').querySelector('button.main').disabled = false;
  find('login').addEventListener('submit', async (event) => {
    event.preventDefault();
    const form = event.target.elements;
    try {
      const { user_id, user_hash } = await ask('login', { user_id: form.user_id.value });
      const { name } = PEOPLE.find((p) => p.user_id === user_id);
      localStorage.setItem('shop_user', JSON.stringify({ user_id, user_hash, name }));
      await shopTracking.identify(user_id, { name, first_name: name, email: user_id + '@example.com' }, user_hash);
      for (const box of boxes.filter((each) => each.checked !== said(each, user_id))) {
        const wording = box.nextElementSibling.textContent;
        const proof = { channel: box.name, purpose: 'marketing', wording, place: location.href };
        await shopTracking.track(box.checked ? 'Consent Granted' : 'Consent Withdrawn', proof);
        localStorage.setItem(`shop_offers_${box.name}_${user_id}`, box.checked ? 'yes' : 'no');
      }
      location.assign('./');
    } catch (problem) {
      find('login-problem').textContent = problem.message;
    }
  });
}

/** What the visitor allows and wants to hear: forms of rapport.js, on every page. */
function ownChoices() {
  const opens = (words, form) => {
    const button = element('button', { type: 'button', class: 'plain' }, words);
    button.addEventListener('click', () => window.rapport.push(['form', form]));
    return button;
  };
  document.querySelector('footer').append(
    element('p', {}, opens('What we may do', 'consent'), ' ', opens('What you would like to hear', 'preferences')),
  );
}

const PAGES = {
  list: listPage, product: productPage, cart: cartPage, checkout: checkoutPage, thanks: thanksPage, login: loginPage,
};
basket.showCount();
const user = loggedIn();
if (user) {
  find('account').textContent = user.name;
  shopTracking.known(user.user_hash);
}
ownChoices();
PAGES[document.body.dataset.page](new URLSearchParams(location.search));
