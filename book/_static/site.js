// The page's few moving parts. Everything on the page can be read and reached without them.
(() => {
  "use strict";
  const root = document.documentElement;
  const zh = root.lang.startsWith("zh");
  const words = zh
    ? { copy: "复制", copied: "已复制", close: "关闭", code: "代码，可横向滚动", table: "表格，可横向滚动", formula: "公式，可横向滚动" }
    : { copy: "Copy", copied: "Copied", close: "Close", code: "Code, scrolls sideways", table: "Table, scrolls sideways", formula: "Formula, scrolls sideways" };
  const $ = (selector, from = document) => from.querySelector(selector);
  const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];

  // ---- light and dark: the reader's choice is kept, otherwise the system's holds
  const theme = $("#theme");
  const paint = (name) => {
    root.dataset.theme = name;
    if (theme) theme.setAttribute("aria-label", name === "dark" ? theme.dataset.light : theme.dataset.dark);
    if (theme) theme.title = theme.getAttribute("aria-label");
  };
  const stored = () => { try { return localStorage.getItem("mode"); } catch { return null; } };
  const system = matchMedia("(prefers-color-scheme: dark)");
  paint(root.dataset.theme);
  system.addEventListener("change", () => stored() || paint(system.matches ? "dark" : "light"));
  theme?.addEventListener("click", () => {
    const name = root.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("mode", name); } catch { /* private window: the choice holds for the page */ }
    paint(name);
  });

  // ---- the other language: same page, same section
  const other = $("#switch");
  if (other) {
    const page = other.getAttribute("href").split("#")[0];
    const follow = () => {
      if (all.length) attend();
      other.setAttribute("href", page + (here() ? `#${here()}` : ""));
    };
    const here = () => seen || decodeURIComponent(location.hash.slice(1));
    other.addEventListener("pointerdown", follow);
    other.addEventListener("focus", follow);
    other.addEventListener("click", follow);
  }

  // ---- the contents of the book, as a drawer where there is no room beside the text
  const menu = $("#menu");
  const book = $("#book");
  menu?.addEventListener("click", (event) => {
    event.preventDefault();
    const drawer = document.createElement("dialog");
    drawer.className = "drawer";
    drawer.setAttribute("aria-label", book.getAttribute("aria-label"));
    const close = document.createElement("button");
    close.className = "button close";
    close.type = "button";
    close.textContent = words.close;
    const place = document.createComment("contents");
    book.replaceWith(place);
    drawer.append(close, book);
    document.body.append(drawer);
    close.addEventListener("click", () => drawer.close());
    drawer.addEventListener("click", (e) => { if (e.target === drawer) drawer.close(); });
    drawer.addEventListener("close", () => { place.replaceWith(book); drawer.remove(); menu.focus(); });
    drawer.showModal();
    $("[aria-current]", book)?.scrollIntoView({ block: "center" });
  });
  // In the wide page the current chapter is brought into view without moving the page itself.
  const current = $(".book [aria-current]");
  if (current && book.scrollHeight > book.clientHeight) {
    book.scrollTop = current.offsetTop - book.clientHeight / 2;
  }

  // ---- on this page: how the window is shared among the sections, as weights that sum to one
  const links = $$(".page-toc.large a");
  let seen = "";
  const targets = links
    .map((link) => ({ link, target: document.getElementById(decodeURIComponent(link.hash.slice(1))) }))
    .filter((item) => item.target);
  const all = targets.length ? targets : $$(".page-toc.small a")
    .map((link) => ({ link, target: document.getElementById(decodeURIComponent(link.hash.slice(1))) }))
    .filter((item) => item.target);
  const attend = () => {
    waiting = false;
    const top = 56;
    const bottom = window.innerHeight;
    const starts = all.map((item) => item.target.getBoundingClientRect().top);
    const end = $("article").getBoundingClientRect().bottom;
    const shares = starts.map((start, i) => {
      const stop = i + 1 < starts.length ? starts[i + 1] : end;
      return Math.max(0, Math.min(stop, bottom) - Math.max(start, top));
    });
    const sum = shares.reduce((a, b) => a + b, 0) || 1;
    let most = -1;
    all.forEach((item, i) => {
      const weight = shares[i] / sum;
      item.link.style.setProperty("--w", weight.toFixed(3));
      item.link.toggleAttribute("data-seen", weight > 0.02);
      if (weight > 0 && most < 0 && (weight > 0.15 || starts[i] >= top)) most = i;
    });
    seen = most >= 0 && window.scrollY > 120 ? all[most].target.id : "";
  };
  let waiting = false;
  const later = () => { if (!waiting) { waiting = true; requestAnimationFrame(attend); } };
  if (all.length) {
    addEventListener("scroll", later, { passive: true });
    addEventListener("resize", later);
    attend();
  }

  // ---- copy buttons on input code
  for (const block of $$("div.highlight")) {
    if (block.closest(".cell_output") || !navigator.clipboard) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = words.copy;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText($("pre", block).innerText.replace(/\n$/, ""));
      button.textContent = words.copied;
      button.classList.add("done");
      setTimeout(() => { button.textContent = words.copy; button.classList.remove("done"); }, 1600);
    });
    block.append(button);
  }

  // ---- what scrolls sideways can be reached and named by keyboard
  const regions = () => {
    const name = (el) => el.matches("pre") ? words.code : el.matches(".math, .math-formula") ? words.formula : words.table;
    for (const el of $$("pre, .pst-scrollable-table-container, .table-scroll, .cell_output, div.math, .math-formula")) {
      const wide = el.scrollWidth > el.clientWidth + 1;
      if (wide === (el.tabIndex === 0 && el.hasAttribute("role"))) continue;
      if (wide) { el.tabIndex = 0; el.setAttribute("role", "region"); el.setAttribute("aria-label", name(el)); }
      else { el.removeAttribute("tabindex"); el.removeAttribute("role"); el.removeAttribute("aria-label"); }
    }
  };
  regions();
  addEventListener("resize", regions);
  addEventListener("load", regions);
  document.addEventListener("toggle", regions, true);
  // A link into a folded part opens it.
  const unfold = () => {
    let el = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    let opened = false;
    for (; el; el = el.parentElement) if (el.tagName === "DETAILS" && !el.open) opened = el.open = true;
    if (opened) document.getElementById(decodeURIComponent(location.hash.slice(1))).scrollIntoView();
  };
  addEventListener("hashchange", unfold);
  unfold();
  addEventListener("beforeprint", () => $$("article details").forEach((d) => { d.open = true; }));

  // ---- search: its script is fetched when it is first asked for
  const base = root.dataset.content_root || "./";
  const load = (file) => new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = new URL(base + file, location.href);
    script.onload = done;
    script.onerror = failed;
    document.head.append(script);
  });
  let loading;
  const withSearch = () => (loading ??= load("_static/search.js"));
  const open = () => withSearch().then(() => window.attnSearch.open(base));
  $("#find")?.addEventListener("click", (event) => { event.preventDefault(); open(); });
  addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
    const asked = (event.key === "k" && (event.ctrlKey || event.metaKey)) || (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey);
    if (!asked) return;
    event.preventDefault();
    open();
  });
  const place = $("#search-here");
  if (place) withSearch().then(() => window.attnSearch.mount(place, base));
})();
