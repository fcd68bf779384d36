/** Names that somebody may have meant: only those that are close to what was written. */

/** How many are suggested at most. */
const SUGGESTIONS = 5;

/** Of the letters of the longer name, at most this share may differ. */
const CLOSE = 0.4;

/** @returns the closest first; none where nothing is close */
export function closeNames(name: string, known: readonly string[]): string[] {
  return known.map((each) => ({ each, distance: distance(each.toLowerCase(), name.toLowerCase()) }))
    .filter(({ each, distance }) => distance <= CLOSE * Math.max(each.length, name.length))
    .sort((a, b) => a.distance - b.distance || (a.each < b.each ? -1 : 1)).slice(0, SUGGESTIONS).map(({ each }) => each);
}

/** Levenshtein distance, with a bonus for names that contain one another. */
function distance(a: string, b: string): number {
  if (a !== '' && b !== '' && (a.includes(b) || b.includes(a))) return Math.abs(a.length - b.length) / 10;
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      row.push(Math.min((row[j - 1] as number) + 1, (previous[j] as number) + 1, (previous[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    previous = row;
  }
  return previous[b.length] as number;
}
