/** What verify finds: an error is a reason not to trust or not to import the export, a note is worth knowing. */

export type Severity = 'error' | 'note';

export interface Finding {
  severity: Severity;
  /** Relative to the export directory. */
  file: string;
  table?: string;
  /** Names rows by their id, never by their content. */
  message: string;
}

const EXAMPLES = 3;
/** So many findings are listed; the rest is counted. A directory of another realm may differ in each of a million files. */
export const MAX_LISTED = 1000;

interface Gathered extends Finding {
  count: number;
  examples: string[];
}

/** Gathers findings: the same trouble in many rows of one table is one finding with a count and a few examples. */
export class FindingList {
  readonly #gathered = new Map<string, Gathered>();
  #errors = 0;
  #notes = 0;

  /** `example` says which row or value, as in `row 12 -> 99`. */
  add(severity: Severity, file: string, table: string | undefined, message: string, example?: string): void {
    const key = `${severity}\n${file}\n${table}\n${message}`;
    let found = this.#gathered.get(key);
    if (found === undefined) {
      this.#count(severity);
      if (this.#gathered.size === MAX_LISTED) return;
      found = { severity, file, ...(table === undefined ? {} : { table }), message, count: 0, examples: [] };
      this.#gathered.set(key, found);
    }
    found.count++;
    if (example !== undefined && found.examples.length < EXAMPLES) found.examples.push(example);
  }

  /** Takes over findings from a worker. */
  append(findings: readonly Finding[]): void {
    for (const { severity, file, table, message } of findings) this.add(severity, file, table, message);
  }

  /** How many there are, listed or not. */
  get counts(): { errors: number; notes: number } {
    return { errors: this.#errors, notes: this.#notes };
  }

  list(): Finding[] {
    return [...this.#gathered.values()].map(({ count, examples, ...finding }) => {
      if (examples.length === 0) return finding;
      const more = count > examples.length ? `, … ${count} in all` : '';
      return { ...finding, message: `${finding.message} (${examples.join(', ')}${more})` };
    });
  }

  #count(severity: Severity): void {
    if (severity === 'error') this.#errors++;
    else this.#notes++;
  }
}
