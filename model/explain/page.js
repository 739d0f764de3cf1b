"use strict";
// Draws the maps, and recomputes the logits from the records: see model/explain/page.py for the data.
const byId = (id) => document.getElementById(id);

window.addEventListener("error", (event) => {
  const box = byId("error");
  box.hidden = false;
  box.textContent = "This page's script has failed: " + event.message;
  document.body.dataset.errors = 1 + Number(document.body.dataset.errors || 0);
});

const data = JSON.parse(byId("data").textContent);
const image = document.querySelector(".picture img");
const last = data.classifier.source;
const state = { layer: last, group: 0, target: data.runner === null ? "logit" : "margin", shade: false };

// --- data -----------------------------------------------------------------------------------------

function bytes(text) {
  const raw = atob(text), array = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) array[i] = raw.charCodeAt(i);
  return array;
}

const signedBytes = (text) => new Int8Array(bytes(text).buffer);

for (const tensor of data.tensors) {
  tensor.values = bytes(tensor.values);
  tensor.winners = new Uint16Array(bytes(tensor.winners).buffer);
}

const target = () => data.targets.find((one) => one.kind === state.target);

function text(number, digits) {
  const shown = Math.abs(number).toLocaleString("en", { maximumFractionDigits: digits });
  return (number < 0 ? "−" : "") + shown;
}

const plus = (number, digits) => (number > 0 ? "+" : "") + text(number, digits);
// The classifier's own contributions are integers; evidence before it is not.
const digits = (tensor) => (tensor === last ? 0 : 1);

// The map a record is of: "map 7" where every map has its own values, else "map 7 (group 1, k = 3)".
function mapName(tensor, number) {
  if (tensor.ell === 1) return "map " + number;
  return `map ${number} (group ${Math.floor(number / tensor.ell)}, k = ${number % tensor.ell})`;
}

// --- drawing --------------------------------------------------------------------------------------

const PALETTE = [[230, 120, 0], [30, 120, 190], [0, 150, 110], [200, 90, 160], [225, 190, 20],
  [90, 190, 235], [190, 55, 40], [110, 80, 190]];

function colour(k, ell) {
  if (ell <= PALETTE.length) return PALETTE[k];
  const hue = (k * 137.508) % 360, light = 0.4 + 0.25 * ((k % 3) / 2);
  const channel = (n) => {
    const at = (n + hue / 30) % 12;
    const away = 0.65 * Math.min(light, 1 - light) * Math.max(-1, Math.min(at - 3, 9 - at, 1));
    return Math.round(255 * (light - away));
  };
  return [channel(0), channel(8), channel(4)];
}

// Winners of one group: a pixel a record, silent ones left transparent.
function drawWinners(canvas, tensor, group) {
  canvas.width = tensor.width;
  canvas.height = tensor.height;
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(tensor.width, tensor.height);
  for (let p = 0; p < tensor.width * tensor.height; p++) {
    const at = p * tensor.groups + group, value = tensor.values[at];
    if (value === 0) continue;
    pixels.data.set(colour(tensor.winners[at], tensor.ell), 4 * p);
    const share = state.shade || tensor.ell === 1 ? value / tensor.maximum : 1;
    pixels.data[4 * p + 3] = Math.round(40 + 215 * share);
  }
  context.putImageData(pixels, 0, 0);
}

const FOR = [255, 92, 20], AGAINST = [30, 130, 255];

// Evidence over the picture, which is faded so that little evidence shows.
function drawHeat(canvas, tensor, part) {
  const wide = Math.max(image.naturalWidth, tensor.width);
  const high = Math.max(image.naturalHeight, tensor.height);
  canvas.width = wide;
  canvas.height = high;
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.filter = "grayscale(1)";
  context.drawImage(image, 0, 0, wide, high);
  context.filter = "none";
  context.fillStyle = "rgba(18, 20, 26, 0.62)";
  context.fillRect(0, 0, wide, high);
  const small = document.createElement("canvas");
  small.width = tensor.width;
  small.height = tensor.height;
  const pixels = new ImageData(tensor.width, tensor.height);
  signedBytes(part.heat).forEach((level, p) => {
    pixels.data.set(level > 0 ? FOR : AGAINST, 4 * p);
    pixels.data[4 * p + 3] = Math.round(255 * Math.pow(Math.abs(level) / 127, 0.75));
  });
  small.getContext("2d").putImageData(pixels, 0, 0);
  context.drawImage(small, 0, 0, wide, high);
}

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// The maps that carried most of one tensor's evidence; choosing one shows its group.
function drawMaps(box, index) {
  const tensor = data.tensors[index], relevance = target().tensors[index];
  box.replaceChildren(...relevance.maps.map((part) => {
    const canvas = element("canvas", {}), group = Math.floor(part.map / tensor.ell);
    drawHeat(canvas, tensor, part);
    const amount = plus(part.total, digits(index));
    const name = index === 0 ? `channel ${part.map}` : `map ${part.map}`;
    const where = tensor.ell === 1 ? "" : `group ${group}, k\u00a0=\u00a0${part.map % tensor.ell}`;
    const button = element("button", { type: "button" }, canvas, element("b", { textContent: name }),
      element("span", { className: part.total < 0 ? "minus" : "plus", textContent: amount }),
      element("span", { textContent: where }));
    button.addEventListener("click", () => {
      choose({ layer: index, group: index === 0 ? 0 : group });
      byId("layer-title").scrollIntoView();
      byId("layer-title").focus();
    });
    return button;
  }));
  if (relevance.maps.length === 0) {
    box.append(element("p", { textContent: "No map here carried any of it." }));
  }
}

// --- the parts that a choice changes --------------------------------------------------------------

function showTarget() {
  for (const radio of document.getElementsByName("target")) radio.checked = radio.value === state.target;
  for (const row of byId("sums").tBodies[0].rows) {
    row.classList.toggle("on", row.dataset.target === state.target);
  }
  const relevance = target().tensors[last];
  const top = relevance.maps.filter((part) => part.total > 0);
  const sum = top.reduce((total, part) => total + part.total, 0);
  byId("carriers-of").textContent = top.length === 0 ? "" :
    `: the first ${top.length} gave ${text(sum, 0)} of all ${text(relevance.up, 0)} for it`;
  drawMaps(byId("carriers"), last);
}

function showStrip() {
  const strip = byId("strip");
  if (strip.children.length === 0) {
    data.tensors.forEach((tensor, index) => {
      const button = element("button", { type: "button" }, element("canvas", {}),
        element("span", { textContent: tensor.name }));
      button.addEventListener("click", () => choose({ layer: index, group: 0 }));
      strip.append(button);
    });
    roving(strip);
  }
  data.tensors.forEach((tensor, index) => {
    const button = strip.children[index];
    drawHeat(button.firstChild, tensor, target().tensors[index]);
    press(button, index === state.layer);
  });
  const chosen = strip.children[state.layer];  // seen, without moving the page
  const left = chosen.offsetLeft - strip.offsetLeft;
  if (left < strip.scrollLeft || left + chosen.offsetWidth > strip.scrollLeft + strip.clientWidth) {
    strip.scrollLeft = left - (strip.clientWidth - chosen.offsetWidth) / 2;
  }
}

function showLayer() {
  const tensor = data.tensors[state.layer], relevance = target().tensors[state.layer];
  byId("layer-title").textContent = tensor.name;
  const size = `${tensor.height}×${tensor.width} pixels`;
  const maps = tensor.groups * tensor.ell;
  byId("layer-text").textContent = state.layer === 0 ? `The image itself: ${size}, ${maps} channels.` :
    `${tensor.text}. ${size}, ${maps} maps in ${tensor.groups} groups of ℓ\u00a0=\u00a0${tensor.ell}` +
    (tensor.ell === 1 ? ": dense, every map keeps its own value." : ".");
  byId("winners").hidden = state.layer === 0;
  byId("winners").style.display = state.layer === 0 ? "none" : "";
  const kept = relevance.kept === 0 ? "" :
    ` The biases of this layer keep ${plus(relevance.kept, 1)} of it.`;
  byId("layer-sums").textContent =
    `${plus(relevance.total, digits(state.layer))} of the ${state.target}'s ${text(target().total, 0)} ` +
    `pass through here: ${plus(relevance.up, digits(state.layer))} for it, ` +
    `${plus(relevance.down, digits(state.layer))} against it.${kept}`;
  drawMaps(byId("carried"), state.layer);
  if (state.layer > 0) showGroups(tensor);
}

function showGroups(tensor) {
  const select = byId("group"), box = byId("groups");
  const dense = tensor.ell === 1, names = dense ? "map " : "group ";
  byId("won").textContent = dense ? "Where the map is active" : "Who won where";
  byId("group-name").textContent = dense ? "Map" : "Group";
  byId("all").textContent = dense ? "All maps" : "All groups";
  if (Number(box.dataset.layer) !== state.layer) {
    box.dataset.layer = state.layer;
    box.style.setProperty("--thumb", tensor.groups <= 24 ? "6rem" : "3.7rem");
    const numbers = [...Array(tensor.groups).keys()];
    select.replaceChildren(...numbers.map((group) =>
      element("option", { value: group, textContent: dense ? `${group}` :
        `${group}: maps ${group * tensor.ell} to ${(group + 1) * tensor.ell - 1}` })));
    box.replaceChildren(...numbers.map((group) => {
      const button = element("button", { type: "button" }, element("canvas", {}), `${group}`);
      button.setAttribute("aria-label", names + group);
      button.addEventListener("click", () => choose({ group }));
      return button;
    }));
    roving(box);
  }
  [...box.children].forEach((button, group) => {
    drawWinners(button.firstChild, tensor, group);
    press(button, group === state.group);
  });
  select.value = state.group;
  byId("shade").checked = state.shade || dense;
  byId("shade").disabled = dense;
  drawWinners(byId("map"), tensor, state.group);
  byId("map").setAttribute("aria-label", `Winners of ${names}${state.group} in ${tensor.name}; ` +
    "arrow keys move from pixel to pixel");
  showLegend(tensor);
  cursor = null;
  byId("readout").textContent = "Point at a pixel, or use the arrow keys on the map, to read its record.";
}

function showLegend(tensor) {
  const wins = new Array(tensor.ell).fill(0), count = tensor.width * tensor.height;
  let silent = 0;
  for (let p = 0; p < count; p++) {
    const at = p * tensor.groups + state.group;
    if (tensor.values[at] === 0) silent++;
    else wins[tensor.winners[at]]++;
  }
  const row = (style, name, number) => {
    const key = element("span", { className: "key" });
    key.style.background = style;
    return element("li", {}, key, `${name}: ${number} (${Math.round(100 * number / count)} %)`);
  };
  // Of a long group only those that win anywhere, the most frequent first.
  const order = [...wins.keys()].sort((a, b) => tensor.ell > 8 ? wins[b] - wins[a] || a - b : a - b);
  const shown = order.filter((k) => tensor.ell <= 8 || wins[k] > 0);
  const rows = shown.map((k) =>
    row(`rgb(${colour(k, tensor.ell)})`, `map ${state.group * tensor.ell + k}`, wins[k]));
  byId("legend").replaceChildren(...rows, row("var(--silent)", "silent", silent));
}

function press(button, on) {
  button.setAttribute("aria-pressed", on);
  button.tabIndex = on ? 0 : -1;
}

// Arrow keys move within a row of buttons, which has one tab stop.
function roving(box) {
  box.onkeydown = (event) => {
    const buttons = [...box.children], at = buttons.indexOf(document.activeElement);
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (at < 0 || !step) return;
    event.preventDefault();
    const next = buttons[(at + step + buttons.length) % buttons.length];
    next.focus();
    next.click();
  };
}

// --- reading one record ---------------------------------------------------------------------------

let cursor = null;

function read(x, y) {
  const tensor = data.tensors[state.layer];
  cursor = [Math.max(0, Math.min(tensor.width - 1, x)), Math.max(0, Math.min(tensor.height - 1, y))];
  const at = (cursor[1] * tensor.width + cursor[0]) * tensor.groups + state.group;
  const value = tensor.values[at], number = state.group * tensor.ell + tensor.winners[at];
  byId("readout").textContent = `Row ${cursor[1]}, column ${cursor[0]}: ` +
    (value === 0 ? "silent" : `${mapName(tensor, number)} has ${value} of ${tensor.maximum}`);
}

byId("map").addEventListener("pointermove", (event) => {
  const box = event.target.getBoundingClientRect(), tensor = data.tensors[state.layer];
  read(Math.floor((event.clientX - box.left) / box.width * tensor.width),
    Math.floor((event.clientY - box.top) / box.height * tensor.height));
});
byId("map").addEventListener("keydown", (event) => {
  const step = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
  if (!step) return;
  event.preventDefault();
  if (cursor === null) read(0, 0);
  else read(cursor[0] + step[0], cursor[1] + step[1]);
});

// --- the state, which the address keeps -----------------------------------------------------------

function fromAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  const number = (key, limit, other) => {
    const value = Number(given.get(key));
    return given.has(key) && Number.isInteger(value) && value >= 0 && value < limit ? value : other;
  };
  state.layer = number("layer", data.tensors.length, state.layer);
  state.group = number("group", data.tensors[state.layer].groups, 0);
  if (data.targets.some((one) => one.kind === given.get("target"))) state.target = given.get("target");
  state.shade = given.has("shade") ? given.get("shade") === "1" : state.shade;
}

function show() {
  showTarget();
  showStrip();
  showLayer();
  Object.assign(document.body.dataset, { layer: state.layer, group: state.group, target: state.target });
}

function choose(change) {
  Object.assign(state, change);
  const shade = state.shade ? "&shade=1" : "";
  const address = `#layer=${state.layer}&group=${state.group}&target=${state.target}${shade}`;
  history.replaceState(null, "", address);
  show();
}

// The logits once more, from the records and weights that this page holds.
function check() {
  const tensor = data.tensors[last], classes = data.classes.length;
  const weights = signedBytes(data.classifier.weights), maps = tensor.groups * tensor.ell;
  const found = [...data.classifier.bias];
  for (let p = 0; p < tensor.width * tensor.height; p++) {
    for (let g = 0; g < tensor.groups; g++) {
      const at = p * tensor.groups + g, map = g * tensor.ell + tensor.winners[at];
      for (let o = 0; o < classes; o++) found[o] += weights[o * maps + map] * tensor.values[at];
    }
  }
  const equal = found.filter((logit, o) => logit === data.logits[o]).length;
  const sums = data.targets.every((one) => {
    const logit = found[data.chosen] - (one.kind === "margin" ? found[data.runner] : 0);
    return one.total === logit && Math.round(one.tensors[last].total) === one.total - one.bias;
  });
  const box = byId("check");
  box.classList.toggle("good", equal === classes && sums);
  box.textContent = `Recomputed in this page from the records of ${tensor.name}: ` +
    `${equal} of ${classes} logits equal, contributions ${sums ? "add" : "do NOT add"} up.`;
}

for (const radio of document.getElementsByName("target")) {
  radio.addEventListener("change", () => choose({ target: radio.value }));
}
byId("group").addEventListener("change", () => choose({ group: Number(byId("group").value) }));
byId("shade").addEventListener("change", () => choose({ shade: byId("shade").checked }));
window.addEventListener("hashchange", () => { fromAddress(); show(); });

image.decode().then(() => {
  fromAddress();
  check();
  show();
  document.body.dataset.ready = "yes";
}).catch((error) => window.dispatchEvent(new ErrorEvent("error", { message: String(error) })));
