"use strict";
// What charts are made of: elements of SVG, axes of numbers, and the note on a mark that is pointed at or reached by
// key. Text enters as text nodes only.

const SVG = "http://www.w3.org/2000/svg";
const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';
const FONT_SIZE = 12;
const CHARACTER = 6.5; // px, about
const NARROW = 560; // px, below which labels shrink

/** An element of SVG; fill and stroke go through its style, where they may be variables of the style sheet. */
function shape(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "fill" || name === "stroke") element.style.setProperty(name, value);
    else if (value !== null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function line(x1, y1, x2, y2, kind) {
  return shape("line", { x1, y1, x2, y2, class: kind });
}

function words(text, x, y, kind, anchor = "start") {
  return shape("text", { x, y, class: kind, "text-anchor": anchor, dy: "0.35em" }, text);
}

/** The colour that a variable of the style sheet has for this reader, as [red, green, blue]. */
function channels(name) {
  const hex = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  return [1, 3, 5].map((start) => parseInt(hex.slice(start, start + 2), 16));
}

/** A text of at most so many characters: what is longer gives way in the middle. */
function shortened(text, most) {
  const characters = [...text];
  const keep = Math.max(1, Math.floor((most - 1) / 2));
  return characters.length > most
    ? `${characters.slice(0, keep).join("")}…${characters.slice(-keep).join("")}`
    : text;
}

/** How many characters names may have that stand beside a chart. */
function longestName(width) {
  return Math.max(12, Math.min(44, Math.floor((0.4 * width) / CHARACTER)));
}

/** Width of the longest text in px. */
function widest(texts, weight = "") {
  const context = document.createElement("canvas").getContext("2d");
  context.font = `${weight} ${FONT_SIZE}px ${FONT}`;
  return Math.ceil(Math.max(0, ...texts.map((text) => context.measureText(text).width)));
}

/** Round numbers between two others, about as many as wanted. */
function ticks(low, high, wanted = 5) {
  const raw = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((times) => times * power).find((each) => each >= 0.999 * raw);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
}

// ---- marks --------------------------------------------------------------------------------------------------------

const charts = new WeakMap(); // what is drawn in an element: its marks, and which of them has the note

/** Show shapes as the chart of an element. Its marks are {shape, row, column, lines}: what is said of each, and where
 * it is for the arrow keys. */
function showChart(element, width, height, shapes, marks) {
  const isNew = !charts.has(element);
  if (!isNew) pointAt(element, null);
  marks.forEach((mark, i) => (mark.shape.dataset.mark = String(i)));
  const size = { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" };
  element.replaceChildren(shape("svg", size, ...shapes));
  charts.set(element, { marks, at: null });
  if (isNew) listenToChart(element);
}

function listenToChart(element) {
  element.tabIndex = 0;
  element.addEventListener("pointermove", ({ target }) => {
    const mark = target.closest("[data-mark]");
    pointAt(element, mark ? Number(mark.dataset.mark) : null);
  });
  element.addEventListener("pointerleave", () => pointAt(element, null));
  element.addEventListener("blur", () => pointAt(element, null));
  element.addEventListener("keydown", (event) => {
    if (event.key === "Escape") pointAt(element, null);
    if (!(event.key in DIRECTIONS) || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const { marks, at } = charts.get(element);
    const next = at === null ? 0 : neighbour(marks, at, DIRECTIONS[event.key]);
    if (next === null || !marks.length) return;
    marks[next].shape.scrollIntoView({ block: "nearest" });
    pointAt(element, next);
    byId("spoken").textContent = marks[next].lines.join(", ");
  });
}

const DIRECTIONS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

/** The nearest mark in a direction [down, right], null if there is none. */
function neighbour(marks, at, [down, right]) {
  const from = marks[at];
  let best = null;
  let least = Infinity;
  marks.forEach(({ row, column }, i) => {
    const ahead = down ? (row - from.row) * down > 0 : row === from.row && (column - from.column) * right > 0;
    const far = 1000 * Math.abs(row - from.row) + Math.abs(column - from.column);
    if (ahead && far < least) [best, least] = [i, far];
  });
  return best;
}

/** Say what is known of a mark beside it; null for none. */
function pointAt(element, index) {
  const chart = charts.get(element);
  if (chart.at === index) return;
  chart.marks[chart.at]?.shape.classList.remove("pointed");
  chart.at = index;
  const note = byId("note");
  note.hidden = index === null;
  if (index === null) return;
  const { shape: mark, lines } = chart.marks[index];
  mark.classList.add("pointed");
  note.replaceChildren(...lines.map((text) => make("div", {}, text)));
  const box = mark.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = note;
  const left = Math.min(box.left + Math.min(box.width / 2, 160), document.documentElement.clientWidth - width - 8);
  const above = box.top - height - 6;
  note.style.left = `${scrollX + Math.max(8, left)}px`;
  note.style.top = `${scrollY + (above > 0 ? above : box.bottom + 6)}px`;
}
