// Called by scripts/vendor in a folder with the packages: node vendor.mjs <door's folder> <static/vendor>
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [web, out] = process.argv.slice(2);
const require = createRequire(join(process.cwd(), "vendor.cjs"));
const { PurgeCSS } = require("purgecss");
const tabler = "node_modules/@tabler/core/dist/css/tabler.min.css";

// Kept though no page may use them yet, so that a page can be written without fetching anything: the parts an
// operator's page is made of. Left out: the marketing, chart, map and editor styles, and most sizes of screen.
const KEPT = [
    /^(btn|card|badge|alert|form|table|nav|navbar|page|dropdown|list|input|icon|status|avatar|progress)(-(?!.*(xs|sm|md|xl|xxl)-)|$)/,
    /^(toast|popover|spinner|empty|accordion|subheader)(-|$)/,
    /^(row|col|g|m|p|mt|mb|ms|me|mx|my|pt|pb|ps|pe|px|py|d|gap|w|h|vh)(-(auto|[0-9]{1,3}|none|block|flex|inline|lg-\d+))*$/,
    /^(text|bg)-(primary|secondary|success|danger|warning|info|azure|green|red|yellow|orange|body|muted|truncate|end|start|center|nowrap|break|uppercase|reset|white)(-lt|-fg)?$/,
    /^(align|justify|flex|float|overflow|position|fw|fs|font|rounded|border|shadow|cursor|visually|disabled|active|show|fade|collapse|collapsing)(-|$)/,
];

// What those patterns would keep and an operator's page has no use for.
const LEFT_OUT = [
    /^navbar-(vertical|floating|overlap|transparent|expand-(sm|md|xl|xxl)|expand$)/, /-(xs|sm|md|xl|xxl)(-|$)/, /^list-group/, /^io-/,
    /^card-(gradient|stamp|img|group|tabs|rotate|cover|borderless|sponsor|progress)/, /^(popover|page-cover|accordion)/,
    /^form-(imagecheck|range|colorinput|floating|selectgroup)/, /^nav-segmented/, /^btn-(animate|check|loading|pill|square)/,
    /^btn(-outline|-ghost)?-(facebook|twitter|linkedin|google|youtube|vimeo|dribbble|github|instagram|pinterest|vk|rss|flickr|bitbucket|tabler|x|lime|pink|purple|indigo|cyan|teal|orange|yellow|red|blue|gray)/,
    /^steps-vertical/, /^avatar-(list|stack|upload|cover)/, /^dropdown-menu-(end|start|card|columns)/, /^carousel/, /^offcanvas/,
];

// Left out also where a page happens to use the word: these pages have their own lists of steps, histories and dialogs.
const NEVER = [/^(breadcrumb|datagrid|modal|pagination|steps|timeline|tooltip)(-|$)/];

const kept = (name) => KEPT.some((each) => each.test(name)) && !LEFT_OUT.some((each) => each.test(name));

const [{ css }] = await new PurgeCSS().purge({
    content: [`${web}/templates/**/*.html`, `${web}/static/*.js`, `${web}/*.py`],
    css: [tabler, `${web}/static/opensdm.css`],
    safelist: { standard: [{ test: kept }], deep: [], greedy: [], variables: [] },
    blocklist: NEVER,
    fontFace: false, keyframes: true, variables: true,
});
writeFileSync(join(out, "tabler.css"), css);

// The icons that templates name: {{ icon("lock") }}, or in code Icon("lock").
const named = new Set(readFileSync(`${web}/icons.txt`, "utf8").split(/\s+/).filter(Boolean));
const symbols = [...named].sort().map((name) => {
    const svg = readFileSync(`node_modules/@tabler/icons/icons/outline/${name}.svg`, "utf8");
    const shapes = [...svg.matchAll(/<(path|circle|rect|line)\b[^>]*\/>/g)].map(([all]) => all);
    return `<symbol id="${name}" viewBox="0 0 24 24">${shapes.filter((s) => !s.includes("M0 0h24v24H0z")).join("")}</symbol>`;
});
writeFileSync(join(out, "icons.svg"), `<svg xmlns="http://www.w3.org/2000/svg">\n${symbols.join("\n")}\n</svg>\n`);
