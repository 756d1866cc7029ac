"use strict";
// The page: what is shown, and what happens when something is chosen.

const content = JSON.parse(document.getElementById("content").textContent);
const state = {
  profile: content.profiles[0],
  protocol: content.start.protocol,
  technology: content.technologies.find(({ name }) => name === content.start.technology),
  prices: null,
  sort: { column: "order", descending: false },
  search: "",
  rival: false,
  priced: null,
};

// ---- totals -------------------------------------------------------------------------------------------------------

function card(name, value, ...notes) {
  const lines = notes.filter(Boolean).map((note) => make("dd", { class: "note" }, note));
  const strong = value instanceof Node ? value : make("dd", {}, value);
  return make("div", { class: "card" }, make("dt", {}, name), strong, ...lines);
}

function wide(...parts) {
  const element = card(...parts);
  element.classList.add("wide");
  return element;
}

function energyCard({ energy, half, relative, t }) {
  const value = make("dd", { title: `${mj(energy)} mJ` }, `${general(mj(energy))} mJ`);
  const interval =
    half === null
      ? "no interval: fewer than two images"
      : `${margin(relative)}, 95 % interval ${general(mj(energy - half))} to ${general(mj(energy + half))} mJ`;
  const main = wide(
    "Energy per image",
    value,
    t === null && state.profile.images === null ? "rates were given, no images" : interval,
  );
  main.classList.add("main");
  return main;
}

function cards() {
  const { profile, prices, priced: total } = state;
  const ann = prices.mac * profile.macs_per_step;
  const ratio = total.energy ? `${(ann / total.energy).toFixed(2)} times this; ` : "";
  const counted = total.accumulates || total.multiplies;
  const only = counted && !total.rows.some((row) => row.other); // what another price of an input would change
  return [
    energyCard(total),
    counted
      ? card("Operations", `${count(total.accumulates)} ACs`, `and ${count(total.multiplies)} MACs per image`)
      : card("Operations", "–", "this protocol gives energy only"),
    card("ANN-equivalent", `${general(mj(ann))} mJ`, `${ratio}${count(profile.macs_per_step)} MACs, one pass`),
    card("Accuracy", accuracy(profile), profile.labelled ? `${profile.correct} of ${profile.labelled}` : "no labels"),
    card(
      "Mean firing rate",
      profile.rate === null ? "–" : profile.rate.toFixed(4),
      profile.neurons.length ? `over ${profile.neurons.length} neuron layers` : "no spiking neurons",
    ),
    card("Time steps, T", String(profile.time_steps)),
    card("Images", profile.images === null ? "–" : profile.images.toLocaleString("en")),
    profile.parameters === null ? null : card("Parameters", profile.parameters.toLocaleString("en")),
    profile.integer_share
      ? wide(
          "Integer inputs",
          `${percent(profile.integer_share)} of the MACs`,
          only ? otherwise("multiply-accumulates", asMultiplies(total.rows, integerDriven, prices)) : null,
        )
      : null,
    ...otherInputs(only),
  ].filter(Boolean);
}

function otherwise(how, energy) {
  return `priced as ${how} the total would be ${general(mj(energy))} mJ`;
}

/** Inputs that are whole numbers with a sign or a constant factor, and real ones inside of the network. */
function otherInputs(counted) {
  const { profile, prices, priced: total } = state;
  const scaled = (row) => row.scaled;
  const real = (row) => row.real;
  const multiplied = total.rows.some((row) => row.scaled && row.multiplies);
  const other = multiplied
    ? otherwise("accumulates", asAccumulates(total.rows, scaled, "rate", prices))
    : otherwise("multiply-accumulates", asMultiplies(total.rows, scaled, prices));
  const nonzero = asAccumulates(total.rows, real, "nonzero", prices);
  const line = (name, share, text) => (share ? wide(name, `${percent(share)} of the MACs`, counted ? text : null) : null);
  return [
    line("Scaled or signed inputs", profile.scaled_share, other),
    line("Real-valued inputs inside", profile.real_share, otherwise("accumulates at their non-zero share", nonzero)),
  ];
}

function accuracy({ correct, labelled }) {
  return labelled ? percent(correct / labelled, 2) : "–";
}

function showTotals() {
  const { profile, protocol, prices, priced: total } = state;
  const shown = `${general(mj(total.energy))} mJ ${total.relative === null ? "" : margin(total.relative)}`.trim();
  byId("result").textContent = shown;
  const whose = content.profiles.length > 1 ? `${profile.title} (${profile.label})` : profile.title;
  const price = (index, value) => ["E", make("sub", {}, index), ` ${value} pJ`];
  byId("basis").replaceChildren(
    `${whose}, by ${protocol}, `,
    ...price("MAC", prices.mac),
    ", ",
    ...price("AC", prices.ac),
  );
  byId("cards").replaceChildren(...cards());
}

function showProtocol() {
  const { source, answers } = content.protocols.find(({ name }) => name === state.protocol);
  byId("protocol-summary").textContent = `What ${state.protocol} counts`;
  const lines = { Source: source, ...answers };
  const reasons = content.protocols.map(({ name }) => [name, whyNot(state.profile, name, state.prices.memory)]);
  const missing = reasons.filter(([, why]) => why).map(([name, why]) => [`Not available: ${name}`, why]);
  const all = [...Object.entries(lines), ...missing];
  byId("answers").replaceChildren(...all.flatMap(([name, text]) => [make("dt", {}, name), make("dd", {}, text)]));
}

// ---- stages -------------------------------------------------------------------------------------------------------

function showStages() {
  const stages = byStage(state.priced.rows, state.prices);
  const used = KINDS.filter(({ key }) => summed(stages, key) !== 0);
  const total = summed(stages, "energy");
  byId("stage-legend").replaceChildren(...used.map(({ key, name }) => make("li", { class: key }, name)));
  const table = byId("stage-table");
  table.tHead.replaceChildren(header(["Stage", ...used.map(({ name }) => `${name}, mJ`), "sum, mJ", "share"]));
  table.tBodies[0].replaceChildren(
    ...stages.map((stage) =>
      make(
        "tr",
        {},
        make("th", { scope: "row" }, stage.stage),
        ...[...used.map(({ key }) => key), "energy"].map((key) => numberCell(general(stage[key]), stage[key])),
        numberCell(percent(total ? stage.energy / total : 0)),
      ),
    ),
  );
  const parts = stages.map(({ stage, energy }) => `${stage} ${general(energy)} mJ`);
  const chart = byId("stage-chart");
  chart.setAttribute("aria-label", `Bar chart of energy by stage: ${parts.join(", ")}`);
  drawStages(chart, stages, widthFor(chart));
}

// ---- firing rates -------------------------------------------------------------------------------------------------

function showRates() {
  const { neurons } = state.profile;
  byId("rates-found").hidden = !neurons.length;
  byId("rates-missing").hidden = Boolean(neurons.length);
  if (!neurons.length) return;
  const largest = highest(neurons.flatMap(({ rates }) => rates));
  const busiest = neurons.reduce((a, b) => (b.mean > a.mean ? b : a));
  byId("ramp-low").textContent = "0";
  byId("ramp-high").textContent = largest.toFixed(3);
  const table = byId("rate-table");
  const steps = neurons[0].rates.map((_, step) => `step ${step}`);
  table.tHead.replaceChildren(header(["Stage", "Neuron layer", ...steps, "mean"], 2));
  table.tBodies[0].replaceChildren(...neurons.map(rateRow));
  const chart = byId("rate-chart");
  chart.setAttribute(
    "aria-label",
    `Heatmap of firing rates, ${neurons.length} neuron layers by ${steps.length} time steps; ` +
      `the highest mean, ${busiest.mean.toFixed(4)}, has ${busiest.layer}. The table below has all numbers.`,
  );
  drawRates(chart, neurons, widthFor(chart));
}

function rateRow({ layer, stage, rates, mean }) {
  const cells = [...rates, mean].map((rate) => numberCell(rate.toFixed(4), rate));
  return make("tr", {}, textCell(stage), make("th", { scope: "row" }, layer), ...cells);
}

// ---- several profiles ---------------------------------------------------------------------------------------------

/** Every profile at the same protocol and prices; null where it cannot be priced by that protocol. */
function compared() {
  return content.profiles.map((profile) =>
    whyNot(profile, state.protocol, state.prices.memory) ? null : priced(profile, state.protocol, state.prices),
  );
}

function showComparison() {
  if (content.profiles.length < 2) return;
  const totals = compared();
  const table = byId("profiles");
  const columns = ["T", "Images", "Accuracy", "Mean rate", "ACs", "MACs", "mJ", "Interval", "Relative"];
  table.tHead.replaceChildren(header(["Profile", "Model", "Data", ...columns], 3));
  table.tBodies[0].replaceChildren(
    ...content.profiles.map((profile, i) => comparisonRow(profile, totals[i], totals[0])),
  );
  const { axis } = content;
  showLines([...new Set(axis.lines)]);
  const labelled = { ...axis, labels: content.profiles.map((profile) => profile.label) };
  for (const curve of curves(totals)) {
    const values = curve.values.map((value) => (value === null ? "unknown" : general(value)));
    const words = values.map((value, i) => `${axis.x[i]}: ${value}`).join(", ");
    curve.element.setAttribute("aria-label", `${curve.name} over ${axis.name}. ${words}`);
    drawCurve(curve.element, curve, labelled, widthFor(curve.element));
  }
}

/** What the lines of the curves are, if there is more than one. */
function showLines(lines) {
  const items = lines.map((line, i) => {
    const item = make("li", {}, line);
    item.style.setProperty("--swatch", `var(${LINES[i % LINES.length]})`);
    return item;
  });
  byId("curve-legend").replaceChildren(...(lines.length > 1 ? items : []));
}

function comparisonRow(profile, total, first) {
  const choose = make("button", { type: "button", "aria-pressed": String(profile === state.profile) }, profile.label);
  choose.addEventListener("click", () => chooseProfile(profile, true));
  const missing = whyNot(profile, state.protocol, state.prices.memory);
  const amounts = total
    ? [
        measure(total.accumulates || null, count),
        measure(total.multiplies || null, count),
        measure(mj(total.energy), (energy) => general(energy)),
        numberCell(margin(total.relative), total.relative),
        first?.energy
          ? measure(total.energy / first.energy, (ratio) => (ratio < 0.1 ? general(ratio, 2) : ratio.toFixed(3)))
          : numberCell("–"),
      ]
    : [make("td", { colspan: 5, class: "why" }, `not available: ${missing}`)];
  return make(
    "tr",
    { class: profile === state.profile ? "chosen" : null },
    make("th", { scope: "row" }, choose),
    textCell(profile.model),
    textCell(profile.data),
    numberCell(String(profile.time_steps)),
    measure(profile.images, (images) => images.toLocaleString("en")),
    numberCell(accuracy(profile)),
    measure(profile.rate, (rate) => rate.toFixed(4)),
    ...amounts,
  );
}

function curves(totals) {
  const share = ({ correct, labelled }) => (labelled ? (100 * correct) / labelled : null);
  const all = [
    {
      name: "Energy per image, mJ",
      values: totals.map((total) => total && mj(total.energy)),
      halves: totals.map((total) => (total && total.half !== null ? mj(total.half) : null)),
    },
    { name: "Mean firing rate", values: content.profiles.map(({ rate }) => rate) },
    { name: "Accuracy, %", values: content.profiles.map(share), share: true },
  ].filter(({ values }) => values.some((value) => value !== null));
  const place = byId("curves");
  while (place.children.length < all.length) place.append(make("div", { class: "chart", role: "img" }));
  while (place.children.length > all.length) place.lastChild.remove();
  return all.map((curve, i) => ({ ...curve, element: place.children[i] }));
}

// ---- what can be chosen -------------------------------------------------------------------------------------------

function chooseProfile(profile, keepFocus = false) {
  state.profile = profile;
  byId("profile").value = String(content.profiles.indexOf(profile));
  fillProtocols(`for ${profile.label}`);
  show();
  showRates();
  if (keepFocus) byId("profiles").tBodies[0].rows[content.profiles.indexOf(profile)].querySelector("button").focus();
}

/** The protocols of the profile shown; one that it cannot be priced by stays visible, with the reason. */
function fillProtocols(where) {
  const reason = (name) => whyNot(state.profile, name, state.prices.memory);
  const wanted = state.protocol;
  if (reason(wanted)) {
    const names = [content.start.protocol, ...content.protocols.map(({ name }) => name)];
    state.protocol = names.find((name) => !reason(name));
  }
  byId("message").textContent =
    wanted === state.protocol ? "" : `${wanted} is not available ${where}; ${state.protocol} is shown.`;
  byId("protocol").replaceChildren(
    ...content.protocols.map(({ name }) => {
      const why = reason(name);
      return make(
        "option",
        { value: name, disabled: Boolean(why), title: why ?? null },
        why ? `${name} (not available)` : name,
      );
    }),
  );
  byId("protocol").value = state.protocol;
}

function fillTechnologies() {
  const custom = make("option", { value: "", hidden: true }, "own prices");
  const options = content.technologies.map(({ name, source }, i) =>
    make("option", { value: String(i), title: source }, name),
  );
  byId("technology").replaceChildren(...options, custom);
}

function chooseTechnology(index) {
  state.technology = content.technologies[index];
  const { e_mac: mac, e_ac: ac } = state.technology;
  byId("e-mac").value = String(mac);
  byId("e-ac").value = String(ac);
  readPrices();
}

/** Take the prices as typed, and those of memory of the technology last chosen; what is no price leaves the numbers as
 * they are, and says so. */
function readPrices() {
  const fields = [byId("e-mac"), byId("e-ac")];
  const wrong = fields.map((field) => !field.validity.valid || !Number.isFinite(field.valueAsNumber));
  fields.forEach((field, i) => field.setAttribute("aria-invalid", String(wrong[i])));
  byId("price-error").textContent = wrong.includes(true) ? "A price is a number in pJ, 0 or more." : "";
  if (wrong.includes(true)) return false;
  const [mac, ac] = fields.map((field) => field.valueAsNumber);
  state.prices = { mac, ac, memory: state.technology.memory };
  const ordered = [state.technology, ...content.technologies];
  const same = content.technologies.indexOf(ordered.find((each) => each.e_mac === mac && each.e_ac === ac));
  if (same >= 0) state.prices.memory = (state.technology = content.technologies[same]).memory;
  byId("technology").value = same < 0 ? "" : String(same);
  return true;
}

function show() {
  state.priced = priced(state.profile, state.protocol, state.prices);
  showTotals();
  showProtocol();
  showStages();
  showLayers(state);
  showComparison();
}

/** Draw the charts again: another width, or other colours. */
function redraw() {
  showStages();
  showRates();
  showComparison();
}

function listen() {
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  byId("profile").addEventListener("change", ({ target }) => chooseProfile(content.profiles[Number(target.value)]));
  byId("protocol").addEventListener("change", ({ target }) => {
    state.protocol = target.value;
    byId("message").textContent = "";
    show();
  });
  byId("technology").addEventListener("change", ({ target }) => {
    chooseTechnology(Number(target.value));
    fillProtocols(`at the prices of ${state.technology.name}`);
    show();
  });
  for (const id of ["e-mac", "e-ac"]) {
    byId(id).addEventListener("input", () => {
      if (!readPrices()) return;
      fillProtocols(`at the prices of ${state.technology.name}`);
      show();
    });
  }
  byId("search").addEventListener("input", ({ target }) => {
    state.search = target.value.trim();
    showLayers(state);
  });
  byId("rival").addEventListener("change", ({ target }) => {
    chooseRival(state, target.checked);
    if (!state.rival && state.sort.column === "breakEven") state.sort = { column: "order", descending: false };
    showLayers(state);
  });
  byId("save").addEventListener("click", () => save(state));
  let waiting = 0;
  window.addEventListener("resize", () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(redraw);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  window.addEventListener("beforeprint", () => paper(true));
  window.addEventListener("afterprint", () => paper(false));
}

/** Paper is white and narrow, whatever the screen is, and nobody can open what is closed. */
function paper(printing) {
  document.documentElement.classList.toggle("paper", printing);
  for (const origin of document.querySelectorAll(".origin")) {
    if (printing && !origin.open) origin.dataset.closed = "";
    origin.open = printing || !("closed" in origin.dataset);
    if (!printing) delete origin.dataset.closed;
  }
  redraw();
}

const PAPER = 660; // px of A4 or Letter between their margins

/** Width for a chart. */
function widthFor(element) {
  return document.documentElement.classList.contains("paper")
    ? Math.min(PAPER, element.clientWidth)
    : element.clientWidth;
}

fillTechnologies();
byId("profile").replaceChildren(
  ...content.profiles.map(({ label: text }, i) => make("option", { value: String(i) }, text)),
);
listen();
chooseTechnology(content.technologies.findIndex(({ name }) => name === content.start.technology));
chooseProfile(state.profile);
