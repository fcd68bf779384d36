/** Dates as people write them. */
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** `28 Nov 2026, 19:40 UTC` of ISO 8601. */
export function moment(iso: string): string {
  const [, year, month, day, time] = /^(\d{4})-(\d\d)-(\d\d)T(\d\d:\d\d)/.exec(iso) ?? [];
  return time === undefined ? iso : `${Number(day)} ${MONTHS[Number(month) - 1]} ${year}, ${time} UTC`;
}

/** `Nov 2026` of `2026-11`; a year stays. */
export function monthName(month: string): string {
  return month.length === 4 ? month : `${MONTHS[Number(month.slice(5)) - 1]} ${month.slice(0, 4)}`;
}
