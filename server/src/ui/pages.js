// The pages and their addresses: #/search?like=boot.7 and so on, so that the browser's back button works.

import { byId, element } from "./elements.js";

const pages = new Map(); // name to page, in the order of the navigation

/**
 * Adds a page: everything on it has its name in `data-page`, and `title` stands in the navigation.
 *
 * `enter` is called with the parameters of the address whenever the page is opened or its parameters change.
 */
export function addPage(name, { title, heading, enter = () => {} }) {
  pages.set(name, { title, heading, enter });
  byId("pages").append(element("li", {}, element("a", { href: `#/${name}`, id: `to-${name}` }, title)));
}

/** Name and parameters of the page that is open. */
export function currentPage() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  return { name: pages.has(path) ? path : pages.keys().next().value, parameters: new URLSearchParams(query) };
}

/** Opens a page; if it is open with the same parameters, enters it again. */
export function open(name, parameters = {}) {
  const query = new URLSearchParams(parameters).toString();
  const hash = query ? `#/${name}?${query}` : `#/${name}`;
  if (location.hash === hash) show();
  else location.hash = hash;
}

/** Shows the page of the address, now and whenever the address changes. */
export function startPages() {
  window.addEventListener("hashchange", () => { if (location.hash === "" || location.hash.startsWith("#/")) show(focusHeading); });
  show();
}

let shown = null;

function show(onChange = () => {}) {
  const { name, parameters } = currentPage();
  const page = pages.get(name);
  for (const part of document.querySelectorAll("[data-page]")) part.hidden = !part.dataset.page.split(" ").includes(name);
  for (const other of pages.keys()) {
    if (other === name) byId(`to-${other}`).setAttribute("aria-current", "page");
    else byId(`to-${other}`).removeAttribute("aria-current");
  }
  // Who comes back to a page finds it as it was.
  byId(`to-${name}`).href = location.hash || `#/${name}`;
  byId("main").dataset.current = name;
  document.title = `${page.title} · Holdfast`;
  const changed = shown !== name;
  shown = name;
  page.enter(parameters);
  if (changed) onChange(page);
}

/** Who follows a link by keyboard or screen reader goes on reading where the new page begins. */
function focusHeading(page) {
  window.scrollTo({ top: 0 });
  byId(page.heading).focus({ preventScroll: true });
}
