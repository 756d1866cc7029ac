"use strict";
// Charts, drawn by Plotly. It reads HTML in every label, so whatever comes from a model passes through `label`.

const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';
const FONT_SIZE = 12;
const NARROW = 560; // px, below which labels shrink
const MOST_STEPS_WITH_NUMBERS = 10;
const LABEL = 20; // px that a label needs
const MOST = 3000; // px of all rows of a chart together; where there are more rows, they are thinner
const KINDS = [
  { key: "accumulates", name: "accumulates", color: "--accumulates" },
  { key: "multiplies", name: "multiply-accumulates", color: "--multiplies" },
  { key: "other", name: "priced by the protocol itself", color: "--other" },
];

/** A colour of the page's style sheet, which follows the reader's colour scheme. */
function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Text as Plotly shows it: nothing in it is markup; what is longer than `most` gives way in the middle. */
function label(text, most = Infinity) {
  const characters = [...text];
  const keep = Math.max(1, Math.floor((most - 1) / 2));
  const short =
    characters.length > most ? `${characters.slice(0, keep).join("")}…${characters.slice(-keep).join("")}` : text;
  return short.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** Width of the longest text in px. */
function widest(texts, weight = "") {
  const context = document.createElement("canvas").getContext("2d");
  context.font = `${weight} ${FONT_SIZE}px ${FONT}`;
  return highest(texts.map((text) => context.measureText(text).width));
}

/** Height of each of a chart's rows in px, `wanted` if there are not too many; one in `every` rows has a label. */
function rowHeight(rows, wanted) {
  const height = Math.min(wanted, MOST / rows);
  return { height, every: Math.ceil(LABEL / height) };
}

function draw(element, traces, layout) {
  const ink = color("--ink");
  const common = {
    font: { family: FONT, size: FONT_SIZE, color: ink },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    hoverlabel: {
      bgcolor: color("--raised"),
      bordercolor: color("--line"),
      font: { family: FONT, size: FONT_SIZE, color: ink },
      align: "left",
      namelength: -1,
    },
    dragmode: false,
    showlegend: false,
  };
  const fixed = { displayModeBar: false, showTips: false, doubleClick: false, scrollZoom: false };
  return Plotly.react(element, traces, { ...common, ...layout }, fixed);
}

/** An axis with a label for each row: a gap between labels and rows; no search for labels that stick out, which would
 * take most of the time, and for which there is a margin. */
const ROW_LABELS = { ticks: "outside", ticklen: 5, tickcolor: "rgba(0,0,0,0)", ticklabeloverflow: "allow" };

function numberAxis(title) {
  return {
    title: { text: title, standoff: 8, font: { color: color("--muted") } },
    rangemode: "tozero",
    fixedrange: true,
    gridcolor: color("--line"),
    zerolinecolor: color("--line-strong"),
    tickfont: { color: color("--muted") },
    tickformat: "~g",
    nticks: 6,
  };
}

/** Stacked bars, one for each stage; what each bar stands for is written at its end, where there is room. */
function drawStages(element, stages, width) {
  const places = stages.map((_, i) => i);
  const { height, every } = rowHeight(stages.length, 32);
  const labelled = places.filter((i) => i % every === 0);
  const narrow = width < NARROW;
  const names = stages.map(({ stage }) => label(stage, narrow ? 16 : 32));
  const total = summed(stages, "energy");
  const largest = highest(stages.map(({ energy }) => energy));
  const traces = KINDS.map(({ key, name, color: variable }) => ({
    type: "bar",
    orientation: "h",
    x: stages.map((stage) => stage[key]),
    y: places,
    marker: { color: color(variable) },
    customdata: stages.map((stage) => [label(stage.stage), general(stage[key]), label(name)]),
    hovertemplate: "%{customdata[0]}<br>%{customdata[2]}: %{customdata[1]} mJ<extra></extra>",
  }));
  const end = ({ energy, counted }) =>
    counted ? `${narrow ? "" : `${general(energy, 3)} mJ, `}${percent(total ? energy / total : 0)}` : "left out";
  const ends = labelled.map((i) => ({
    x: stages[i].energy,
    y: i,
    text: end(stages[i]),
    showarrow: false,
    xanchor: "left",
    xshift: 6,
    font: { color: color("--muted") },
    bgcolor: color("--page"),
  }));
  const room = narrow ? 52 : 140;
  const left = widest(names) + 16;
  return draw(element, traces, {
    barmode: "stack",
    bargap: 0.35,
    width,
    height: 70 + height * stages.length,
    margin: { l: left, r: room, t: 8, b: 48 },
    annotations: ends,
    xaxis: { ...numberAxis("mJ per image"), range: [0, largest * 1.02 || 1] },
    yaxis: {
      tickvals: labelled,
      ticktext: labelled.map((i) => names[i]),
      range: [stages.length - 0.5, -0.5],
      fixedrange: true,
      ...ROW_LABELS,
      zeroline: false,
      showgrid: false,
    },
  });
}

/** Colours of the heatmap from no spikes to most. */
function ramp() {
  return [0, 1, 2, 3, 4].map((step) => [step / 4, color(`--heat-${step}`)]);
}

/** Rows of the heatmap: neuron layers in network order, a line with the stage's name before each stage; without such
 * lines where rows are too thin for them. */
function heatmapRows(neurons, most) {
  const lines = neurons.filter(({ stage }, i) => i === 0 || stage !== neurons[i - 1].stage).length;
  if (rowHeight(neurons.length + lines, LABEL).every > 1) {
    return neurons.map((neuron) => ({ text: label(neuron.layer, most), neuron }));
  }
  const rows = [];
  let stage = null;
  for (const neuron of neurons) {
    if (neuron.stage !== stage) {
      stage = neuron.stage;
      rows.push({ text: label(stage || "–", most) });
    }
    const inside = stage && neuron.layer.startsWith(`${stage}.`) ? neuron.layer.slice(stage.length + 1) : neuron.layer;
    rows.push({ text: label(inside, most), neuron });
  }
  return rows;
}

/** A stage's name in front of its line; as a tick label it could not be bold without an inline style. */
function stageName(text, y) {
  const place = { xref: "paper", x: 0, xanchor: "right", xshift: -5, yref: "y", y };
  return { ...place, text, showarrow: false, borderpad: 0, font: { weight: "bold" } };
}

/** Heatmap of firing rates, layers x time steps. */
function drawRates(element, neurons, width) {
  const narrow = width < NARROW;
  const rows = heatmapRows(neurons, narrow ? 22 : 44);
  const steps = neurons[0].rates.length;
  const left =
    widest(
      rows.map(({ text }) => text),
      "bold",
    ) + 18;
  const { height, every } = rowHeight(rows.length, LABEL);
  const labelled = rows.map((_, i) => i).filter((i) => i % every === 0);
  const stages = rows.flatMap(({ text, neuron }, y) => (neuron ? [] : [stageName(text, y)]));
  const cells = Math.max(80, Math.min(width - left - 16, steps * Math.max(48, Math.min(96, 960 / steps))));
  const largest = highest(neurons.flatMap(({ rates }) => rates));
  const numbers = every === 1 && steps <= MOST_STEPS_WITH_NUMBERS && cells / steps >= 40;
  const places = [...Array(steps).keys()];
  const trace = {
    type: "heatmap",
    z: rows.map(({ neuron }) => (neuron ? neuron.rates : places.map(() => null))),
    x: places,
    y: rows.map((_, i) => i),
    zmin: 0,
    zmax: largest || 1,
    colorscale: ramp(),
    showscale: false,
    xgap: 1,
    ygap: height < 5 ? 0 : 1,
    customdata: rows.map(({ neuron }) => places.map((step) => (neuron ? hoverLines(neuron, step) : ""))),
    hovertemplate: "%{customdata}<extra></extra>",
    hoverongaps: false,
  };
  return draw(element, numbers ? [trace, written(rows, largest)] : [trace], {
    width,
    height: 56 + height * rows.length,
    margin: { l: left, r: width - left - cells, t: 48, b: 8 }, // beside the cells there is room to point at them
    annotations: stages,
    xaxis: {
      title: { text: "time step", standoff: 6, font: { color: color("--muted") } },
      side: "top",
      ticks: "",
      fixedrange: true,
      showgrid: false,
      zeroline: false,
      tickvals: places.filter((step) => cells / steps >= 18 || step % Math.ceil((18 * steps) / cells) === 0),
      tickfont: { color: color("--muted") },
    },
    yaxis: {
      tickvals: labelled,
      ticktext: labelled.map((i) => (rows[i].neuron ? rows[i].text : "")),
      range: [rows.length - 0.5, -0.5],
      ...ROW_LABELS,
      fixedrange: true,
      showgrid: false,
      zeroline: false,
    },
  });
}

/** The rates as text on their cells, each dark or light as the cell wants it. */
function written(rows, largest) {
  const points = rows.flatMap(({ neuron }, y) => (neuron ? neuron.rates.map((rate, x) => ({ x, y, rate })) : []));
  const colors = ramp().map(([, hex]) => rgb(hex));
  return {
    type: "scatter",
    mode: "text",
    x: points.map(({ x }) => x),
    y: points.map(({ y }) => y),
    text: points.map(({ rate }) => (rate ? rate.toFixed(3) : "0")),
    textfont: { size: 11, color: points.map(({ rate }) => inkOn(between(colors, largest ? rate / largest : 0))) },
    hoverinfo: "skip",
  };
}

function rgb(hex) {
  return [1, 3, 5].map((start) => parseInt(hex.slice(start, start + 2), 16));
}

/** The colour at a place between 0 and 1 of evenly spaced colours. */
function between(colors, place) {
  const index = Math.min(Math.floor(place * (colors.length - 1)), colors.length - 2);
  const part = place * (colors.length - 1) - index;
  return colors[index].map((channel, i) => channel + part * (colors[index + 1][i] - channel));
}

/** Black or white, whichever has the higher contrast (WCAG 2) on a colour. */
function inkOn(channels) {
  const [red, green, blue] = channels.map((channel) =>
    channel / 255 <= 0.04045 ? channel / 255 / 12.92 : ((channel / 255 + 0.055) / 1.055) ** 2.4,
  );
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000000" : "#ffffff";
}

function hoverLines({ layer, stage, rates, mean }, step) {
  return `${label(layer)}<br>${label(stage)}, time step ${step}: ${rates[step].toFixed(4)}<br>mean ${mean.toFixed(4)}`;
}

const LINES = ["--accumulates", "--multiplies", "--other", "--ink", "--link"];

/** One small chart over the axis of a series: `values` are numbers or null, `halves` of intervals if
 * known. Amounts are drawn from 0, a `share` in percent where it is. */
function drawCurve(element, { name, values, halves, share }, axis, width) {
  const numeric = axis.name !== "profile";
  const x = numeric ? axis.x : axis.x.map((_, i) => i);
  const lines = [...new Set(axis.lines)];
  const traces = lines.map((line, i) => {
    const order = x.map((_, j) => j).filter((j) => axis.lines[j] === line && values[j] !== null);
    if (numeric) order.sort((a, b) => x[a] - x[b]);
    return {
      type: "scatter",
      mode: order.length > 1 ? "lines+markers" : "markers",
      x: order.map((j) => x[j]),
      y: order.map((j) => values[j]),
      error_y: {
        type: "data",
        array: order.map((j) => halves?.[j] ?? 0),
        visible: Boolean(halves),
        thickness: 1.25,
        width: 4,
      },
      line: { color: color(LINES[i % LINES.length]), width: 2 },
      marker: { size: 8, symbol: i },
      customdata: order.map((j) => [label(axis.labels[j]), general(values[j]), label(line)]),
      hovertemplate: "%{customdata[0]}<br>%{customdata[2]}<br>%{customdata[1]}<extra></extra>",
    };
  });
  const xaxis = {
    title: { text: axis.name, standoff: 8, font: { color: color("--muted") } },
    fixedrange: true,
    zeroline: false,
    gridcolor: color("--line"),
    tickfont: { color: color("--muted") },
    ...(numeric
      ? numericTicks(axis.x)
      : { tickvals: x, ticktext: axis.x.map((text) => label(text, 16)), range: [-0.5, x.length - 0.5] }),
  };
  return draw(element, traces, {
    width,
    height: 250,
    margin: { l: 64, r: 16, t: 36, b: 52 },
    title: {
      text: name,
      x: 0,
      xref: "container",
      xanchor: "left",
      y: 1,
      yref: "container",
      yanchor: "top",
      pad: { t: 8 },
      font: { size: 13 },
    },
    xaxis: { ...xaxis, automargin: true },
    yaxis: {
      ...numberAxis(""),
      automargin: true,
      range: share ? shareRange(values) : [0, highestEnd(values, halves) * 1.08 || 1],
    },
  });
}

function numericTicks(x) {
  const different = [...new Set(x)].sort((a, b) => a - b);
  const room = 0.05 * (different.at(-1) - different[0]);
  const range = [different[0] - room, different.at(-1) + room];
  return different.length <= 8 ? { range, tickvals: different } : { range, nticks: 8 };
}

function highestEnd(values, halves) {
  return highest(values.map((value, i) => (value === null ? 0 : value + (halves?.[i] ?? 0))));
}

function shareRange(values) {
  const known = values.filter((value) => value !== null);
  const [lowest, most] = [Math.min(...known), Math.max(...known)];
  const room = Math.max(0.5, 0.15 * (most - lowest));
  return [Math.max(0, lowest - room), Math.min(100.5, most + room)];
}
