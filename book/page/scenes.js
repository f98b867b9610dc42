// What each explorer draws. A scene gets the sliders' values in SI units (as the drawing function of
// its chapter does), the numbers that the chapter has handed over, and `ask`, which calls the solver
// and gives null when a newer call has overtaken this one. It returns panels and a sentence.
const nm = (list) => list.map((value) => value * 1e9);
const line = (low, high, count) => Float64Array.from({ length: count }, (_, n) => low + (high - low) * n / (count - 1));
const hours = (list) => list.map((value) => value / 3600);
const last = (list) => list[list.length - 1];
const DEPTH = (high) => ({ label: "depth / nm", low: 0, high });
const FRACTION = { label: "fraction of the ions", low: 0, high: 1.2 };

// The value of a line through points with increasing x.
function between(at, x, y) {
  let low = 0, high = x.length - 1;
  if (at <= x[0]) return y[0];
  if (at >= x[high]) return y[high];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (x[middle] <= at) low = middle; else high = middle;
  }
  return y[low] + (y[high] - y[low]) * (at - x[low]) / (x[high] - x[low]);
}

// A run that has not come to its end has nothing to show; one that may be off says so.
function trusted(found) {
  if (found.verdict.startsWith("not resolved:")) throw Object.assign(new Error(found.verdict), { refused: true });
  const flag = found.flag && ` Beyond the model: ${found.flag}.`;
  return found.verdict === "resolved" ? flag : `${flag} Not resolved: with ${found.cells} cells this may be off by ${percent(found.error, 1)}.`;
}
const percent = (share, digits = 3) => (Number.isFinite(share) ? `${written(100 * share, digits)} %` : "an unknown share");
const REPLACED = [["native", "lithium", 1], ["foreign", "foreign ion", 3]];

function profiles(found, high, name) {
  return {
    title: "profile", x: DEPTH(high), y: FRACTION,
    curves: REPLACED.map(([ion, text, hue]) => ({ name: ion === "native" ? text : name, x: nm(found.x), y: found[ion], hue })),
  };
}

// The landscape, filled to where a fraction of the native ions lies. Energies from the bulk's level.
function filled(land, fraction, thermal) {
  const level = between(fraction, land.fraction, land.energy);
  const energy = line(land.bulk - 0.6, land.bulk + 0.25, 300);
  const sigma = land.sigma;
  const density = energy.map((value) => Math.exp(-0.5 * (value / sigma) ** 2) / (sigma * Math.sqrt(2 * Math.PI)));
  const share = (value) => (thermal ? 1 / (1 + Math.exp((value - level) / land.kT)) : value <= level ? 1 : 0);
  const meV = energy.map((value) => 1000 * (value - land.bulk));
  return { level: 1000 * (level - land.bulk), meV, density, occupied: density.map((value, n) => value * share(energy[n])) };
}

function sites(land, fraction, thermal, { names = ["occupied"], ...more } = {}) {
  const { level, meV, density, occupied } = filled(land, fraction, thermal);
  const areas = [{ name: names[0], x: meV, y: occupied, hue: 1 }];
  if (names.length > 1) {
    const gone = density.map((value, n) => (meV[n] > level && meV[n] <= 0 ? value : 0));
    areas.push({ name: names[1], x: meV, y: gone, hue: 2 });
  }
  return {
    title: "landscape", x: { label: "energy − bulk level / meV", low: -600, high: 250 },
    y: { label: "sites / eV⁻¹", low: 0, high: 6.5 },
    areas, curves: [{ x: meV, y: density, hue: 0 }], marks: names.length > 1 ? [] : [{ at: level, name: "E_F" }], ...more,
  };
}

async function landscape(values, data, ask) {
  const q = { ...data, ...values };
  const thermal = q.filled === "Fermi-Dirac";
  const land = await ask("landscape", { fwhm: q.fwhm, occupancy: q.occupancy, temperature: q.temperature, thermal, ratio: 1e-4 });
  if (!land) return null;
  const y = q.lithium, D = land.log_D.map((value) => q.D_bulk * Math.exp(value));
  const here = q.D_bulk * Math.exp(between(y, land.fraction, land.log_D));
  const { level } = filled(land, y, thermal);
  return {
    panels: [
      sites(land, y, thermal, {
        handle: "lithium" in values && {
          x: level, y: 0, parameter: "lithium", value: (place) => between(land.bulk + place / 1000, land.energy, land.fraction),
        },
      }),
      {
        title: "diffusion coefficient", x: { label: "lithium fraction y", low: 0, high: 1.02 },
        y: { label: "D / m² s⁻¹", low: 1e-26, high: 1e-17, log: true },
        curves: [{ x: land.fraction, y: D, hue: 1 }], points: [{ x: [y], y: [here], hue: 2 }],
      },
    ],
    says: `With ${percent(y)} of the lithium left its level lies ${written(-level)} meV below that of the bulk and D is ${written(here)} m²/s. `
      + `From y = 1 to 0.1 D falls by ${written(-between(0.1, land.fraction, land.log_D) / Math.LN10, 2)} decades.`,
  };
}

// The landscape while the front passes: what the native ions leave, the foreign ones fill.
async function passing({ lithium_left }, data, ask) {
  const land = await ask("landscape", { ...data, ratio: 1e-4 });
  if (!land) return null;
  const { level } = filled(land, lithium_left, false);
  return {
    panels: [sites(land, lithium_left, false, {
      title: "", names: ["native ions", "foreign ions"], marks: [{ at: level, name: "native E_F" }],
      handle: {
        x: level, y: 0, parameter: "lithium_left",
        value: (place) => between(land.bulk + place / 1000, land.energy, land.fraction),
      },
    })],
    says: `With ${percent(lithium_left)} of the lithium left its Fermi level is ${written(Math.abs(level))} meV below that of the bulk, where the foreign one stays.`,
  };
}

// Where the plateau of a foreign ion lies on the curve of D.
async function plateau({ temperature, filled: filling }, data, ask) {
  const { D_bulk, D_foreign, ...law } = data;
  const land = await ask("landscape", { ...law, temperature, thermal: filling === "Fermi-Dirac", ratio: D_foreign / D_bulk });
  if (!land) return null;
  const D = land.log_D.map((value) => D_bulk * Math.exp(value));
  const there = D_bulk * Math.exp(between(land.plateau, land.fraction, land.log_D));
  return {
    panels: [{
      x: { label: "lithium fraction y", low: 0, high: 1.02 }, y: { label: "D / m² s⁻¹", low: 1e-26, high: 1e-17, log: true },
      curves: [{ name: "lithium", x: land.fraction, y: D, hue: 1 }, { name: "rubidium", x: [0, 1], y: [D_foreign, D_foreign], hue: 3, dash: true }],
      points: [{ name: "plateau", x: [land.plateau], y: [there], hue: 0 }],
    }],
    says: `At ${written(temperature)} K, filled ${filling === "Fermi-Dirac" ? "as Fermi and Dirac say" : "sharply"}, D falls by `
      + `${written(-between(0.1, land.fraction, land.log_D) / Math.LN10, 2)} decades to y = 0.1; the plateau of rubidium is at ${percent(land.plateau)}.`,
  };
}

async function front(values, data, ask) {
  const q = { ...data, ...values };
  const land = await ask("landscape", { ...q.law, ratio: 10 ** q.log10_ratio, points: 600 });
  if (!land) return null;
  const replaced = q.replaced, depth = land.front_speed * replaced;
  const behind = land.fraction.filter((y) => y < land.plateau).length;
  const fan = nm(land.speed.slice(0, behind).map((speed) => speed * replaced));
  const touch = 1 - land.front_speed * (1 - land.plateau);
  const paths = [];
  for (const share of [0.15, 0.3, 0.45, 0.6, 0.75, 0.9]) {
    const speed = between(share * land.plateau, land.fraction, land.speed);
    paths.push({ x: [0, 120], y: [0, 120 * speed], hue: 1, thin: true });
  }
  return {
    panels: [
      {
        title: "construction", x: { label: "lithium fraction y", low: 0, high: 1.02 }, y: { label: "transference number t(y)", low: 0, high: 1.2 },
        curves: [
          { name: "t(y)", x: land.fraction, y: land.transference, hue: 1 },
          { name: "tangent from the bulk", x: [land.plateau, 1], y: [touch, 1], hue: 2, dash: true },
        ],
        points: [{ x: [land.plateau], y: [touch], hue: 2 }],
        marks: [{ at: land.plateau, name: "plateau" }],
      },
      {
        title: "profile", x: DEPTH(150), y: { label: "lithium fraction y", low: 0, high: 1.2 },
        curves: [{ x: [...fan, depth * 1e9, depth * 1e9, 150], y: [...land.fraction.slice(0, behind), land.plateau, 1, 1], hue: 1 }],
        marks: [{ at: depth * 1e9, name: "front" }],
      },
      {
        title: "characteristics", x: { label: "charge / nm", low: 0, high: 120 }, y: { label: "depth / nm", low: 0, high: 150 },
        curves: [...paths, { name: "front", x: [0, 120], y: [0, 120 * land.front_speed], hue: 2 }],
        marks: [{ at: replaced * 1e9, name: "now" }],
      },
    ],
    says: `log10 D_M/D_bulk = ${written(q.log10_ratio)}: the tangent touches at ${percent(land.plateau)}, the plateau; after a charge for `
      + `${written(replaced * 1e9)} nm the front is ${written(depth * 1e9)} nm deep.`,
  };
}

async function experiment(values, data, ask) {
  const { time, voltage } = values, { run, law, deep, area } = data;
  const found = await ask("simulate", { ...run, voltage, duration: time });
  const land = found && await ask("landscape", law);
  if (!land) return null;
  const warning = trusted(found);
  const here = between(deep, found.x, found.native);
  return {
    panels: [
      { ...profiles(found, 190, "rubidium"), marks: [{ at: deep * 1e9, name: `${written(deep * 1e9)} nm` }] },
      {
        title: "current", x: { label: "time / h", low: 0, high: 260 }, y: { label: "current / nA", low: 0, high: 7 * voltage },
        curves: [{ x: hours(found.time), y: found.current_density.map((j) => j * area * 1e9), hue: 0 }],
        points: [{ x: [last(found.time) / 3600], y: [last(found.current_density) * area * 1e9], hue: 0 }],
      },
      sites(land, Math.max(here, 1e-4), false, { title: `landscape at ${written(deep * 1e9)} nm` }),
    ],
    says: `After ${written(time / 3600)} h at ${written(voltage)} V the front is ${written(found.front_depth * 1e9)} nm deep and the current has fallen to `
      + `${percent(last(found.current_density) / found.current_density[0])} of its first value. Behind the front ${percent(found.plateau)} of the lithium is left, `
      + `${written(deep * 1e9)} nm deep ${percent(here)}.${warning}`,
  };
}

async function discretisation(values, data, ask) {
  const given = { ...data.run, D_foreign: data.foreign[values.ion] };
  const cells = Math.round(values.cells);
  const [resolved, found] = [await ask("simulate", given), await ask("simulate", { ...given, cells })];
  if (!resolved || !found) return null;
  trusted(found);
  const x = [], y = [];
  for (let c = 0; c < found.cells; c++) {
    x.push(found.nodes[c] * 1e9, found.nodes[c + 1] * 1e9);
    y.push(found.native[c], found.native[c]);
  }
  return {
    panels: [{
      x: { label: "depth / nm", low: 0, high: 75 }, y: { label: "lithium fraction y", low: 0, high: 0.3 },
      curves: [{ name: "resolved", x: nm(resolved.x), y: resolved.native, hue: 0 }, { name: `${cells} cells`, x, y, hue: 2 }],
    }],
    says: `${values.ion} on ${cells} cells that follow the front: plateau ${written(found.plateau)}, resolved ${written(resolved.plateau)}; `
      + `front at ${written(found.front_depth * 1e9, 4)} nm, resolved ${written(resolved.front_depth * 1e9, 4)} nm. `
      + `The run itself says: ${found.verdict}, estimated error ${percent(found.error, 2)}.`,
  };
}

// Residuals of counts in units of their noise: the signed root of Poisson's deviance.
function residuals(counts, expected) {
  return counts.map((count, n) => {
    const m = expected[n], log = count > 0 ? count * Math.log(count / m) : 0;
    return Math.sign(count - m) * Math.sqrt(Math.max(2 * (m - count + log), 0));
  });
}

// One measured run under the model: what `cait.fit.expected_counts` makes of a simulation.
async function compared(q, data, ask) {
  const { run, channels } = data, deeper = q.depth_scale ?? 1;
  const edges = Object.fromEntries(Object.entries(channels).map(([ion, one]) => [ion, one.edges.map((edge) => edge * deeper)]));
  const depth = data.depth.map((place) => place * deeper);
  const found = await ask("measured", {
    ...run, temperature: q.temperature ?? run.temperature, fwhm: q.fwhm, occupancy: q.occupancy ?? run.occupancy,
    D_bulk: q.D_bulk ?? run.D_bulk, D_foreign: (q.D_bulk ?? run.D_bulk) * 10 ** q.log_ratio, edges, sigma: q.resolution ?? data.resolution,
  });
  if (!found) return null;
  const warning = trusted(found);
  let square = 0, count = 0;
  const misses = {};
  for (const [ion, { counts, scale, background }] of Object.entries(channels)) {
    const expected = found.seen[ion].map((value, n) => Math.max(value * scale[n] + background[n], 1e-9));
    misses[ion] = residuals(counts, expected);
    data.used.forEach((used, n) => { if (used) { square += misses[ion][n] ** 2; count += 1; } });
  }
  const points = REPLACED.map(([ion, text, hue]) => ({
    name: `${ion === "native" ? text : data.foreign}, counted`, x: depth, hue,
    y: channels[ion].counts.map((value, n) => (value - channels[ion].background[n]) / channels[ion].scale[n]),
  }));
  const curves = REPLACED.map(([ion], n) => ({ name: n ? undefined : "model", x: depth, y: found.seen[ion], hue: 0 }));
  return {
    found, misses, depth, square: square / count, warning,
    panel: { title: "profiles in", x: DEPTH(140), y: { ...FRACTION, high: 1.15 }, points, curves },
  };
}

async function fit(values, data, ask, own) {
  const one = await compared(values, data, ask);
  if (!one) return null;
  const { found, misses, depth, square, panel, warning } = one;
  if (own) panel.points = [...panel.points, { name: "yours", x: own.x, y: own.y, hue: 4 }];
  const used = depth.map((_, n) => n).filter((n) => data.used[n]);
  const most = 8, kept = (miss) => Math.max(-most, Math.min(most, miss)); // what is worse stands at the edge
  const hoursNeeded = last(found.time) / 3600;
  return {
    below: true,
    panels: [
      { ...panel, title: `${data.foreign} run: ${written(hoursNeeded)} h, measured ${written(data.duration / 3600)} h` },
      {
        title: "residuals", height: 210, x: DEPTH(140), y: { label: "over the noise", low: -1.1 * most, high: 1.1 * most },
        points: REPLACED.map(([ion, , hue]) => ({ x: used.map((n) => depth[n]), y: used.map((n) => kept(misses[ion][n])), hue })),
        marks: [{ at: 0, side: "y" }],
      },
    ],
    says: `Landscape of ${written(values.fwhm * 1000, 4)} meV: chi-square ${written(square)} a count; the model leaves a plateau of ${percent(found.plateau)} `
      + `and takes ${written(hoursNeeded, 4)} h, the run took ${written(data.duration / 3600, 4)} h.${warning}`,
  };
}

async function find(values, data, ask) {
  const q = { fwhm: values.width, log_ratio: -Math.log10(values.rubidium) };
  const one = await compared(q, data, ask);
  const land = one && await ask("landscape", { ...data.law, fwhm: q.fwhm, ratio: 10 ** q.log_ratio });
  if (!land) return null;
  const { found, square, panel, warning } = one;
  const verdict = square < 1.5 ? "You found it: the model runs through the points." : square < 4 ? "Close." : "The model misses the points.";
  return {
    panels: [
      { ...panel, share: 3 },
      sites(land, found.plateau, false, { share: 2, title: "landscape out", names: ["left behind", "moved"] }),
    ],
    says: `${verdict} Chi-square ${written(square)} a count: with a landscape ${written(q.fwhm * 1000, 4)} meV wide ${percent(found.plateau)} of the lithium stays behind the front.${warning}`,
  };
}

// Pictures between computed ones, as `cait_helpers.teaching.tabulated` has stored them: straight
// lines from node to node of each slider. Nothing is known here of what they show.
function unpacked({ data, low, high, log, size }) {
  const bytes = decoded(data), count = bytes.length / 2 / size.reduce((a, b) => a * b, 1);
  const numbers = Float64Array.from({ length: bytes.length / 2 }, (_, n) => {
    const step = bytes[2 * n] + 256 * bytes[2 * n + 1];
    return step > 65534 ? NaN : low + (high - low) * step / 65534;
  });
  return { numbers, size, count, log };
}

function mixed({ numbers, size, count, log }, places) {
  let corners = [[0, 1]]; // row, weight
  places.forEach(({ cell, share }, axis) => {
    corners = corners.flatMap(([row, weight]) => (size[axis] === 1 ? [[row, weight]]
      : [[row * size[axis] + cell, weight * (1 - share)], [row * size[axis] + cell + 1, weight * share]]));
  });
  corners = corners.filter(([, weight]) => weight > 0);
  return Array.from({ length: count }, (_, n) => {
    const value = corners.reduce((sum, [row, weight]) => sum + weight * numbers[row * count + n], 0);
    return log ? 10 ** value : value;
  });
}

async function table(values, data) {
  let variant = 0;
  const places = [], settings = {};
  for (const { name, nodes, log, si, texts } of data.axes) {
    if (texts) {
      variant = variant * texts.length + texts.indexOf(values[name]);
      settings[name] = values[name];
      continue;
    }
    const map = log ? Math.log : Number, here = values[name] / si;
    const cell = Math.max(0, Math.min(nodes.length - 2, nodes.findLastIndex((node) => node <= here)));
    const share = (map(here) - map(nodes[cell])) / (map(nodes[cell + 1]) - map(nodes[cell]));
    places.push({ cell, share: Math.min(1, Math.max(0, share)) });
    settings[name] = here;
  }
  const shown = data.variants[variant];
  data.unpacked ??= data.arrays.map(unpacked);
  const list = (number) => mixed(data.unpacked[shown.arrays[number]], places);
  const numbers = { ...settings };
  for (const [name, number] of Object.entries(shown.numbers)) [numbers[name]] = list(number);
  const panels = shown.panels.map((panel) => {
    const drawn = panel.curves.map((one) => ({
      ...one, x: list(one.x), y: list(one.y), dash: one.kind === "dashed", thin: one.kind === "thin",
    }));
    const dots = ({ kind }) => kind === "dots";
    return { ...panel, curves: drawn.filter((one) => !dots(one)), points: drawn.filter(dots) };
  });
  const says = shown.says.replace(/\{(\w+)(%?)\}/g, (_, name, share) => {
    const value = numbers[name];
    return typeof value === "string" ? value : share ? percent(value) : written(value);
  });
  return { panels, says };
}

const scenes = { table, landscape, filling: landscape, passing, plateau, front, experiment, discretisation, fit, find };
