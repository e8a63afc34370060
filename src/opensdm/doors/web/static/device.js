// One device's page: when its padlock changed, panel and history are drawn anew, and what was typed is carried over.
const typed = new Map();  // the fields that somebody typed into, by id; one that is gone may come back with a later panel
let at = "";  // where the focus was
let open = [];
let saw = null;  // the override form that was looked at
let refused = false;

const panel = () => document.querySelector("#lock-panel");
const story = () => document.querySelector("#lock-history").dispatchEvent(new Event("opensdm:refresh"));
const refresh = () => htmx.ajax("GET", panel().dataset.anew, { target: "#lock-panel", swap: "outerHTML" });

document.addEventListener("input", (event) => {
    if (panel().contains(event.target)) typed.set(event.target.id, event.target);
});
document.addEventListener("opensdm:padlock", (event) => {
    if (!panel().contains(event.target)) return;
    if (event.detail) story();
    if (!panel().querySelector("form.htmx-request")) refresh();
});
document.addEventListener("htmx:beforeRequest", ({ detail: { requestConfig: { verb } } }) => {
    // Before its button is disabled and loses the focus.
    if (verb !== "get") at = panel().contains(document.activeElement) ? document.activeElement.id : "";
});
document.addEventListener("htmx:beforeSwap", ({ detail: { target, requestConfig: { verb, elt } } }) => {
    if (target !== panel()) return;
    if (target.contains(document.activeElement)) at = document.activeElement.id;
    const sent = verb !== "get";
    if (sent) for (const field of elt.elements ?? []) typed.delete(field.id);
    open = sent ? [] : [...target.querySelectorAll("details[open]")].map((each) => each.id);
    saw = sent || refused ? null : target.querySelector("#override[open] form");
    refused = false;
});
document.addEventListener("htmx:afterSwap", ({ target: fresh, detail: { requestConfig: { verb } } }) => {
    if (fresh !== panel()) return;
    const here = (id) => fresh.querySelector(`#${id}`);
    for (const [id, { value, checked }] of typed) if (here(id)) Object.assign(here(id), { value, checked });
    for (const id of open) here(id)?.setAttribute("open", "");
    // Whoever is about to override a lock overrides that one: another one in its place is refused, and then shown.
    if (saw && here("override")) for (const name of ["holder", "epoch"]) here("override").querySelector("form").elements[name].value = saw.elements[name].value;
    // Words meant for a field go into a field: elsewhere their letters would be commands.
    const places = verb === "get" ? [at, "field-reason", "field-message"] : [at, "lock-main"];
    const seen = places.map((id) => at && here(id)).find((each) => each && !each.closest("details:not([open])"));
    seen?.focus({ preventScroll: true });
});
document.addEventListener("htmx:afterRequest", ({ detail: { target, xhr, requestConfig: { verb } } }) => {
    if (verb === "get") return;
    if (xhr.status < 400) story();
    else refused = true;
    if (xhr.status !== 401 && target !== panel() && target.id !== "lock-panel") refresh();
});

function unfold(hash) {
    const more = hash && document.querySelector(`details${hash}`);
    if (!more) return false;
    more.open = true;
    more.querySelector("input:not([type=hidden])").focus();
    return true;
}
document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href*='#']");
    if (link?.pathname === location.pathname && unfold(link.hash)) event.preventDefault();
});
unfold(location.hash);
