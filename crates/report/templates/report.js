"use strict";
(() => {
  const all = (selector, within = document) => Array.from(within.querySelectorAll(selector));
  const one = (id) => document.getElementById(id);
  const groups = all("#groups .group");
  const findings = all("#groups .finding");
  const boxes = all(".filters input[type=checkbox]");
  const key = (group, selector) => (group.querySelector(selector) || group).textContent.trim().toLowerCase();
  const whose = new Map(groups.map((group) => {
    return [group, { mailbox: key(group, ".mailbox"), person: key(group, ".person") }];
  }));
  const groupOf = new Map(findings.map((finding) => [finding, finding.closest(".group")]));
  // Reading everything takes a while in a long report, so it waits for the first search.
  let sheets;
  const read = () => {
    sheets = sheets || new Map(findings.map((finding) => {
      const { mailbox, person } = whose.get(groupOf.get(finding));
      return [finding, mailbox + " " + person + " " + finding.textContent.toLowerCase()];
    }));
    return sheets;
  };

  const choose = () => {
    const words = one("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const off = boxes.filter((box) => !box.checked).map((box) => box.id.slice("show-".length));
    const says = (finding) => words.every((word) => read().get(finding).includes(word));
    const matches = words.length ? says : () => true;
    const left = new Set();
    let shown = 0;
    for (const finding of findings) {
      const keep = !off.some((severity) => finding.classList.contains(severity)) && matches(finding);
      finding.hidden = !keep;
      if (keep) {
        shown += 1;
        left.add(groupOf.get(finding));
      }
    }
    for (const group of groups) {
      group.hidden = !left.has(group);
    }
    one("shown").textContent = "Showing " + shown + " of " + findings.length + ".";
  };

  const number = (element, name) => Number(element.dataset[name]);
  const newest = (group) => Math.max(...all(".finding", group).map((finding) => number(finding, "seen")));
  const byNumber = (a, b) => number(a, "number") - number(b, "number");
  const byText = (name) => (a, b) => whose.get(a)[name].localeCompare(whose.get(b)[name]) || byNumber(a, b);
  const orders = () => {
    const latest = new Map(groups.map((group) => [group, newest(group)]));
    return {
      worst: byNumber,
      mailbox: byText("mailbox"),
      person: byText("person"),
      newest: (a, b) => latest.get(b) - latest.get(a) || byNumber(a, b),
    };
  };
  const sort = () => {
    const chosen = one("sort").value;
    const latest = (a, b) => number(b, "seen") - number(a, "seen") || byNumber(a, b);
    const inside = chosen === "newest" ? latest : byNumber;
    for (const group of groups) {
      const is = all(".finding", group);
      const wanted = Array.from(is).sort(inside);
      if (is.some((finding, at) => finding !== wanted[at])) {
        group.append(...wanted);
      }
    }
    one("groups").replaceChildren(...groups.sort(orders()[chosen]));
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
