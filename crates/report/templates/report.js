"use strict";
(() => {
  const all = (selector, within = document) => Array.from(within.querySelectorAll(selector));
  const one = (id) => document.getElementById(id);
  const groups = all("#groups .group");
  const findings = all("#groups .finding");
  const boxes = all(".filters input[type=checkbox]");
  const key = (group, selector) => (group.querySelector(selector) || group).textContent.trim().toLowerCase();
  const sheets = findings.map((finding) => {
    const group = finding.closest(".group");
    const whose = key(group, ".mailbox") + " " + key(group, ".person");
    return { finding, text: whose + " " + finding.textContent.toLowerCase() };
  });

  const choose = () => {
    const words = one("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const off = boxes.filter((box) => !box.checked).map((box) => box.id.slice("show-".length));
    let shown = 0;
    for (const { finding, text } of sheets) {
      const keep = words.every((word) => text.includes(word));
      const ticked = !off.some((severity) => finding.classList.contains(severity));
      finding.hidden = !keep || !ticked;
      shown += keep && ticked ? 1 : 0;
    }
    for (const group of groups) {
      group.hidden = !group.querySelector(".finding:not([hidden])");
    }
    one("shown").textContent = "Showing " + shown + " of " + findings.length + ".";
  };

  const number = (element, name) => Number(element.dataset[name]);
  const newest = (group) => Math.max(...all(".finding", group).map((finding) => number(finding, "seen")));
  const byNumber = (a, b) => number(a, "number") - number(b, "number");
  const byText = (selector) => (a, b) => key(a, selector).localeCompare(key(b, selector)) || byNumber(a, b);
  const orders = {
    worst: byNumber,
    mailbox: byText(".mailbox"),
    person: byText(".person"),
    newest: (a, b) => newest(b) - newest(a) || byNumber(a, b),
  };
  const sort = () => {
    const chosen = one("sort").value;
    const latest = (a, b) => number(b, "seen") - number(a, "seen") || byNumber(a, b);
    const inside = chosen === "newest" ? latest : byNumber;
    for (const group of groups) {
      group.append(...all(".finding", group).sort(inside));
    }
    one("groups").append(...groups.sort(orders[chosen]));
  };

  const unfold = (open) => {
    for (const finding of findings) {
      if (!finding.hidden) {
        finding.querySelector("details").open = open;
      }
    }
  };
  const unfoldTarget = () => {
    const target = location.hash.startsWith("#finding-") && one(location.hash.slice(1));
    if (target) {
      target.hidden = false;
      (target.closest(".group") || target).hidden = false;
      target.querySelector("details").open = true;
      target.scrollIntoView();
    }
  };

  let pause;
  one("search").addEventListener("input", () => {
    clearTimeout(pause);
    pause = setTimeout(choose, 120);
  });
  document.querySelector(".filters").addEventListener("submit", (event) => event.preventDefault());
  boxes.forEach((box) => box.addEventListener("change", choose));
  one("sort").addEventListener("change", sort);
  one("unfold").addEventListener("click", () => unfold(true));
  one("fold").addEventListener("click", () => unfold(false));
  addEventListener("hashchange", unfoldTarget);
  addEventListener("beforeprint", () => all("details").forEach((details) => { details.open = true; }));
  one("scripted").hidden = false;
  if (one("sort").value !== "worst") {
    sort();
  }
  choose();
  unfoldTarget();
})();
