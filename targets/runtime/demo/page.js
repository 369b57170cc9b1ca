"use strict";
// Shows what /events says. Everything is drawn from the last few hundred records; nothing grows.
const KEPT = 300;
const records = [];
let camera = 0;
let events = null;
let lost = false;
const $ = (id) => document.getElementById(id);
const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const ms = (value) => (value === null || value === undefined ? "–" : value.toFixed(value < 10 ? 2 : 1));

function element(kind, text, className) {
  const made = document.createElement(kind);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] : null;
}

function showClasses(record) {
  $("classes").replaceChildren(...record.classes.map(({ name, probability }) => {
    const item = element("li", "");
    item.style.setProperty("--share", `${100 * probability}%`);
    item.append(element("span", name), element("span", `${(100 * probability).toFixed(1)} %`));
    return item;
  }));
}

function showPrecisions(record) {
  const wanted = Object.keys(record.precisions).join();
  if ($("precisions").dataset.shown !== wanted) {
    $("precisions").dataset.shown = wanted;
    const labels = Object.keys(record.precisions).map((name) => {
      const label = element("label", "");
      const button = Object.assign(document.createElement("input"), { type: "radio", name: "precision", value: name });
      button.addEventListener("change", () => choose(name));
      label.append(button, ` ${name.toUpperCase()}`);
      return label;
    });
    $("precisions").replaceChildren(element("legend", "Classify with"), ...labels);
  }
  for (const button of $("precisions").querySelectorAll("input")) {
    button.checked = button.value === record.precision;
    button.disabled = record.precisions[button.value] !== null;
  }
  const reasons = Object.entries(record.precisions).filter(([, reason]) => reason !== null);
  $("note").textContent = reasons.map(([name, reason]) => `${name.toUpperCase()}: ${reason}`).join(" ");
}

async function choose(precision) {
  const answer = await fetch("precision", { method: "POST", body: precision });
  if (!answer.ok) $("note").textContent = await answer.text();
}

function showTimes() {
  const last = records[records.length - 1];
  const rows = [
    ["decoding", last.decode_ms, records.map((r) => r.decode_ms)],
    ["preprocessing", last.preprocess_ms, records.map((r) => r.preprocess_ms)],
  ];
  for (const precision of [...new Set(records.map((r) => r.precision))].sort()) {
    const own = records.filter((r) => r.precision === precision).map((r) => r.model_ms);
    rows.push([`model, ${precision.toUpperCase()}`, own[own.length - 1], own]);
  }
  rows.push(["from arrival to result", last.end_to_end_ms, records.map((r) => r.end_to_end_ms)]);
  $("times").replaceChildren(...rows.map(([name, now, all]) => {
    const row = document.createElement("tr");
    row.append(element("td", name), ...[now, quantile(all, 0.5), quantile(all, 0.99)].map((v) => element("td", ms(v))));
    return row;
  }));
}

function showDevice(record) {
  const facts = { ...record.device, recorded: record.recorded, "pictures a second": record.fps.toFixed(1), captured: record.captured,
    "not classified, newer came": record.dropped, damaged: record.damaged, reconnected: record.reconnects };
  $("device").replaceChildren(...Object.entries(facts).filter(([, v]) => v !== null).map(([name, value]) => {
    const row = document.createElement("div");
    row.append(element("dt", name), element("dd", String(value)));
    return row;
  }));
}

function plot(canvas, series, top) {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (canvas.width !== Math.round(width * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.fillStyle = ink("--ink");
  pen.font = "12px system-ui, sans-serif";
  pen.fillText(top.label, 4, 12);
  const last = Math.max(60, records.length) - 1;
  for (const { values, colour, names } of series) {
    let free = 40;
    pen.strokeStyle = colour;
    pen.lineWidth = 1.5;
    pen.beginPath();
    values.forEach((value, i) => {
      const x = (i / last) * width;
      const y = height - 2 - Math.min(1, value / top.value) * (height - 18);
      if (i === 0) pen.moveTo(x, y); else pen.lineTo(x, y);
      if (names && (i === 0 || names[i] !== names[i - 1]) && x >= free) {
        pen.fillText(names[i], x + 2, y - 4 < 24 ? y + 14 : y - 4);
        free = x + 12 + pen.measureText(names[i]).width;
      }
    });
    pen.stroke();
  }
}

function showPlots() {
  plot($("history"), [{ values: records.map((r) => r.classes[0].probability), colour: ink("--good"), names: records.map((r) => r.classes[0].name) }], { value: 1, label: "100 %" });
  const whole = records.map((r) => r.end_to_end_ms);
  const most = Math.max(quantile(whole, 0.99) || 1, 0.1);
  plot($("latency"), [
    { values: records.map((r) => r.model_ms), colour: ink("--line") },
    { values: whole, colour: ink("--other") },
  ], { value: most, label: `${ms(most)} ms` });
}

function say(text, bad) {
  $("state").textContent = text;
  $("state").className = bad ? "bad" : "";
}

function show(record) {
  $("model").textContent = `${record.model} for ${record.target}`;
  document.title = record.classes.length ? record.classes[0].name : "edgec";
  say(record.status === "running" ? `${record.source}` : `${record.status}: ${record.text}`, record.status !== "running");
  showPrecisions(record);
  showDevice(record);
  if (!record.fresh) return;
  records.push(record);
  if (records.length > KEPT) records.shift();
  showClasses(record);
  showTimes();
  showPlots();
}

function showPictures() {
  $("picture").src = `picture.mjpg?camera=${camera}&${Date.now()}`;
}

// A browser opens six connections to a server: one camera is streamed, the others give a picture a second.
function showCameras(all) {
  $("cameras").hidden = all.length < 2;
  if ($("cameras").children.length !== all.length) {
    $("cameras").replaceChildren(...all.map((record) => {
      const button = element("button", "");
      const picture = Object.assign(document.createElement("img"), { alt: "" });
      button.type = "button";
      button.append(picture, element("span", ""), element("span", ""));
      button.addEventListener("click", () => follow(record.camera));
      return button;
    }));
  }
  all.forEach((record, place) => {
    const [picture, source, best] = $("cameras").children[place].children;
    const [first] = record.classes;
    source.textContent = record.source.split("/").pop() || record.source;
    source.title = record.source;
    best.textContent = record.status !== "running" ? record.status : first ? `${first.name}, ${(100 * first.probability).toFixed(0)} %` : "–";
    best.className = record.status === "running" ? "" : "bad";
    $("cameras").children[place].setAttribute("aria-pressed", String(record.camera === camera));
    picture.src = `picture.jpg?camera=${record.camera}&${Date.now()}`;
  });
}

async function watchCameras() {
  try {
    const answer = await fetch("cameras");
    if (answer.ok) showCameras(await answer.json());
  } catch {
    // the stream of events says that the demo does not answer
  }
  setTimeout(watchCameras, 1000);
}

function follow(chosen) {
  camera = chosen;
  records.length = 0;
  for (const [place, button] of [...$("cameras").children].entries()) button.setAttribute("aria-pressed", String(place === chosen));
  if (events) events.close();
  events = new EventSource(`events?camera=${camera}`);
  events.addEventListener("open", () => {
    if (lost) showPictures();
    lost = false;
  });
  events.addEventListener("error", () => {
    lost = true;
    say("The demo does not answer; trying again.", true);
  });
  events.addEventListener("message", (event) => show(JSON.parse(event.data)));
  showPictures();
}

$("picture").addEventListener("error", () => setTimeout(showPictures, 1000));
follow(0);
watchCameras();
