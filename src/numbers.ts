/** Numbers as people read them: rounded, with their units, and the right plurals; and their sum. */

export function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

/** `1 file`, `1,200 files`. @param what in the singular */
export function counted(count: number, what: string, plural = `${what}s`): string {
  return `${thousands(count)} ${count === 1 ? what : plural}`;
}

export function thousands(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** Bytes in binary units. */
export function size(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let value = bytes;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** Seconds in words: `1.2 s`, `45 s`, `12 min`, `3 h 20 min`. */
export function time(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** What is left is an estimate: no more exact than that. */
export function timeLeft(seconds: number): string {
  return time(seconds < 9.95 ? Math.ceil(Math.max(1, seconds)) : seconds).replace(/\.0 s$/, ' s');
}

/** A rate's count: two digits that matter. */
export function rounded(count: number): string {
  if (count < 10) return count.toFixed(1).replace(/\.0$/, '');
  const power = 10 ** (Math.floor(Math.log10(count)) - 1);
  return thousands(Math.round(count / power) * power);
}
