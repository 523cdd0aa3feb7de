// Search in the page's language: Pagefind's full text, and before it the book's own index (titles,
// headings, glossary, names in the code), which also answers misspellings and stands in where the
// browser does not let Pagefind run (a copy opened from disk).
window.attnSearch = (() => {
  "use strict";
  const zh = document.documentElement.lang.startsWith("zh");
  const words = zh
    ? {
        ask: "搜索：机制、术语、类名……", label: "搜索全书", close: "关闭", results: "搜索结果",
        none: (q) => `没有找到“${q}”。`, mean: "您是不是要找：", count: (n) => `${n} 页`,
        disk: "这是从磁盘打开的副本，浏览器不允许在其中做全文搜索，因此只搜索标题、小节、术语和代码中的名字。",
        plain: "这份副本没有全文索引，因此只搜索标题、小节、术语和代码中的名字。",
        hint: "可以输入中文术语、英文术语、类名或论文名。", keys: ["↑ ↓ 选择", "Enter 打开", "Esc 关闭"],
      }
    : {
        ask: "Search: mechanism, term, class name …", label: "Search the book", close: "Close", results: "Search results",
        none: (q) => `Nothing found for “${q}”.`, mean: "Did you mean ", count: (n) => (n === 1 ? "1 page" : `${n} pages`),
        disk: "This copy was opened from disk, where browsers do not allow full-text search: titles, sections, terms and names in the code are searched.",
        plain: "This copy carries no full-text index: titles, sections, terms and names in the code are searched.",
        hint: "Try a mechanism, a term, a class name or the title of a paper.", keys: ["↑ ↓ choose", "Enter open", "Esc close"],
      };

  // ---- the book's own index
  let base = "./";
  let index = null; // { pages: [[url, title]], entries: [[key, page, anchor, title, weight]], words: "a b c", terms: [...] }
  let pagefind = null;
  let notice = "";
  let ready = null;
  const prepare = () => (ready ??= (async () => {
    await new Promise((done, failed) => {
      const script = document.createElement("script");
      script.src = new URL(`${base}search-index.js`, location.href);
      script.onload = done;
      script.onerror = failed;
      document.head.append(script);
    });
    index = window.attnSearchIndex;
    index.known = new Set(index.words);
    if (location.protocol === "file:") { notice = words.disk; return; }
    if (!index.fulltext) { notice = words.plain; return; }
    try {
      pagefind = await import(new URL(`${base}pagefind/pagefind.js`, location.href));
      await pagefind.options({ excerptLength: zh ? 26 : 22, ranking: { termFrequency: 0.6, pageLength: 0.4, termSaturation: 1.2 } });
      await pagefind.init();
    } catch { pagefind = null; notice = words.plain; }
  })());

  const fold = (text) => text.normalize("NFKC").toLowerCase().replace(/[\s\-_–·、，。：:,.()（）“”"'’!?？！/]+/g, " ").trim();
  const tight = (text) => fold(text).replace(/ /g, "");
  const han = /[\u3400-\u9fff]/;

  // Entries of the index that answer the query by themselves, best first.
  const lookup = (query) => {
    const q = tight(query);
    if (!q) return [];
    const parts = fold(query).split(" ");
    const found = new Map();
    for (const [key, page, anchor, title, weight] of index.entries) {
      const k = tight(key);
      let score = 0;
      if (k === q) score = 100 + weight;
      else if (q.length > 1 && k.startsWith(q)) score = 60 + weight - k.length / 50;
      else if (q.length > 1 && k.includes(q) && (han.test(q) || q.length > 3)) score = 40 + weight - k.length / 50;
      else if (parts.length > 1 && parts.every((part) => k.includes(part))) score = 30 + weight - k.length / 50;
      else if (k.length > (han.test(k) ? 2 : 3) && q.includes(k)) score = 12 + weight + k.length / 4;
      if (!score) continue;
      const id = `${page}#${anchor}`;
      if (!found.has(id) || found.get(id).score < score) found.set(id, { page, anchor, title, score });
    }
    // Several words: a page that has each of them as an entry; else the page that a name belongs to.
    if (parts.length > 1) {
      const pagesOf = parts.map((part) => index.entries.filter(([key]) => tight(key) === part));
      const shared = pagesOf[0].filter(([, page]) => pagesOf.every((some) => some.some((e) => e[1] === page)));
      const named = parts.flatMap((part, i) => (han.test(part) ? [] : pagesOf[i].filter((e) => e[4] > 4)));
      const put = (entries, score) => entries.forEach(([, page, , title, weight]) => {
        const id = `${page}#`;
        if (!(found.get(id)?.score > score + weight)) found.set(id, { page, anchor: "", title, score: score + weight });
      });
      put(named, 34);
      put(shared, 62);
    }
    return [...found.values()].sort((a, b) => b.score - a.score);
  };

  // ---- misspellings: Damerau–Levenshtein distance to the book's own words
  const distance = (a, b, most) => {
    if (Math.abs(a.length - b.length) > most) return most + 1;
    let before = [];
    let last = Array.from({ length: b.length + 1 }, (_, j) => j);
    for (let i = 1; i <= a.length; i++) {
      const row = [i];
      for (let j = 1; j <= b.length; j++) {
        const swap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
        row[j] = Math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] !== b[j - 1]), swap ? before[j - 2] + 1 : Infinity);
      }
      before = last;
      last = row;
    }
    return last[b.length];
  };
  const nearest = (word, list) => {
    const most = han.test(word) ? (word.length > 5 ? 2 : 1) : word.length > 7 ? 3 : word.length > 4 ? 2 : 1;
    let best = null;
    let least = most + 1;
    list.forEach((candidate, rank) => {
      const d = distance(word, candidate, most) + rank / 1e6; // ties: the more frequent word
      if (d < least) { least = d; best = candidate; }
    });
    return best;
  };
  const suggest = (query) => {
    const q = fold(query);
    if (han.test(q)) {
      const whole = [...tight(query)].filter((letter) => han.test(letter)).join("");
      if (whole.length < 3 || index.terms.some((term) => tight(term).includes(whole))) return null;
      return nearest(whole, index.terms.filter((term) => Math.abs(tight(term).length - whole.length) < 2));
    }
    let changed = false;
    const mended = q.split(" ").map((word) => {
      if (word.length < 4 || /\d/.test(word) || known(word)) return word;
      const better = nearest(word, index.words);
      if (better) changed = true;
      return better || word;
    });
    return changed ? mended.join(" ") : null;
  };
  const known = (word) => index.known.has(word) || index.known.has(word.replace(/(es|s|ed|ing)$/, "")) || (word.length < 7 && index.words.some((w) => w.startsWith(word)));

  // ---- one answer: pages, each with the sections that answer
  const search = async (query) => {
    await prepare();
    const direct = lookup(query);
    const pages = new Map();
    const add = (url) => {
      if (!pages.has(url)) pages.set(url, { url, title: "", excerpt: "", sections: new Map() });
      return pages.get(url);
    };
    const own = () => {
      for (const { page, anchor, title, score } of direct.slice(0, 14)) {
        if (score < 30 && pages.size >= 8) continue;
        const [url, name] = index.pages[page];
        const entry = add(url);
        entry.title = name;
        entry.anchor ??= score >= 60 ? anchor : "";
        if (anchor && !entry.sections.has(anchor)) entry.sections.set(anchor, { title, excerpt: "" });
      }
    };
    let full = [];
    if (pagefind) {
      // Pagefind answers a word it has never seen with the nearest beginning of it: not an answer.
      const latin = fold(query).split(" ").filter((word) => word.length > 3 && !han.test(word) && !/\d/.test(word));
      if (!latin.length || latin.some(known) || han.test(query)) {
        try {
          const hits = await pagefind.search(query);
          full = await Promise.all(hits.results.slice(0, 12).map((hit) => hit.data()));
        } catch { pagefind = null; notice = words.plain; }
      }
    }
    const text = () => {
      for (const hit of full) {
        const url = new URL(hit.url, location.href).pathname.replace(/\/$/, "/index.html");
        const relative = index.pages.findIndex(([page]) => url.endsWith(`/${page}`));
        if (relative < 0) continue;
        const entry = add(index.pages[relative][0]);
        entry.title = index.pages[relative][1];
        entry.excerpt ||= hit.excerpt;
        for (const sub of hit.sub_results) {
          const anchor = sub.url.split("#")[1];
          if (!anchor) continue;
          const known = entry.sections.get(anchor);
          if (known) known.excerpt ||= sub.excerpt;
          else if (entry.sections.size < 4) entry.sections.set(anchor, { title: sub.title, excerpt: sub.excerpt });
        }
      }
    };
    // A query that is an entry of the index goes there first; otherwise the text decides.
    if (direct.length && direct[0].score >= 40) { own(); text(); } else { text(); own(); }
    const exact = direct.length && direct[0].score >= 100;
    return { pages: [...pages.values()].slice(0, 10), suggestion: exact ? null : suggest(query) };
  };

  // ---- the interface
  const element = (tag, props = {}, ...children) => {
    const el = Object.assign(document.createElement(tag), props);
    el.append(...children);
    return el;
  };
  // Excerpts hold text and <mark> only; anything else stays text.
  const excerpt = (html) => {
    const span = element("span");
    html.split(/(<mark>.*?<\/mark>)/s).forEach((part) => {
      const text = new DOMParser().parseFromString(part, "text/html").body.textContent;
      span.append(part.startsWith("<mark>") ? element("mark", { textContent: text }) : text);
    });
    return span;
  };
  const build = (out, input) => {
    let run = 0;
    const show = async () => {
      const query = input.value.trim();
      const mine = ++run;
      if (!query) { out.replaceChildren(element("p", { className: "say", textContent: words.hint })); return; }
      const { pages, suggestion } = await search(query);
      if (mine !== run) return;
      const parts = [];
      if (notice) parts.push(element("p", { className: "say notice", textContent: notice }));
      const say = element("p", { className: "say" });
      say.setAttribute("role", "status");
      say.append(pages.length ? words.count(pages.length) : words.none(query));
      if (suggestion) {
        const button = element("button", { type: "button", textContent: suggestion, className: "suggestion" });
        button.addEventListener("click", () => { input.value = suggestion; input.focus(); show(); });
        say.append(" ", words.mean, button, zh ? "？" : "?");
      }
      parts.push(say);
      const list = element("ol");
      list.setAttribute("aria-label", words.results);
      for (const page of pages) {
        const item = element("li");
        const link = element("a", { href: base + page.url + (page.anchor ? `#${page.anchor}` : "") });
        link.append(element("b", { textContent: page.title }));
        if (page.excerpt && !page.sections.size) link.append(excerpt(page.excerpt));
        item.append(link);
        for (const [anchor, section] of page.sections) {
          const sub = element("a", { href: `${base}${page.url}#${anchor}`, className: "part-of" });
          sub.append(element("b", { textContent: section.title }));
          if (section.excerpt) sub.append(excerpt(section.excerpt));
          item.append(sub);
        }
        list.append(item);
      }
      parts.push(list);
      // Whoever has moved on into the results stays at that result, else goes back to the field.
      const active = document.activeElement;
      const held = out.contains(active) ? active.getAttribute("href") ?? "" : null;
      out.replaceChildren(...parts);
      if (held !== null) ([...out.querySelectorAll("a")].find((a) => a.getAttribute("href") === held) ?? input).focus();
    };
    let timer;
    input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(show, 120); });
    const move = (event) => {
      if (event.isComposing) return;
      const links = [...out.querySelectorAll("a")];
      const at = links.indexOf(document.activeElement);
      if (event.key === "ArrowDown") { event.preventDefault(); links[Math.min(at + 1, links.length - 1)]?.focus(); }
      else if (event.key === "ArrowUp") { event.preventDefault(); if (at <= 0) input.focus(); else links[at - 1].focus(); }
      else if (event.key === "Enter" && document.activeElement === input) { event.preventDefault(); clearTimeout(timer); show().then(() => out.querySelector("a")?.click()); }
    };
    input.addEventListener("keydown", move);
    out.addEventListener("keydown", move);
    return show;
  };
  const box = () => {
    const input = element("input", { type: "search", placeholder: words.ask, autocomplete: "off", spellcheck: false });
    input.setAttribute("aria-label", words.label);
    const icon = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    icon.setAttribute("class", "icon");
    icon.setAttribute("viewBox", "0 0 24 24");
    icon.setAttribute("width", "20");
    icon.setAttribute("height", "20");
    icon.setAttribute("aria-hidden", "true");
    icon.innerHTML = '<g fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round"><circle cx="10.5" cy="10.5" r="6.5"/><path d="m15.5 15.5 5 5"/></g>';
    const bar = element("div", { className: "search-box" }, icon, input);
    const out = element("div", { className: "search-out" });
    return { bar, input, out, show: build(out, input) };
  };

  let dialog = null;
  const open = (from) => {
    base = from;
    if (!dialog) {
      const { bar, input, out, show } = box();
      const close = element("button", { type: "button", className: "button", textContent: words.close });
      bar.append(close);
      const keys = element("div", { className: "search-keys" }, ...words.keys.map((text) => element("span", { textContent: text })));
      keys.setAttribute("aria-hidden", "true");
      dialog = element("dialog", { className: "search" }, bar, out, keys);
      dialog.setAttribute("aria-label", words.label);
      dialog.input = input;
      close.addEventListener("click", () => dialog.close());
      dialog.addEventListener("click", (event) => {
        if (event.target === dialog) dialog.close();
        else if (event.target.closest("a")) setTimeout(() => dialog.close());
      });
      document.body.append(dialog);
      show();
    }
    if (!dialog.open) dialog.showModal();
    dialog.input.focus();
    dialog.input.select();
    prepare();
  };
  const mount = (place, from) => {
    base = from;
    const { bar, input, out, show } = box();
    place.append(bar, out);
    input.value = new URLSearchParams(location.search).get("q") || "";
    show();
    input.focus();
  };
  return { open, mount, search };
})();
