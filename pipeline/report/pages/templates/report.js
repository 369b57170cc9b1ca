"use strict";

const button = document.getElementById("copy-summary");
const told = document.getElementById("copied");

/** Return the summary at the top of the page as a PNG, as it looks here. */
async function summaryPicture() {
  const summary = document.querySelector("header");
  const { width, height } = summary.getBoundingClientRect();
  const edge = 40, wide = Math.ceil(width), high = Math.ceil(height) + edge;
  const here = getComputedStyle(document.body);
  const copy = summary.cloneNode(true);
  copy.querySelector(".copy").remove();
  copy.style.margin = "0";
  const page = document.createElement("div");
  page.style.cssText = `height: ${high}px; font: ${here.font}; color: ${here.color}; background: ${here.backgroundColor}`;
  const css = document.querySelector("style").textContent;
  for (const name of new Set(css.match(/--[a-z0-9-]+(?=:)/g))) { // the colours of the theme that is shown
    const value = getComputedStyle(document.documentElement).getPropertyValue(name);
    if (value) page.style.setProperty(name, value);
  }
  const style = document.createElement("style");
  style.textContent = css;
  page.append(style, copy);
  const content = new XMLSerializer().serializeToString(page);
  const drawing = `<svg xmlns="http://www.w3.org/2000/svg" width="${wide}" height="${high}">`
    + `<foreignObject width="100%" height="100%">${content}</foreignObject></svg>`;
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(drawing)}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = 2 * wide; // sharp on a dense screen too
  canvas.height = 2 * high;
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((done, failed) => canvas.toBlob(
    (picture) => (picture ? done(picture) : failed(new Error("no picture"))), "image/png"));
}

async function copySummary() {
  let picture;
  try {
    picture = await summaryPicture();
  } catch {
    told.textContent = "This browser cannot make a picture of it.";
    return;
  }
  try {
    await navigator.clipboard.write([new ClipboardItem({ "image/png": picture })]);
    told.textContent = "Copied.";
  } catch { // a browser that lets no page write pictures there
    const link = document.createElement("a");
    link.href = URL.createObjectURL(picture);
    link.download = "summary.png";
    link.click();
    told.textContent = "Saved as summary.png.";
  }
}

button.addEventListener("click", copySummary);
button.hidden = false;
