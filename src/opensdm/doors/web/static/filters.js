// Filters that this reader keeps, in this browser: a chip each, under the filter. Each is the query of the list's address,
// with the group's name (`in`) to call it by.
const box = document.querySelector("[data-saved]");
const input = document.querySelector("#filter");
const group = new URLSearchParams(location.search).get("group");
const within = group && { group, in: document.querySelector(".tree .chosen")?.textContent.trim() ?? group };
const key = `opensdm.lists.${document.querySelector(".who b")?.textContent ?? ""}`;

const kept = () => JSON.parse(localStorage.getItem(key) ?? "[]");
const keep = (filters) => { localStorage.setItem(key, JSON.stringify(filters.slice(0, 20))); draw(); };

const typed = () => input.value.trim();
const asked = () => String(new URLSearchParams({ q: typed(), ...within }));

function chip(query) {
    const { q, in: name } = Object.fromEntries(new URLSearchParams(query));
    const words = name ? `${q} in ${name}` : q;
    const whole = document.createElement("span");
    whole.className = "chip";
    const link = document.createElement("a");
    link.href = `/web/devices?${query}`;
    link.textContent = words;
    const away = document.createElement("button");
    away.type = "button";
    away.textContent = "×";
    away.setAttribute("aria-label", `Forget the filter ${words}`);
    away.addEventListener("click", () => keep(kept().filter((each) => each !== query)));
    whole.append(link, away);
    return whole;
}

function draw() {
    box.querySelectorAll(".chip").forEach((each) => each.remove());
    box.prepend(...kept().map(chip));
    box.querySelector("[data-save-filter]").hidden = !typed() || kept().includes(asked());
    // Another group is looked at with the same filter.
    for (const link of document.querySelectorAll(".tree a")) {
        const to = new URL(link.href);
        if (typed()) to.searchParams.set("q", typed());
        else to.searchParams.delete("q");
        link.href = to;
    }
}

box.querySelector("[data-save-filter]").addEventListener("click", () => keep([...kept(), asked()]));
input.addEventListener("input", draw);
draw();
