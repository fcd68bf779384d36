/** The frame of every page: one file that stands alone, needs no script, prints on A4, and is light or dark as the reader likes. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../package-root.js';

/** HTML that is meant as such; everything else is escaped. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

type Piece = string | number | Html | undefined | readonly Html[];

/** A template whose values are escaped unless they are Html; undefined is left out. */
export function html(strings: TemplateStringsArray, ...values: readonly Piece[]): Html {
  return new Html(strings.map((text, at) => text + shown(values[at])).join(''));
}

function shown(value: Piece): string {
  if (value === undefined) return '';
  if (value instanceof Html) return value.text;
  if (typeof value === 'object') return value.map(({ text }) => text).join('');
  return String(value).replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);
}

/** @param title also the first heading's text, without markup */
export function page(title: string, body: Html): string {
  const style = readFileSync(join(packageRoot(), 'data', 'report.css'), 'utf8');
  return `${html`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="robots" content="noindex">
<title>${title}</title>
<style>${new Html(style)}</style>
</head>
<body>
<main>
${body}
</main>
</body>
</html>`.text}\n`;
}

/** A part of the page with its heading. */
export function section(title: string, body: Html): Html {
  return html`<section><h2>${title}</h2>
${body}
</section>`;
}

/** What to know first. The sign says the same as the colour. */
export function verdictBox({ kind, line, details }: { readonly kind: 'good' | 'warn' | 'bad'; readonly line: string; readonly details: readonly string[] }): Html {
  const sign = { good: '✓', warn: '!', bad: '✕' }[kind];
  return html`<div class="verdict ${kind}" role="status"><i aria-hidden="true">${sign}</i><div><strong>${line}</strong>${details.length === 0 ? undefined : html`<ul>${details.map((each) => html`<li>${each}</li>`)}</ul>`}</div></div>`;
}

/** @param rows of cells; the first cell is the row's heading, the others are numbers or short texts */
export function table(caption: string, heads: readonly string[], rows: readonly (readonly (string | Html)[])[]): Html {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${caption}"><table>
<caption>${caption}</caption>
<thead><tr>${heads.map((head) => html`<th scope="col">${head}</th>`)}</tr></thead>
<tbody>${rows.map(([head, ...cells]) => html`<tr><th scope="row">${head}</th>${cells.map((cell) => html`<td>${cell}</td>`)}</tr>\n`)}</tbody>
</table></div>`;
}
