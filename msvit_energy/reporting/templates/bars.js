"use strict";
// Bars: one below the other, each of parts, with what it stands for at its end.

const KINDS = [
  { key: "accumulates", name: "accumulates", fill: "var(--accumulates)" },
  { key: "multiplies", name: "multiply-accumulates", fill: "var(--multiplies)" },
  { key: "other", name: "priced by the protocol itself", fill: "var(--other)" },
];

/** Bars {name, parts: [{value, fill}], end, lines} with an axis of numbers from 0, named by `title`; `pitch` is what
 * each takes in px. */
function drawBars(element, bars, title, width, pitch = 32) {
  const names = bars.map(({ name }) => shortened(name, longestName(width)));
  const lengths = bars.map(({ parts }) => parts.reduce((sum, { value }) => sum + value, 0));
  const left = widest(names) + 12;
  const room = Math.max(60, width - left - widest(bars.map(({ end }) => end)) - 14);
  const most = Math.max(0, ...lengths) || 1;
  const at = (value) => left + (value / most) * room;
  const bottom = pitch * bars.length + 4;
  const axis = ticks(0, most, Math.max(2, Math.min(6, Math.floor(room / 70)))).flatMap((value) => [
    line(at(value), 0, at(value), bottom, value ? "grid" : "base"),
    words(general(value, 6), at(value), bottom + 12, "tick", "middle"),
  ]);
  const marks = [];
  const shapes = bars.flatMap(({ parts, end, lines }, i) => {
    const middle = pitch * i + pitch / 2 + 2;
    const whole = { x: 0, y: middle - pitch / 2, width, height: pitch, class: "mark" };
    marks.push({ shape: shape("rect", whole), row: i, column: 0, lines });
    return [
      marks[i].shape,
      words(names[i], left - 8, middle, "row-label", "end"),
      ...stacked(parts, at, middle, 0.65 * pitch),
      words(end, at(lengths[i]) + 6, middle, "tick ground"),
    ];
  });
  const name = words(title, left + room / 2, bottom + 32, "tick", "middle");
  showChart(element, width, bottom + 42, [...axis, name, ...shapes], marks);
}

function stacked(parts, at, middle, height) {
  let sum = 0;
  return parts
    .filter(({ value }) => value > 0)
    .map(({ value, fill }) => {
      const start = at(sum);
      sum += value;
      const size = { x: start, y: middle - height / 2, width: Math.max(at(sum) - start, 0.5), height };
      return shape("rect", { ...size, fill, class: "part" });
    });
}
