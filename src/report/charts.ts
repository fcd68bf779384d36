/** Pictures as SVG, made where the page is made. They stretch with the page, so all words stand beside them as HTML. */
import { scaleBand, scaleLinear } from 'd3-scale';
import { stack } from 'd3-shape';
import { sum, thousands } from '../numbers.js';
import { html, type Html } from './html.js';
import { monthName } from './moment.js';

export interface Series {
  readonly name: string;
  /** Which of the page's colours, 1 to 5. */
  readonly colour: number;
  /** By month as in `2026-11`. */
  readonly months: Readonly<Record<string, number>>;
}

/** The picture's own units; it is stretched. */
const WIDTH = 1000;
const HEIGHT = 240;
/** More months than this are shown by year. */
const MOST_MONTHS = 144;
/** Fewer would be as wide as walls: months before the first are drawn empty. */
const FEWEST_MONTHS = 12;
const TICKS = 4;
/** So many labels of time fit on a phone. */
const LABELS = 4;

interface Column {
  readonly name: string;
  readonly values: number[];
}

/** Columns by month, or by year where there are too many, stacked by series. */
export function monthsChart(caption: string, series: readonly Series[]): Html {
  const columns = columnsOf(series);
  const x = scaleBand<string>(columns.map(({ name }) => name), [0, WIDTH]).paddingInner(0.15);
  const highest = Math.max(1, ...columns.map(({ values }) => sum(values)));
  const y = scaleLinear([0, highest], [HEIGHT, 0]).nice(TICKS);
  const ticks = y.ticks(TICKS).filter((tick) => Number.isInteger(tick));
  const layers = stack<Column, number>().keys(series.keys()).value((column, key) => column.values[key] as number)(columns);
  const bars = columns.flatMap((column, index) => {
    const parts = layers.flatMap((layer, at) => {
      const [from, to] = layer[index] as unknown as [number, number];
      return to === from ? [] : [html`<rect class="s${series[at]?.colour}" x="${short(x(column.name) ?? 0)}" width="${short(x.bandwidth())}" y="${short(y(to))}" height="${short(y(from) - y(to))}"/>`];
    });
    return parts.length === 0 ? [] : [html`<g><title>${monthName(column.name)}: ${series.flatMap(({ name }, at) => (column.values[at] === 0 ? [] : [`${thousands(column.values[at] as number)} ${name}`])).join(', ')}</title>${parts}</g>\n`];
  });
  const total = series.map(({ name, months }) => `${thousands(sum(Object.values(months)))} ${name}`).join(', ');
  const [first, last] = [columns.find(({ values }) => values.some((value) => value > 0))?.name ?? '', columns.at(-1)?.name ?? ''];
  return html`<figure>
<figcaption>${caption}</figcaption>
<div class="chart">
<div class="scale" aria-hidden="true"><b>${brief(ticks.at(-1) ?? 0)}</b>${ticks.map((tick) => html`<span style="bottom:${short(100 - y(tick) / HEIGHT * 100)}%">${brief(tick)}</span>`)}</div>
<svg role="img" viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none"><title>${caption}</title><desc>From ${monthName(first)} to ${monthName(last)}: ${total}. At most ${thousands(highest)} in one column.</desc>
${ticks.map((tick) => html`<line class="grid" x1="0" x2="${WIDTH}" y1="${short(y(tick))}" y2="${short(y(tick))}"/>`)}
${bars}
</svg>
<div class="axis" aria-hidden="true">${labels(columns).map(({ name, at }) => html`<span style="${place(at, columns.length)}">${name}</span>`)}</div>
</div>
<ul class="legend">${series.map(({ name, colour, months }) => html`<li><i class="s${colour}"></i>${name}: ${thousands(sum(Object.values(months)))}</li>`)}</ul>
</figure>`;
}

/** Months without any message have a column too. */
function columnsOf(series: readonly Series[]): Column[] {
  const known = series.flatMap(({ months }) => Object.keys(months)).sort();
  const last = known.at(-1) as string;
  const first = [known[0] as string, monthBefore(last, FEWEST_MONTHS - 1)].sort()[0] as string;
  const names: string[] = [];
  for (let [year, month] = [Number(first.slice(0, 4)), Number(first.slice(5))]; ; month === 12 ? (year++, month = 1) : month++) {
    const name = `${String(year).padStart(4, '0')}-${String(month).padStart(2, '0')}`;
    names.push(name);
    if (name >= last) break;
  }
  const byMonth = names.length <= MOST_MONTHS;
  const columns = new Map<string, Column>();
  for (const name of names) {
    const key = byMonth ? name : name.slice(0, 4);
    const column = columns.get(key) ?? { name: key, values: series.map(() => 0) };
    series.forEach(({ months }, at) => { column.values[at] = (column.values[at] as number) + (months[name] ?? 0); });
    columns.set(key, column);
  }
  return [...columns.values()];
}

function monthBefore(month: string, count: number): string {
  const at = Number(month.slice(0, 4)) * 12 + Number(month.slice(5)) - 1 - count;
  return `${String(Math.floor(at / 12)).padStart(4, '0')}-${String(at % 12 + 1).padStart(2, '0')}`;
}

/** Of several years their beginnings, else months in even steps. */
function labels(columns: readonly Column[]): { readonly name: string; readonly at: number }[] {
  const all = columns.map(({ name }, at) => ({ name, at }));
  const years = all.filter(({ name }) => name.endsWith('-01')).map(({ name, at }) => ({ name: name.slice(0, 4), at }));
  const chosen = years.length > 2 ? years : all.map(({ name, at }) => ({ name: monthName(name), at }));
  const step = Math.max(1, Math.ceil(chosen.length / (years.length > 2 ? 2 * LABELS : LABELS)));
  return chosen.filter((_, index) => index % step === 0);
}

/** The last labels end where their column does, so that none leaves the picture. */
function place(at: number, columns: number): string {
  return at / columns > 0.85 ? `right:${short(100 - (at + 1) / columns * 100)}%` : `left:${short(at / columns * 100)}%`;
}

export interface Bar {
  readonly name: string;
  /** What is drawn, and what is written behind it. */
  readonly parts: readonly { readonly value: number; readonly colour: number }[];
  readonly told: string;
}

/** Horizontal bars, one a line, all to the same measure. */
export function barChart(caption: string, bars: readonly Bar[], legend: readonly Pick<Series, 'name' | 'colour'>[] = []): Html {
  const lengthOf = ({ parts }: Bar): number => parts.reduce((sum, { value }) => sum + value, 0);
  const x = scaleLinear([0, Math.max(1, ...bars.map(lengthOf))], [0, WIDTH]);
  return html`<figure>
<figcaption>${caption}</figcaption>
<ul class="bars">${bars.map((bar) => {
    let from = 0;
    const drawn = bar.parts.map(({ value, colour }) => {
      const begin = x(from);
      from += value;
      return html`<rect class="s${colour}" x="${short(begin)}" y="0" width="${short(value === 0 ? 0 : Math.max(2, x(from) - begin))}" height="10"/>`;
    });
    return html`<li><span>${bar.name}</span><svg role="img" viewBox="0 0 ${WIDTH} 10" preserveAspectRatio="none"><title>${bar.name}</title><desc>${bar.told}</desc>${drawn}</svg><b>${bar.told}</b></li>\n`;
  })}</ul>${legend.length === 0 ? undefined : html`<ul class="legend">${legend.map(({ name, colour }) => html`<li><i class="s${colour}"></i>${name}</li>`)}</ul>`}
</figure>`;
}

function short(value: number): string {
  return String(Math.round(value * 100) / 100);
}

/** `1,200`, `35 k`, `1.2 M`. */
function brief(value: number): string {
  if (value >= 1e6) return `${short(value / 1e6)} M`;
  return value >= 1e4 ? `${short(value / 1e3)} k` : thousands(value);
}
