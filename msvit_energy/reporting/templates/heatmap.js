"use strict";
// Heatmaps: coloured cells with numbers on them, rows of layers in groups of stages.

const MOST_STEPS_WITH_NUMBERS = 10;
const CELL = { height: 20, least: 40, most: 96, mean: 60 }; // px

/** The scale of numbers from 0, or the least one below it, to the greatest. */
function ramp(values) {
  const low = Math.min(0, ...values);
  const high = Math.max(0, ...values);
  return { colors: [0, 1, 2, 3, 4].map((i) => channels(`--heat-${i}`)), low, high: high > low ? high : low + 1 };
}

/** The scale of differences: as far to either side of 0. */
function diverging(values) {
  const limit = Math.max(...values.map(Math.abs)) || 1;
  return { colors: [0, 1, 2, 3, 4].map((i) => channels(`--difference-${i}`)), low: -limit, high: limit };
}

/** The colour of a number, [red, green, blue]. */
function colorOf({ colors, low, high }, value) {
  const place = ((value - low) / (high - low)) * (colors.length - 1);
  const index = Math.max(0, Math.min(Math.floor(place), colors.length - 2));
  return colors[index].map((channel, i) => channel + (place - index) * (colors[index + 1][i] - channel));
}

/** Black or white, whichever has the higher contrast (WCAG 2) on a colour. */
function inkOn(color) {
  const [red, green, blue] = color.map((channel) =>
    channel / 255 <= 0.04045 ? channel / 255 / 12.92 : ((channel / 255 + 0.055) / 1.055) ** 2.4,
  );
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000000" : "#ffffff";
}

/** Neuron layers in network order, a row with the stage's name before each stage. */
function byStages(layers) {
  const rows = [];
  let stage = null;
  for (const layer of layers) {
    if (layer.stage !== stage) {
      stage = layer.stage;
      rows.push({ name: stage || "–" });
    }
    const inside = stage && layer.layer.startsWith(`${stage}.`);
    rows.push({ name: inside ? layer.layer.slice(stage.length + 1) : layer.layer, layer });
  }
  return rows;
}

/** Layers {layer, stage, rates, mean} as rows, time steps as columns, and a column of means beside them; a layer
 * without rates has its mean only. `written` makes the numbers on cells, `title` names what they are. */
function drawHeatmap(element, layers, scale, { steps, written, title, width }) {
  const rows = byStages(layers);
  const names = rows.map(({ name }) => shortened(name, longestName(width)));
  const left = widest(names, "bold") + 12;
  const cells = steps ? Math.max(80, Math.min(width - left - CELL.mean - 14, steps * cellWidth(steps))) : 0;
  const pitch = steps ? cells / steps : 0;
  const withNumbers = steps <= MOST_STEPS_WITH_NUMBERS && pitch >= CELL.least;
  const places = [...Array(steps).keys()].map((step) => ({ x: left + step * pitch, width: pitch, step }));
  const mean = { x: left + cells + (steps ? 8 : 0), width: CELL.mean, step: null };
  const top = 42;
  const marks = [];
  const shapes = [];
  rows.forEach(({ layer }, i) => {
    const middle = top + CELL.height * (i + 0.5);
    shapes.push(words(names[i], left - 8, middle, layer ? "row-label" : "row-label stage", "end"));
    if (!layer) return;
    for (const place of [...places, mean]) {
      const value = place.step === null ? layer.mean : (layer.rates?.[place.step] ?? null);
      const [drawn, text] = cell(value, place, middle, scale, place.step === null || withNumbers ? written : null);
      shapes.push(drawn, ...text);
      marks.push({ shape: drawn, row: i, column: place.step ?? steps, lines: title(layer, place.step) });
    }
  });
  const every = pitch >= 18 ? 1 : Math.ceil(18 / pitch);
  const heads = places.filter(({ step }) => step % every === 0);
  shapes.push(
    ...(steps ? [words("time step", left + cells / 2, 8, "tick", "middle")] : []),
    ...heads.map(({ x, step }) => words(String(step), x + pitch / 2, top - 12, "tick", "middle")),
    words("mean", mean.x + mean.width / 2, top - 12, "tick", "middle"),
  );
  showChart(element, width, top + CELL.height * rows.length + 8, shapes, marks);
}

function cellWidth(steps) {
  return Math.max(48, Math.min(CELL.most, 960 / steps));
}

/** A cell and the number on it; grey where there is none. */
function cell(value, { x, width }, middle, scale, written) {
  const box = { x: x + 0.5, y: middle - CELL.height / 2 + 0.5, width: width - 1, height: CELL.height - 1 };
  if (value === null) return [shape("rect", { ...box, class: "cell unknown" }), []];
  const color = colorOf(scale, value);
  const drawn = shape("rect", { ...box, class: "cell", fill: `rgb(${color.map(Math.round).join(" ")})` });
  if (!written) return [drawn, []];
  const text = words(written(value), x + width / 2, middle, "number-on-cell", "middle");
  text.style.fill = inkOn(color);
  return [drawn, [text]];
}
