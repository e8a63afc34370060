// The boxes of a list, and the bar that says how many are ticked.
const form = document.querySelector("#selection");
const bar = form.querySelector("[data-selection-bar]");

const boxes = () => [...form.querySelectorAll("input[name=device]")];

function count() {
    const ticked = boxes().filter((box) => box.checked).length;
    bar.hidden = ticked === 0;
    bar.querySelector("[data-selected]").textContent = ticked;
    const all = form.querySelector("[data-check-all]");
    if (all) {
        all.checked = ticked > 0 && ticked === boxes().length;
        all.indeterminate = ticked > 0 && !all.checked;
    }
}

form.addEventListener("change", (event) => {
    if (event.target.matches("[data-check-all]")) boxes().forEach((box) => { box.checked = event.target.checked; });
    count();
});
form.addEventListener("click", (event) => {
    if (!event.target.closest("[data-select-none]")) return;
    boxes().forEach((box) => { box.checked = false; });
    count();
});
form.addEventListener("htmx:afterSettle", count);
