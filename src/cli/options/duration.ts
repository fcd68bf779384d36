import { InvalidArgumentError } from 'commander';

const SECONDS = { s: 1, m: 60, h: 3600, d: 86_400 } as const;

/** An option's value such as `90s`, `30m`, `6h` or `2d`, in milliseconds. */
export function duration(value: string): number {
  const [, number, unit] = /^(\d+)([smhd])$/.exec(value) ?? [];
  if (number === undefined || Number(number) === 0) throw new InvalidArgumentError('a duration such as 90s, 30m, 6h or 2d is needed.');
  return Number(number) * SECONDS[unit as keyof typeof SECONDS] * 1000;
}
