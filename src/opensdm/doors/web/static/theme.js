// Runs before anything is drawn: the reader's own choice, or else what the system prefers.
(() => {
    const root = document.documentElement;
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const apply = () => {
        const chosen = root.dataset.theme;
        root.dataset.bsTheme = chosen === "auto" ? (dark.matches ? "dark" : "light") : chosen;
    };
    apply();
    dark.addEventListener("change", apply);
    addEventListener("opensdm:theme", apply);
})();
