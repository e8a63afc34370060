// What every page does: times in the reader's zone, the theme, the keyboard, closing banners, and the idle warning.
import { keys } from "./keys.js";
import { watchIdle } from "./idle.js";

const body = document.body;
export const csrf = body.dataset.csrf ?? "";

export function send(url, fields = {}) {
    return fetch(url, {
        method: "POST",
        headers: { "X-CSRF-Token": csrf, "Content-Type": "application/x-www-form-urlencoded" },
        body: new URLSearchParams(fields),
    });
}

const shown = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

function ownTime(time) {
    const at = new Date(time.dateTime);
    const today = at.toDateString() === new Date().toDateString();
    time.textContent = today ? clock.format(at) : shown.format(at);
    time.title = `${shown.format(at)} (${time.title})`;
    time.dataset.own = "";
}

export function ownTimes(root = document) {
    root.querySelectorAll("time[datetime]:not([data-own])").forEach(ownTime);
}

function toggleTheme() {
    const root = document.documentElement;
    const theme = root.dataset.bsTheme === "dark" ? "light" : "dark";
    root.dataset.theme = theme;
    dispatchEvent(new Event("opensdm:theme"));
    send("/web/theme", { theme });
}

function clicked(event) {
    const target = event.target.closest("[data-dismiss], [data-clear], [data-theme-toggle], [data-help]");
    if (!target) return;
    if (target.matches("[data-dismiss]")) target.closest(".alert, .toast")?.remove();
    else if (target.matches("[data-clear]")) document.querySelector(target.dataset.clear)?.replaceChildren();
    else if (target.matches("[data-theme-toggle]")) toggleTheme();
    else document.querySelector("#help").showModal();
}

ownTimes();
document.addEventListener("click", clicked);
document.addEventListener("htmx:load", (event) => ownTimes(event.detail.elt));
document.addEventListener("htmx:afterSwap", (event) => {
    // A refusal is read out and scrolled to; where it was the focus goes back to what was being typed.
    if (event.detail.target.id === "refusal") event.detail.target.scrollIntoView({ block: "nearest" });
});
document.addEventListener("htmx:beforeRequest", (event) => {
    const verb = event.detail.requestConfig?.verb;
    if (verb && verb !== "get") document.querySelector("#refusal")?.replaceChildren();
});
document.addEventListener("htmx:sendError", () => {
    document.querySelector("#refusal").replaceChildren(document.querySelector("#no-answer").content.cloneNode(true));
});
export const answers = () => document.querySelector("#refusal [data-no-answer]")?.remove();
document.addEventListener("htmx:afterOnLoad", answers);
keys();
watchIdle(send);
