"use strict";
// Several profiles beside each other: totals, curves, stages, and the difference of their firing rates.

const MOST_NAMES = 12;

/** Every profile at the same protocol and prices; null where it cannot be priced by that protocol. */
function compared() {
  return content.profiles.map((profile) =>
    whyNot(profile, state.protocol, state.prices.memory) ? null : priced(profile, state.protocol, state.prices),
  );
}

function showComparison() {
  if (content.profiles.length < 2) return;
  const totals = compared();
  const unit = energyUnit(totals.map((total) => total?.energy));
  const table = byId("profiles");
  const facts = ["Model", "Data", "T", "Images", "Accuracy", "Mean rate"];
  const amounts = [unit.name, "Interval", "Relative", "ACs", "MACs"];
  const head = header(["Profile", ...(PHONE.matches ? [...amounts, ...facts] : [...facts, ...amounts])]);
  for (const cell of head.cells) if (["Model", "Data"].includes(cell.textContent)) cell.className = "";
  table.tHead.replaceChildren(head);
  table.tBodies[0].replaceChildren(
    ...content.profiles.map((profile, i) => comparisonRow(profile, totals[i], totals[0], unit)),
  );
  showCurves(totals, unit);
  showStagesCompared(totals, unit);
  showDifference();
}

function comparisonRow(profile, total, first, unit) {
  const choose = make("button", { type: "button", "aria-pressed": String(profile === state.profile) }, profile.label);
  choose.addEventListener("click", () => chooseProfile(profile, true));
  const missing = whyNot(profile, state.protocol, state.prices.memory);
  const amounts = total
    ? [
        numberCell(general(inUnit(total.energy, unit)), `${total.energy / PJ_PER_MJ} mJ`),
        numberCell(margin(total.relative), total.relative),
        first?.energy ? measure(total.energy / first.energy, ratio) : numberCell("–"),
        measure(total.accumulates || null, count),
        measure(total.multiplies || null, count),
      ]
    : [make("td", { colspan: 5, class: "why" }, `not available: ${missing}`)];
  const facts = [
    textCell(profile.model),
    textCell(profile.data),
    numberCell(String(profile.time_steps)),
    measure(profile.images, (images) => images.toLocaleString("en")),
    numberCell(accuracy(profile)),
    measure(profile.rate, (rate) => rate.toFixed(4)),
  ];
  const cells = PHONE.matches ? [...amounts, ...facts] : [...facts, ...amounts]; // what matters most stands first
  const kind = profile === state.profile ? "chosen" : null;
  return make("tr", { class: kind }, make("th", { scope: "row" }, choose), ...cells);
}

// ---- curves -------------------------------------------------------------------------------------------------------

function showCurves(totals, unit) {
  const { axis } = content;
  const lines = [...new Set(axis.lines)];
  const legend = lines.map((name, i) => [name, `var(${LINES[i % LINES.length]})`]);
  fillLegend(byId("curve-legend"), lines.length > 1 ? legend : []);
  const labelled = { ...axis, labels: content.profiles.map((profile) => profile.label) };
  for (const curve of curves(totals, unit)) {
    const values = curve.values.map((value) => (value === null ? "unknown" : general(value)));
    const words = values.map((value, i) => `${axis.x[i]}: ${value}`).join(", ");
    curve.element.setAttribute("aria-label", `${curve.name} over ${axis.name}. ${words}`);
    drawCurve(curve.element, curve, labelled, curve.element.clientWidth);
  }
}

function curves(totals, unit) {
  const share = ({ correct, labelled }) => (labelled ? (100 * correct) / labelled : null);
  const all = [
    {
      name: `Energy per image, ${unit.name}`,
      values: totals.map((total) => total && inUnit(total.energy, unit)),
      halves: totals.map((total) => (total && total.half !== null ? inUnit(total.half, unit) : null)),
    },
    { name: "Mean firing rate", values: content.profiles.map(({ rate }) => rate) },
    { name: "Accuracy, %", values: content.profiles.map(share), share: true },
  ].filter(({ values }) => values.some((value) => value !== null));
  const place = byId("curves");
  while (place.children.length < all.length) place.append(make("div", { class: "chart", role: "img" }));
  while (place.children.length > all.length) place.lastChild.remove();
  return all.map((curve, i) => ({ ...curve, element: place.children[i] }));
}

// ---- stages by profile --------------------------------------------------------------------------------------------

/** A bar for each profile, its parts the stages in network order; stages are those of any profile. */
function showStagesCompared(totals, unit) {
  const staged = totals.map((total) => (total ? byStage(total.rows, state.prices) : []));
  const found = staged.map((all) => new Map(all.map((each) => [each.stage, each])));
  const stages = [...new Set(found.flatMap((each) => [...each.keys()]))];
  const { colors } = ramp([]);
  const fills = stages.map((_, i) => {
    const place = stages.length > 1 ? 0.25 + (0.75 * i) / (stages.length - 1) : 0.75;
    return `rgb(${colorOf({ colors, low: 0, high: 1 }, place).map(Math.round).join(" ")})`;
  });
  fillLegend(
    byId("stages-compared-legend"),
    stages.map((stage, i) => [stage, fills[i]]),
  );
  const energy = (i, stage) => found[i].get(stage)?.energy ?? null;
  const bars = content.profiles.map(({ label }, i) => ({
    name: label,
    parts: stages.map((stage, j) => ({ value: inUnit(energy(i, stage) ?? 0, unit), fill: fills[j] })),
    end: totals[i] ? energyText(totals[i].energy, unit) : "not available",
    lines: [label, ...[...found[i].values()].map((each) => `${each.stage}: ${energyText(each.energy, unit)}`)],
  }));
  const chart = byId("stages-compared-chart");
  const words = bars.map(({ name, end }) => `${name} ${end}`).join(", ");
  chart.setAttribute("aria-label", `Energy by stage of every profile: ${words}. The table has all numbers.`);
  drawBars(chart, bars, `${unit.name} per image`, chart.clientWidth, bars.length > 12 ? 20 : 32);
  const table = byId("stages-compared-table");
  const labels = content.profiles.map(({ label }) => `${label}, ${unit.name}`);
  table.tHead.replaceChildren(header(["Stage", ...labels]));
  table.tBodies[0].replaceChildren(
    ...stages.map((stage) => {
      const cells = content.profiles.map((_, i) => measure(energy(i, stage), (pj) => general(inUnit(pj, unit))));
      return make("tr", {}, make("th", { scope: "row" }, stage), ...cells);
    }),
  );
}

// ---- difference of firing rates -----------------------------------------------------------------------------------

/** The profile that the one shown is compared with: the one chosen, else the first other one. */
function against() {
  const others = content.profiles.filter((profile) => profile !== state.profile);
  return others.includes(state.against) ? state.against : others[0];
}

function fillAgainst() {
  const options = content.profiles.map(({ label }, i) =>
    make("option", { value: String(i), disabled: content.profiles[i] === state.profile }, label),
  );
  byId("against").replaceChildren(...options);
  byId("against").value = String(content.profiles.indexOf(against()));
}

/** Rates of the layers that both have, in the order of the first, one minus the other: by time step where both have
 * as many, else of means over time. */
function differences(one, other) {
  const others = new Map(neuronsOf(other).map((neuron) => [neuron.layer, neuron]));
  const pairs = neuronsOf(one).flatMap((a) => (others.has(a.layer) ? [[a, others.get(a.layer)]] : []));
  const steps = one.time_steps === other.time_steps ? one.time_steps : 0;
  return {
    steps,
    layers: pairs.map(([a, b]) => ({
      layer: a.layer,
      stage: a.stage,
      pair: [a, b],
      rates: steps && a.rates && b.rates ? a.rates.map((rate, step) => rate - b.rates[step]) : null,
      mean: a.mean - b.mean,
    })),
  };
}

function showDifference() {
  fillAgainst();
  const other = against();
  const { steps, layers } = differences(state.profile, other);
  const notes = differenceNotes(state.profile, other, layers);
  byId("difference-basis").replaceChildren(...notes.map((text) => make("p", {}, text)));
  byId("difference-found").hidden = !layers.length;
  if (!layers.length) return;
  const scale = diverging(layers.flatMap(({ rates, mean }) => [...(rates ?? []), mean]));
  byId("difference-low").textContent = signed(scale.low, 3);
  byId("difference-high").textContent = signed(scale.high, 3);
  const chart = byId("difference-chart");
  const greatest = layers.reduce((a, b) => (Math.abs(b.mean) > Math.abs(a.mean) ? b : a));
  chart.setAttribute(
    "aria-label",
    `Heatmap of firing rates, ${state.profile.label} minus ${other.label}, ${layers.length} neuron layers; ` +
      `the greatest difference of means, ${signed(greatest.mean, 4)}, has ${greatest.layer}.`,
  );
  const written = (rate) => signed(rate, 3);
  drawHeatmap(chart, layers, scale, { steps, written, title: differenceLines, width: chart.clientWidth });
}

/** What a cell says of itself: the difference, and of what. */
function differenceLines({ layer, stage, rates, mean, pair }, step) {
  const where = step === null ? "mean" : `time step ${step}`;
  if (step !== null && !rates) return [layer, `${stage}, ${where}: not known`];
  const both = pair.map((each) => (step === null ? each.mean : each.rates[step]).toFixed(4));
  return [layer, `${stage}, ${where}: ${signed(step === null ? mean : rates[step], 4)}`, both.join(" and ")];
}

/** What is compared with what, and what is left out of it. */
function differenceNotes(one, other, layers) {
  const both = new Set(layers.map(({ layer }) => layer));
  const alone = [one, other].flatMap(({ label, neurons }) => {
    const names = neurons.map(({ layer }) => layer).filter((name) => !both.has(name));
    const some = names.slice(0, MOST_NAMES).join(", ") + (names.length > MOST_NAMES ? ", …" : ".");
    return names.length ? [`Only in ${label} (${names.length}): ${some}`] : [];
  });
  const differ = layers.length && one.time_steps !== other.time_steps;
  return [
    `${one.label} minus ${other.label}, ${both.size} neuron layers of equal name.`,
    ...(differ ? [`T differs (${one.time_steps} and ${other.time_steps}), so means over time are compared.`] : []),
    ...alone,
  ];
}
