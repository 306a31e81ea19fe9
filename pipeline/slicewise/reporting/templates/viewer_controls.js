// The inputs of a viewer: filled with what a scan has, they tell the viewer what to show.

function element(name, attributes = {}, ...children) {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(...children);
  return made;
}

class Controls {
  constructor(root) {
    this.root = root;
  }

  part(name) {
    return this.root.querySelector(`[data-part="${name}"]`);
  }

  parts(name) {
    return [...this.root.querySelectorAll(`[data-part="${name}"]`)];
  }

  // What the viewer is doing; only a ready one is to be handled.
  enter(state, text) {
    this.root.dataset.state = state;
    this.part("message").textContent = text;
    this.part("message").hidden = !text;
    for (const part of this.parts("tools")) part.inert = state !== "ready";
  }

  // Fill the controls with what the scan has.
  fill() {
    const { notes, masks, window: range } = this.scan;
    this.part("sides").hidden = !this.scan.has_sides;
    this.part("notes").replaceChildren(...notes.map((text) => element("p", {}, text)));
    const span = range.highest - range.lowest;
    const step = span > 500 ? 1 : rounded(span / 500, 1);
    for (const input of this.parts("level")) {
      Object.assign(input, { min: range.lowest, max: range.highest, step });
    }
    for (const input of this.parts("width")) Object.assign(input, { min: step, max: span, step });
    // A typed number need not fit the steps of the slider.
    for (const input of this.root.querySelectorAll('input[type="number"]')) input.step = "any";
    this.part("masks").hidden = masks.length === 0;
    this.part("list").replaceChildren(...masks.map((mask, i) => this.maskControls(mask, i)));
    this.tellWindow();
    this.restyle();
  }

  maskControls(mask, place) {
    const choice = element("select", { ariaLabel: `how ${mask.name} is shown` },
      ...["fill", "outline", "hidden"].map((style) => element("option", { value: style }, style)));
    // A second mask is a line around the first, so that both are seen.
    choice.value = place === 0 ? "fill" : "outline";
    const rows = mask.structures.map((structure) => {
      const swatch = element("span", { className: "swatch" });
      swatch.style.background = structure.colour;
      const box = element("input", { type: "checkbox", checked: true });
      return element("li", {},
        element("label", {}, box, swatch, element("span", {}, structure.name)),
        element("output", {}, structure.volume));
    });
    const line = ["", " (dashed)", " (short dashes)", " (dots)"][place];
    const made = element("div", { className: "mask" },
      element("div", { className: "row" }, element("b", {}, mask.name), choice, line),
      element("ul", {}, ...rows));
    made.dataset.part = "mask";
    return made;
  }

  listen() {
    const on = (name, event, action) =>
      this.parts(name).forEach((part) => part.addEventListener(event, action));
    on("scan", "change", () => this.open(this.part("scan").selectedIndex));
    on("view", "change", () => this.view(this.part("view").value));
    on("zoom", "input", () => this.zoom());
    on("opacity", "input", () => this.restyle());
    on("list", "change", () => this.restyle());
    on("smooth", "change", () =>
      this.renderer.setInterpolation(!this.part("smooth").checked));
    on("crosshair", "change", () => this.renderer.setCrosshairWidth(
      this.part("crosshair").checked ? CROSSHAIR_PERCENT : 0));
    on("reset", "click", () => this.resetWindow());
    on("level", "input", (event) => this.windowFrom(event.target));
    on("width", "input", (event) => this.windowFrom(event.target));
    on("go", "submit", (event) => {
      event.preventDefault();
      this.moveTo(this.parts("world").map((input) => Number(input.value)));
    });
    for (const slider of this.root.querySelectorAll("[data-plane]")) {
      slider.addEventListener("input", () => this.slide(slider));
    }
    this.listenToCanvas();
  }

  slide(slider) {
    const index = this.index;
    index[PLANES.indexOf(slider.dataset.plane)] = Number(slider.value) - 1;
    this.place(index);
  }

  windowFrom(input) {
    if (!Number.isFinite(input.valueAsNumber)) return;
    const { cal_min: low, cal_max: high } = this.volume;
    const isLevel = input.dataset.part === "level";
    const level = isLevel ? input.valueAsNumber : (low + high) / 2;
    const width = isLevel ? high - low : input.valueAsNumber;
    if (width > 0) this.window(level, width);
  }

  // The renderer listens to the canvas; what it should not hear is stopped on the way.
  listenToCanvas() {
    const { stage } = this;
    this.canvas.addEventListener("webglcontextlost", () =>
      this.fail("the browser took its graphics away; open the page again"));
    new ResizeObserver(() => this.scan && this.letter()).observe(stage);
    const stop = (event) => event.stopPropagation();
    stage.addEventListener("keydown", (event) => {
      event.stopPropagation();
      const [axis, step] = STEPS[event.key] ?? [];
      if (axis === undefined || !this.volume) return;
      event.preventDefault();
      const index = this.index;
      index[axis] += step;
      this.place(index);
    }, true);
    stage.addEventListener("keyup", stop, true);
    stage.addEventListener("dblclick", stop, true);
    stage.addEventListener("wheel", (event) => {
      const isOurs = "alone" in this.root.dataset || document.activeElement === this.canvas;
      if (!isOurs || event.ctrlKey) event.stopPropagation();
    }, true);
    for (const name of ["mousemove", "touchmove"]) {
      stage.addEventListener(name, () => this.volume && this.tellWindow());
    }
  }
}
