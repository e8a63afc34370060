// The keyboard: rows of a list are elements with data-row; the one in hand has the class "at". With none in hand `l` means
// the padlock that is in no row: that of a device's own pages.
const GO = { h: "/web", d: "/web/devices", l: "/web/locks", a: "/web/audit" };
let going = 0;

const rows = () => [...document.querySelectorAll("[data-row]")];
const here = () => document.querySelector("[data-row].at");

function move(step) {
    const all = rows();
    if (!all.length) return;
    const now = all.indexOf(here());
    const next = all[Math.min(all.length - 1, Math.max(0, now < 0 ? (step > 0 ? 0 : all.length - 1) : now + step))];
    all.forEach((row) => row.classList.toggle("at", row === next));
    next.scrollIntoView({ block: "nearest" });
    next.querySelector("a")?.focus({ preventScroll: true });
}

function filter() {
    const field = document.querySelector("[data-filter]");
    field?.focus();
    field?.select();
}

function act(key) {
    const row = here();
    switch (key) {
    case "/": return filter();
    case "?": return document.querySelector("#help").showModal();
    case "j": case "ArrowDown": return move(1);
    case "k": case "ArrowUp": return move(-1);
    case "x": case " ": return row?.querySelector("input[type=checkbox]")?.click();
    case "l": return (row?.querySelector("[data-lock-key]") ?? document.querySelector("[data-lock-key]:not([data-row] *)"))?.click();
    case "Enter": return row?.querySelector("a")?.click();
    default: return undefined;
    }
}

const ACTS = new Set(["/", "?", "j", "k", "ArrowDown", "ArrowUp", "x", " ", "l"]);

function pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (document.querySelector("dialog[open]")) return;
    if (event.target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]")) {
        if (event.key === "Escape") event.target.blur();
        else if (event.key === "ArrowDown" && event.target.matches("[data-filter]")) { event.preventDefault(); move(1); }
        return;
    }
    if (Date.now() - going < 1500 && GO[event.key]) { location.assign(GO[event.key]); return; }
    going = event.key === "g" ? Date.now() : 0;
    // Space and the arrows keep their meaning on buttons, boxes and pages without rows.
    if ([" ", "ArrowDown", "ArrowUp"].includes(event.key) && (!rows().length || event.target.matches("button, summary, input"))) return;
    if (event.key === " " && !here()) return;
    if (ACTS.has(event.key)) { event.preventDefault(); act(event.key); }
}

export function keys() {
    document.addEventListener("keydown", pressed);
}
