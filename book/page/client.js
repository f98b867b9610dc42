// window.cait: the package's solver in the page. `await cait.simulate({...})` in SI units, from the
// console or from a script; see chapters/api. The Worker keeps the page alive meanwhile.
class Solver {
  constructor(source, bytes) {
    this.source = source;
    this.bytes = bytes;
    this.waiting = new Map(); // id -> what to do with the answer
    this.queue = new Map(); // key -> the newest call that has not been sent yet
    this.busy = null;
    this.last = 0;
    this.dead = "";
    this.patience = 8000; // ms without an answer, after which the Worker counts as dead
    this.failing = false; // for tests: the next calls trap
  }

  start() {
    if (this.worker || this.dead) return;
    if (typeof WebAssembly !== "object" || typeof Worker !== "function") {
      this.dead = "this browser has no WebAssembly";
      return;
    }
    try {
      const place = URL.createObjectURL(new Blob([this.source], { type: "text/javascript" }));
      this.worker = new Worker(place);
      this.worker.onmessage = ({ data }) => this.answered(data);
      this.worker.onerror = () => this.die("its Worker has failed");
      this.worker.postMessage({ id: 0, bytes: this.bytes });
    } catch (error) {
      this.die(error.message);
    }
  }

  die(reason) {
    this.dead = reason;
    this.worker?.terminate();
    clearTimeout(this.watch);
    const lost = [...this.queue.values(), ...(this.busy ? [this.busy] : [])];
    this.queue.clear();
    this.busy = null;
    for (const { reject } of lost) reject(new Error(`the solver does not answer: ${reason}`));
  }

  // Ask for one thing. Of several calls with one key only the newest is computed; those that it
  // overtakes give null.
  call(name, given, key = Symbol(name)) {
    this.start();
    if (this.dead) return Promise.reject(new Error(`the solver does not answer: ${this.dead}`));
    return new Promise((resolve, reject) => {
      this.queue.get(key)?.resolve(null);
      this.queue.set(key, { name, given, resolve, reject });
      this.send();
    });
  }

  send() {
    if (this.busy || !this.queue.size) return;
    const [key, call] = this.queue.entries().next().value;
    this.queue.delete(key);
    this.busy = call;
    this.last += 1;
    this.watch = setTimeout(() => this.die(`no answer in ${this.patience / 1000} seconds`), this.patience);
    this.worker.postMessage({ id: this.last, name: this.failing ? "trap" : call.name, given: call.given });
  }

  answered({ id, result, error, refused }) {
    if (id === 0) {
      if (error) this.die(error);
      return;
    }
    if (!this.busy || id !== this.last) return;
    clearTimeout(this.watch);
    const { resolve, reject } = this.busy;
    this.busy = null;
    if (error === undefined) resolve(result);
    else reject(Object.assign(new Error(error), { refused: Boolean(refused) }));
    this.send();
  }
}

function decoded(text) {
  const letters = atob(text), bytes = new Uint8Array(letters.length);
  for (let n = 0; n < letters.length; n++) bytes[n] = letters.charCodeAt(n);
  return bytes;
}

const solver = new Solver(WORKER, decoded(MODULE));
window.cait = {
  solver,
  simulate: (given, key) => solver.call("simulate", given, key),
};
