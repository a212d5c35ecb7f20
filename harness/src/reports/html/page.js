"use strict";
// The page says everything without this. Here only what is looked at is chosen.
(() => {
  const all = (root, what) => [...root.querySelectorAll(what)];
  document.documentElement.classList.add("scripts");
  all(document, ".scripted").forEach((it) => { it.hidden = false; });

  const failures = all(document, ".failure").map((article) => {
    const slider = article.querySelector(".slider");
    if (!slider) return { article, move() {}, to() {} };
    const table = article.querySelector(".steps");
    const rows = all(table, "tr.step");
    const machines = all(article, ".machine");
    const brief = article.querySelector(".brief");
    const at = article.querySelector(".at");
    const isShown = (row) => !brief.checked || !row.classList.contains("minor");
    const show = (step) => {
      slider.value = step;
      rows.forEach((row, place) => {
        row.classList.toggle("here", place === step);
        row.classList.toggle("later", place > step);
      });
      let here = null;
      for (const machine of machines) {
        machine.classList.remove("here");
        if (Number(machine.dataset.from) <= step) here = machine;
      }
      if (here) here.classList.add("here");
      const number = rows[step].querySelector(".number").textContent.trim();
      at.textContent = `${number === "–" ? "setup" : `step ${number}`}, ${step + 1} of ${rows.length}`;
      slider.setAttribute("aria-valuetext", at.textContent);
    };
    const now = () => Number(slider.value);
    const to = (step) => show(Math.max(0, Math.min(rows.length - 1, step)));
    const move = (by) => {
      let step = now() + by;
      while (rows[step] && !isShown(rows[step])) step += by;
      if (rows[step]) show(step);
    };
    const shorten = () => table.classList.toggle("briefly", brief.checked);
    slider.addEventListener("input", () => show(now()));
    brief.addEventListener("change", shorten);
    rows.forEach((row, place) => row.addEventListener("click", () => show(place)));
    all(article, "[data-move]").forEach((it) => it.addEventListener("click", () => move(Number(it.dataset.move))));
    shorten();
    const linked = location.hash.match(/^#step-(\d+)-(\d+)$/);
    to(linked && linked[1] === article.dataset.failure ? Number(linked[2]) : rows.length - 1);
    return { article, move, to, last: rows.length - 1 };
  });

  let current = Math.max(0, failures.findIndex((it) => `#${it.article.id}` === location.hash));
  const mark = () => failures.forEach((it, place) => it.article.classList.toggle("current", place === current));
  failures.forEach((it, place) => it.article.addEventListener("pointerdown", () => { current = place; mark(); }));
  mark();

  const filter = document.getElementById("filter");
  const shown = document.getElementById("shown");
  const cases = all(document, "#table tbody tr");
  const sieve = () => {
    const words = filter.value.toLowerCase().split(/\s+/);
    let count = 0;
    for (const row of cases) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      if (!row.hidden) count += 1;
    }
    shown.textContent = `${count} of ${cases.length}`;
  };
  filter.addEventListener("input", sieve);
  sieve();

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target === filter) return;
    const failure = failures[current];
    const keys = {
      ArrowLeft: () => failure && failure.move(-1),
      ArrowRight: () => failure && failure.move(1),
      Home: () => failure && failure.to(0),
      End: () => failure && failure.to(failure.last),
      j: () => { current = Math.min(failures.length - 1, current + 1); },
      k: () => { current = Math.max(0, current - 1); },
      "/": () => filter.focus(),
    };
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
    if (event.key === "j" || event.key === "k") {
      mark();
      if (failures[current]) failures[current].article.scrollIntoView({ block: "start" });
    }
  });

  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // A page from a disk may not use the clipboard directly.
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
  };
  all(document, "[data-copy]").forEach((button) => {
    const label = button.textContent;
    button.addEventListener("click", async () => {
      await copy(document.getElementById(button.dataset.copy).textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = label; }, 1500);
    });
  });
})();
