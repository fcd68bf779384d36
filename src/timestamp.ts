/** Moments as exports write them, in seconds, in the words of PostgreSQL. */
import { RealmliftError } from './errors.js';

/**
 * @param seconds since the epoch; microseconds are all that PostgreSQL keeps, and a Date would keep milliseconds alone
 * @throws RealmliftError VALUE_REFUSED for what is no number, and beyond the year 275760
 */
export function timestamp(seconds: number): string {
  const micros = Math.round(seconds * 1e6);
  const whole = Math.floor(micros / 1e6);
  const date = new Date(whole * 1000);
  if (Number.isNaN(date.getTime())) throw new RealmliftError('VALUE_REFUSED', 'load', 'a moment is no number of seconds that PostgreSQL can store', { hint: 'mend the row at its source and export again' });
  const iso = date.toISOString();
  return `${iso.slice(0, -5)}.${String(micros - whole * 1e6).padStart(6, '0')}+00`;
}
