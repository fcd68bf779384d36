/** Walking over the members of an object and the elements of an array, wherever a file of tables is read. */
import { CLOSE_ARRAY, CLOSE_OBJECT, COLON, COMMA, OPEN_ARRAY, OPEN_OBJECT, QUOTE } from './json-bytes.js';
import type { JsonScanner } from './json-scanner.js';

/**
 * Reads the object that begins here to its end.
 *
 * @param member is called with each key and the first byte of its value, and must consume the value
 */
export function eachMember(scanner: JsonScanner, member: (key: string, first: number) => void): void {
  scanner.expect(OPEN_OBJECT);
  if (scanner.next() === CLOSE_OBJECT) {
    scanner.take();
    return;
  }
  do {
    if (scanner.next() !== QUOTE) scanner.fail();
    const key = scanner.string();
    scanner.expect(COLON);
    member(key, scanner.next());
  } while (another(scanner, CLOSE_OBJECT));
}

/**
 * Reads the array that begins here to its end.
 *
 * @param element is called with the first byte of each element, and must consume it
 * @returns how many there are
 */
export function eachElement(scanner: JsonScanner, element: (first: number) => void): number {
  scanner.expect(OPEN_ARRAY);
  if (scanner.next() === CLOSE_ARRAY) {
    scanner.take();
    return 0;
  }
  let count = 0;
  do {
    element(scanner.next());
    count++;
  } while (another(scanner, CLOSE_ARRAY));
  return count;
}

/** After an element: true at a comma, false at `close`; both consumed. */
export function another(scanner: JsonScanner, close: number): boolean {
  const c = scanner.next();
  if (c !== COMMA && c !== close) scanner.fail();
  scanner.take();
  return c === COMMA;
}
