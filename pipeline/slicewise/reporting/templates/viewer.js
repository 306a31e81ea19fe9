// A page with viewers in; viewers that draw when they come into sight out.

const PLANES = ["sagittal", "coronal", "axial"]; // across the axes of a RAS grid
const VIEWS = { axial: 0, coronal: 1, sagittal: 2, all: 3 };
// Grid axes that run to the left and upwards on the screen: axial, coronal, sagittal.
const SCREEN_AXES = [[0, 1], [0, 2], [1, 2]];
const DRAG = { none: 0, pan: 3, crosshair: 8, windowing: 9 };
const STEPS = {
  ArrowRight: [0, -1], ArrowLeft: [0, 1], ArrowUp: [1, 1], ArrowDown: [1, -1],
  PageUp: [2, 1], PageDown: [2, -1],
};
const CROSSHAIR_PERCENT = 0.4; // of the width of the scan
const OPTIONS = {
  isRadiologicalConvention: true, sagittalNoseLeft: true, isOrientationTextVisible: false,
  multiplanarShowRender: 0, multiplanarPadPixels: 6, isForceMouseClickToVoxelCenters: true,
  crosshairWidth: CROSSHAIR_PERCENT, crosshairWidthUnit: "percent", crosshairColor: [0.35, 0.75, 1, 0.8],
  backColor: [0, 0, 0, 1], logLevel: "silent",
  dragAndDropEnabled: false, dragModePrimary: DRAG.crosshair, dragMode: DRAG.windowing,
  mouseEventConfig: {
    leftButton: { primary: DRAG.crosshair, withShift: DRAG.windowing, withCtrl: DRAG.pan },
    rightButton: DRAG.windowing, centerButton: DRAG.pan,
  },
  touchEventConfig: { singleTouch: DRAG.crosshair, doubleTouch: DRAG.windowing },
};

class Viewer extends Controls {
  constructor(root) {
    super(root);
    this.sources = [...root.querySelectorAll('script[type="application/json"]')];
    this.stage = this.part("stage");
    this.canvas = root.querySelector("canvas");
    this.turn = 0;
    this.enter("waiting", "The viewer opens when it is in sight.");
    root.slicewiseViewer = this;
  }

  async start() {
    if (!document.createElement("canvas").getContext("webgl2")) {
      this.enter("failed", "This browser shows no WebGL 2, which the viewer draws with: allow "
        + "hardware acceleration in its settings, or open the page in another browser.");
      return;
    }
    this.listen();
    this.renderer = new niivue.Niivue(OPTIONS);
    await this.renderer.attachToCanvas(this.canvas, true);
    this.renderer.onLocationChange = () => this.tell();
    this.layer = new LabelLayer(this.renderer);
    await this.open(0);
  }

  async open(number) {
    const turn = ++this.turn;
    this.enter("loading", "Loading the scan …");
    try {
      const scan = JSON.parse(this.sources[number].textContent);
      this.requireRoom(scan.shape);
      const packed = [scan.scan, ...scan.masks.map((mask) => mask.labels)];
      const [buffer, ...maps] = await Promise.all(packed.map(unpacked));
      const { low, high } = scan.window;
      const volume = await niivue.NVImage.new(buffer, "scan.nii", "gray", 1, null, low, high);
      // Another scan may have been chosen meanwhile.
      if (turn === this.turn) this.show(scan, volume, maps.map((map) => new Uint8Array(map)));
    } catch (error) {
      if (turn === this.turn) this.fail(error.message);
    }
  }

  fail(reason) {
    this.enter("failed", `The viewer cannot draw this scan: ${reason}`);
  }

  requireRoom(shape) {
    const most = this.renderer.gl.getParameter(this.renderer.gl.MAX_3D_TEXTURE_SIZE);
    if (Math.max(...shape) > most) {
      throw new Error(`it is ${shape.join(" x ")} voxels large, and the graphics of this browser `
        + `take at most ${most} along an axis`);
    }
  }

  show(scan, volume, maps) {
    Object.assign(this, { scan, volume, maps });
    this.layer.load(scan.shape, maps);
    this.renderer.volumes = [];
    this.renderer.addVolume(volume);
    const single = scan.shape.indexOf(1);
    this.view(single < 0 ? "all" : PLANES[single]);
    this.fill();
    this.place(scan.start);
    this.enter("ready", "");
  }

  // Where the crosshair is, as an index of the RAS grid.
  get index() {
    const { shape } = this.scan;
    return [...this.renderer.scene.crosshairPos].map(
      (part, axis) => limited(Math.floor(part * shape[axis]), 0, shape[axis] - 1));
  }

  place(index) {
    const { shape } = this.scan;
    const inside = index.map((value, axis) => limited(Math.round(value), 0, shape[axis] - 1));
    this.renderer.scene.crosshairPos = inside.map((value, axis) => (value + 0.5) / shape[axis]);
    this.zoom();
    this.tell();
  }

  // Move the crosshair to the voxel at a world position in RAS millimetres; false if outside.
  moveTo(world) {
    const index = indexOf(this.scan.affine, world);
    const isInside = index.every((part, axis) =>
      part >= -0.5 && part <= this.scan.shape[axis] - 0.5);
    if (isInside) this.place(index);
    this.part("outside").hidden = isInside;
    return isInside;
  }

  // What is under the crosshair.
  location() {
    const { shape, affine, to_stored: toStored, masks } = this.scan;
    const index = this.index;
    const at = index[0] + shape[0] * (index[1] + shape[1] * index[2]);
    return {
      world: placed(affine, index),
      voxel: placed(toStored, index),
      intensity: this.volume.img[at],
      labels: masks.map((mask, i) => mask.structures[this.maps[i][at] - 1]?.name ?? null),
    };
  }

  tell() {
    const { world, voxel, intensity, labels } = this.location();
    const { masks } = this.scan;
    this.part("voxel").textContent = voxel.join(", ");
    this.part("intensity").textContent = rounded(intensity, 6);
    this.part("labels").textContent = masks
      .map((mask, i) => `${mask.name}: ${labels[i] ?? "background"}`).join("; ");
    this.parts("world").forEach((input, axis) => { input.value = world[axis].toFixed(1); });
    this.index.forEach((value, axis) => {
      const name = PLANES[axis];
      const slider = this.root.querySelector(`[data-plane="${name}"]`);
      slider.max = this.scan.shape[axis];
      slider.value = value + 1;
      slider.disabled = this.scan.shape[axis] === 1;
      slider.nextElementSibling.textContent = `${value + 1} / ${this.scan.shape[axis]}`;
    });
  }

  // The place under the crosshair stays where it is on the screen.
  zoom() {
    const factor = Number(this.part("zoom").value);
    const millimetres = this.index.map((value, axis) => value * this.scan.spacing_mm[axis]);
    this.renderer.setPan2Dxyzmm([...millimetres.map((value) => value * (1 - factor)), factor]);
    this.part("zoom").nextElementSibling.textContent = `${factor} ×`;
    this.renderer.drawScene();
  }

  view(name) {
    this.part("view").value = name;
    this.renderer.setSliceType(VIEWS[name]);
    this.letter();
  }

  // Mark the ends of the planes that are drawn.
  letter() {
    const { width, height } = this.canvas;
    const slices = this.scan.has_sides ? this.renderer.screenSlices : [];
    const letters = slices.flatMap(({ axCorSag, leftTopWidthHeight }) => {
      const [left, top, wide, high] = leftTopWidthHeight;
      const [across, upwards] = SCREEN_AXES[axCorSag];
      return [
        [ends(this.scan.affine, across, 1), "left", left, top + high / 2],
        [ends(this.scan.affine, across, -1), "right", left + wide, top + high / 2],
        [ends(this.scan.affine, upwards, 1), "top", left + wide / 2, top],
        [ends(this.scan.affine, upwards, -1), "bottom", left + wide / 2, top + high],
      ];
    });
    this.part("letters").replaceChildren(...letters.map(([text, side, x, y]) => {
      const made = element("span", { className: side }, text);
      Object.assign(made.style, { left: `${100 * x / width}%`, top: `${100 * y / height}%` });
      return made;
    }));
  }

  window(level, width) {
    this.volume.cal_min = level - width / 2;
    this.volume.cal_max = level + width / 2;
    this.tellWindow();
    if (this.isDrawing) return;
    this.isDrawing = true;
    requestAnimationFrame(() => {
      this.isDrawing = false;
      this.renderer.updateGLVolume();
    });
  }

  tellWindow() {
    const { cal_min: low, cal_max: high } = this.volume;
    for (const [name, value] of [["level", (low + high) / 2], ["width", high - low]]) {
      for (const input of this.parts(name)) {
        // What is being typed stays as it is.
        if (input !== document.activeElement || input.type === "range") input.value = rounded(value);
      }
    }
  }

  resetWindow() {
    const { low, high } = this.scan.window;
    this.window((low + high) / 2, high - low);
  }

  restyle() {
    const masks = this.scan.masks.map((mask, i) => {
      const style = this.parts("mask")[i].querySelector("select").value;
      const boxes = [...this.parts("mask")[i].querySelectorAll("input")];
      return {
        isOutlined: style === "outline",
        structures: mask.structures.map(({ colour }, j) => (
          { colour, isShown: style !== "hidden" && boxes[j].checked })),
      };
    });
    const opacity = Number(this.part("opacity").value);
    this.part("opacity").nextElementSibling.textContent = `${Math.round(opacity * 100)} %`;
    this.layer.style(masks, opacity);
    this.renderer.drawScene();
  }
}

const seen = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    seen.unobserve(target);
    target.slicewiseViewer.start();
  }
});
for (const root of document.querySelectorAll(".slicewise-viewer")) {
  new Viewer(root);
  seen.observe(root);
}
