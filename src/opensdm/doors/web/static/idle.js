// Warns a minute before an idle session ends, and signs out when it has ended.
// The server writes a session's last use at most once a minute, so it may count from a minute earlier than we do.
const WARN_S = 60;
const SLACK_S = 60;

export function watchIdle(send) {
    const limit = Number(document.body.dataset.idle);
    const sheet = document.querySelector("#idle");
    if (!limit || !sheet) return;
    const end = Math.max(limit - SLACK_S, limit / 2);
    let used = Date.now();
    const touch = () => { used = Date.now(); };
    const stay = () => send("/web/stay").then((answer) => {
        if (answer.ok) { touch(); sheet.close(); }
    });
    // What a page asks for by itself is no use of the session.
    document.addEventListener("htmx:beforeRequest", ({ detail: { requestConfig: { verb, triggeringEvent } } }) => {
        if (verb !== "get" || triggeringEvent?.isTrusted) touch();
    });
    sheet.querySelector("[data-stay]").addEventListener("click", stay);
    sheet.addEventListener("cancel", (event) => { event.preventDefault(); stay(); });
    const watch = setInterval(() => {
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
        }
    }, 1000);
}
