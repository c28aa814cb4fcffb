// The gallery: all items, or those that meet the filter, a page at a time.

import { sendForJson } from "./api.js";
import { card } from "./cards.js";
import { deleteItems, deleteMatching, onGalleryChange } from "./deletion.js";
import { byId, count, element } from "./elements.js";
import { currentFilter, onFilterChange } from "./filterbar.js";
import { announce, clear, showProblem, showWaiting } from "./notice.js";
import { currentPage } from "./pages.js";

const LIMIT = 60;

const FIRST = { cursor: null, first: 1 };

let pages = [FIRST]; // up to the open one: cursor, and the number of its first item
let next = null; // the page behind it
let total = 0;
let stale = true; // whether the items must be asked for again
let running = null;

/** Opens the page; what was loaded before is still there. */
export function enter() {
  if (stale) load([FIRST]);
}

/** Connects the page with its buttons and with what changes its items. */
export function startGallery() {
  onFilterChange(() => reload([FIRST]));
  onGalleryChange(() => reload(pages));
  byId("next").addEventListener("click", () => load([...pages, next], byId("gallery-title")));
  byId("previous").addEventListener("click", () => load(pages.slice(0, -1), byId("gallery-title")));
  byId("select").addEventListener("click", () => setSelecting(byId("select").getAttribute("aria-pressed") !== "true"));
  byId("select-all").addEventListener("click", () => { boxes().forEach((box) => { box.checked = true; }); countSelected(); });
  byId("delete-selected").addEventListener("click", () => deleteItems(selected()));
  byId("delete-matching").addEventListener("click", () => deleteMatching(currentFilter(), total));
  byId("items").addEventListener("change", countSelected);
}

function reload(wanted) {
  stale = true;
  if (currentPage().name === "gallery") load(wanted);
}

async function load(wanted, focused) {
  running?.abort();
  const loading = new AbortController();
  running = loading;
  byId("items").setAttribute("aria-busy", "true");
  try {
    const onWait = (problem, seconds) => showWaiting(byId("gallery-notice"), problem, seconds);
    const options = { signal: loading.signal, onWait };
    const [page, counted] = await Promise.all([
      sendForJson(`/v1/items?${query({ limit: LIMIT, cursor: wanted.at(-1).cursor })}`, options),
      sendForJson(`/v1/items:count?${query({})}`, options),
    ]);
    // The last item of the last page was deleted.
    if (page.items.length === 0 && wanted.length > 1) return await load(wanted.slice(0, -1), focused);
    const { first } = wanted.at(-1);
    next = page.next_cursor && { cursor: page.next_cursor, first: first + page.items.length };
    [pages, total, stale] = [wanted, counted.count, false];
    show(page.items);
    if (focused) focused.focus();
  } catch (problem) {
    if (problem.name !== "AbortError") showProblem(byId("gallery-notice"), problem, () => load(wanted));
  } finally {
    byId("items").removeAttribute("aria-busy");
  }
  return undefined;
}

function query(parameters) {
  const filter = currentFilter();
  const known = Object.entries({ ...parameters, filter: filter && JSON.stringify(filter) }).filter(([, value]) => value !== null);
  return new URLSearchParams(known);
}

function show(items) {
  const filtered = currentFilter() !== null;
  clear(byId("gallery-notice"));
  byId("items").replaceChildren(...items.map((item, position) => card(item, position, box(item.id))));
  const { first } = pages.at(-1);
  const range = items.length > 0 ? `${count(first)}–${count(first + items.length - 1)} of ${count(total)}` : "";
  byId("gallery-range").textContent = range;
  byId("gallery-count").textContent = `${count(total)} ${total === 1 ? "picture" : "pictures"}${filtered ? " meet the filter" : ""}`;
  byId("gallery-tools").hidden = items.length === 0;
  byId("previous").disabled = pages.length === 1;
  byId("next").disabled = next === null;
  byId("delete-matching").hidden = !filtered || total === 0;
  byId("delete-matching").textContent = `Delete all ${count(total)}`;
  byId("no-items").hidden = items.length > 0;
  byId("no-items").replaceChildren(...(filtered ? ["No picture meets the filter."] : ["The gallery is empty. ", element("a", { href: "#/add" }, "Add pictures"), "."]));
  countSelected();
  announce(range ? `Pictures ${range}` : "No pictures");
}

const box = (id) => element("input", { class: "card-select", type: "checkbox", value: id, "aria-label": `Select ${id}` });
const boxes = () => [...byId("items").querySelectorAll(".card-select")];
const selected = () => boxes().filter((each) => each.checked).map((each) => each.value);

function setSelecting(on) {
  byId("select").setAttribute("aria-pressed", String(on));
  byId("select").textContent = on ? "Done" : "Select";
  byId("selection").hidden = !on;
  byId("items").classList.toggle("selecting", on);
  if (!on) boxes().forEach((each) => { each.checked = false; });
  countSelected();
}

function countSelected() {
  const number = selected().length;
  byId("delete-selected").disabled = number === 0;
  byId("delete-selected").textContent = number === 0 ? "Delete" : `Delete ${count(number)}`;
}
