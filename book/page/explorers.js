// Explorers that compute: the sliders, boxes and lists that `cait.explore` has put on the page drive
// a scene (scenes.js), which asks the solver and says what to draw. Until the first answer, and
// whenever the solver fails, the stored picture stands.
class Explorer {
  constructor(root) {
    this.root = root;
    this.name = root.id.replace("explorer-", "");
    this.scene = scenes[root.dataset.scene];
    this.data = JSON.parse(root.dataset.given);
    this.stored = root.querySelector("img");
    this.says = root.querySelector(".explorer-says");
    this.note = root.querySelector(".explorer-note");
    this.stage = document.createElement("div");
    this.stage.className = "explorer-stage";
    this.stage.hidden = true;
    this.stored.after(this.stage);
    this.controls = [...root.querySelectorAll(".explorer-control")].map((part) => new Control(part, () => this.changed()));
    this.reset = root.querySelector(".explorer-reset");
    this.reset.addEventListener("click", () => {
      for (const control of this.controls) control.set(control.start);
      this.changed();
      this.remember();
    });
    this.reset.disabled = false;
    root.addEventListener("change", () => this.remember());
    this.own = root.querySelector(".explorer-own");
    if (this.own) receive(this.own, (points) => { this.points = points; this.changed(); });
    this.recall();
    this.drag();
    new ResizeObserver(() => this.changed()).observe(root);
    new IntersectionObserver((seen) => {
      this.seen = seen.some((one) => one.isIntersecting);
      if (this.seen) this.changed();
    }, { rootMargin: "300px" }).observe(root);
  }

  values() {
    return Object.fromEntries(this.controls.map((control) => [control.name, control.si()]));
  }

  // At most one frame is on its way; the newest settings are drawn after it.
  changed() {
    this.stale = true;
    if (this.drawing || !this.seen) return;
    this.drawing = true;
    requestAnimationFrame(async () => {
      this.stale = false;
      try {
        const ask = (call, given) => solver.call(call, given, `${this.name} ${call}`);
        const found = await this.scene(this.values(), this.data, ask, this.points ?? null);
        if (found) this.show(found);
      } catch (error) {
        this.fail(error);
      }
      this.drawing = false;
      if (this.stale) this.changed();
    });
  }

  show({ panels, says, below }) {
    const width = Math.floor(this.root.clientWidth);
    if (width < 50) return;
    this.panels = panels;
    this.stage.innerHTML = picture(panels, width, says, this.name, below);
    this.says.textContent = says;
    this.stage.hidden = false;
    this.stored.hidden = true;
    this.note.hidden = true;
  }

  fail(error) {
    this.stage.hidden = true;
    this.stored.hidden = false;
    this.says.textContent = this.stored.alt;
    this.note.textContent = error.refused
      ? `Not computed: ${error.message}. The picture is the stored one.`
      : `The solver of this page has failed (${error.message}). The picture is the stored one.`;
    this.note.hidden = false;
    if (solver.dead && this.scene !== scenes.table) for (const control of this.controls) control.disable();
  }

  // A handle in the picture moves the parameter that it belongs to.
  drag() {
    const move = (event) => {
      const { from, to, low, high } = this.held;
      const box = this.stage.firstChild.getBoundingClientRect();
      const share = (event.clientX - box.left - from) / (to - from);
      const place = low + Math.min(1, Math.max(0, share)) * (high - low);
      const { parameter, value } = this.handle;
      this.controls.find((control) => control.name === parameter)?.set(value(place));
      this.changed();
    };
    this.stage.addEventListener("pointerdown", (event) => {
      if (!event.target.classList.contains("handle")) return;
      event.preventDefault();
      this.held = Object.fromEntries(["from", "to", "low", "high"].map((key) => [key, Number(event.target.dataset[key])]));
      this.handle = this.panels.find((panel) => panel.handle).handle;
      addEventListener("pointermove", move);
      addEventListener("pointerup", () => {
        removeEventListener("pointermove", move);
        this.remember();
      }, { once: true });
    });
  }

  // The settings stand in the address, so that a link carries them.
  remember() {
    const settings = this.controls
      .filter((control) => control.value() !== control.start)
      .map((control) => `${control.name}=${encodeURIComponent(control.value())}`);
    const hash = settings.length ? `#${this.root.id}:${settings.join("&")}` : `#${this.root.id}`;
    try { history.replaceState(history.state, "", hash); } catch { /* a page that may not */ }
  }

  recall() {
    const [id, settings] = decodeURIComponent(location.hash.slice(1)).split(":");
    if (id !== this.root.id) return;
    for (const [name, value] of new URLSearchParams(settings ?? "")) {
      this.controls.find((control) => control.name === name)?.set(value);
    }
    this.root.scrollIntoView();
  }
}

// One parameter: a slider with a box for its number, or a list to choose from.
class Control {
  constructor(part, changed) {
    this.part = part;
    this.name = part.dataset.name;
    this.slider = part.querySelector("input[type=range]");
    this.box = part.querySelector("input[type=number]");
    this.list = part.querySelector("select");
    this.fields = [this.slider, this.box, this.list].filter(Boolean);
    this.log = part.dataset.scale === "log";
    this.unit = part.dataset.unit ?? "";
    this.start = this.list ? this.list.value : Number(part.dataset.start);
    this.low = Number(part.dataset.low);
    this.high = Number(part.dataset.high);
    for (const field of this.fields) field.disabled = false;
    this.set(this.start);
    this.slider?.addEventListener("input", () => {
      const share = this.slider.valueAsNumber / Number(this.slider.max);
      const number = this.log ? this.low * (this.high / this.low) ** share : this.low + share * (this.high - this.low);
      this.show(Number(number.toPrecision(4)), this.slider);
      changed();
    });
    this.box?.addEventListener("change", () => { this.set(this.box.value); changed(); });
    this.list?.addEventListener("change", changed);
  }

  set(value) {
    if (this.list) {
      if ([...this.list.options].some((option) => option.value === value)) this.list.value = value;
      return;
    }
    const number = Number(value);
    if (value === "" || !Number.isFinite(number)) this.show(this.now, null);
    else this.show(Math.min(this.high, Math.max(this.low, number)), null);
  }

  show(number, from) {
    this.now = number;
    const share = this.log ? Math.log(number / this.low) / Math.log(this.high / this.low) : (number - this.low) / (this.high - this.low);
    if (from !== this.slider) this.slider.value = Math.round(share * Number(this.slider.max));
    this.box.value = Number(number.toPrecision(6));
    this.slider.setAttribute("aria-valuetext", `${written(number, 4)} ${this.unit}`.trim());
  }

  value() {
    return this.list ? this.list.value : this.now;
  }

  si() {
    return this.list ? this.list.value : this.now * Number(this.part.dataset.si);
  }

  disable() {
    for (const field of this.fields) field.disabled = true;
  }
}

// A table "depth / nm, fraction" that a reader pastes or drops: it stays in the page.
function receive(part, changed) {
  const text = part.querySelector("textarea"), answer = part.querySelector("output");
  const read = () => {
    const rows = text.value.split(/\r?\n/).filter((line) => line.trim() && !/^\s*(#|[A-Za-z"])/.test(line));
    const numbers = rows.map((line) => line.trim().split(/[\s;,\t]+/).map(Number));
    const good = numbers.filter((row) => row.length >= 2 && row.slice(0, 2).every(Number.isFinite));
    if (!text.value.trim()) answer.value = "";
    else if (good.length < 2 || good.length < rows.length) {
      answer.value = `Line ${numbers.findIndex((row) => !good.includes(row)) + 1} of the numbers is not "depth, fraction".`;
    } else answer.value = `${good.length} points.`;
    changed(good.length >= 2 && good.length === rows.length
      ? { x: good.map((row) => row[0]), y: good.map((row) => row[1]) } : null);
  };
  text.disabled = false;
  text.addEventListener("input", read);
  text.addEventListener("dragover", (event) => event.preventDefault());
  text.addEventListener("drop", async (event) => {
    const [file] = event.dataTransfer.files;
    if (!file) return;
    event.preventDefault();
    text.value = await file.text();
    read();
  });
}

for (const root of document.querySelectorAll(".explorer[data-scene]")) {
  const computes = root.dataset.scene !== "table"; // a table needs no solver
  if (computes) solver.start();
  if (computes && solver.dead) {
    const note = root.querySelector(".explorer-note");
    note.textContent = `The sliders need a solver, and ${solver.dead}. The picture is the stored one.`;
    note.hidden = false;
  } else new Explorer(root);
}
