// How the server is doing: one line at the top of every page, and a page of its own.

import { send, sendForJson } from "./api.js";
import { byId, bytes, count, decimal, element, sentence, time } from "./elements.js";
import { clear, showProblem } from "./notice.js";

const STATUS = { ok: "Ready", writes_fail: "Writes fail", stopping: "Stopping" };

/** Asks how the server is doing and says so at the top of the page; gives the answer, or null. */
export async function refreshStatus() {
  try {
    const [health, ready] = await Promise.all([sendForJson("/healthz", { quiet: true }), readiness()]);
    const state = health.status === "ok" && !ready.isReady ? "not_ready" : health.status;
    const word = state === "not_ready" ? "Not ready" : STATUS[state] ?? state;
    show(state, `${word} · ${count(health.items)} ${health.items === 1 ? "picture" : "pictures"}`, ready.words);
    byId("empty-gallery").hidden = health.items > 0;
    return { ...health, word, ready };
  } catch {
    show("offline", "No connection", "The server does not answer");
    return null;
  }
}

function show(state, text, title) {
  byId("status").dataset.state = state;
  byId("status").title = title;
  // Only a change is worth a word from a screen reader.
  if (byId("status-text").textContent !== text) byId("status-text").textContent = text;
}

async function readiness() {
  try {
    const words = (await (await send("/readyz", { quiet: true })).text()).trim();
    return { isReady: true, words: words === "ok" ? "Takes requests" : words };
  } catch (problem) {
    if (problem.status !== 503) throw problem;
    return { isReady: false, words: sentence(problem.message) };
  }
}

/** Opens the page. */
export async function enter() {
  try {
    const [status, generations] = await Promise.all([refreshStatus(), sendForJson("/v1/generations")]);
    clear(byId("server-notice"));
    byId("server-body").replaceChildren(...groups(status, generations.current).filter(Boolean));
  } catch (problem) {
    showProblem(byId("server-notice"), problem, enter);
  }
}

function groups(status, { id, items, tombstones, memory_bytes: memory, model }) {
  const { input, dataset, metrics } = model;
  return [
    group("Now", [
      ["State", status?.word ?? "No connection"], ["Ready", status?.ready.words],
      ["Pictures that wait", status && count(status.queued)], ["Version", status?.version],
    ]),
    group("Generation", [
      ["Name", id], ["Pictures", count(items)], ["Deleted, not yet cleared", count(tombstones)], ["Memory of the index", bytes(memory)],
    ]),
    group("Net", [
      ["Backbone", model.backbone], ["Takes", `${input.width} × ${input.height}, ${input.channels === 1 ? "grey" : "colour"}`],
      ["Fingerprint", `${count(model.embedding_dim)} numbers`], ["Defense", model.defense],
      ["Trained on", `${dataset.name}, ${count(dataset.pictures)} pictures of ${count(dataset.classes)} classes`],
      ["Steps", count(model.steps)], ["Finished", time(model.created)], ["Weights", element("code", {}, model.weights_sha256)],
    ]),
    group("Measured after training", Object.entries(metrics ?? {}).map(([name, value]) => [sentenceCase(name), decimal(value, 2)])),
  ];
}

/** "recall_at_1" as people write it. */
const sentenceCase = (name) => (name === "ers" ? "ERS" : name[0].toUpperCase() + name.slice(1).replaceAll("_", " "));

function group(title, entries) {
  const known = entries.filter(([, value]) => value !== null && value !== undefined);
  return known.length > 0 && element("section", { class: "server-group" }, element("h2", {}, title),
    element("dl", { class: "table" }, known.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)))));
}
