"use strict";
// The totals of one profile: energy, what it would be otherwise, and what was measured.

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

function energyCard({ energy, half, relative, t }, unit) {
  const value = make("dd", { title: `${energy / PJ_PER_MJ} mJ` }, energyText(energy, unit));
  const [low, high] = ends(energy, half ?? 0).map((end) => inUnit(end, unit));
  const interval =
    half === null
      ? "no interval: fewer than two images"
      : `${margin(relative)}, 95 % interval ${general(low)} to ${general(high)} ${unit.name}`;
  const main = wide(
    "Energy per image",
    value,
    t === null && state.profile.images === null ? "rates were given, no images" : interval,
  );
  main.classList.add("main");
  return main;
}

function cards() {
  const { profile, prices, unit, priced: total } = state;
  const ann = prices.mac * profile.macs_per_step;
  const ratio = total.energy ? `${(ann / total.energy).toFixed(2)} times this; ` : "";
  const counted = total.accumulates || total.multiplies;
  const only = counted && !total.rows.some((row) => row.other); // what another price of an input would change
  return [
    energyCard(total, unit),
    counted
      ? card("Operations", `${count(total.accumulates)} ACs`, `and ${count(total.multiplies)} MACs per image`)
      : card("Operations", "–", "this protocol gives energy only"),
    card("ANN-equivalent", energyText(ann, unit), `${ratio}${count(profile.macs_per_step)} MACs, one pass`),
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
  return `priced as ${how} the total would be ${energyText(energy, state.unit)}`;
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
  const of = (name, share, text) => (share ? wide(name, `${percent(share)} of the MACs`, counted ? text : null) : null);
  return [
    of("Scaled or signed inputs", profile.scaled_share, other),
    of("Real-valued inputs inside", profile.real_share, otherwise("accumulates at their non-zero share", nonzero)),
  ];
}

function accuracy({ correct, labelled }) {
  return labelled ? percent(correct / labelled, 2) : "–";
}

function showTotals() {
  const { profile, protocol, prices, unit, priced: total } = state;
  const shown = `${energyText(total.energy, unit)} ${total.relative === null ? "" : margin(total.relative)}`.trim();
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
