"use strict";
(() => {
  const build = JSON.parse(document.getElementById("data").textContent);
  const jobs = build.jobs;
  const find = (id) => document.getElementById(id);
  const PHASES = ["start", "fetch", "unpack", "build", "check", "install", "finish"];
  const LABELS = {
    start: "start", fetch: "fetch", unpack: "unpack", build: "build", check: "check", install: "install",
    finish: "finish", waits: "waits for the lock", lock: "holds the lock",
  };

  // ------------------------------------------------------------------------------- text

  const seconds = (s) => {
    if (s === null || s === undefined) return "";
    if (s === 0) return "0 s";
    if (s < 0.9995) return `${Math.max(1, Math.round(s * 1000))} ms`;
    if (s < 60) return `${s.toFixed(1)} s`;
    const whole = Math.round(s);
    if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
    return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  };
  const sum = (list, of) => list.reduce((total, one) => total + of(one), 0);
  const inPhase = (job, name) => sum(job.phases.filter((p) => p.name === name), (p) => p.took);
  const element = (name, className, text) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const svg = (name, attributes, parent) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (parent) parent.append(made);
    return made;
  };

  // ---------------------------------------------------------------------------- figures

  const slots = build.slots === null ? "any number of jobs" : build.slots === 1 ? "1 job" : `${build.slots} jobs`;
  find("subtitle").textContent =
    `${jobs.length} packages, ${slots} at once, on ${new Date(build.began * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" })}`;
  const work = sum(jobs, (job) => job.took);
  const hits = sum(jobs, (job) => job.hits), misses = sum(jobs, (job) => job.misses);
  const taken = sum(jobs, (job) => job.taken), made = sum(jobs, (job) => job.made);
  const failed = jobs.filter((job) => job.result !== "done").length;
  const figures = [
    ["The build took", seconds(build.took)],
    ["The jobs took together", seconds(work)],
    ["Jobs at once, on average", build.took ? (work / build.took).toFixed(2) : "0"],
    ["Critical path", seconds(build.critical_took)],
    ["Waited for the lock", seconds(sum(jobs, (job) => job.waited))],
    ["Held the lock", seconds(sum(jobs, (job) => job.held))],
    ["Wheels taken from the cache", `${taken} of ${taken + made}`],
    ["Requirements in the cache", `${hits} of ${hits + misses}`],
  ];
  if (failed) figures.push(["Failed or cut off", String(failed)]);
  for (const [name, value] of figures) {
    const pair = element("div");
    pair.append(element("dt", "", name), element("dd", "", value));
    find("figures").append(pair);
  }

  // --------------------------------------------------------------------------- timeline

  const LEFT = { slot: 40, package: 150 }, ROW = 24, TOP = 24, ENOUGH = 7;
  const shown = { rows: "slot", zoom: 1, current: 0 };
  const order = jobs.map((_, index) => index).sort((a, b) => jobs[a].began - jobs[b].began);
  let bars = [];

  for (const name of [...PHASES, "waits", "lock"]) {
    const item = element("li");
    item.append(element("i", name), LABELS[name]);
    find("legend").append(item);
  }
  const critical = element("li", "", "outlined: on the critical path");
  find("legend").append(critical);

  const tickStep = (span, width) => {
    const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400];
    return steps.find((step) => (step / span) * width >= 70) || steps[steps.length - 1];
  };

  const describe = (job) => {
    const phases = job.phases.map((p) => `${p.name} ${seconds(p.took)}`).join(", ");
    const lock = job.held ? `; lock held ${seconds(job.held)}` : "";
    const waited = job.waited ? `, waited for it ${seconds(job.waited)}` : "";
    const result = job.result === "done" ? "" : `; ${job.result}${job.error ? `: ${job.error}` : ""}`;
    return `${job.name}: ${seconds(job.took)} from ${seconds(job.began)} on (${phases})${lock}${waited}${result}`;
  };

  const draw = () => {
    const place = find("timeline");
    const left = LEFT[shown.rows];
    const width = Math.max(300, place.clientWidth - 2) * shown.zoom;
    const span = Math.max(build.took, 0.001);
    const x = (s) => left + (s / span) * (width - left - 12);
    const rowOf = shown.rows === "slot" ? (job) => job.slot : (job) => order.indexOf(jobs.indexOf(job));
    const rows = Math.max(0, ...jobs.map(rowOf)) + 1;
    const height = TOP + rows * ROW + 8;
    const root = svg("svg", { width, height, role: "group", "aria-label": "Timeline of the jobs" });
    const step = tickStep(span, width - left);
    for (let at = 0; at <= span; at += step) {
      const tick = svg("g", { class: "tick" }, root);
      svg("line", { x1: x(at), x2: x(at), y1: TOP - 4, y2: height }, tick);
      svg("text", { x: x(at) + 3, y: 14 }, tick).textContent = seconds(at);
    }
    for (let row = 0; row < rows; row += 1) {
      const label = shown.rows === "slot" ? `${row + 1}` : jobs[order[row]].name;
      const text = svg("text", { x: 8, y: TOP + row * ROW + 15, class: "row" }, root);
      text.textContent = label.length > 22 ? `${label.slice(0, 21)}…` : label;
    }
    bars = jobs.map((job, index) => drawJob(root, job, index, { x, y: TOP + rowOf(job) * ROW + 2 }));
    place.replaceChildren(root);
    enter(shown.current, false);
  };

  const drawJob = (root, job, index, { x, y }) => {
    const classes = ["job", job.critical ? "critical" : "", job.result === "done" ? "" : "failed"];
    const group = svg("g", { class: classes.join(" ").trim(), tabindex: "-1", role: "button", "aria-label": describe(job) }, root);
    const box = (began, took, name, top, height, least) =>
      svg("rect", { x: x(began), y: top, width: Math.max(least, x(began + took) - x(began)), height, class: name }, group);
    box(job.began, job.took, "start", y, ROW - 4, 1);
    for (const phase of job.phases) box(phase.began, phase.took, phase.name, y, ROW - 4, 0.5);
    for (const wait of job.waits) box(wait.began, wait.took, "waits", y, ROW - 4, 1.5);
    for (const lock of job.locks) box(lock.began, lock.took, "lock", y, ROW - 4, 1.5);
    box(job.began, job.took, "outline", y, ROW - 4, 1);
    const room = x(job.began + job.took) - x(job.began);
    if (room > job.name.length * ENOUGH) {
      svg("text", { x: x(job.began) + 5, y: y + 14 }, group).textContent = job.name;
    }
    svg("title", {}, group).textContent = describe(job);
    group.addEventListener("click", () => enter(index, true));
    group.addEventListener("focus", () => { find("details").textContent = describe(job); });
    return group;
  };

  const enter = (index, focus) => {
    if (!bars.length) return;
    bars[shown.current].setAttribute("tabindex", "-1");
    shown.current = index;
    bars[index].setAttribute("tabindex", "0");
    if (focus) {
      bars[index].focus();
      bars[index].scrollIntoView({ block: "nearest", inline: "nearest" });
    }
  };

  find("timeline").addEventListener("keydown", (event) => {
    const at = order.indexOf(shown.current);
    const to = {
      ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: order.length - 1,
    }[event.key];
    if (event.key === "Enter") toRow(shown.current);
    else if (to !== undefined) enter(order[Math.min(order.length - 1, Math.max(0, to))], true);
    else return;
    event.preventDefault();
  });
  for (const radio of document.querySelectorAll("input[name=rows]")) {
    radio.addEventListener("change", () => { shown.rows = radio.value; draw(); });
  }
  const zoom = (factor) => { shown.zoom = Math.min(64, Math.max(1, factor)); draw(); };
  find("zoom-in").addEventListener("click", () => zoom(shown.zoom * 2));
  find("zoom-out").addEventListener("click", () => zoom(shown.zoom / 2));
  find("zoom-reset").addEventListener("click", () => zoom(1));
  window.addEventListener("resize", draw);

  // --------------------------------------------------------------------------- rankings

  const rank = (list, chosen) => {
    const longest = Math.max(0.001, ...chosen.map((job) => job.took));
    for (const job of chosen) {
      const item = element("li");
      const strip = element("span", "strip");
      for (const phase of job.phases) {
        const part = element("span", phase.name);
        part.style.width = `${(phase.took / longest) * 100}%`;
        strip.append(part);
      }
      item.title = describe(job);
      item.append(element("span", "name", job.name), strip, element("span", "number", seconds(job.took)));
      list.append(item);
    }
  };
  rank(find("critical"), build.critical.map((index) => jobs[index]));
  rank(find("slowest"), [...jobs].sort((a, b) => b.took - a.took).slice(0, 10));
  find("critical-text").textContent =
    `Each needs the one before it: however many jobs, the build takes ${seconds(build.critical_took)} at least.`;

  // ------------------------------------------------------------------------------ table

  const columns = [
    { title: "Package", of: (job) => job.name, words: true },
    { title: "Kind", of: (job) => (job.mode === "all" ? job.kind : job.mode), words: true },
    { title: "Result", of: (job) => job.result, words: true },
    { title: "Began", of: (job) => job.began, text: seconds },
    { title: "Took", of: (job) => job.took, text: seconds },
    ...PHASES.slice(1).map((name) => (
      { title: name[0].toUpperCase() + name.slice(1), of: (job) => inPhase(job, name), text: seconds }
    )),
    { title: "Waited", of: (job) => job.waited, text: seconds },
    { title: "Lock", of: (job) => job.held, text: seconds },
    { title: "Wheels", of: (job) => job.wheels },
    { title: "Files", of: (job) => job.files, text: (n) => (n === null ? "" : n.toLocaleString("en")) },
    { title: "Cached", of: (job) => job.hits + job.taken,
      text: (_, job) => (job.hits + job.misses + job.taken + job.made
        ? `${job.hits + job.taken} of ${job.hits + job.misses + job.taken + job.made}` : "") },
  ];
  const sorting = { column: 4, descending: true };
  const body = document.querySelector("#table tbody");
  const heads = columns.map((column, index) => {
    const head = element("th", column.words ? "words" : "");
    const button = element("button", "", column.title);
    head.scope = "col";
    button.type = "button";
    button.addEventListener("click", () => {
      sorting.descending = sorting.column === index ? !sorting.descending : !column.words;
      sorting.column = index;
      fill();
    });
    head.append(button);
    document.querySelector("#table thead tr").append(head);
    return head;
  });
  const rowsOf = jobs.map((job, index) => {
    const row = element("tr", `${job.result} ${job.critical ? "critical" : ""}`.trim());
    row.tabIndex = -1;
    row.dataset.index = index;
    if (job.error) row.title = job.error;
    for (const column of columns) {
      const value = column.of(job);
      const text = column.text ? column.text(value, job) : value === null ? "" : String(value);
      const isNothing = column.text === seconds && value === 0 && column.title !== "Began";
      row.append(element("td", column.words ? "words" : "", isNothing ? "" : text));
    }
    return row;
  });

  const isWanted = (job) => {
    const words = find("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const text = `${job.name} ${job.kind} ${job.mode} ${job.result}`.toLowerCase();
    return words.every((word) => text.includes(word)) && (job.critical || !find("only-critical").checked);
  };
  const fill = () => {
    const { column, descending } = sorting;
    const value = columns[column].of;
    const compare = (a, b) => {
      const [left, right] = [value(jobs[a]), value(jobs[b])];
      if (typeof left === "string") return left.localeCompare(right);
      return (left ?? -1) - (right ?? -1);
    };
    const wanted = jobs.map((_, index) => index).filter((index) => isWanted(jobs[index]));
    wanted.sort((a, b) => (descending ? -compare(a, b) : compare(a, b)) || a - b);
    heads.forEach((head, index) => {
      if (index === column) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    body.replaceChildren(...wanted.map((index) => rowsOf[index]));
    find("count").textContent = `${wanted.length} of ${jobs.length}`;
  };
  const toRow = (index) => {
    if (!isWanted(jobs[index])) {
      find("filter").value = "";
      find("only-critical").checked = false;
      fill();
    }
    rowsOf[index].focus();
    rowsOf[index].scrollIntoView({ block: "center" });
  };
  find("filter").addEventListener("input", fill);
  find("only-critical").addEventListener("change", fill);

  draw();
  fill();
})();
