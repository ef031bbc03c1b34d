"use strict";

// Draws each figure.chart from the JSON in #data with uPlot. All share one cursor; what is under it stands in the
// table below each chart. The tables, histograms and texts of the page need none of this.

(() => {
  const HEIGHT = 210;
  const PRINT_WIDTH = 340;
  const DASHES = [[], [2, 3], [9, 4, 2, 4]];
  const LIMIT_DASH = [7, 5];
  const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 14400, 21600, 43200, 86400];
  const DECADES = Array.from({ length: 16 }, (_, n) => 10 ** (n - 4));
  const ROUND = DECADES.flatMap((ten) => [ten, 2 * ten, 5 * ten]);
  const ROUND_SECONDS = [...ROUND.filter((step) => step < 10), ...STEPS.filter((step) => step >= 10)];
  const HOURS_FROM = 7200;
  const SPACE = "\u00a0";
  const { times, charts } = JSON.parse(document.getElementById("data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const drawn = [];

  // --- Numbers, as formats.py has them ---

  function number(value) {
    if (value == null) return "–";
    const size = Math.abs(value);
    const fixed = (digits) => value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
    if (size >= 100 || Number.isInteger(value)) return fixed(0);
    if (size >= 1) return fixed(size >= 10 ? 1 : 2);
    return fixed(1 - Math.floor(Math.log10(size))).replace(/0+$/, "");
  }

  function duration(seconds) {
    if (seconds == null) return "–";
    if (seconds === 0) return `0${SPACE}s`;
    if (seconds < 0.9995) return `${(seconds * 1000).toFixed(seconds >= 0.01 ? 0 : 1)}${SPACE}ms`;
    if (seconds < 59.95) return `${seconds.toFixed(seconds < 9.995 ? 2 : 1)}${SPACE}s`;
    const whole = Math.round(seconds);
    const two = (part) => String(part).padStart(2, "0");
    if (whole < 3600) return `${Math.floor(whole / 60)}${SPACE}min ${two(whole % 60)}${SPACE}s`;
    return `${Math.floor(whole / 3600)}${SPACE}h ${two(Math.floor((whole % 3600) / 60))}${SPACE}min`;
  }

  const valueText = (value, unit) => (unit === "s" ? duration(value) : number(value));

  function clock(seconds, span) {
    const whole = Math.floor(span > HOURS_FROM ? seconds / 60 : seconds);
    return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
  }

  // An axis has room for little: 1.5k, 20 s, 5 min.
  function tick(value, unit) {
    if (unit === "s" && value >= 3600) return `${+(value / 3600).toFixed(1)} h`;
    if (unit === "s" && value >= 120) return `${+(value / 60).toFixed(1)} min`;
    if (unit === "s") return `${+value.toFixed(3)} s`;
    if (value >= 1e6) return `${+(value / 1e6).toFixed(2)}M`;
    if (value >= 10000) return `${+(value / 1e3).toFixed(2)}k`;
    return (+value.toFixed(4)).toLocaleString("en-US");
  }

  // --- Data ---

  const isSteps = (packed) => !Array.isArray(packed);
  const unpacked = times.map((t) => (isSteps(t) ? Array.from({ length: t.count }, (_, n) => t.from + n * t.step) : t));

  function column(packed, length) {
    return Array.isArray(packed) ? packed : new Array(length).fill(packed);
  }

  // uPlot's columns, and for each of them the line it belongs to: a line has its values, and perhaps low and high.
  function columnsOf(lines) {
    const tables = [];
    const owners = [];
    for (const line of lines) {
      const t = unpacked[line.time];
      const parts = line.low ? ["values", "low", "high"] : ["values"];
      tables.push([t, ...parts.map((part) => column(line[part], t.length))]);
      owners.push(...parts.map((part) => ({ line, part })));
    }
    return { data: tables.length > 1 ? uPlot.join(tables) : tables[0] ?? [[]], owners };
  }

  // A value between two gaps has no line: it is drawn as a point.
  function lonely(values) {
    const own = values.flatMap((value, n) => (value === undefined ? [] : [n]));
    return own.filter((at, n) => values[at] !== null && (values[own[n - 1]] ?? null) === null && (values[own[n + 1]] ?? null) === null);
  }

  // --- Looks ---

  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function seriesOf(owner, values) {
    const { line, part } = owner;
    if (line.off || part !== "values") return { show: !line.off, stroke: "transparent", width: 0, points: { show: false } };
    const alone = lonely(values);
    return {
      stroke: style(`--c${line.colour}`),
      width: line.limit ? 1.25 : 1.75,
      dash: line.limit ? LIMIT_DASH : DASHES[line.dash],
      points: { show: alone.length > 0, size: 4, filter: () => alone },
    };
  }

  function bandsOf(owners) {
    return owners.flatMap(({ line, part }, n) => (part === "high" ? [{ series: [n + 1, n], fill: `${style(`--c${line.colour}`)}33` }] : []));
  }

  function axesOf(chart) {
    const look = { stroke: style("--quiet"), font: "11px system-ui, sans-serif", ticks: { stroke: style("--line"), width: 1, size: 4 } };
    const widest = (labels) => Math.max(2, ...(labels ?? []).map((label) => label.length));
    return [
      { ...look, grid: { show: false }, incrs: STEPS, space: 56, size: 26, gap: 2, values: (_, at) => at.map((t) => clock(t, chart.span)) },
      {
        ...look,
        grid: { stroke: style("--grid"), width: 1 },
        incrs: chart.unit === "s" ? ROUND_SECONDS : ROUND,
        space: 34,
        gap: 4,
        size: (_, labels) => widest(labels) * 6.5 + 14,
        values: (_, at) => at.map((value) => tick(value, chart.unit)),
      },
    ];
  }

  // Behind the lines: the drain, and the moment of the first refusal.
  function paintBehind(u, chart) {
    const { ctx, bbox } = u;
    const x = (t) => Math.min(Math.max(u.valToPos(t, "x", true), bbox.left), bbox.left + bbox.width);
    ctx.save();
    ctx.fillStyle = style("--shade");
    ctx.fillRect(x(chart.load), bbox.top, bbox.left + bbox.width - x(chart.load), bbox.height);
    if (chart.refusal !== null && chart.refusal >= u.scales.x.min && chart.refusal <= u.scales.x.max) {
      ctx.fillStyle = style("--bad");
      ctx.fillRect(x(chart.refusal), bbox.top, devicePixelRatio, bbox.height);
    }
    ctx.restore();
  }

  // A limit's name and value above its line, unless another name is there already.
  function paintLimits(u, chart) {
    const { ctx, bbox } = u;
    const taken = [];
    ctx.save();
    ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
    ctx.textAlign = "right";
    ctx.textBaseline = "alphabetic";
    for (const line of chart.lines.filter((one) => one.limit && !one.off)) {
      const values = column(line.values, 1);
      const value = values.findLast((one) => one !== null);
      if (value == null) continue;
      const y = u.valToPos(value, "y", true);
      if (taken.some((other) => Math.abs(other - y) < 13 * devicePixelRatio)) continue;
      taken.push(y);
      ctx.fillStyle = style("--ink");
      const above = y - bbox.top > 14 * devicePixelRatio;
      ctx.fillText(`${line.name} ${number(value)}`, bbox.left + bbox.width - 4 * devicePixelRatio, y + (above ? -4 : 13) * devicePixelRatio);
    }
    ctx.restore();
  }

  // --- What is under the cursor ---

  function latest(values, at) {
    for (let n = at; n >= 0 && n > at - 50; n--) if (values[n] !== undefined) return values[n];
    return null;
  }

  function readOut(u, figure, chart, owners) {
    const at = u.cursor.idx;
    const cells = figure.querySelectorAll("tbody .now");
    const none = at == null || u.cursor.left < 0;
    figure.querySelector(".moment").textContent = none ? "" : `at ${clock(u.data[0][at], chart.span)}`;
    const own = owners.flatMap((owner, n) => (owner.part === "values" ? [n + 1] : []));
    own.forEach((n, row) => {
      cells[row].textContent = none ? "" : valueText(latest(u.data[n], at), chart.unit);
    });
  }

  // --- Charts ---

  function draw(figure, width) {
    const chart = charts[figure.dataset.chart];
    const plot = figure.querySelector(".plot");
    const { data, owners } = columnsOf(chart.lines);
    const options = {
      width: width || plot.clientWidth,
      height: HEIGHT,
      legend: { show: false },
      scales: {
        x: { time: false, range: (_, low, high) => (low <= data[0][0] && high >= data[0].at(-1) ? [0, chart.span] : [low, high]) },
        y: { range: () => [0, chart.top * 1.1] },
      },
      axes: axesOf(chart),
      series: [{}, ...owners.map((owner, n) => seriesOf(owner, data[n + 1]))],
      bands: bandsOf(owners),
      cursor: { sync: { key: "run" }, drag: { x: true, y: false }, points: { size: 7 } },
      hooks: {
        drawClear: [(u) => paintBehind(u, chart)],
        draw: [(u) => paintLimits(u, chart)],
        setCursor: [(u) => readOut(u, figure, chart, owners)],
      },
    };
    return new uPlot(options, data, plot);
  }

  function drawAll(width) {
    drawn.splice(0).forEach((u) => u.destroy());
    drawn.push(...[...document.querySelectorAll("figure.chart")].map((figure) => draw(figure, width)));
  }

  function fit() {
    for (const u of drawn) {
      const { clientWidth } = u.root.parentElement;
      if (clientWidth !== u.width) u.setSize({ width: clientWidth, height: HEIGHT });
    }
  }

  document.documentElement.classList.add("script");
  drawAll();
  new ResizeObserver(fit).observe(document.querySelector("main"));
  dark.addEventListener("change", () => drawAll());
  addEventListener("beforeprint", () => {
    document.documentElement.classList.add("print"); // paper is light
    drawAll(PRINT_WIDTH);
  });
  addEventListener("afterprint", () => {
    document.documentElement.classList.remove("print");
    drawAll();
  });
})();
