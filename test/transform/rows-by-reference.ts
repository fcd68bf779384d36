/** The slow and obvious way from COPY's CSV to the export's rows, which the row path is compared with. */
import type { ColumnKind, OutputColumn } from '../../src/transform/output-column.js';

/** Fields of the CSV; null is an unquoted empty field. */
export function parseCsv(csv: string): (string | null)[][] {
  const rows: (string | null)[][] = [];
  let row: (string | null)[] = [];
  for (let at = 0; at < csv.length;) {
    let field: string | null;
    if (csv[at] === '"') {
      const end = /"(?:[^"]|"")*"/y;
      end.lastIndex = at;
      const quoted = (end.exec(csv) as RegExpExecArray)[0];
      field = quoted.slice(1, -1).replaceAll('""', '"');
      at += quoted.length;
    } else {
      const bare = /[^,\n]*/y;
      bare.lastIndex = at;
      const text = (bare.exec(csv) as RegExpExecArray)[0];
      field = text === '' ? null : text;
      at += text.length;
    }
    row.push(field);
    if (csv[at] === '\n') {
      rows.push(row);
      row = [];
    } else if (at + 1 === csv.length) {
      throw new Error('the CSV ends inside a row');
    }
    at++;
  }
  return rows;
}

/** JSON of one value. Not through JSON.parse where a number would lose digits. */
function json(kind: ColumnKind, text: string): string {
  switch (kind) {
    case 'integer': return String(BigInt(text));
    case 'number': return text;
    case 'boolean': return JSON.stringify(text === 't');
    case 'text': return JSON.stringify(text);
    case 'json': return text;
    case 'integer-array': return `[${text.slice(1, -1)}]`;
    case 'timestamp': {
      const [, seconds, fraction = ''] = /^(.{19})(?:\.(\d+))?\+00$/.exec(text) as unknown as [string, string, string?];
      const micros = BigInt(Date.parse(`${seconds.replace(' ', 'T')}Z`)) * 1000n + BigInt(fraction.padEnd(6, '0'));
      const digits = String(micros < 0n ? -micros : micros).padStart(7, '0');
      return `${micros < 0n ? '-' : ''}${digits.slice(0, -6)}.${digits.slice(-6).replace(/0{1,5}$/, '')}`;
    }
  }
}

/** The rows as the transform writes them: compact objects with commas between them. */
export function rowsByReference(columns: readonly OutputColumn[], csv: string): string {
  const member = (column: OutputColumn, value: string | null | undefined): string => {
    if (value === undefined) throw new Error('a row has too few columns');
    return `${JSON.stringify(column.key)}:${value === null ? 'null' : json(column.kind, value)}`;
  };
  return parseCsv(csv).map((row) => `{${columns.map((column, index) => member(column, row[index])).join(',')}}`).join(',');
}
