// Warns a minute before an idle session ends, then signs out; requests by timers are no use.
// A use is noted once a minute: SLACK_S.
const WARN_S = 60;
const SLACK_S = 60;
const USED = "opensdm.used";  // when, for all pages of this browser: they share the session

export function watchIdle(send) {
    const limit = Number(document.body.dataset.idle);
    const sheet = document.querySelector("#idle");
    if (!limit || !sheet) return;
    const end = Math.max(limit - SLACK_S, limit / 2);
    const touch = () => localStorage.setItem(USED, Date.now());
    const stay = () => send("/web/stay").then((answer) => {
        if (answer.ok) { touch(); sheet.close(); }
    });
    touch();
    // What a page asks for by itself is no use of the session.
    document.addEventListener("htmx:beforeRequest", ({ detail: { requestConfig: { verb, triggeringEvent } } }) => {
        if (verb !== "get" || triggeringEvent?.isTrusted) touch();
    });
    sheet.querySelector("[data-stay]").addEventListener("click", stay);
    sheet.addEventListener("cancel", (event) => { event.preventDefault(); stay(); });
    const watch = setInterval(() => {
        const used = Number(localStorage.getItem(USED)) || Date.now();
        const left = Math.ceil(end - (Date.now() - used) / 1000);
        if (left <= 0) {
            clearInterval(watch);
            const form = document.querySelector("#sign-out").form;
            form.elements.why.value = "idle";
            form.elements.next.value = location.pathname + location.search;
            form.submit();
        } else if (left <= Math.min(WARN_S, end / 2)) {
            sheet.querySelector("[data-seconds]").textContent = left;
            if (!sheet.open) sheet.showModal();
        } else if (sheet.open) sheet.close();
    }, 1000);
}
