
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const sheet = byId("sheet"), find = byId("find"), controls = byId("controls");
  const pager = byId("pager"), pages = byId("page");
  const perPage = Number(sheet.dataset.perPage);
  const cards = [...sheet.children];
  const plain = (text) => text.normalize("NFKC").toLowerCase();
  let timer; // of the search that follows the last letter
  let texts = null; // of the cards; made when somebody searches
  let shown = cards.slice(0, perPage), matching = cards, page = 0;

  // -- What is shown

  const wanted = () => controls.elements.state.value;

  function search() {
    clearTimeout(timer); // or a search of letters typed before would turn back to the first page
    const words = plain(find.value).split(/\s+/).filter(Boolean);
    texts ??= words.length ? cards.map((card) => plain(card.textContent)) : null;
    const state = wanted();
    matching = cards.filter((card, at) =>
      (!state || card.dataset.state === state) && words.every((word) => texts[at].includes(word)));
    turnTo(0);
  }

  function turnTo(number) {
    page = Math.max(0, Math.min(number, lastPage()));
    for (const card of shown) card.hidden = true;
    shown = matching.slice(page * perPage, (page + 1) * perPage);
    for (const card of shown) show(card);
    tell();
  }

  function show(card) {
    card.hidden = false;
    for (const picture of card.querySelectorAll("img")) picture.loading = "eager"; // for printing
  }

  const lastPage = () => Math.max(0, Math.ceil(matching.length / perPage) - 1);

  function tell() {
    const from = page * perPage + 1, to = from + shown.length - 1;
    const all = matching.length.toLocaleString("en");
    byId("range").textContent = shown.length
      ? `${from.toLocaleString("en")} to ${to.toLocaleString("en")} of ${all}` : "";
    byId("no-match").hidden = shown.length > 0;
    pager.hidden = lastPage() === 0;
    if (pages.options.length !== lastPage() + 1) {
      pages.replaceChildren(...Array.from({ length: lastPage() + 1 }, (_, at) => new Option(
        `${at + 1} of ${lastPage() + 1}`, at)));
    }
    pages.value = page;
    byId("previous").disabled = page === 0;
    byId("next").disabled = page === lastPage();
  }

  function turnAndGo(number) {
    turnTo(number);
    byId("range").scrollIntoView({ block: "start" });
  }

  // -- From elsewhere on the page to one item, or to the items of one state

  function reveal() {
    const id = decodeURIComponent(location.hash.slice(1));
    const card = id.startsWith("item-") && byId(id);
    if (!card) return;
    if (!matching.includes(card)) {
      find.value = "";
      controls.elements.state.value = "";
      search();
    }
    turnTo(Math.floor(matching.indexOf(card) / perPage));
    card.scrollIntoView({ block: "center" });
    card.querySelector(".name").focus({ preventScroll: true });
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#item-'], a[data-shows], a[href^='#failure-']");
    if (!link) return;
    if (link.dataset.shows !== undefined) {
      controls.elements.state.value = link.dataset.shows;
      find.value = "";
      search();
    } else if (link.hash === location.hash) reveal(); // no other event tells of it
  });

  // -- The keyboard

  const columns = () => {
    const top = shown[0].offsetTop;
    const second = shown.findIndex((card) => card.offsetTop > top);
    return second < 0 ? shown.length : second;
  };

  const goTo = (at) => shown[at]?.querySelector(".name").focus();

  sheet.addEventListener("keydown", (event) => {
    if (!event.target.matches(".name") || event.altKey || event.ctrlKey || event.metaKey) return;
    const at = shown.indexOf(event.target.closest(".card")), last = shown.length - 1;
    const steps = {
      ArrowRight: () => at < last ? goTo(at + 1) : page < lastPage() && (turnTo(page + 1), goTo(0)),
      ArrowLeft: () => at ? goTo(at - 1) : page && (turnTo(page - 1), goTo(shown.length - 1)),
      ArrowDown: () => goTo(Math.min(at + columns(), last)),
      ArrowUp: () => goTo(Math.max(at - columns(), 0)),
      Home: () => goTo(0),
      End: () => goTo(last),
      PageDown: () => page < lastPage() && (turnTo(page + 1), goTo(0)),
      PageUp: () => page && (turnTo(page - 1), goTo(0)),
    };
    if (!steps[event.key]) return;
    event.preventDefault();
    steps[event.key]();
  });

  // -- A clip plays while somebody points at it, or has its name in focus

  const isStill = matchMedia("(prefers-reduced-motion: reduce)");

  function play(card) {
    const frame = card?.querySelector(".frame");
    if (!frame || isStill.matches || frame.querySelector("video")) return;
    const video = document.createElement("video");
    Object.assign(video, { src: frame.href, muted: true, loop: true, playsInline: true });
    video.addEventListener("error", () => video.remove());
    frame.append(video);
    video.play().catch(() => {}); // taken away before it began
  }

  function stop(card) {
    const video = card?.querySelector("video");
    if (!video) return;
    video.removeAttribute("src");
    video.load();
    video.remove();
  }

  const cardOf = (event) => event.target.closest(".card");
  const isOutside = (event, part) => part && !part.contains(event.relatedTarget);
  sheet.addEventListener("pointerover", (e) => e.target.closest(".frame") && play(cardOf(e)));
  sheet.addEventListener("pointerout", (e) => {
    if (isOutside(e, e.target.closest(".frame"))) stop(cardOf(e));
  });
  sheet.addEventListener("focusin", (e) => e.target.matches(".name") && play(cardOf(e)));
  sheet.addEventListener("focusout", (e) => isOutside(e, cardOf(e)) && stop(cardOf(e)));

  // -- A command line to the clipboard

  async function copy(button) {
    const line = byId(button.dataset.copies);
    try {
      await navigator.clipboard.writeText(line.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(line); // the keys for copying work in any browser
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  }

  for (const button of document.querySelectorAll("button[data-copies]")) {
    button.hidden = false;
    button.addEventListener("click", () => copy(button));
  }

  // -- Begin

  find.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(search, 120); // once for a word, not for each letter
  });
  controls.addEventListener("change", (event) => event.target.name === "state" && search());
  controls.addEventListener("submit", (event) => { event.preventDefault(); search(); });
  byId("previous").addEventListener("click", () => turnAndGo(page - 1));
  byId("next").addEventListener("click", () => turnAndGo(page + 1));
  pages.addEventListener("change", () => turnAndGo(Number(pages.value)));
  addEventListener("hashchange", reveal);
  controls.hidden = cards.length === 0;
  controls.reset();
  tell();
  reveal();
})();
