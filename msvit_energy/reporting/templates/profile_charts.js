"use strict";
// The charts of one profile: energy by stage and by layer, firing rates.

const FEWEST_LAYERS = 20; // with a bar of their own; more where the heatmap beside them is longer

/** Parts of a bar by the kind of operation, in a unit, from energies in pJ. */
function partsOf(energies, unit) {
  return KINDS.map(({ key, fill }) => ({ value: inUnit(energies[key], unit), fill }));
}

/** What a bar of energies says of itself. */
function linesOf(name, energies, share, unit) {
  const kinds = KINDS.filter(({ key }) => energies[key]);
  return [
    name,
    ...(kinds.length > 1 ? kinds.map(({ key, name: kind }) => `${kind}: ${energyText(energies[key], unit)}`) : []),
    energies.counted ? `${energyText(energies.energy, unit)}, ${percent(share)}` : "left out by the protocol",
  ];
}

function showStages() {
  const { unit } = state;
  const stages = byStage(state.priced.rows, state.prices);
  const used = KINDS.filter(({ key }) => summed(stages, key) !== 0);
  const total = summed(stages, "energy");
  const share = (stage) => (total ? stage.energy / total : 0);
  const shown = (energy) => general(inUnit(energy, unit));
  fillLegend(
    byId("stage-legend"),
    used.map(({ name, fill }) => [name, fill]),
  );
  const table = byId("stage-table");
  const columns = [...used.map(({ name }) => `${name}, ${unit.name}`), `sum, ${unit.name}`, "share"];
  table.tHead.replaceChildren(header(["Stage", ...columns]));
  table.tBodies[0].replaceChildren(
    ...stages.map((stage) =>
      make(
        "tr",
        {},
        make("th", { scope: "row" }, stage.stage),
        ...[...used.map(({ key }) => key), "energy"].map((key) => numberCell(shown(stage[key]))),
        numberCell(percent(share(stage))),
      ),
    ),
  );
  const chart = byId("stage-chart");
  const width = chart.clientWidth;
  const words = stages.map(({ stage, energy }) => `${stage} ${shown(energy)} ${unit.name}`);
  chart.setAttribute("aria-label", `Bar chart of energy by stage: ${words.join(", ")}`);
  const bars = stages.map((stage) => ({
    name: stage.stage,
    parts: partsOf(stage, unit),
    end: stage.counted ? endOf(stage.energy, share(stage), unit, width) : "left out",
    lines: linesOf(stage.stage, stage, share(stage), unit),
  }));
  drawBars(chart, bars, `${unit.name} per image`, width);
}

function endOf(energy, share, unit, width) {
  return `${width < NARROW ? "" : `${general(inUnit(energy, unit), 3)} ${unit.name}, `}${percent(share)}`;
}

/** Bars of the layers that cost most, and in words what the others cost together. */
function showLayerCosts() {
  const { unit, prices, priced: total, profile } = state;
  const layers = sorted(
    total.rows.filter(({ energy }) => energy > 0),
    { column: "energy", descending: true },
  );
  const most = layers.slice(0, Math.max(FEWEST_LAYERS, byStages(profile.neurons).length));
  const others = layers.slice(most.length);
  const cheap = summed(others, "energy");
  const rest = `${others.length} more cost ${energyText(cheap, unit)} together, ${percent(cheap / total.energy)}.`;
  byId("cost-rest").textContent = others.length ? rest : layers.length ? "" : "No layer costs anything.";
  const chart = byId("cost-chart");
  const width = chart.clientWidth;
  const bars = most.map((row) => {
    const energies = {
      accumulates: row.accumulates * prices.ac,
      multiplies: row.multiplies * prices.mac,
      other: row.other,
      energy: row.energy,
      counted: row.counted,
    };
    return {
      name: row.layer,
      parts: partsOf(energies, unit),
      end: endOf(row.energy, row.share, unit, width),
      lines: linesOf(row.layer, energies, row.share, unit),
    };
  });
  const first = most[0] ? ` from ${most[0].layer}, ${energyText(most[0].energy, unit)}, downwards` : "";
  chart.setAttribute("aria-label", `Bar chart of energy by layer, ${most.length} layers${first}. The table has all.`);
  drawBars(chart, bars, `${unit.name} per image`, width, CELL.height);
}

// ---- firing rates -------------------------------------------------------------------------------------------------

/** Neuron layers as they are drawn: those with another number of rates than of time steps have their mean only. */
function neuronsOf({ neurons, time_steps: steps }) {
  return neurons.map((neuron) => ({ ...neuron, rates: neuron.rates.length === steps ? neuron.rates : null }));
}

function showRates() {
  const { time_steps: count } = state.profile;
  const neurons = neuronsOf(state.profile);
  byId("rates-found").hidden = !neurons.length;
  byId("rates-missing").hidden = Boolean(neurons.length);
  if (!neurons.length) return;
  const scale = ramp(neurons.flatMap(({ rates, mean }) => [...(rates ?? []), mean]));
  const busiest = neurons.reduce((a, b) => (b.mean > a.mean ? b : a));
  byId("ramp-low").textContent = scale.low ? scale.low.toFixed(3) : "0";
  byId("ramp-high").textContent = scale.high.toFixed(3);
  byId("rates-unknown").hidden = neurons.every(({ rates }) => rates);
  const table = byId("rate-table");
  const steps = [...Array(count).keys()];
  table.tHead.replaceChildren(header(["Stage", "Neuron layer", ...steps.map((step) => `step ${step}`), "mean"], 2));
  table.tBodies[0].replaceChildren(...neurons.map((neuron) => rateRow(neuron, steps)));
  const chart = byId("rate-chart");
  chart.setAttribute(
    "aria-label",
    `Heatmap of firing rates, ${neurons.length} neuron layers by ${count} time steps; ` +
      `the highest mean, ${busiest.mean.toFixed(4)}, has ${busiest.layer}. The table below has all numbers.`,
  );
  const written = (rate) => fixed(rate, 3);
  const title = ({ layer, stage, rates, mean }, step) => [
    layer,
    ...(step === null ? [stage] : [`${stage}, time step ${step}: ${rates ? rates[step].toFixed(4) : "not known"}`]),
    `mean ${mean.toFixed(4)}`,
  ];
  drawHeatmap(chart, neurons, scale, { steps: count, written, title, width: chart.clientWidth });
}

function rateRow({ layer, stage, rates, mean }, steps) {
  const cells = steps.map((step) => measure(rates?.[step] ?? null, (rate) => rate.toFixed(4)));
  cells.push(numberCell(mean.toFixed(4), mean));
  return make("tr", {}, textCell(stage), make("th", { scope: "row" }, layer), ...cells);
}
