// The package's kernels behind a few functions in SI units. This text runs in a Worker; CONSTANTS
// and the doors of the module come from the build (book/wasm.py). Nothing of the physics is
// written here: what follows is the scaling of `cait_helpers.npp`, and places in memory.
"use strict";

const NM = 1e-9, { PIECES, FLOOR } = CONSTANTS, MAX_STEPS = 5000;
let wasm = null; // the compiled module
let instance = null; // and what it exports, with its memory

function open() {
  const memory = new WebAssembly.Memory({ initial: 512 });
  const env = {
    __linear_memory: memory,
    __stack_pointer: new WebAssembly.Global({ value: "i32", mutable: true }, CONSTANTS.stack),
    __indirect_function_table: new WebAssembly.Table({ element: "anyfunc", initial: 8 }),
  };
  instance = { ...new WebAssembly.Instance(wasm, { env }).exports, memory };
}

// numba's way to be called: first room for a result and for an exception, and a status comes back.
function call(name, ...given) {
  if (instance[name](CONSTANTS.stack, CONSTANTS.stack + 16, ...given)) throw new Error(`${name} has failed`);
}

// Room in the memory of the module, from an empty arena on: `at` for the doors, and the numbers.
function clear() {
  instance.release(CONSTANTS.stack + 64);
}
function room(size, values) {
  const at = instance.allocate(8 * size);
  const place = { at, size, get numbers() { return new Float64Array(instance.memory.buffer, at, size); } };
  place.numbers.fill(0);
  if (values) place.numbers.set(values);
  return place;
}

class Refused extends Error {}

function checked(given) {
  const { ranges } = CONSTANTS; // name: lowest, highest, unit
  for (const name of Object.keys(given)) {
    if (!(name in ranges)) throw new Refused(`${name} is none of ${Object.keys(ranges).join(", ")}`);
  }
  const alternatives = [["voltage", "current_density"], ["charge", "duration"]];
  for (const pair of alternatives) {
    if (pair.filter((name) => given[name] !== undefined).length !== 1) {
      throw new Refused(`give either ${pair.join(" or ")}`);
    }
  }
  const optional = new Set([...alternatives.flat(), "cells"]);
  for (const [name, [low, high, unit = ""]] of Object.entries(ranges)) {
    const value = given[name];
    if (value === undefined && optional.has(name)) continue;
    if (!(typeof value === "number" && value >= low && value <= high)) {
      throw new Refused(`${name} = ${value} is not a number from ${low} to ${high} ${unit}`.trim());
    }
  }
  if (given.cells !== undefined && !Number.isInteger(given.cells)) {
    throw new Refused(`cells = ${given.cells} is not a whole number`);
  }
  return given;
}

// As in `npp._scale`: lengths in nm, and one unit of time replaces one nanometre.
function scaled(q) {
  const { e, e_squared, k, epsilon_0, boltzmann, sigma_per_fwhm } = CONSTANTS;
  const thermal = k * q.temperature / e;
  const charge_density = e * q.ion_density;
  const debye = Math.sqrt(epsilon_0 * q.permittivity * k * q.temperature / (e_squared * q.ion_density));
  const potentiostatic = q.voltage !== undefined;
  const velocity = potentiostatic
    ? q.D_bulk * q.voltage / (thermal * q.thickness)
    : q.current_density / charge_density;
  const unit_time = NM / velocity, unit = velocity * NM, thickness = q.thickness / NM;
  const unit_charge = e * q.ion_density * NM;
  let t_end = 1e15, charge_end = Infinity;
  if (q.duration !== undefined) {
    t_end = Math.min(q.duration / unit_time, 1e15);
    if (!potentiostatic && t_end > 0.9 * thickness) {
      throw new Refused(`duration = ${q.duration} s of this current supplies more than nine tenths of the native charge of the plate`);
    }
  } else {
    charge_end = q.charge / unit_charge;
    if (charge_end > 0.9 * thickness) {
      throw new Refused(`charge = ${q.charge} C/m^2 is more than nine tenths of the native charge of the plate, ${charge_density * q.thickness} C/m^2`);
    }
    if (!potentiostatic) t_end = charge_end;
  }
  const width = Math.max(q.D_foreign / unit, 0.5 * (debye / NM));
  const depth = Math.min(charge_end, t_end, thickness);
  return {
    thermal, debye, potentiostatic, unit_charge, unit_current: charge_density * velocity, velocity, unit_time, unit, thickness, t_end, charge_end,
    lam2: (debye / NM) * (debye / NM), drive: potentiostatic ? q.voltage / thermal : 1,
    surface: 0.05 * Math.min(width, depth, 1),
    sigma: q.fwhm * sigma_per_fwhm, kT: boltzmann * q.temperature,
  };
}

// One run on a mesh of so many cells that follows the front: `simulate(..., mesh=cells)`.
function run(q, s, cells, tol) {
  clear();
  const table = room(2 * PIECES * 4), x = room(cells + 1), state = room(2 * cells), y = room(2 * cells);
  const drive = room(4, [0, 1e300, s.drive, s.drive]), history = room(4 * (MAX_STEPS + 1)), out = room(6);
  call("table", PIECES, FLOOR, q.D_bulk, s.sigma, q.occupancy, s.kT, s.unit, table.at + 8 * PIECES * 4);
  table.numbers.set([q.D_foreign / s.unit, NaN]);
  const held = [table.at, s.lam2, 0, s.potentiostatic ? 1 : 0];
  call("untouched_mesh", s.surface, s.thickness, cells, x.at);
  call("rest_field", cells, PIECES, ...held, x.at, state.at, s.drive);
  call(
    "advance", cells, 2, PIECES, ...held, x.at, state.at, drive.at, s.t_end, s.charge_end, tol,
    0.2 * s.surface, s.surface, MAX_STEPS, history.at, out.at,
  );
  call("fractions", cells, s.lam2, 0, x.at, state.at, y.at);
  const [verdict, steps, , , lowest, strongest] = out.numbers;
  const rows = history.numbers, ends = y.numbers;
  const column = (m, scale) => Float64Array.from({ length: steps + 1 }, (_, n) => rows[4 * n + m] * scale);
  const nodes = x.numbers.map((place) => place * NM);
  const tiny = (value) => (Math.abs(value) < 1e-99 ? 0 : value);
  const found = {
    nodes,
    x: Float64Array.from({ length: cells }, (_, c) => 0.5 * (nodes[c + 1] + nodes[c])),
    native: Float64Array.from({ length: cells }, (_, c) => tiny(ends[2 * c + 1])),
    foreign: Float64Array.from({ length: cells }, (_, c) => tiny(ends[2 * c])),
    time: column(0, NM / s.velocity), charge: column(1, s.unit_charge),
    current_density: column(2, s.unit_current), voltage: column(3, s.thermal),
    cells, steps, undershoot: lowest, largest_field: strongest * (s.thermal / NM),
  };
  const finite = [found.native, found.time, found.current_density].every((list) => list.every(Number.isFinite));
  const arrived = ends[2 * cells - 2];
  if (arrived > 1e-3) found.failure = "the foreign ions have come to the back electrode";
  else if (verdict === 1) found.failure = `more than ${MAX_STEPS} steps`;
  else if (verdict === 2) found.failure = "the time step collapsed";
  else if (!finite) found.failure = "the numbers grew without bound";
  else if (s.charge_end < Infinity && rows[4 * steps + 1] < 0.999999 * s.charge_end) {
    found.failure = "the charge asked for was not reached";
  }
  found.hopeless = arrived > 1e-3;
  const place = room(2);
  call("front", cells, room(cells + 1, nodes).at, room(cells, found.native).at, place.at);
  [found.front_depth, found.plateau] = place.numbers;
  return found;
}

// Fractions of a run at increasing depths (m), straight in each cell with its mean.
function sampled(found, places) {
  clear();
  const at = room(places.length, places), out = room(places.length);
  call(
    "sample", found.cells, 1, room(found.nodes.length, found.nodes).at, room(found.cells, found.native).at,
    places.length, at.at, out.at,
  );
  return out.numbers.slice();
}

// How far a run may be off, from a second one with two thirds of the cells and coarser steps.
function estimate(coarse, fine) {
  // As `npp._estimate`: but three times the likely error, for a single place may be off by more.
  const share = 3 / ((fine.cells / coarse.cells) ** 2 - 1);
  const last = (list) => list[list.length - 1];
  const off = {};
  if (Math.min(coarse.front_depth, fine.front_depth) > 0) {
    off.front = Math.abs(coarse.front_depth / fine.front_depth - 1);
    const behind = Float64Array.from({ length: 36 }, (_, m) => 0.2 + 0.02 * m);
    off.place = Math.abs(coarse.plateau - fine.plateau) / (fine.plateau + 1e-3);
    const [left, right] = [coarse, fine].map((one) => sampled(one, behind.map((b) => b * one.front_depth)));
    const mean = (list) => list.reduce((a, b) => a + b) / list.length;
    off.plateau = mean(left.map((value, m) => Math.abs(value - right[m]) / (Math.max(right[m], 0) + 1e-3)));
  }
  const there = sampled(coarse, fine.x);
  let missed = 0, depth = fine.nodes[1];
  fine.native.forEach((value, c) => {
    missed += (fine.nodes[c + 1] - fine.nodes[c]) * Math.abs(there[c] - value);
    if (value < 0.99) depth = Math.max(depth, fine.nodes[c + 1]);
  });
  off.profile = missed / depth;
  off.drive = Math.max(...["time", "charge", "voltage"].map(
    (name) => Math.abs(last(coarse[name]) - last(fine[name])) / Math.max(...fine[name]),
  ));
  return share * Math.max(...Object.values(off));
}

function simulate(given) {
  const q = checked(given), s = scaled(q);
  let found = null;
  for (const cells of q.cells === undefined ? CONSTANTS.ladder : [q.cells]) {
    found = run(q, s, cells, 5e-4);
    if (found.hopeless) break;
    if (found.failure) continue;
    const coarse = run(q, s, Math.max(20, Math.round(cells / 1.5)), 1.125e-3);
    found.error = coarse.failure || coarse.cells === cells ? NaN : estimate(coarse, found);
    const end = found.current_density.length - 1;
    const decay = q.D_foreign / s.unit / (found.current_density[end] / s.unit_current) * NM;
    let smallest = Infinity;
    for (let c = 0; c < cells; c++) smallest = Math.min(smallest, found.nodes[c + 1] - found.nodes[c]);
    found.resolved = found.error <= 1e-3 && found.undershoot > -1e-2
      && smallest <= 0.5 * Math.max(decay, s.debye);
    if (found.resolved) break;
  }
  const { failure, hopeless, resolved, ...rest } = found;
  rest.verdict = failure ? `not resolved: ${failure}` : resolved ? "resolved" : "not resolved";
  rest.flag = rest.largest_field > CONSTANTS.strongest_field // as `npp.Run.flags`
    ? `the field reaches ${rest.largest_field.toPrecision(2)} V/m: no glass is a glass there` : "";
  return rest;
}

// A Gaussian landscape and the front that it leads to: one array for each column of the door.
function landscape({ fwhm, occupancy, temperature, thermal = false, ratio, points = 400 }) {
  clear();
  const out = room(6 * (points + 1)), kT = CONSTANTS.boltzmann * temperature;
  call("landscape", points, fwhm * CONSTANTS.sigma_per_fwhm, occupancy, kT, thermal ? 1 : 0, ratio, out.at);
  const rows = out.numbers.slice();
  const column = (m) => Float64Array.from({ length: points }, (_, n) => rows[6 * n + m]);
  const [energy, density, fraction, log_D, transference, speed] = [0, 1, 2, 3, 4, 5].map(column);
  const [level, , plateau, log_D_plateau] = rows.slice(6 * points);
  const r = Math.exp(log_D_plateau) / ratio;
  return {
    kT, sigma: fwhm * CONSTANTS.sigma_per_fwhm, energy, density, fraction, log_D, transference, speed, plateau, level,
    bulk: energy[points - 1], front_speed: 1 / (plateau * r + 1 - plateau),
  };
}

// A run, and what an instrument of a Gaussian resolution (m) sees of each ion in slices of depth.
function measured({ edges, sigma, ...given }) {
  const found = simulate(given);
  const seen = (values, slices) => {
    clear();
    const out = room(slices.length - 1);
    call("blur", found.cells, room(found.cells, found.x).at, room(found.cells, values).at, slices.length, room(slices.length, slices).at, sigma, out.at);
    return out.numbers.slice();
  };
  found.seen = { native: seen(found.native, edges.native), foreign: seen(found.foreign, edges.foreign) };
  return found;
}

// For tests: more memory than there is.
const trap = () => { clear(); instance.allocate(2 ** 31 - 1); };

const CALLS = { simulate, landscape, measured, trap };

onmessage = ({ data: { id, bytes, name, given } }) => {
  try {
    if (bytes) wasm = new WebAssembly.Module(bytes);
    if (!instance) open();
    postMessage({ id, result: name ? CALLS[name](given) : null });
  } catch (error) {
    instance = null; // after a trap the memory is not to be trusted
    postMessage({ id, error: error.message, refused: error instanceof Refused });
  }
};
