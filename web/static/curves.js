// SPDX-License-Identifier: Apache-2.0
// Puts a picture with a cursor in place of each drawn curve. Without it the drawn one stays.
(() => {
  "use strict";
  if (!window.uPlot) return;
  const sync = uPlot.sync("curves");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const number = new Intl.NumberFormat(document.documentElement.lang, { maximumSignificantDigits: 5 });

  // The colours are those of the style sheet: a line of each class is measured.
  function ink(name) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("class", name);
    svg.append(path);
    document.body.append(svg);
    const style = getComputedStyle(path);
    const found = { stroke: style.stroke, dash: style.strokeDasharray === "none" ? [] : style.strokeDasharray.split(/[ ,]+/).map(parseFloat) };
    svg.remove();
    return found;
  }

  function draw(figure, doc) {
    const place = figure.querySelector("[data-curve]");
    const axis = { stroke: ink("l0").stroke, grid: { stroke: ink("ax").stroke, width: 1 }, ticks: { show: false }, values: (u, list) => list.map((v) => (v === null ? "" : number.format(v))) };
    const tables = doc.series.map((s) => [s.x, s.y]);
    const data = tables.length > 1 ? uPlot.join(tables) : tables[0];
    const series = doc.series.map((s, i) => {
      const line = ink(place.dataset.classes.split(",")[i] || "l1");
      return { label: s.name, stroke: line.stroke, dash: line.dash, width: 1.5, spanGaps: true, points: { show: s.x.length < 30 }, value: (u, v) => (v === null ? "–" : number.format(v)) };
    });
    const size = () => ({ width: Math.max(240, Math.floor(figure.clientWidth)), height: 260 });
    place.replaceChildren();
    const plot = new uPlot({ ...size(), cursor: { sync: { key: sync.key }, drag: { x: true, y: false } }, scales: { x: { time: false } },
      axes: [{ ...axis, label: place.dataset.step, size: 28, labelSize: 16, labelGap: 0, gap: 4 }, { ...axis, size: 58 }],
      legend: { markers: { width: 2, dash: (u, i) => (series[i - 1] && series[i - 1].dash.length ? "dashed" : "solid") } },
      series: [{ label: place.dataset.step, value: (u, v) => (v === null ? "–" : number.format(v)) }, ...series] }, data, place);
    const resize = new ResizeObserver(() => plot.setSize(size()));
    resize.observe(figure);
    return () => { resize.disconnect(); plot.destroy(); };
  }

  for (const figure of document.querySelectorAll("figure.curve")) {
    const place = figure.querySelector("[data-curve]");
    fetch(place.dataset.curve, { credentials: "same-origin" }).then((r) => (r.ok ? r.json() : Promise.reject(new Error(r.status)))).then((doc) => {
      if (!doc.series.some((s) => s.x.length)) return;
      let undo = draw(figure, doc);
      dark.addEventListener("change", () => { undo(); undo = draw(figure, doc); });
    }).catch(() => {}); // the drawn curve stays
  }
})();
