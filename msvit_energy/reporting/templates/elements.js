"use strict";
// Parts of the document. Data enters it as text only, never as markup.

function byId(id) {
  return document.getElementById(id);
}

/** An element with attributes and children; strings become text, whatever is in them. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

function numberCell(shown, full = null) {
  return make("td", { class: "number", title: full === null || String(full) === shown ? null : String(full) }, shown);
}

function textCell(text) {
  return make("td", {}, text ?? "–");
}

function header(labels, leading = 1) {
  const cells = labels.map((text, i) => make("th", { scope: "col", class: i < leading ? null : "number" }, text));
  return make("tr", {}, ...cells);
}

function margin(relative) {
  return relative === null ? "–" : `± ${percent(relative)}`;
}

function measure(value, format) {
  return value === null ? numberCell("–") : numberCell(format(value), value);
}

/** A legend: what the colours of a chart stand for, as [name, colour]. */
function fillLegend(element, items) {
  element.replaceChildren(
    ...items.map(([name, color]) => {
      const item = make("li", {}, name);
      item.style.setProperty("--swatch", color);
      return item;
    }),
  );
}

function onPaper() {
  return document.documentElement.classList.contains("paper");
}
