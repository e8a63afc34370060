// Filters that this reader keeps, in this browser: a chip each, under the filter.
const box = document.querySelector("[data-saved]");
const input = document.querySelector("#filter");
const key = `opensdm.filters.${document.querySelector(".who b")?.textContent ?? ""}`;

const kept = () => JSON.parse(localStorage.getItem(key) ?? "[]");
const keep = (filters) => { localStorage.setItem(key, JSON.stringify(filters.slice(0, 20))); draw(); };

function chip(words) {
    const whole = document.createElement("span");
    whole.className = "chip";
    const link = document.createElement("a");
    link.href = `/web/devices?${new URLSearchParams({ q: words })}`;
    link.textContent = words;
    const away = document.createElement("button");
    away.type = "button";
    away.textContent = "×";
    away.setAttribute("aria-label", `Forget the filter ${words}`);
    away.addEventListener("click", () => keep(kept().filter((each) => each !== words)));
    whole.append(link, away);
    return whole;
}

function draw() {
    box.querySelectorAll(".chip").forEach((each) => each.remove());
    box.prepend(...kept().map(chip));
    box.querySelector("[data-save-filter]").hidden = !input.value.trim() || kept().includes(input.value.trim());
}

box.querySelector("[data-save-filter]").addEventListener("click", () => keep([...kept(), input.value.trim()]));
input.addEventListener("input", draw);
draw();
