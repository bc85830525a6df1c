/** A plot as SVG: one line a series, time against a number; no library, so that the picture is the same everywhere. */

export type Series = { readonly name: string; readonly points: readonly (readonly [x: number, y: number])[] };

const size = { width: 720, height: 360, left: 56, right: 150, top: 34, bottom: 44 } as const;
const colours = ["#1b6ca8", "#c4552d", "#3a8f4d", "#8a4fa0", "#a08a1f", "#4f4f4f"] as const;

/** The next larger of 1, 2, 5 times a power of ten: where an axis ends and how far its marks stand apart. */
export function roundUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1e-9)));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value - 1e-12) ?? 10 * power;
}

const text = (x: number, y: number, words: string, anchor = "middle"): string =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}">${words.replaceAll("&", "&amp;").replaceAll("<", "&lt;")}</text>`;

/** The picture. Both axes begin at 0. */
export function plot(title: string, xLabel: string, yLabel: string, series: readonly Series[]): string {
  const all = series.flatMap(({ points }) => points);
  const xMost = Math.max(1, ...all.map(([x]) => x));
  const yMost = roundUp(Math.max(1e-9, ...all.map(([, y]) => y)));
  const inner = {
    width: size.width - size.left - size.right,
    height: size.height - size.top - size.bottom,
  };
  const x = (value: number): number => size.left + (value / xMost) * inner.width;
  const y = (value: number): number => size.top + inner.height - (value / yMost) * inner.height;
  const marks = (most: number): readonly number[] =>
    Array.from({ length: 6 }, (_, step) => (most / 5) * step);
  const grid = marks(yMost).map(
    (value) =>
      `<path d="M${size.left} ${y(value).toFixed(1)}h${inner.width}" stroke="#ddd"/>${text(size.left - 6, y(value) + 4, String(Number(value.toPrecision(3))), "end")}`,
  );
  const below = marks(xMost).map((value) => text(x(value), size.height - 26, String(Math.round(value))));
  const lines = series.map(({ name, points }, at) => {
    const colour = colours[at % colours.length] ?? "#000";
    const path = points
      .map(([px, py], i) => `${i === 0 ? "M" : "L"}${x(px).toFixed(1)} ${y(py).toFixed(1)}`)
      .join("");
    const key = size.top + 10 + at * 18;
    return `<path d="${path}" fill="none" stroke="${colour}" stroke-width="1.5"/><path d="M${size.width - size.right + 10} ${key}h16" stroke="${colour}" stroke-width="3"/>${text(size.width - size.right + 30, key + 4, name, "start")}`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.width} ${size.height}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#fff"/>
${text(size.left, 20, title, "start")}
${[...grid, ...below].join("\n")}
${text(size.left + inner.width / 2, size.height - 8, xLabel)}
<text transform="translate(14 ${(size.top + inner.height / 2).toFixed(1)}) rotate(-90)" text-anchor="middle">${yLabel}</text>
${lines.join("\n")}
</svg>
`;
}
