/**
 * Checks the rows of one table of one file: each reference points to a row of the export, the required ones are there,
 * no secret has a value, ids rise.
 */
import { openSeverity, type Context } from './export-context.js';
import type { FindingList, Severity } from './findings.js';
import type { IdTable } from '../ids/id-table.js';
import type { IdSpool } from '../ids/id-spool.js';
import { isListOfIds, REFERENCES, REQUIRED, targetOf } from './references.js';
import { secretSeverity } from './secret-keys.js';
import { ABSENT, NULL, type Reading, type TablePlan } from './table-scanner.js';

/** What a table needs beyond references and secrets. */
export interface SpecialCheck {
  /** Keys that it reads, unless they are references, which are read as numbers anyway. */
  keys: Readonly<Record<string, Reading>>;
  row(check: RowCheck, id: number): void;
}

interface Reference {
  key: string;
  slot: number;
  /** undefined: messages, which go to the spool. */
  ids: IdTable | undefined;
  spool: IdSpool | undefined;
  severity: Severity;
  reason: string | undefined;
  required: boolean;
  /** Read by a guess from its name: may hold something else than an id. */
  guessed: boolean;
}

interface Secret {
  key: string;
  slot: number;
  severity: Severity;
}

const ID_SLOT = 0;

export class RowCheck implements TablePlan {
  values = new Float64Array(8);
  texts: (string | undefined)[] = [];
  readonly file: string;
  readonly table: string;
  readonly context: Context;
  /** Some id is not greater than the one before it. */
  disordered = false;

  readonly #findings: FindingList;
  readonly #spoolFor: (reference: string) => IdSpool | undefined;
  readonly #special: SpecialCheck | undefined;
  readonly #slots = new Map<string, number>([['id', ID_SLOT]]);
  readonly #references: Reference[] = [];
  readonly #lists: Reference[] = [];
  readonly #secrets: Secret[] = [];
  readonly #required: readonly string[];
  #nextSlot = 1;
  #lastId = -Infinity;
  #id = -1;

  /** `spoolFor` gives the spool of a reference to messages, by `table.key`. */
  constructor(
    file: string, table: string, context: Context, findings: FindingList,
    spoolFor: (reference: string) => IdSpool | undefined, special?: SpecialCheck,
  ) {
    this.file = file;
    this.table = table;
    this.context = context;
    this.#findings = findings;
    this.#spoolFor = spoolFor;
    this.#special = special;
    this.#required = REQUIRED[table] ?? [];
    // Required keys are known before the first row: a row without them would not name them.
    for (const key of this.#required) this.read(key);
  }

  /** Where a key's value is; undefined when no row so far had it. */
  slotOf(key: string): number | undefined {
    return this.#slots.get(key);
  }

  /** The number under `key` in this row. */
  number(key: string): number {
    const slot = this.#slots.get(key);
    return slot === undefined ? ABSENT : this.values[slot]!;
  }

  /** The text under `key` in this row. */
  text(key: string): string | undefined {
    const slot = this.#slots.get(key);
    return slot === undefined ? undefined : this.texts[slot];
  }

  report(severity: Severity, message: string, example?: string): void {
    this.#findings.add(severity, this.file, this.table, message, example);
  }

  read(key: string): { reading: Reading; slot: number } {
    if (key === 'id') return { reading: 'number', slot: ID_SLOT };
    const known = this.#slots.get(key);
    const reading = this.#reading(key, known ?? this.#nextSlot, known === undefined);
    if (reading === 'skip') return { reading, slot: 0 };
    return { reading, slot: known ?? this.#takeSlot(key) };
  }

  #takeSlot(key: string): number {
    const slot = this.#nextSlot++;
    this.#slots.set(key, slot);
    if (slot >= this.values.length) {
      const longer = new Float64Array(this.values.length * 2).fill(ABSENT);
      longer.set(this.values);
      this.values = longer;
    }
    return slot;
  }

  /** How the key is read; `first` registers what is to be checked of it. */
  #reading(key: string, slot: number, first: boolean): Reading {
    const target = targetOf(this.table, key);
    const checked = target === undefined ? undefined : openSeverity(this.context.kind, this.table, key, target);
    if (target !== undefined && checked !== undefined) {
      const spool = target === 'message' ? this.#spoolFor(`${this.table}.${key}`) : undefined;
      const isList = isListOfIds(this.table, key);
      if (first) {
        (isList ? this.#lists : this.#references).push({
          key, slot, ids: target === 'message' ? undefined : this.context.targets[target], spool, ...checked,
          required: this.#required.includes(key), guessed: REFERENCES[this.table]?.[key] === undefined,
        });
      }
      return isList ? 'numbers' : 'number';
    }
    const secret = secretSeverity(this.table, key, this.context.kind.ours, this.context.kind.keptSecrets);
    if (secret !== undefined) {
      if (first) this.#secrets.push({ key, slot, severity: secret });
      return 'filled';
    }
    const keys = this.#special?.keys;
    const special = keys !== undefined && Object.hasOwn(keys, key) ? keys[key] : undefined;
    if (special === 'text') this.texts[slot] = undefined;
    return special ?? 'skip';
  }

  element(slot: number, value: number): void {
    for (const list of this.#lists) {
      if (list.slot === slot) this.#follow(list, value);
    }
  }

  row(): void {
    const values = this.values;
    const id = values[ID_SLOT]!;
    this.#id = id;
    if (!(id > this.#lastId) || !Number.isSafeInteger(id)) this.#outOfOrder(id);
    else this.#lastId = id;
    for (let i = 0; i < this.#references.length; i++) {
      const reference = this.#references[i]!;
      const value = values[reference.slot]!;
      // The usual case first: an id of the export.
      if (reference.ids !== undefined && reference.ids.has(value)) continue;
      if (value === NULL || value === ABSENT) {
        if (reference.required) this.report('error', `${reference.key} is missing`, `row ${exampleId(id)}`);
      } else if (Number.isNaN(value)) {
        if (!reference.guessed) this.report('error', `${reference.key} is not an id`, `row ${exampleId(id)}`);
      } else this.#follow(reference, value);
    }
    for (const list of this.#lists) {
      if (Number.isNaN(values[list.slot]) || (list.required && values[list.slot] === ABSENT)) {
        this.report('error', `${list.key} is not a list of ids`, `row ${exampleId(id)}`);
      }
    }
    for (const secret of this.#secrets) {
      if (values[secret.slot] === 1) this.report(secret.severity, `the secret ${secret.key} has a value`, `row ${exampleId(id)}`);
    }
    this.#special?.row(this, id);
  }

  #follow(reference: Reference, value: number): void {
    if (reference.ids?.has(value) === true) return;
    if (reference.spool !== undefined && Number.isSafeInteger(value)) reference.spool.add(value);
    else {
      const reason = reference.reason === undefined ? '' : `: ${reference.reason}`;
      this.report(reference.severity, `${reference.key} points outside the export${reason}`, `row ${exampleId(this.#id)} -> ${value}`);
    }
  }

  #outOfOrder(id: number): void {
    if (!Number.isSafeInteger(id)) {
      this.report('error', 'a row has no id');
      return;
    }
    this.disordered = true;
    // Zulip lists the system bots in the order of its settings.
    if (id === this.#lastId || this.table === 'zerver_userprofile_crossrealm') return;
    this.report(this.context.kind.ours ? 'error' : 'note', 'rows are not sorted by id', `row ${id} after row ${this.#lastId}`);
    this.#lastId = id;
  }
}

const exampleId = (id: number): string => (Number.isFinite(id) ? String(id) : '?');
