// Panels of curves, points, areas and marks as SVG text. Sizes are pixels of the screen, so that a
// label is as large on a phone as on a desk; colours are classes of book.css, for light and dark.
const PLOT = { left: 52, right: 10, top: 30, bottom: 42, height: 300, stack: 560, line: 16 };

// Three significant digits and the minus sign of print.
function written(value, digits = 3) {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size >= 1e5 || size < 1e-3) {
    const power = Math.floor(Math.log10(size) + 1e-9);
    const front = Number((value / 10 ** power).toPrecision(digits));
    return `${front === 1 ? "" : `${front}·`}10${superscript(power)}`.replace("-", "−");
  }
  return String(Number(value.toPrecision(digits))).replace("-", "−");
}
function superscript(power) {
  return [...String(power)].map((letter) => (letter === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[letter])).join("");
}
const escaped = (text) => String(text).replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);

function ticks({ low, high, log }, room) {
  const most = Math.max(2, Math.floor(room / 55));
  if (log) {
    const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9);
    const step = Math.max(1, Math.ceil((last - first) / most));
    const found = [];
    for (let power = first; power <= last; power += step) found.push(10 ** power);
    return found;
  }
  const rough = (high - low) / most, decade = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * decade).find((n) => n >= rough * (1 - 1e-9));
  const found = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + 1e-9 * step; n++) found.push(n * step);
  return found.map((tick) => Number(tick.toPrecision(12)));
}

function scale(axis, from, to) {
  const map = axis.log ? Math.log10 : (value) => value;
  const low = map(axis.low), per = (to - from) / (map(axis.high) - low);
  return (value) => from + (map(value) - low) * per;
}

function path(xs, ys, X, Y, far) {
  let text = "", pen = false;
  for (let n = 0; n < xs.length; n++) {
    const x = X(xs[n]), y = Y(ys[n]);
    if (!Number.isFinite(x) || !Number.isFinite(y)) { pen = false; continue; }
    text += `${pen ? "L" : "M"}${x.toFixed(1)} ${Math.max(-far, Math.min(2 * far, y)).toFixed(1)}`;
    pen = true;
  }
  return text;
}

// The legend wraps under the title; a letter is about 6.4 pixels wide.
function legend(entries, left, right, top) {
  let x = left, y = top, text = "";
  for (const { name, hue = 0, dash, dots } of entries) {
    const long = 26 + 6.6 * name.length;
    if (x > left && x + long > right) { x = left; y += PLOT.line; }
    text += dots
      ? `<path class="dots hue-${hue}" d="M${x + 9} ${y - 4}h.01"/>`
      : `<path class="curve hue-${hue}${dash ? " dashed" : ""}" d="M${x} ${y - 4}h18"/>`;
    text += `<text x="${x + 23}" y="${y}">${escaped(name)}</text>`;
    x += long + 12;
  }
  return { text, bottom: entries.length ? y + 4 : top - PLOT.line };
}

function panel(p, x0, y0, width, height, id) {
  // a digit is about 7 pixels wide, and the label stands upright left of the longest number
  const longest = Math.max(0, ...ticks(p.y, (height - PLOT.top - PLOT.bottom) * 1.4).map((tick) => written(tick).length));
  const left = x0 + Math.max(PLOT.left, 24 + 7 * longest), right = x0 + width - PLOT.right, bottom = y0 + height - PLOT.bottom;
  const named = [...(p.areas ?? []), ...(p.curves ?? []), ...(p.points ?? []).map((one) => ({ ...one, dots: true }))].filter((one) => one.name);
  const keys = legend(named, left, right, y0 + PLOT.top + 4);
  const top = Math.max(y0 + PLOT.top, keys.bottom) + 6;
  const X = scale(p.x, left, right), Y = scale(p.y, bottom, top), far = 4000;
  let text = `<clipPath id="${id}"><rect x="${left}" y="${top}" width="${right - left}" height="${bottom - top}"/></clipPath>`;
  text += `<text class="title" x="${left}" y="${y0 + 16}">${escaped(p.title ?? "")}</text>${keys.text}`;
  for (const tick of ticks(p.x, right - left)) {
    text += `<path class="grid" d="M${X(tick).toFixed(1)} ${bottom}V${top}"/><text class="tick middle" x="${X(tick).toFixed(1)}" y="${bottom + 16}">${written(tick)}</text>`;
  }
  for (const tick of ticks(p.y, (bottom - top) * 1.4)) {
    text += `<path class="grid" d="M${left} ${Y(tick).toFixed(1)}H${right}"/><text class="tick end" x="${left - 6}" y="${(Y(tick) + 4).toFixed(1)}">${written(tick)}</text>`;
  }
  text += `<text class="middle" x="${(left + right) / 2}" y="${bottom + 34}">${escaped(p.x.label)}</text>`;
  text += `<text class="middle" transform="translate(${x0 + 11} ${(top + bottom) / 2}) rotate(-90)">${escaped(p.y.label)}</text>`;
  text += `<g clip-path="url(#${id})">`;
  for (const { x, y, hue = 0, base = p.y.low } of p.areas ?? []) {
    if (x.length < 2) continue;
    const foot = Y(base).toFixed(1);
    text += `<path class="area hue-${hue}" d="${path(x, y, X, Y, far)}L${X(x[x.length - 1]).toFixed(1)} ${foot}L${X(x[0]).toFixed(1)} ${foot}Z"/>`;
  }
  for (const { x, y, hue = 0 } of p.points ?? []) {
    let dots = "";
    for (let n = 0; n < x.length; n++) {
      const a = X(x[n]), b = Y(y[n]);
      if (Number.isFinite(a) && Number.isFinite(b)) dots += `M${a.toFixed(1)} ${b.toFixed(1)}h.01`;
    }
    text += `<path class="dots hue-${hue}${x.length < 4 ? " single" : ""}" d="${dots}"/>`;
  }
  for (const { x, y, hue = 0, dash, thin } of p.curves ?? []) {
    text += `<path class="curve hue-${hue}${dash ? " dashed" : ""}${thin ? " thin" : ""}" d="${path(x, y, X, Y, far)}"/>`;
  }
  text += "</g>";
  for (const { at, side = "x", name = "" } of p.marks ?? []) {
    if (!(at >= p[side].low && at <= p[side].high)) continue;
    if (side === "x") {
      const end = X(at) > (left + right) / 2;
      text += `<path class="mark" d="M${X(at).toFixed(1)} ${bottom}V${top}"/><text class="${end ? "end" : ""}" x="${(X(at) + (end ? -5 : 5)).toFixed(1)}" y="${top + 13}">${escaped(name)}</text>`;
    } else {
      text += `<path class="mark" d="M${left} ${Y(at).toFixed(1)}H${right}"/><text class="end" x="${right - 4}" y="${(Y(at) - 5).toFixed(1)}">${escaped(name)}</text>`;
    }
  }
  if (p.handle) {
    text += `<circle class="handle" cx="${X(p.handle.x).toFixed(1)}" cy="${Y(p.handle.y).toFixed(1)}" r="9" data-from="${left}" data-to="${right}" data-low="${p.x.low}" data-high="${p.x.high}"/>`;
  }
  return text + `<path class="frame" d="M${left} ${top}H${right}V${bottom}H${left}Z"/>`;
}

// All panels beside each other, or below each other where there is no room; `name` makes ids.
function picture(panels, width, says, name, below = false) {
  const stacked = below || width < PLOT.stack * Math.min(panels.length, 2) / 2 || width < 420;
  const height = (p) => p.height ?? (stacked && !below ? 260 : PLOT.height);
  const total = panels.reduce((sum, p) => sum + (p.share ?? 1), 0);
  let x = 0, y = 0, text = "";
  panels.forEach((p, n) => {
    const wide = stacked ? width : width * (p.share ?? 1) / total;
    text += panel(p, x, y, wide, height(p), `${name}-${n}`);
    if (stacked) y += height(p);
    else x += wide;
  });
  const tall = stacked ? y : Math.max(...panels.map(height));
  return `<svg role="img" aria-label="${escaped(says)}" width="${width}" height="${tall}" viewBox="0 0 ${width} ${tall}">${text}</svg>`;
}
