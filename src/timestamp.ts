/** Moments as exports write them, in seconds, in the words of PostgreSQL. */

/** @param seconds since the epoch; microseconds are all that PostgreSQL keeps, and a Date would keep milliseconds alone */
export function timestamp(seconds: number): string {
  const micros = Math.round(seconds * 1e6);
  const whole = Math.floor(micros / 1e6);
  const iso = new Date(whole * 1000).toISOString();
  return `${iso.slice(0, -5)}.${String(micros - whole * 1e6).padStart(6, '0')}+00`;
}
