"use strict";
// The table of layers: sorted, searched, summed, and saved as CSV.

const names = new Intl.Collator("en", { numeric: true });

const COLUMNS = [
  { key: "order", name: "#", help: "order in the network", cell: (row) => numberCell(String(row.order)) },
  { key: "stage", name: "Stage", text: true, cell: (row) => textCell(row.stage) },
  { key: "layer", name: "Layer", text: true, cell: (row) => make("th", { scope: "row" }, row.layer) },
  { key: "op", name: "Operator", text: true, cell: (row) => textCell(row.op?.replaceAll("_", " ")) },
  { key: "kind", name: "Input", text: true, help: "what the layer was fed", cell: (row) => textCell(row.kind) },
  { key: "rate", name: "Rate", help: "mean of the input", cell: (row) => measure(row.rate, (rate) => rate.toFixed(4)) },
  { key: "macs", name: "MACs/step", help: "dense, one time step", cell: (row) => measure(row.macs, count) },
  {
    key: "accumulates",
    name: "ACs",
    help: "accumulates (SOPs) per image",
    cell: (row) => measure(row.accumulates || null, count),
  },
  {
    key: "multiplies",
    name: "MACs",
    help: "multiply-accumulates per image",
    cell: (row) => measure(row.multiplies || null, count),
  },
  {
    key: "events",
    name: "Events",
    help: "synaptic events, counted one by one",
    cell: (row) => measure(row.events, count),
  },
  {
    key: "energy",
    name: "mJ",
    help: "energy per image",
    cell: (row, digits) => measure(row.counted ? mj(row.energy) : null, (energy) => energy.toFixed(digits)),
  },
  {
    key: "relative",
    name: "Interval",
    help: "half of the 95 % interval",
    cell: (row) => measure(row.relative, (part) => `± ${percent(part)}`),
  },
  { key: "share", name: "Share", help: "of the total", cell: (row) => measure(row.share, percent) },
];

const BREAK_EVEN = {
  key: "breakEven",
  name: "Break-even",
  help: "input rate below which the layer costs less than a dense one in few bits, memory included",
  cell: (row) => measure(row.breakEven, (rate) => rate.toFixed(4)),
};
const BESIDE_RATE = COLUMNS.findIndex(({ key }) => key === "rate") + 1;
const SPIKING = "memory";
const RIVAL = "qnn:memory=resident";

function columns(state) {
  return state.rival ? COLUMNS.toSpliced(BESIDE_RATE, 0, BREAK_EVEN) : COLUMNS;
}

/** Rate of each layer below which it costs less than the quantised dense one, at the prices shown, by name: what spikes
 * cost is in proportion to their rate. */
function breakEvenRates({ profile, prices }) {
  const rivals = new Map(priced(profile, RIVAL, prices).rows.map((row) => [row.layer, row.energy]));
  const spiking = priced(profile, SPIKING, prices).rows.filter((row) => row.rate && row.energy && rivals.has(row.layer));
  return new Map(spiking.map((row) => [row.layer, (row.rate * rivals.get(row.layer)) / row.energy]));
}

/** Show or hide what a quantised rival costs, where the profile and the prices of memory have it. */
function chooseRival(state, wanted) {
  const why = [SPIKING, RIVAL].map((name) => whyNot(state.profile, name, state.prices.memory)).find(Boolean);
  state.rival = wanted && !why;
  const box = byId("rival");
  [box.checked, box.disabled, box.title] = [state.rival, Boolean(why), why ?? ""];
}

function makeLayerHeader(state) {
  const cells = columns(state).map(({ key, name, text, help }) => {
    const button = make("button", { type: "button", title: help ?? null }, name);
    button.addEventListener("click", () => sortBy(state, key, text || key === "order"));
    return make("th", { scope: "col", "data-column": key, class: text ? null : "number" }, button);
  });
  byId("layer-table").tHead.replaceChildren(make("tr", {}, ...cells));
}

/** Sort by a column, numbers from the largest, names from the first; the other way round when asked again. */
function sortBy(state, column, ascending) {
  const again = state.sort.column === column;
  state.sort = { column, descending: again ? !state.sort.descending : !ascending };
  showLayers(state);
}

function sorted(rows, { column, descending }) {
  const sign = descending ? -1 : 1;
  const value = (row) => (column === "energy" && !row.counted ? null : row[column]);
  return [...rows].sort((first, second) => {
    const [a, b] = [value(first), value(second)];
    if (a === null || b === null) return (a === null) - (b === null) || first.order - second.order;
    return sign * (typeof a === "string" ? names.compare(a, b) : a - b) || first.order - second.order;
  });
}

function found(row, search) {
  const text = [row.layer, row.stage, row.op?.replaceAll("_", " "), row.kind].join("\n").toLowerCase();
  return search
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

function showLayers(state) {
  chooseRival(state, state.rival);
  if (byId("layer-table").tHead.rows[0]?.cells.length !== columns(state).length) makeLayerHeader(state);
  const rates = state.rival ? breakEvenRates(state) : new Map();
  const rows = state.priced.rows.map((row) => ({ ...row, breakEven: rates.get(row.layer) ?? null }));
  const visible = sorted(
    rows.filter((row) => found(row, state.search)),
    state.sort,
  );
  const digits = decimals(rows.map((row) => mj(row.energy)));
  const table = byId("layer-table");
  for (const cell of table.tHead.rows[0].cells) {
    const direction = state.sort.descending ? "descending" : "ascending";
    cell.setAttribute("aria-sort", cell.dataset.column === state.sort.column ? direction : "none");
  }
  table.tBodies[0].replaceChildren(
    ...visible.map((row) =>
      make("tr", { class: row.counted ? null : "left-out" }, ...columns(state).map(({ cell }) => cell(row, digits))),
    ),
  );
  table.tFoot.replaceChildren(sumRow(visible, state.priced, digits));
  if (state.rival) table.tFoot.rows[0].cells[0].colSpan += 1;
  byId("shown").textContent =
    visible.length === rows.length ? `${rows.length} rows` : `${visible.length} of ${rows.length} rows`;
}

function sumRow(visible, total, digits) {
  const energy = summed(visible, "energy");
  const whole = visible.length === total.rows.length;
  const share = total.energy ? energy / total.energy : 0;
  return make(
    "tr",
    {},
    make("th", { scope: "row", colspan: 7 }, whole ? "All rows" : `The ${visible.length} rows shown`),
    measure(summed(visible, "accumulates") || null, count),
    measure(summed(visible, "multiplies") || null, count),
    numberCell(""),
    measure(mj(energy), (sum) => sum.toFixed(digits)),
    whole ? measure(total.relative, (part) => `± ${percent(part)}`) : numberCell(""),
    measure(share, percent),
  );
}

const CSV_COLUMNS = {
  layer: (row) => row.layer,
  stage: (row) => row.stage,
  operator: (row) => row.op,
  input_kind: (row) => row.kind,
  input_rate: (row) => row.rate,
  nonzero_rate: (row) => row.nonzero,
  macs_per_step: (row) => row.macs,
  runs_per_image: (row) => row.runs,
  acs: (row) => row.accumulates,
  macs: (row) => row.multiplies,
  events: (row) => row.events,
  counted: (row) => row.counted,
  energy_pj: (row) => row.energy,
  ci95_low_pj: (row) => (row.half === null ? null : row.energy - row.half),
  ci95_high_pj: (row) => (row.half === null ? null : row.energy + row.half),
  share: (row) => row.share,
  protocol: (_, state) => state.protocol,
  e_mac_pj: (_, state) => state.prices.mac,
  e_ac_pj: (_, state) => state.prices.ac,
};

/** Hand all rows to the reader as a file, in the order shown, whatever the search hides. */
function save(state) {
  const cells = sorted(state.priced.rows, state.sort).map((row) =>
    Object.values(CSV_COLUMNS).map((value) => value(row, state)),
  );
  const address = URL.createObjectURL(new Blob([csv([Object.keys(CSV_COLUMNS), ...cells])], { type: "text/csv" }));
  const name = `${state.profile.label}-${state.protocol}`.replace(/[^\w.=-]+/g, "_");
  make("a", { href: address, download: `${name}.csv` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
