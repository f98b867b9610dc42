// All script that is the book's own. Each .explorer holds one picture for every combination of its sliders, the last slider running
// fastest. Without this script the sliders stay disabled and the first picture stands.
for (const explorer of document.querySelectorAll(".explorer:not([data-scene])")) {
  const frames = [...explorer.querySelectorAll("img")];
  const says = explorer.querySelector(".explorer-says");
  const sliders = [...explorer.querySelectorAll("input")].map((input) => ({
    input,
    texts: JSON.parse(input.dataset.texts),
    output: input.closest(".explorer-control").querySelector("output"),
  }));

  const show = () => {
    let chosen = 0;
    for (const { input, texts, output } of sliders) {
      const text = texts[input.valueAsNumber];
      chosen = chosen * texts.length + input.valueAsNumber;
      input.setAttribute("aria-valuetext", text);
      output.value = text;
    }
    frames.forEach((frame, index) => { frame.hidden = index !== chosen; });
    says.textContent = frames[chosen].alt;
  };

  for (const { input } of sliders) {
    input.disabled = false;
    input.addEventListener("input", show);
  }
  show(); // a reload may have kept the sliders where they were
}

// The verdicts of the ledger in their colours; the words say the same.
const VERDICTS = ["agrees", "differs", "by construction", "cannot be checked"];
for (const verdict of document.querySelectorAll("td strong")) {
  if (VERDICTS.includes(verdict.textContent)) verdict.classList.add("verdict", `verdict-${verdict.textContent.replaceAll(" ", "-")}`);
}

// On paper nothing unfolds.
addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details")) folded.open = true;
});

// A page that is read from a disk may not fetch others for the extracts below a search result.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

// Cards: what a link to a term, formula, figure or work leads to is shown beside the link, under the pointer and under the keyboard.
// They come from cards.js, a script, since a page that is read from a disk may not fetch anything else.
{
  const script = document.querySelector('script[src*="_static/book.js"]');
  const root = script && new URL("..", script.src).href;
  const LINKS = 'article a.reference.internal[href*="#"], article a.xref[href*="#"]';
  const KINDS = /#(term-|equation-|fig-|id\d+$)/;
  let cards, card, wanted, timer;

  const load = () => (cards ??= new Promise((done) => {
    const source = document.createElement("script");
    source.src = `${root}_static/cards.js`;
    source.onload = () => done(window.CARDS);
    source.onerror = () => done({});
    document.head.append(source);
  }));

  const close = () => {
    clearTimeout(timer);
    wanted?.removeAttribute("aria-describedby");
    wanted = undefined;
    card?.remove();
    card = undefined;
  };

  const open = async (link) => {
    close();
    wanted = link;
    const target = new URL(link.href);
    const page = target.href.slice(root.length).split("#")[0].replace(/\.html$/, "");
    const html = (await load())[`${page || "index"}#${decodeURIComponent(target.hash.slice(1))}`];
    if (!html || wanted !== link) return;
    card = document.createElement("div");
    card.className = "card-of-link";
    card.id = "card-of-link";
    card.setAttribute("role", "tooltip");
    card.innerHTML = html;
    for (const image of card.querySelectorAll("img[src]")) {
      if (!image.getAttribute("src").startsWith("data:")) image.src = root + image.getAttribute("src");
    }
    card.addEventListener("mouseenter", () => clearTimeout(timer));
    card.addEventListener("mouseleave", leave);
    document.body.append(card);
    link.setAttribute("aria-describedby", card.id);
    if (card.querySelector(".math")) await window.MathJax?.typesetPromise?.([card]);
    if (wanted !== link) return;
    const at = link.getClientRects()[0], size = card.getBoundingClientRect();
    const below = at.bottom + 6 + size.height < innerHeight || at.top < size.height + 6;
    card.style.left = `${Math.max(8, Math.min(at.left, document.documentElement.clientWidth - size.width - 8)) + scrollX}px`;
    card.style.top = `${(below ? at.bottom + 6 : at.top - size.height - 6) + scrollY}px`;
    card.classList.add("placed");
  };

  const leave = () => { clearTimeout(timer); timer = setTimeout(close, 250); };
  const enter = (link, wait) => { clearTimeout(timer); timer = setTimeout(open, wait, link); };

  if (root) for (const link of document.querySelectorAll(LINKS)) {
    if (!KINDS.test(link.href)) continue;
    link.title = ""; // the card says it better
    link.addEventListener("mouseenter", () => { if (wanted === link) clearTimeout(timer); else enter(link, 150); });
    link.addEventListener("mouseleave", leave);
    link.addEventListener("focus", () => enter(link, 0));
    link.addEventListener("blur", leave);
  }
  addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });
}

// One switch for all the code that is folded away; a reader who wants to see it finds it open on the next page as well.
{
  const folded = document.querySelectorAll(".cell.tag_hide-input details.hide"); // solutions are no code of the chapter's
  const heading = document.querySelector("article h1");
  if (folded.length && heading) {
    const label = document.createElement("label");
    label.className = "code-switch";
    const box = document.createElement("input");
    box.type = "checkbox";
    label.append(box, "Show all code");
    const set = () => { for (const details of folded) details.open = box.checked; };
    box.addEventListener("change", () => {
      try { localStorage.setItem("code", box.checked ? "shown" : ""); } catch { /* a reader who stores nothing */ }
      set();
    });
    try { box.checked = localStorage.getItem("code") === "shown"; } catch { /* as above */ }
    if (box.checked) set();
    heading.after(label);
  }
}
