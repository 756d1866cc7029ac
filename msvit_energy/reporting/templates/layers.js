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
    sum: (rows) => measure(summed(rows, "accumulates") || null, count),
  },
  {
    key: "multiplies",
    name: "MACs",
    help: "multiply-accumulates per image",
    cell: (row) => measure(row.multiplies || null, count),
    sum: (rows) => measure(summed(rows, "multiplies") || null, count),
  },
  {
    key: "events",
    name: "Events",
    help: "synaptic events, counted one by one",
    cell: (row) => measure(row.events, count),
  },
  {
    key: "energy",
    name: "Energy",
    help: "energy per image",
    cell: (row, shown) => energyCell(row.counted ? row.energy : null, shown),
    sum: (rows, shown) => energyCell(summed(rows, "energy"), shown),
  },
  {
    key: "relative",
    name: "Interval",
    help: "half of the 95 % interval",
    cell: (row) => measure(row.relative, (part) => `± ${percent(part)}`),
    sum: (rows, { all }) => (rows.length === all.rows.length ? numberCell(margin(all.relative)) : numberCell("")),
  },
  {
    key: "share",
    name: "Share",
    help: "of the total",
    cell: (row) => measure(row.share, percent),
    sum: (rows, { all }) => measure(all.energy ? summed(rows, "energy") / all.energy : 0, percent),
  },
];

const BREAK_EVEN = {
  key: "breakEven",
  name: "Break-even",
  help: "input rate below which the layer costs less than a dense one in few bits, memory included",
  cell: (row) => measure(row.breakEven, (rate) => rate.toFixed(4)),
};
const PHONE = matchMedia("(max-width: 40rem)");
const FIRST_ON_PHONES = ["layer", "energy", "share"];
const SPIKING = "memory";
const RIVAL = "qnn:memory=resident";

/** The columns shown, in order. On a phone what matters most stands first; paper has no room for the place of a layer,
 * which its name and the order of the rows say. */
function columns({ rival }) {
  const all = COLUMNS.flatMap((column) => (rival && column.key === "rate" ? [column, BREAK_EVEN] : [column]));
  if (onPaper()) return all.filter(({ key }) => key !== "order" && key !== "stage");
  if (!PHONE.matches) return all;
  const first = FIRST_ON_PHONES.map((wanted) => all.find(({ key }) => key === wanted));
  return [...first, ...all.filter((column) => !first.includes(column))];
}

function energyCell(energy, { unit, digits }) {
  if (energy === null) return numberCell("–");
  return numberCell(fixed(inUnit(energy, unit), digits), `${energy / PJ_PER_MJ} mJ`);
}

/** Rate of each layer below which it costs less than the quantised dense one, at the prices shown, by name: what spikes
 * cost is in proportion to their rate. */
function breakEvenRates({ profile, prices }) {
  const rivals = new Map(priced(profile, RIVAL, prices).rows.map((row) => [row.layer, row.energy]));
  const priceable = (row) => row.rate && row.energy && rivals.has(row.layer);
  const spiking = priced(profile, SPIKING, prices).rows.filter(priceable);
  return new Map(spiking.map((row) => [row.layer, (row.rate * rivals.get(row.layer)) / row.energy]));
}

/** Show or hide what a quantised rival costs, where the profile and the prices of memory have it. */
function chooseRival(state, wanted) {
  const why = [SPIKING, RIVAL].map((name) => whyNot(state.profile, name, state.prices.memory)).find(Boolean);
  state.rival = wanted && !why;
  const box = byId("rival");
  [box.checked, box.disabled, box.title] = [state.rival, Boolean(why), why ?? ""];
}

/** The header as it has to be: made anew where other columns, or another unit, are shown. */
function makeLayerHeader(state) {
  const row = byId("layer-table").tHead.rows[0];
  const nameOf = ({ key, name }) => (key === "energy" ? state.unit.name : name);
  const shown = columns(state).map((column) => ({ ...column, name: nameOf(column) }));
  const wanted = shown.map(({ key, name }) => `${key} ${name}`).join("\n");
  if (row?.dataset.shows === wanted) return;
  const cells = shown.map(({ key, name, text, help }) => {
    const button = make("button", { type: "button", title: help ?? null }, name);
    button.addEventListener("click", () => sortBy(state, key, text || key === "order"));
    return make("th", { scope: "col", "data-column": key, class: text ? null : "number" }, button);
  });
  byId("layer-table").tHead.replaceChildren(make("tr", { "data-shows": wanted }, ...cells));
}

/** Sort by a column, numbers from the largest, names from the first; the other way round when asked again. */
function sortBy(state, column, ascending) {
  const again = state.sort.column === column;
  state.sort = { column, descending: again ? !state.sort.descending : !ascending };
  showLayers(state);
  writeAddress();
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
  makeLayerHeader(state);
  const rates = state.rival ? breakEvenRates(state) : new Map();
  const rows = state.priced.rows.map((row) => ({ ...row, breakEven: rates.get(row.layer) ?? null }));
  const visible = sorted(
    rows.filter((row) => found(row, state.search)),
    state.sort,
  );
  const { unit, priced: all } = state;
  const largest = Math.max(...rows.map((row) => Math.abs(row.energy)));
  const shown = { unit, digits: digitsOf(inUnit(largest, unit)), all };
  const table = byId("layer-table");
  for (const cell of table.tHead.rows[0].cells) {
    const direction = state.sort.descending ? "descending" : "ascending";
    cell.setAttribute("aria-sort", cell.dataset.column === state.sort.column ? direction : "none");
  }
  const bodyRow = (row) =>
    make("tr", { class: row.counted ? null : "left-out" }, ...columns(state).map(({ cell }) => cell(row, shown)));
  table.tBodies[0].replaceChildren(...(visible.length ? visible.map(bodyRow) : [noRow(state)]));
  table.tFoot.replaceChildren(sumRow(visible, shown, columns(state)));
  byId("shown").textContent =
    visible.length === rows.length ? `${rows.length} rows` : `${visible.length} of ${rows.length} rows`;
}

function noRow(state) {
  return make("tr", {}, make("td", { colspan: columns(state).length }, `No layer matches ${state.search}.`));
}

/** The sums of the rows shown; what they are stands before the first of them. */
function sumRow(visible, shown, all) {
  const leading = all.findIndex(({ sum }) => sum);
  const text = visible.length === shown.all.rows.length ? "All rows" : `The ${visible.length} rows shown`;
  const sums = all.slice(leading).map(({ sum }) => (sum ? sum(visible, shown) : numberCell("")));
  return make("tr", {}, make("th", { scope: "row", colspan: leading }, text), ...sums);
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
  ci95_low_pj: (row) => (row.half === null ? null : ends(row.energy, row.half)[0]),
  ci95_high_pj: (row) => (row.half === null ? null : ends(row.energy, row.half)[1]),
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
