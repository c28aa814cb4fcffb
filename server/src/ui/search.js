// Search: a picture in, the nearest ones out.

import { pictureAddress, send, sendForJson } from "./api.js";
import { card } from "./cards.js";
import { onGalleryChange } from "./deletion.js";
import { byId, count, decimal, duration, element } from "./elements.js";
import { currentFilter, onFilterChange } from "./filterbar.js";
import { announce, clear, showProblem, showWaiting } from "./notice.js";
import { currentPage, open } from "./pages.js";
import { load, sharpenIfSmall } from "./pictures.js";

const STAGES = { decode: "decoding", preprocess: "resizing", queue: "waiting", embed: "fingerprint", search: "index" };

const EXAMPLES = 12;

const files = []; // pictures searched by in this tab, so that the back button finds them again
let subject = null; // what is searched for: {file} or {id}
let running = null; // the newest search; an older one is ended

/** Searches by a picture file that the user dropped, pasted or chose. */
export function searchByPicture(file) {
  files.push(file);
  open("search", { picture: files.length });
}

/** Opens the page: `like` names an item, `picture` a file of this tab. */
export function enter(parameters) {
  const [id, file] = [parameters.get("like"), files[parameters.get("picture") - 1]];
  const next = id ? { id } : file ? { file } : null;
  const same = subject && next && subject.id === next.id && subject.file === next.file;
  // Coming back from another page, the answer is still there.
  if (same && !byId("answer").hidden) return;
  subject = next;
  if (subject) search();
  else showWelcome();
}

/** Connects the page with what changes its answer. */
export function startSearch() {
  const again = () => { if (subject && currentPage().name === "search") search(); else forget(); };
  onFilterChange(again);
  onGalleryChange(again);
  byId("limit").addEventListener("change", again);
}

/** The answer is out of date; the page searches again when it is opened. */
function forget() {
  byId("answer").hidden = true;
}

function showWelcome() {
  running?.abort();
  clear(byId("search-notice"));
  byId("answer").hidden = true;
  byId("welcome").hidden = false;
  byId("preview").hidden = true;
  byId("subject").hidden = true;
  byId("dropzone").classList.remove("filled", "busy");
  showExamples();
}

/** Some pictures to begin with, spread over what was stored first. */
async function showExamples() {
  const { items } = await sendForJson("/v1/items?limit=120", { quiet: true }).catch(() => ({ items: [] }));
  const apart = Math.max(1, Math.floor(items.length / EXAMPLES));
  const chosen = items.filter((_, position) => position % apart === 0).slice(0, EXAMPLES);
  byId("examples-title").hidden = chosen.length === 0;
  byId("examples").replaceChildren(...chosen.map((item, position) => card(item, position)));
}

async function search() {
  running?.abort();
  const search = new AbortController();
  running = search;
  showSubject();
  byId("dropzone").classList.add("busy");
  try {
    const started = performance.now();
    const onWait = (problem, seconds) => showWaiting(byId("search-notice"), problem, seconds);
    const response = await send("/v1/search", { method: "POST", signal: search.signal, onWait, ...request() });
    const reply = await response.json();
    if (running === search) showAnswer(reply, response.headers.get("Server-Timing"), performance.now() - started);
  } catch (problem) {
    if (running === search && problem.name !== "AbortError") fail(problem);
  } finally {
    if (running === search) byId("dropzone").classList.remove("busy");
  }
}

function request() {
  const filter = currentFilter();
  const query = { limit: Number(byId("limit").value), ...(filter && { filter }) };
  if (subject.id) return { json: { ...query, id: subject.id } };
  const form = new FormData();
  form.append("image", subject.file, "picture");
  form.append("query", new Blob([JSON.stringify(query)], { type: "application/json" }));
  return { body: form };
}

function showSubject() {
  const preview = byId("preview");
  if (preview.src.startsWith("blob:")) URL.revokeObjectURL(preview.src);
  preview.onload = () => sharpenIfSmall(preview);
  preview.onerror = () => { preview.hidden = true; };
  load(preview, subject.id ? pictureAddress(subject.id, 320) : URL.createObjectURL(subject.file));
  preview.alt = subject.id ? `Gallery picture ${subject.id}` : `Your picture, ${subject.file.name}`;
  preview.hidden = false;
  byId("subject").replaceChildren(subject.id ? "More like " : "Your picture ", element("b", {}, subject.id ?? subject.file.name));
  byId("subject").hidden = false;
  byId("dropzone").classList.add("filled");
}

function fail(problem) {
  showProblem(byId("search-notice"), problem, problem.status === 0 || problem.isTemporary || problem.status >= 500 ? search : undefined);
  byId("answer").hidden = true;
}

function showAnswer(reply, timing, milliseconds) {
  const took = duration((reply.took_ms ?? milliseconds) / 1000);
  clear(byId("search-notice"));
  byId("welcome").hidden = true;
  byId("answer").hidden = false;
  byId("answer-facts").replaceChildren(`${count(reply.hits.length)} in ${took}`, element("span", { title: "The net and index that answered" }, `generation ${reply.generation}`));
  byId("hits").replaceChildren(...reply.hits.map((hit, position) => card(hit, position)));
  byId("no-hits").hidden = reply.hits.length > 0;
  byId("labels").replaceChildren(...labelCounts(reply.hits));
  byId("stages").replaceChildren(...stageBars(timing));
  announce(`${reply.hits.length} pictures near ${subject.id ?? "your picture"}, found in ${took}`);
}

/** "Sneaker 20 · Sandal 4": which classes the hits are from, most frequent first. */
function labelCounts(hits) {
  const counts = new Map();
  for (const { metadata } of hits) {
    if (metadata?.label !== undefined) counts.set(metadata.label, (counts.get(metadata.label) ?? 0) + 1);
  }
  const sorted = [...counts].sort(([, a], [, b]) => b - a).slice(0, 6);
  return sorted.map(([label, number]) => element("span", { class: "label-count" }, label, element("b", {}, String(number))));
}

/** One bar per stage of the Server-Timing header, as wide as its share of the time. */
function stageBars(timing) {
  const stages = [...(timing ?? "").matchAll(/([\w-]+)[^,]*?;\s*dur=([\d.]+)/g)]
    .map(([, name, milliseconds]) => ({ name: STAGES[name], milliseconds: Number(milliseconds) }))
    .filter((stage) => stage.name);
  return stages.map(({ name, milliseconds }) => element("span", { class: "stage", "--weight": Math.max(milliseconds, 0.01) },
    element("span", {}, name), element("b", {}, `${decimal(milliseconds, milliseconds < 10 ? 1 : 0)} ms`)));
}
