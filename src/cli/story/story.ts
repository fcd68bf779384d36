/** What is done of a long command, what is under way and what is ahead: the numbers, and not how they are shown. */
import type { StepAhead, Unit } from '../../narration.js';

/** Milliseconds that a pace looks back, and between two of its samples. */
const LOOK_BACK = 30_000;
const SAMPLE = 500;

/** How fast a number grows of late. */
class Pace {
  #samples: { readonly at: number; readonly value: number }[] = [];

  /** @returns so much a second */
  at(now: number, value: number): number {
    const last = this.#samples.at(-1);
    if (last === undefined || now - last.at >= SAMPLE) {
      this.#samples.push({ at: now, value });
      // One that is older is kept, to reckon from.
      while ((this.#samples[1]?.at ?? now) < now - LOOK_BACK) this.#samples.shift();
    }
    const first = this.#samples[0] as { at: number; value: number };
    return now > first.at ? Math.max(0, value - first.value) / ((now - first.at) / 1000) : 0;
  }
}

export class Step {
  readonly name: string;
  readonly unit: Unit;
  weight: number;
  /** Undefined while nobody knows. */
  total: number | undefined;
  done = 0;
  /** Of what is not counted in bytes. */
  bytes = 0;
  began: number | undefined;
  ended: number | undefined;
  readonly #units = new Pace();
  readonly #bytes = new Pace();

  constructor(name: string, unit: Unit, weight: number) {
    [this.name, this.unit, this.weight] = [name, unit, weight];
  }

  expect(count: number): void {
    this.total = (this.total ?? 0) + count;
  }

  begin(now = performance.now()): void {
    this.began ??= now;
    this.ended = undefined;
    this.#units.at(now, this.done);
    this.#bytes.at(now, this.bytes);
  }

  end(now = performance.now()): void {
    if (this.began !== undefined) this.ended ??= now;
  }

  /** 0 to 1; undefined while it cannot be told. */
  get share(): number | undefined {
    if (this.ended !== undefined) return 1;
    if (this.began === undefined) return 0;
    return this.total === undefined || this.total === 0 ? undefined : Math.min(1, this.done / this.total);
  }

  /** A second, of late: its units, and its bytes. */
  rate(now = performance.now()): { readonly units: number; readonly bytes: number } {
    const units = this.#units.at(now, this.done);
    return { units, bytes: this.unit === 'bytes' ? units : this.#bytes.at(now, this.bytes) };
  }
}

export class Story {
  readonly steps: Step[] = [];
  readonly #began = performance.now();
  readonly #pace = new Pace();
  /** What was told is never taken back. */
  #told = 0;

  constructor() {
    this.#pace.at(this.#began, 0);
  }

  ahead(steps: readonly StepAhead[]): void {
    for (const { name, weight } of steps) {
      const found = this.find(name);
      if (found === undefined) this.steps.push(new Step(name, 'steps', weight));
      else found.weight = weight;
    }
  }

  find(name: string): Step | undefined {
    return this.steps.find((step) => step.name === name);
  }

  /** The step of that name, under way. One that nobody foresaw weighs nothing. */
  begin(name: string, unit: Unit): Step {
    const found = this.find(name);
    if (found?.began !== undefined) {
      found.begin();
      return found;
    }
    const step = new Step(name, unit, found?.weight ?? 0);
    step.total = found?.total;
    if (found === undefined) this.steps.splice(this.steps.findLastIndex(({ began }) => began !== undefined) + 1, 0, step);
    else this.steps[this.steps.indexOf(found)] = step;
    step.begin();
    return step;
  }

  get seconds(): number {
    return (performance.now() - this.#began) / 1000;
  }

  underWay(): Step[] {
    return this.steps.filter(({ began, ended }) => began !== undefined && ended === undefined);
  }

  /** Of the whole: 0 to 1, and the seconds that are left; undefined while it cannot be told. */
  overall(now = performance.now()): { readonly share: number | undefined; readonly left: number | undefined } {
    const known = this.steps.filter(({ weight }) => weight > 0);
    const weight = known.reduce((sum, step) => sum + step.weight, 0);
    const [alone] = this.underWay();
    const share = weight > 0 ? known.reduce((sum, step) => sum + step.weight * (step.share ?? 0), 0) / weight : alone?.share;
    if (share === undefined) return { share, left: undefined };
    this.#told = Math.max(this.#told, share);
    const speed = this.#pace.at(now, this.#told);
    return { share: this.#told, left: speed > 0 && this.#told > 0 ? (1 - this.#told) / speed : undefined };
  }
}
