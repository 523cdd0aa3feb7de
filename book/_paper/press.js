// What depends on how wide things are on the page: measured by the browser before it prints.
// press.py calls these one after the other.
window.paper = (() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const fits = (box) => box.scrollWidth <= box.clientWidth + 1;

  // Tables and displayed formulas that are too wide get smaller letters, as far as they can be read.
  const fit = () => {
    for (const box of all(".pst-scrollable-table-container, .table-scroll")) {
      const table = box.querySelector("table");
      if (!table) continue;
      const shrink = (least) => {
        for (let size = 100; !fits(box) && size >= least; size -= 3) {
          table.style.fontSize = `calc(var(--table-size) * ${size / 100})`;
        }
      };
      shrink(82);
      if (fits(box)) continue;
      table.classList.add("wrapped");
      shrink(64);
    }
    for (const box of all(".math-formula")) {
      for (let size = 96; !fits(box) && size > 60; size -= 4) box.style.fontSize = `${size}%`;
    }
  };

  // Where each line of a paragraph ends. Formulas count by their parts between two possible breaks.
  const lineEnds = (paragraph, height) => {
    const ends = [];
    const note = (box) => {
      const middle = (box.top + box.bottom) / 2;
      const line = ends.find((end) => Math.abs(end.middle - middle) < height / 2);
      if (line) line.right = Math.max(line.right, box.right);
      else ends.push({ middle, right: box.right });
    };
    const range = document.createRange();
    const walker = document.createTreeWalker(paragraph, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      if (walker.currentNode.parentElement.closest(".katex")) continue;
      range.selectNodeContents(walker.currentNode);
      for (const box of range.getClientRects()) note(box);
    }
    for (const part of all(".katex .base", paragraph)) note(part.getBoundingClientRect());
    return ends.sort((a, b) => a.middle - b.middle).map((end) => end.right);
  };

  // Chinese paragraphs are justified. But a long formula or name that moves to the next line would
  // pull the characters of its old line apart: such a paragraph keeps its right edge ragged.
  const ragged = () => {
    for (const paragraph of all("article p")) {
      const style = getComputedStyle(paragraph);
      if (style.textAlign !== "justify") continue;
      const height = parseFloat(style.lineHeight);
      const most = 2.6 * parseFloat(style.fontSize);
      paragraph.style.textAlign = "left";
      const edge = paragraph.getBoundingClientRect().right;
      const ends = lineEnds(paragraph, height).slice(0, -1);
      if (ends.every((end) => edge - end <= most)) paragraph.style.textAlign = "";
    }
  };

  // A block of code or a table that is no higher than a fifth of a page is not parted in two.
  const keep = () => {
    for (const block of all("table, div[class*=highlight-]")) {
      if (block.offsetHeight < 180) block.style.breakInside = "avoid";
    }
  };

  // What still reaches over the edge: it would be cut off, or make Chromium shrink every page.
  const tooWide = () => {
    const name = (element) => {
      const place = element.closest("[id]");
      const words = element.textContent.trim().slice(0, 40);
      return `${place ? place.id : "?"} <${element.tagName.toLowerCase()}> ${words}`;
    };
    const edge = document.documentElement.clientWidth + 1;
    const over = all("body *").filter((element) => {
      const box = element.getBoundingClientRect();
      // Parts of pictures and formulas may reach far and be clipped; their frames may not.
      return box.width && box.right > edge && !element.parentElement.closest("svg, .katex");
    });
    const frames = "pre, .math-formula, .table-scroll, .pst-scrollable-table-container, .cell_output";
    return [...over, ...all(frames).filter((box) => !fits(box))].slice(0, 10).map(name);
  };

  const lostPictures = () =>
    [...document.images].filter((i) => !i.complete || !i.naturalWidth).map((i) => i.src);

  // Page numbers: an element with data-to says on which page the place stands that it names.
  const numbers = () => all("[data-to]");
  const places = () => numbers().map((element) => element.dataset.to);
  const fill = (pages) => {
    for (const element of numbers()) element.textContent = pages[element.dataset.to] ?? "000";
  };

  return { fit, ragged, keep, tooWide, lostPictures, places, fill };
})();
