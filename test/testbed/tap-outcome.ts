/**
 * What a test file's TAP output says: how many asserts passed, and which failed, where and why.
 *
 * Only asserts count, not the test points that close a subtest; but a subtest or file that fails without a failed assert (a
 * plan that was not met, a crash) is a failure of its own, and so is a skipped test: it proves nothing.
 */
import { Parser } from 'tap-parser';
import type { FinalResults, Result } from 'tap-parser';

export interface Failure {
  /** The names of the subtests and of the assert. */
  readonly path: readonly string[];
  /** The diagnostics, ready to print. */
  readonly detail: string;
}

export class TapOutcome {
  readonly failures: Failure[] = [];
  passed = 0;
  readonly #parser = new Parser({ strict: false });

  constructor() {
    this.#follow(this.#parser, [], ['the file']);
  }

  write(chunk: Buffer | string): void {
    this.#parser.write(chunk.toString());
  }

  /** To be called once, when the output has ended. */
  end(): void {
    this.#parser.end();
  }

  fail(path: readonly string[], detail: string): void {
    this.failures.push({ path, detail });
  }

  #follow(parser: Parser, path: readonly string[], self = path): void {
    let failuresBefore = this.failures.length;
    parser.on('child', (child: Parser) => {
      failuresBefore = this.failures.length;
      this.#follow(child, [...path, child.name]);
    });
    parser.on('assert', (result: Result) => {
      const place = [...path, result.name];
      if (result.skip !== false || result.todo !== false) this.fail(place, 'skipped');
      else if (result.closingTestPoint) this.#close(result, place, failuresBefore);
      else if (result.ok) this.passed++;
      else this.fail(place, describe(result.diag));
    });
    parser.on('complete', ({ failures, bailout }: FinalResults) => {
      if (bailout !== false) this.fail(self, `bailed out: ${String(bailout)}`);
      // A Result that failed was counted above; what else violates the protocol, e.g. its plan, was not.
      for (const failure of failures) {
        if (!('name' in failure)) this.fail(self, failure.tapError ?? 'not the test protocol');
      }
    });
  }

  #close(result: Result, place: readonly string[], failuresBefore: number): void {
    if (!result.ok && this.failures.length === failuresBefore) this.fail(place, describe(result.diag));
  }
}

/** Tap's diagnostics in a few lines: the difference if there is one, else the other fields, then the place. */
function describe(diag: unknown): string {
  if (typeof diag !== 'object' || diag === null) return '';
  const { diff, at, stack, source, generated, ...others } = diag as Record<string, unknown> & { at?: { fileName?: string; lineNumber?: number } };
  void [source, generated];
  const what = typeof diff === 'string' ? diff : Object.entries(others).map(([key, value]) => `${key}: ${typeof value === 'string' ? value : JSON.stringify(value)}`).join('\n');
  const where = typeof stack === 'string' ? stack : at?.fileName === undefined ? '' : `${at.fileName}:${at.lineNumber}`;
  return [what, where].filter((text) => text !== '').map((text) => text.trimEnd()).join('\n');
}
