// Search: a picture in, the nearest ones out.

import { byId, count, decimal, duration, element, sentence } from "./elements.js";

const LIMIT = 20;
const SMALL_PICTURE = 96; // pixels; smaller ones are enlarged without blurring
const UNRELATED = Math.SQRT2; // the usual distance of two pictures that have nothing in common
const STAGES = { decode: "decoding", preprocess: "resizing", queue: "waiting", embed: "fingerprint", search: "index" };

let newest = 0; // number of the newest search: an older answer that arrives late is dropped

/** Searches by a picture file that the user dropped, pasted or chose. */
export function searchByPicture(file) {
  const form = new FormData();
  form.append("image", file, "picture");
  form.append("query", new Blob([JSON.stringify({ limit: LIMIT })], { type: "application/json" }));
  showPreview(URL.createObjectURL(file), `Your picture, ${file.name}`);
  return search({ body: form }, "your picture");
}

/** Searches from an item of the gallery. */
export function searchById(id) {
  showPreview(pictureOf(id), `Gallery picture ${id}`);
  const body = JSON.stringify({ id, limit: LIMIT });
  return search({ body, headers: { "Content-Type": "application/json" } }, id);
}

async function search(request, subject) {
  const number = ++newest;
  byId("notice").hidden = true;
  byId("dropzone").classList.add("busy");
  try {
    const started = performance.now();
    const response = await fetch("/v1/search", { method: "POST", ...request });
    const body = await response.json().catch(() => ({}));
    if (number !== newest) return;
    if (!response.ok) return showProblem(body, response.status);
    showAnswer(body, response.headers.get("Server-Timing"), performance.now() - started, subject);
  } catch {
    if (number === newest) showProblem({ title: "No connection", detail: "the server did not answer; is it still running?" });
  } finally {
    if (number === newest) byId("dropzone").classList.remove("busy");
  }
}

function showPreview(address, description) {
  const preview = byId("preview");
  if (preview.src.startsWith("blob:")) URL.revokeObjectURL(preview.src);
  preview.onload = () => sharpenIfSmall(preview);
  preview.onerror = () => { preview.hidden = true; };
  preview.src = address;
  preview.alt = description;
  preview.hidden = false;
  byId("dropzone").classList.add("filled");
}

function showProblem(problem, status) {
  const title = problem.title ?? `The server answered ${status}`;
  const reference = problem.request_id ? element("small", {}, `Request ${problem.request_id}`) : null;
  byId("notice").replaceChildren(element("b", {}, title), element("span", {}, sentence(problem.detail)), reference ?? "");
  byId("notice").hidden = false;
  byId("answer").hidden = true;
}

function showAnswer(reply, timing, milliseconds, subject) {
  const took = duration((reply.took_ms ?? milliseconds) / 1000);
  byId("welcome").hidden = true;
  byId("answer").hidden = false;
  byId("answer-facts").replaceChildren(`${count(reply.hits.length)} in ${took}`, element("span", { title: "The net and index that answered" }, `generation ${reply.generation}`));
  byId("hits").replaceChildren(...reply.hits.map(hitCard));
  byId("labels").replaceChildren(...labelCounts(reply.hits));
  byId("stages").replaceChildren(...stageBars(timing));
  byId("announcement").textContent = `${reply.hits.length} pictures near ${subject}, found in ${took}`;
}

function hitCard(hit, position) {
  const label = hit.metadata?.label ?? "no label";
  const picture = element("img", { src: pictureOf(hit.id), alt: "", loading: position < 12 ? "eager" : "lazy", onload: (event) => sharpenIfSmall(event.target) });
  const closeness = Math.max(0, 1 - hit.distance / UNRELATED);
  return element("li", {},
    element("button", { class: "hit", type: "button", title: `Search from ${hit.id}`, onclick: () => { searchById(hit.id); window.scrollTo({ top: 0, behavior: "smooth" }); } },
      element("span", { class: "hit-picture" }, picture),
      element("span", { class: "hit-label" }, label),
      element("span", { class: "hit-id" }, hit.id),
      element("span", { class: "hit-distance" },
        element("span", { class: "hit-closeness", "--share": closeness, "aria-hidden": "true" }),
        element("span", {}, element("span", { class: "visually-hidden" }, "distance "), decimal(hit.distance, 3)))));
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

function sharpenIfSmall(picture) {
  picture.classList.toggle("small-picture", picture.naturalWidth > 0 && picture.naturalWidth < SMALL_PICTURE);
}

const pictureOf = (id) => `/v1/items/${encodeURIComponent(id)}/image?size=320`;
