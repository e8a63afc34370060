// Forms of elements: find an attribute, add a choice to a list, and errors that stay beside their fields.
const form = document.querySelector("[data-values]");

function append(button) {
    const field = document.getElementById(button.dataset.append);
    const wanted = document.getElementById(`${button.dataset.append}-offer`).value;
    const lines = field.value.split("\n").filter((line) => line.trim());
    if (!lines.includes(wanted)) field.value = [...lines, wanted].join("\n");
    field.focus();
}

function narrow(words) {
    const wanted = words.trim().toLowerCase();
    for (const value of document.querySelectorAll("[data-value]")) value.hidden = !value.dataset.value.includes(wanted);
}

const input = (error) => error.closest("[data-value]")?.querySelector("input:not([type=hidden]), select, textarea");

function cleared() {
    for (const error of document.querySelectorAll("[data-error]")) {
        error.replaceChildren();
        input(error)?.removeAttribute("aria-invalid");
    }
}

document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-append]");
    if (button) append(button);
});
document.addEventListener("input", (event) => {
    if (event.target.matches("[data-value-filter]")) narrow(event.target.value);
});
document.addEventListener("htmx:beforeRequest", (event) => {
    if (form && event.target === form) cleared();
});
document.addEventListener("htmx:afterSwap", (event) => {
    const error = event.detail.target;
    if (!error.matches("[data-error]")) return;
    error.closest("[data-value]").hidden = false;
    const field = input(error);
    field?.setAttribute("aria-invalid", "true");
    field?.focus({ preventScroll: true });
    error.closest("[data-value]").scrollIntoView({ block: "center" });  // not beneath the bar at the foot
});
// Leaving with something typed is asked about, unless it was sent.
let sent = false;
document.addEventListener("htmx:beforeOnLoad", (event) => {
    if (event.detail.xhr.getResponseHeader("HX-Redirect")) sent = true;
});
const typed = () => [...(form?.elements ?? [])].some((field) => field.type === "checkbox" ? field.checked !== field.defaultChecked
    : field.tagName === "SELECT" ? field.name && [...field.options].some((option) => option.selected !== option.defaultSelected)
    : field.type !== "hidden" && field.name && field.value !== field.defaultValue);
addEventListener("beforeunload", (event) => { if (!sent && typed()) event.preventDefault(); });
