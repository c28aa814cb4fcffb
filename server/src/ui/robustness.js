// The robustness panel: what the monitor measured on the live model, as bars, numbers and their history.

import { sendForJson } from "./api.js";
import { CHECKS, OUTCOMES, STATES, strength } from "./attacks.js";
import { ago, byId, count, decimal, duration, element, sentence, sparkline } from "./elements.js";

const KEPT = 60; // windows in a sparkline

let history = []; // the newest complete windows, oldest first

/** Asks the server for the newest results and redraws the panel. */
export async function refresh() {
  try {
    const view = await get("/v1/robustness");
    await remember(view);
    draw(view);
  } catch (problem) {
    if (problem.status === 401 || problem.status === 403) showState("off", "Not shown", "This needs an API key that may read.");
    else showState("offline", "No connection", "The server does not answer. Trying again.");
  }
}

/** Adds a window that has just become complete; asks for the whole history only when there is a gap, as at the start. */
async function remember({ newest_complete: newest, latest }) {
  const known = history.at(-1)?.number ?? null;
  if (newest === known) return;
  const follows = known !== null && newest === known + 1 && latest?.number === newest;
  const windows = follows ? [...history, latest] : (await get("/v1/robustness/windows")).windows;
  history = windows.slice(-KEPT);
}

const get = (path) => sendForJson(path, { quiet: true });

function draw(view) {
  showState(view.state, STATES[view.state] ?? view.state, view.detail ? sentence(view.detail) : lead(view));
  const focused = document.activeElement?.id;
  byId("robustness-body").replaceChildren(...body(view));
  if (focused) byId(focused)?.focus();
}

function showState(state, label, detail) {
  byId("state").dataset.state = state;
  byId("state").textContent = label;
  byId("state-detail").textContent = detail;
}

function lead({ state, settings }) {
  if (state === "off") return "The monitor is turned off in the configuration, so nothing is known about how the live model holds up.";
  const visible = Math.round(settings.epsilon * 255);
  return `Query pictures are changed by at most ${visible} of 255 brightness levels per pixel to mislead the live model. Higher is better.`;
}

function body(view) {
  const window = view.latest;
  const trouble = view.last_failure ? [failure(view.last_failure, view.failures)] : [];
  if (view.state === "off") return trouble;
  if (!window) return [...trouble, skeleton()];
  return [
    ...trouble,
    ...(window.canary ? canary(window.canary, window.gallery) : []),
    ...(window.live ? live(window.live, window) : []),
    ...alarms(window),
    footnote(window, view),
  ];
}

function canary(set, gallery) {
  const { recall_at_1: recall } = set;
  const past = history.map((window) => window.canary?.recall_at_1?.adversarial);
  const head = recall ? [
    element("div", { class: "recall" },
      gauge("Untouched", recall.benign, "benign"),
      gauge("Attacked", recall.adversarial, "adversarial")),
    element("p", { class: "hint recall-caption" }, "First hit is of the right class. Attacked: under the worst attack", sparkline(past, { title: "History of the attacked share" })),
  ] : [];
  return [...head, scores(set, "canary"), shifts(set, gallery)];
}

function gauge(name, percent, kind) {
  const known = Number.isFinite(percent);
  return element("div", { class: `gauge ${kind}` },
    element("span", { class: "gauge-name" }, name),
    element("b", { class: "gauge-number" }, known ? decimal(percent, 0) : "–", element("small", {}, known ? " %" : "")),
    meter(`${name}: R@1`, known ? percent : 0));
}

function meter(label, value) {
  const shown = Math.max(0, Math.min(100, value));
  return element("span", { class: "meter", role: "meter", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": decimal(shown, 1), "--share": shown / 100 });
}

function scores(set, name) {
  const rows = outcomesOf(set).sort(byOrder).map((outcome) => score(outcome, name));
  return element("ul", { class: "scores", "aria-label": "Score of each attack, 0 to 100, higher is better" }, rows);
}

const outcomesOf = (set) => set?.attacks.flatMap((attack) => attack.outcomes) ?? [];
const ORDER = Object.keys(OUTCOMES);
const byOrder = (a, b) => ORDER.indexOf(a.name) - ORDER.indexOf(b.name);

function score({ name, raw, score: value }, setName) {
  const words = OUTCOMES[name] ?? { title: name, goal: "", raw: (number) => decimal(number, 2) };
  const past = history.map((window) => outcomesOf(window[setName]).find((outcome) => outcome.name === name)?.score);
  return element("li", { class: `score ${strength(value)}` },
    element("div", { class: "score-head" },
      element("span", { class: "score-title" }, words.title, element("abbr", {}, name)),
      element("span", { class: "score-raw" }, words.raw(raw)),
      element("b", { class: "score-number" }, decimal(value, 0))),
    element("div", { class: "score-bar" }, meter(`${words.title}, score`, value), sparkline(past, { title: `History of ${name}` })),
    element("p", { class: "hint" }, words.goal));
}

function shifts(set, gallery) {
  const shift = strongest(set.attacks, (attack) => attack.embedding_shift?.median);
  const rank = strongest(set.attacks, (attack) => attack.rank_shift?.median);
  const facts = [];
  if (shift) facts.push(fact("Fingerprint moves", `${decimal(shift.embedding_shift.median, 2)}`, `median, of at most 2 · ${shift.attack}`));
  if (rank) facts.push(fact("Best hit falls", `${count(Math.round(rank.rank_shift.median * gallery))} places`, `median, of ${count(gallery)} · ${rank.attack}`));
  return element("dl", { class: "shifts" }, facts);
}

function strongest(attacks, value) {
  return attacks.filter((attack) => Number.isFinite(value(attack))).sort((a, b) => value(b) - value(a))[0];
}

function fact(name, value, note) {
  return element("div", {}, element("dt", {}, name), element("dd", {}, element("b", {}, value), element("small", {}, note)));
}

function live(set, { canary: labelled, gallery }) {
  const heading = `On ${count(set.queries)} recent ${set.queries === 1 ? "query" : "queries"}`;
  if (!labelled) return [element("h3", {}, heading), scores(set, "live"), shifts(set, gallery)];
  return [element("details", { class: "live", open: byId("live")?.open, id: "live" },
    element("summary", { id: "live-summary" }, heading), scores(set, "live"), shifts(set, gallery))];
}

function alarms(window) {
  const failed = [window.canary, window.live].flatMap((set) => set?.attacks ?? [])
    .flatMap((attack) => Object.entries(attack.checks ?? {}).filter(([, passed]) => !passed).map(([check]) => `${attack.attack}: ${CHECKS[check] ?? check}`));
  return [...new Set(failed)].map((text) => element("p", { class: "alarm" }, element("b", {}, "Do not trust this run. "), text));
}

function failure(last, failures) {
  return element("p", { class: "alarm" }, element("b", {}, `${count(failures)} failed ${failures === 1 ? "run" : "runs"}. `), `${sentence(ago(last.time))} ${sentence(last.detail)}`);
}

function skeleton() {
  return element("div", { class: "skeleton", "aria-hidden": "true" }, [72, 40, 56, 64].map((width) => element("span", { "--share": width / 100 })));
}

function footnote(window, { settings }) {
  const sets = [window.canary && `${count(window.canary.queries)} labelled pictures`, window.live && `${count(window.live.queries)} recent queries`].filter(Boolean).join(" and ");
  const progress = window.complete ? `${ago(window.started)}, took ${duration(window.duration_seconds)}` : `running for ${duration(window.duration_seconds)}`;
  return element("p", { class: "footnote" },
    `Run ${window.number}, ${progress}. ${sets} against ${count(window.gallery)} gallery items; ${settings.steps} gradient steps each. Generation ${window.generation}.`);
}
