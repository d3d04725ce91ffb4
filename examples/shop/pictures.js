/* A picture for each product, drawn from a shape and a colour: no image files. */

const NS = 'http://www.w3.org/2000/svg';
const WHITE = '#ffffff';

// Each shape: [tag, attributes]; `fill: null` takes the product's colour.
const SHAPES = {
  bag: [
    ['path', { d: 'M96 62h108l10 24v118a10 10 0 0 1-10 10H96a10 10 0 0 1-10-10V86z', fill: null }],
    ['path', { d: 'M96 62h108l10 24H86z', fill: '#00000033' }],
    ['rect', { x: 108, y: 116, width: 84, height: 64, rx: 6, fill: WHITE }],
    ['ellipse', { cx: 150, cy: 148, rx: 15, ry: 20, fill: null }],
    ['path', { d: 'M150 130c-8 12 8 24 0 36', stroke: WHITE, 'stroke-width': 3, fill: 'none' }],
  ],
  tin: [
    ['rect', { x: 92, y: 86, width: 116, height: 128, rx: 8, fill: null }],
    ['rect', { x: 88, y: 64, width: 124, height: 28, rx: 8, fill: '#2b3140' }],
    ['rect', { x: 92, y: 124, width: 116, height: 60, fill: WHITE }],
    ['path', { d: 'M134 166c0-22 14-32 34-32 0 22-14 32-34 32z', fill: null }],
    ['path', { d: 'M130 172l26-26', stroke: '#2b3140', 'stroke-width': 2.5, fill: 'none' }],
  ],
  dripper: [
    ['path', { d: 'M84 74h132l-40 70h-52z', fill: null }],
    ['path', { d: 'M102 86l26 46M150 86v46M198 86l-26 46', stroke: '#ffffff66', 'stroke-width': 4 }],
    ['rect', { x: 100, y: 144, width: 100, height: 10, rx: 5, fill: null }],
    ['path', { d: 'M112 160h76v36a18 18 0 0 1-18 18h-40a18 18 0 0 1-18-18z', fill: WHITE, stroke: '#c9ced9', 'stroke-width': 3 }],
    ['path', { d: 'M114 184h72v12a16 16 0 0 1-16 16h-40a16 16 0 0 1-16-16z', fill: '#5a3a2e' }],
  ],
  grinder: [
    ['path', { d: 'M150 66h52', stroke: '#2b3140', 'stroke-width': 7, 'stroke-linecap': 'round' }],
    ['circle', { cx: 206, cy: 62, r: 11, fill: '#8a5a34' }],
    ['rect', { x: 143, y: 62, width: 14, height: 24, fill: '#2b3140' }],
    ['rect', { x: 118, y: 84, width: 64, height: 70, rx: 8, fill: null }],
    ['rect', { x: 114, y: 150, width: 72, height: 14, rx: 6, fill: '#2b3140' }],
    ['rect', { x: 122, y: 164, width: 56, height: 50, rx: 8, fill: '#8a5a34' }],
    ['path', { d: 'M130 92v54', stroke: '#ffffff66', 'stroke-width': 5, 'stroke-linecap': 'round' }],
  ],
  kettle: [
    ['path', { d: 'M114 128C82 132 96 82 62 84', stroke: null, 'stroke-width': 9, fill: 'none', 'stroke-linecap': 'round' }],
    ['path', { d: 'M190 108c50-12 52 72 6 78', stroke: '#8a5a34', 'stroke-width': 10, fill: 'none', 'stroke-linecap': 'round' }],
    ['path', { d: 'M116 96h68l22 112a8 8 0 0 1-8 6h-96a8 8 0 0 1-8-6z', fill: null }],
    ['rect', { x: 112, y: 86, width: 76, height: 12, rx: 6, fill: '#2b3140' }],
    ['circle', { cx: 150, cy: 78, r: 9, fill: '#8a5a34' }],
  ],
  teapot: [
    ['path', { d: 'M92 150c-22-2-22-30-44-34', stroke: null, 'stroke-width': 12, fill: 'none', 'stroke-linecap': 'round' }],
    ['path', { d: 'M206 124c44-14 44 56-4 54', stroke: null, 'stroke-width': 9, fill: 'none' }],
    ['ellipse', { cx: 150, cy: 154, rx: 64, ry: 56, fill: '#dff1f4', stroke: null, 'stroke-width': 4 }],
    ['path', { d: 'M88 158h124a62 52 0 0 1-124 0z', fill: '#c8692b', opacity: 0.85 }],
    ['path', { d: 'M132 104h36v48a18 18 0 0 1-36 0z', fill: '#9aa3b2', opacity: 0.75 }],
    ['rect', { x: 116, y: 92, width: 68, height: 12, rx: 6, fill: null }],
    ['circle', { cx: 150, cy: 84, r: 9, fill: null }],
  ],
};

function draw(tag, attributes, colour) {
  const made = document.createElementNS(NS, tag);
  Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, value === null ? colour : value));
  return made;
}

export function picture(product) {
  const svg = draw('svg', { viewBox: '0 0 300 260', role: 'img', 'aria-label': product.name });
  svg.append(draw('rect', { width: 300, height: 260, fill: null, opacity: 0.1 }, product.colour));
  svg.append(draw('ellipse', { cx: 150, cy: 216, rx: 84, ry: 8, fill: '#00000018' }));
  SHAPES[product.picture].forEach(([tag, attributes]) => svg.append(draw(tag, attributes, product.colour)));
  return svg;
}
