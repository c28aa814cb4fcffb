// What went wrong and what was done, in words: notices within a page, and short messages at its edge.

import { byId, element, sentence } from "./elements.js";
import { openKeyDialog } from "./key.js";

const TOAST_SECONDS = 12;

/** Shows a problem in a notice; `retry` puts a button beside it. */
export function showProblem(notice, problem, retry) {
  const needsKey = problem.status === 401 || problem.status === 403;
  const fields = problem.fields?.filter(({ detail }) => detail !== problem.message) ?? [];
  fill(notice,
    element("b", {}, problem.title ?? "Something went wrong"),
    element("span", {}, sentence(problem.message)),
    fields.length > 0 && element("ul", {}, fields.map(({ pointer, detail }) => element("li", {}, `${pointer}: ${detail}`))),
    element("span", { class: "notice-buttons" },
      needsKey && element("button", { class: "quiet", type: "button", onclick: () => openKeyDialog().then((given) => given && retry?.()) }, "Enter an API key"),
      retry && element("button", { class: "quiet", type: "button", onclick: retry }, "Try again")),
    problem.requestId && element("small", {}, `Request ${problem.requestId}`));
}

/** Says that the server is busy and that the page tries again by itself. */
export function showWaiting(notice, problem, seconds) {
  const left = element("span", { "aria-hidden": "true" }, ` ${seconds} s`);
  fill(notice, element("b", {}, problem.title), element("span", {}, "The server is busy. Trying again shortly.", left));
  const timer = setInterval(() => {
    seconds -= 1;
    if (seconds <= 0 || !left.isConnected) clearInterval(timer);
    left.textContent = seconds > 0 ? ` ${seconds} s` : "";
  }, 1000);
}

/** Takes a notice away. */
export function clear(notice) {
  notice.hidden = true;
  notice.replaceChildren();
}

/** Says at the edge of the page what was done; `undo` is offered while the message is there. */
export function toast(text, undo) {
  const dismiss = () => message.remove();
  const message = element("div", { class: "toast" },
    element("span", {}, text),
    undo && element("button", { class: "quiet", type: "button", onclick: () => { dismiss(); undo(); } }, "Undo"),
    element("button", { class: "quiet icon", type: "button", "aria-label": "Dismiss", onclick: dismiss }, "×"));
  byId("toasts").replaceChildren(message);
  leaveWhenUnattended(message, dismiss);
}

/** For screen readers only. */
export function announce(text) {
  byId("announcement").textContent = text;
}

function fill(notice, ...children) {
  notice.replaceChildren(...children.filter(Boolean));
  notice.hidden = false;
}

/** Nobody loses an "Undo" that they are about to press. */
function leaveWhenUnattended(message, dismiss) {
  let seconds = TOAST_SECONDS;
  const timer = setInterval(() => {
    if (!message.isConnected) return clearInterval(timer);
    if (message.matches(":hover, :focus-within")) return undefined;
    seconds -= 1;
    if (seconds <= 0) dismiss();
    return undefined;
  }, 1000);
}
