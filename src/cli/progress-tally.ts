/** Adds up what an export tells: of each class how much is done, of how much, how fast, and how long it will take. */
import type { ExportEvent } from '../export/events.js';
import { DATA_CLASSES } from '../plan/registry.js';

export interface ClassProgress {
  readonly name: string;
  /** What is counted. */
  readonly unit: 'messages' | 'tables' | 'files' | 'realms';
  readonly done: number;
  /** Undefined while it is not known. */
  readonly total: number | undefined;
  readonly rows: number;
  readonly bytes: number;
  /** Bytes a second of late. */
  readonly rate: number;
  /** Seconds; undefined while it cannot be told. */
  readonly left: number | undefined;
}

/** Milliseconds that a rate looks back, and between two of its samples. */
const LOOK_BACK = 30_000;
const SAMPLE = 500;

interface Sample {
  readonly at: number;
  readonly done: number;
  readonly bytes: number;
}

class Tally {
  done = 0;
  total: number | undefined;
  rows = 0;
  bytes = 0;
  #samples: Sample[] = [];

  /** @param now milliseconds of `performance.now()` */
  progress(now: number): { rate: number; left: number | undefined } {
    const last = this.#samples.at(-1);
    if (last === undefined || now - last.at >= SAMPLE) {
      this.#samples.push({ at: now, done: this.done, bytes: this.bytes });
      this.#samples = this.#samples.filter((sample) => now - sample.at <= LOOK_BACK);
    }
    const first = this.#samples[0] as Sample;
    const seconds = (now - first.at) / 1000;
    if (seconds <= 0) return { rate: 0, left: undefined };
    const speed = (this.done - first.done) / seconds;
    const left = this.total === undefined || speed === 0 ? undefined : Math.max(0, this.total - this.done) / speed;
    return { rate: (this.bytes - first.bytes) / seconds, left };
  }
}

export class ProgressTally {
  readonly #classes = new Map<string, Tally>([...DATA_CLASSES, 'files', 'realms', 'upload'].map((name) => [name, new Tally()]));
  /** `performance.now()` when the snapshot was taken. */
  #takenAt: number | undefined;

  take(event: ExportEvent): void {
    switch (event.kind) {
      case 'snapshot':
        this.#takenAt = performance.now() - event.age * 1000;
        break;
      case 'targets':
        this.#expect('realms', event.count);
        break;
      case 'finished':
        if (this.#of('realms').total !== undefined) this.#of('realms').done += 1;
        break;
      case 'let-go':
        this.#takenAt = undefined;
        break;
      case 'started':
        for (const [name, count] of Object.entries(event.tables)) if (name !== 'message') this.#expect(name, count);
        break;
      case 'planned':
        this.#expect('message', event.messages);
        break;
      case 'progress': {
        const tally = this.#of(event.dataClass);
        tally.rows += event.rows;
        tally.bytes += event.bytes;
        break;
      }
      case 'part':
        this.#of(event.dataClass).done += event.dataClass === 'message' ? (event.part.rows?.zerver_message ?? 0) : 1;
        break;
      case 'file':
        if (event.event.kind === 'file') {
          const tally = this.#of('files');
          tally.done += 1;
          tally.bytes += event.event.size;
        }
        break;
      case 'stored': {
        const tally = this.#of('upload');
        tally.done += event.objects;
        tally.bytes += event.bytes;
      }
    }
  }

  /** Of each class of which anything is to be done. */
  classes(): ClassProgress[] {
    const now = performance.now();
    return [...this.#classes].filter(([, { total, done, bytes }]) => total !== undefined || done > 0 || bytes > 0).map(([name, tally]) => {
      const { done, total, rows, bytes } = tally;
      return { name, unit: name === 'message' ? 'messages' : name === 'realms' ? 'realms' : name === 'files' || name === 'upload' ? 'files' : 'tables', done, total, rows, bytes, ...tally.progress(now) };
    });
  }

  /** Of the snapshot, in seconds; undefined before there is one. */
  age(): number | undefined {
    return this.#takenAt === undefined ? undefined : (performance.now() - this.#takenAt) / 1000;
  }

  #expect(name: string, count: number): void {
    const tally = this.#of(name);
    tally.total = (tally.total ?? 0) + count;
  }

  /** What the ledger reads counts nowhere. */
  #of(name: string): Tally {
    return this.#classes.get(name) ?? new Tally();
  }
}
