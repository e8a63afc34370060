// Padlocks and toasts of an open page, kept true by server-sent events. The server draws; this puts it in its place.
import { answers, ownTimes } from "./page.js";

const toasts = document.querySelector("#toasts");
const offline = document.querySelector("#offline");
let source = null;
let following = "";
let waiting = 0;
let missing = 0;

function drawn(html) {
    const made = document.createElement("template");
    made.innerHTML = html;
    return made.content.firstElementChild;
}

function put(html) {
    const fresh = drawn(html);
    for (const old of document.querySelectorAll(`[id="${fresh.id}"]`)) {
        const copy = fresh.cloneNode(true);
        const focused = old.contains(document.activeElement);
        const changed = old.dataset.mark !== copy.dataset.mark;
        if (old.dataset.state !== copy.dataset.state) copy.classList.add("padlock-changed");
        old.replaceWith(copy);
        htmx.process(copy);
        ownTimes(copy);
        if (focused) copy.querySelector("button")?.focus({ preventScroll: true });
        // `detail`: the lock is another one, and not only its holder idle for longer.
        if (changed || old.dataset.idle !== copy.dataset.idle) copy.dispatchEvent(new CustomEvent("opensdm:padlock", { bubbles: true, detail: changed }));
    }
}

function toast({ key, html }) {
    if (sessionStorage.getItem(`told-${key}`) || document.querySelector(`[data-key="${key}"]`)) return;
    const made = drawn(html);
    toasts.append(made);
    htmx.process(made);
    ownTimes(made);
}

function connected(live) {
    document.body.dataset.live = live ? "yes" : "no";
    // Each failed try is an error of its own: the clock runs from the first.
    if (!live) missing ||= setTimeout(() => { offline.hidden = false; }, 2000);
    else {
        clearTimeout(missing);
        missing = 0;
        offline.hidden = true;
        answers();
    }
}

function devices() {
    return [...new Set([...document.querySelectorAll("[data-device]")].map((each) => each.dataset.device))].slice(0, 200);
}

function follow() {
    const wanted = devices().map((id) => `device=${id}`).join("&");
    if (source && source.readyState !== EventSource.CLOSED && wanted === following) return;
    source?.close();
    following = wanted;
    source = new EventSource(`/web/events?${wanted}`);
    source.addEventListener("ready", () => connected(true));
    source.addEventListener("part", (event) => put(JSON.parse(event.data).html));
    source.addEventListener("toast", (event) => toast(JSON.parse(event.data)));
    source.addEventListener("error", (event) => {
        connected(false);
        // The server says why it ends a stream; one that broke off opens by itself again, or is asked for in a while.
        if (event.data && JSON.parse(event.data).code === "NOT_LOGGED_IN") over();
        else if (event.target.readyState === EventSource.CLOSED) setTimeout(soon, 5000);
    });
}

// The session is over. Where something was typed the page stays, and says so as it would if that were sent.
function over() {
    stop();
    const fields = [...document.querySelectorAll("main :is(input:not([type=hidden], [type=checkbox], [type=radio]), textarea):not([role=search] *)")];
    if (fields.some((field) => field.value !== field.defaultValue)) htmx.ajax("POST", "/web/stay", "#refusal");
    else location.assign(`/web/sign-in?${new URLSearchParams({ why: "over", next: location.pathname + location.search })}`);
}

function soon() {
    clearTimeout(waiting);
    waiting = setTimeout(follow, 150);
}

function stop() {
    source?.close();
    source = null;
    following = "";
}

toasts.addEventListener("click", (event) => {
    const told = event.target.closest(".toast");
    if (told && event.target.closest("button, a")) sessionStorage.setItem(`told-${told.dataset.key}`, "yes");
});
// A browser opens only so many connections to one server: a page that nobody sees gives its own back.
document.addEventListener("visibilitychange", () => (document.hidden ? stop() : follow()));
addEventListener("pagehide", stop);
document.addEventListener("htmx:afterSettle", soon);
document.addEventListener("htmx:afterRequest", ({ detail: { xhr, requestConfig: { verb } } }) => {
    if (verb === "get" && xhr.status === 401) over();
});
follow();
