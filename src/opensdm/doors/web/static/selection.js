// The boxes of a list, and the bar that says how many are ticked. What is ticked stays so while the list is narrowed or
// leafed through: as a hidden field where its row is not there.
const form = document.querySelector("#selection");
const bar = form.querySelector("[data-selection-bar]");
const unseen = form.appendChild(document.createElement("span"));
const chosen = new Set();

const boxes = () => [...form.querySelectorAll("input[type=checkbox][name=device]")];

function hidden(device) {
    const field = document.createElement("input");
    field.type = "hidden";
    field.name = "device";
    field.value = device;
    return field;
}

function count() {
    const here = new Map(boxes().map((box) => [box.value, box]));
    const away = [...chosen].filter((device) => !here.has(device));
    unseen.replaceChildren(...away.map(hidden));
    bar.hidden = chosen.size === 0;
    bar.querySelector("[data-selected]").textContent = away.length ? `${chosen.size} (${away.length} not in view)` : chosen.size;
    const all = form.querySelector("[data-check-all]");
    if (all) {
        const ticked = chosen.size - away.length;
        all.checked = ticked > 0 && ticked === here.size;
        all.indeterminate = ticked > 0 && !all.checked;
    }
}

function choose() {
    boxes().forEach((box) => { if (box.checked) chosen.add(box.value); else chosen.delete(box.value); });
    count();
}

form.addEventListener("change", (event) => {
    if (event.target.matches("[data-check-all]")) boxes().forEach((box) => { box.checked = event.target.checked; });
    choose();
});
form.addEventListener("click", (event) => {
    if (!event.target.closest("[data-select-none]")) return;
    chosen.clear();
    boxes().forEach((box) => { box.checked = false; });
    count();
});
form.addEventListener("htmx:afterSettle", () => {
    boxes().forEach((box) => { box.checked = chosen.has(box.value); });
    count();
});
choose();  // a browser that comes back to a page may have kept its ticks
