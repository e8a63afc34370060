// One device's page: when its padlock changed, panel and history are drawn anew, but never under somebody's hands.
const busy = (panel) => panel.contains(document.activeElement) && document.activeElement.matches("input, select, textarea")
    || [...panel.querySelectorAll("input:not([type=hidden]):not([type=checkbox])")].some((field) => field.value !== field.defaultValue);

document.addEventListener("opensdm:padlock", (event) => {
    const panel = document.querySelector("#lock-panel");
    if (!panel || !panel.contains(event.target)) return;
    document.querySelector("#lock-history").dispatchEvent(new Event("opensdm:refresh"));
    if (!busy(panel)) panel.dispatchEvent(new Event("opensdm:refresh"));
});
const wanted = location.hash.slice(1);
if (wanted) document.getElementById(wanted)?.setAttribute("open", "");
