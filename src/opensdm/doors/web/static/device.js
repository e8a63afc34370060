// One device's page: when its padlock changed, panel and history are drawn anew, but never under somebody's hands.
const busy = (panel) => panel.contains(document.activeElement) && document.activeElement.matches("input, select, textarea")
    || [...panel.querySelectorAll("input:not([type=hidden]):not([type=checkbox])")].some((field) => field.value !== field.defaultValue);

const story = () => document.querySelector("#lock-history").dispatchEvent(new Event("opensdm:refresh"));

document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.requestConfig.verb !== "get" && event.detail.successful) story();
});
document.addEventListener("opensdm:padlock", (event) => {
    const panel = document.querySelector("#lock-panel");
    if (!panel || !panel.contains(event.target)) return;
    story();
    if (!busy(panel)) panel.dispatchEvent(new Event("opensdm:refresh"));
});
document.addEventListener("htmx:beforeSwap", (event) => {
    // Somebody began to type while the new panel was on its way.
    const panel = event.detail.target;
    if (panel.id === "lock-panel" && event.detail.requestConfig.verb === "get" && busy(panel)) event.detail.shouldSwap = false;
});
const wanted = location.hash.slice(1);
if (wanted) document.getElementById(wanted)?.setAttribute("open", "");
