"use strict";
// Small charts of several profiles: a number over what they are a series of, with intervals.

const LINES = ["--accumulates", "--multiplies", "--other", "--ink", "--link"];
const CURVE = { top: 34, height: 168, right: 16 }; // px

/** One chart over the axis of a series: `values` are numbers or null, `halves` of intervals if known. Amounts are
 * drawn from 0, a `share` in percent where it is. */
function drawCurve(element, { name, values, halves, share }, axis, width) {
  const [low, high] = share ? shareRange(values) : [0, highest(values, halves) * 1.08 || 1];
  const rungs = ticks(low, high, 5);
  const left = Math.max(widest(rungs.map((value) => general(value, 6))) + 14, overhang(axis, width));
  const bottom = CURVE.top + CURVE.height;
  const up = (value) => bottom - ((value - low) / (high - low)) * CURVE.height;
  const { x, labels, depth } = across(axis, left, width - CURVE.right, bottom);
  const lines = [...new Set(axis.lines)];
  const marks = [];
  const shapes = lines.flatMap((each, i) => {
    const order = values.map((_, j) => j).filter((j) => axis.lines[j] === each && values[j] !== null);
    if (axis.name !== "profile") order.sort((a, b) => axis.x[a] - axis.x[b]);
    const stroke = `var(${LINES[i % LINES.length]})`;
    const points = order.map((j) => `${x[j]},${up(values[j])}`).join(" ");
    const path = order.length > 1 ? [shape("polyline", { points, stroke, class: "curve" })] : [];
    const intervals = order.filter((j) => halves?.[j]).map((j) => interval(x[j], up, values[j], halves[j], stroke));
    return [...path, ...intervals, ...order.flatMap((j, column) => [point(j, column), target(j, i, column)])];

    function point(j) {
      const size = { transform: `translate(${x[j]} ${up(values[j])})`, d: POINTS[i % POINTS.length] };
      return shape("path", { ...size, fill: stroke, class: "point" });
    }

    function target(j, row, column) {
      const place = { cx: x[j], cy: up(values[j]), r: 11, class: "mark" };
      const half = halves?.[j] ? ` ± ${general(halves[j], 2)}` : "";
      const said = [axis.labels[j], axis.lines[j], `${name}: ${general(values[j])}${half}`];
      marks.push({ shape: shape("circle", place), row, column, lines: said });
      return marks.at(-1).shape;
    }
  });
  const frame = rungs.flatMap((value) => [
    line(left, up(value), width - CURVE.right, up(value), value ? "grid" : "base"),
    words(general(value, 6), left - 8, up(value), "tick", "end"),
  ]);
  const title = words(name, 0, 10, "chart-title");
  const under = words(axis.name, (left + width - CURVE.right) / 2, bottom + depth + 14, "tick", "middle");
  showChart(element, width, bottom + depth + 26, [title, ...frame, ...labels, under, ...shapes], marks);
}

const POINTS = ["M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0", "M-4-4h8v8h-8z", "M0-5l5 5l-5 5l-5-5z", "M0-5l5 9h-10z"];

/** An error bar with its ends. */
function interval(x, up, value, half, stroke) {
  const [low, high] = [up(Math.max(0, value - half)), up(value + half)];
  return shape("path", { d: `M${x} ${low}V${high}M${x - 4} ${low}h8M${x - 4} ${high}h8`, stroke, class: "interval" });
}

/** Where profiles stand between two edges, what is written under them, and how deep that reaches. */
function across({ name, x: places, labels }, left, right, bottom) {
  if (name === "profile") return side(labels, left, right, bottom);
  const different = [...new Set(places)].sort((a, b) => a - b);
  const room = 0.05 * (different.at(-1) - different[0]) || 1;
  const [low, high] = [different[0] - room, different.at(-1) + room];
  const at = (value) => left + ((value - low) / (high - low)) * (right - left);
  const few = different.length <= 8 && widest(different.map(String)) * different.length < right - left;
  const written = few ? different : ticks(low, high, 6);
  return {
    x: places.map(at),
    labels: written.flatMap((value) => [
      line(at(value), CURVE.top, at(value), bottom, "grid"),
      words(general(value, 6), at(value), bottom + 14, "tick", "middle"),
    ]),
    depth: 22,
  };
}

const TURNED = (50 * Math.PI) / 180; // names that are too long to lie

/** How far the first name reaches to the left of its chart if names are turned. */
function overhang({ name, labels }, width) {
  const slot = width / labels.length;
  const isLying = name !== "profile" || widest(labels.map((text) => shortened(text, 16))) < slot - 6;
  return isLying ? 0 : Math.ceil(Math.cos(TURNED) * widest([shortened(labels[0], 16)]) - slot / 2) + 8;
}

/** Names beside each other, turned where they are too long to lie. */
function side(labels, left, right, bottom) {
  const slot = (right - left) / labels.length;
  const x = labels.map((_, i) => left + (i + 0.5) * slot);
  const short = labels.map((text) => shortened(text, 16));
  const lying = widest(short) < slot - 6;
  const every = lying ? 1 : Math.ceil(14 / slot);
  const written = short.map((text, i) => {
    if (lying) return words(text, x[i], bottom + 14, "tick", "middle");
    const turned = words(text, 0, 0, "tick", "end");
    turned.setAttribute("transform", `translate(${x[i]} ${bottom + 8}) rotate(-50)`);
    return turned;
  });
  const depth = lying ? 22 : Math.ceil(Math.sin(TURNED) * widest(short)) + 16;
  return { x, labels: written.filter((_, i) => i % every === 0), depth };
}

function highest(values, halves) {
  return Math.max(0, ...values.map((value, i) => (value === null ? 0 : value + (halves?.[i] ?? 0))));
}

function shareRange(values) {
  const known = values.filter((value) => value !== null);
  const [lowest, most] = [Math.min(...known), Math.max(...known)];
  const room = Math.max(0.5, 0.15 * (most - lowest));
  return [Math.max(0, lowest - room), Math.min(100.5, most + room)];
}
