/** Comparison of one value, and how a difference is told. */
import { isDeepStrictEqual } from 'node:util';

export type Row = Readonly<Record<string, unknown>>;

/** Takes one difference: where it is, and what it is. */
export type Report = (where: string, what: string) => void;

/** Reports where a value is not deeply equal. */
export function compareValue(where: string, expected: unknown, actual: unknown, report: Report, prefix = ''): void {
  if (!isDeepStrictEqual(expected, actual)) report(where, `${prefix}expected ${show(expected)}, got ${show(actual)}`);
}

/** A value in at most 120 characters. */
export function show(value: unknown): string {
  const text = JSON.stringify(value) ?? 'absent';
  return text.length > 120 ? `${text.slice(0, 117)}...` : text;
}
