/** Rows as they stand in a stream of lines. */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/**
 * JSON without line breaks. Within strings JSON escapes them, so a break can only stand between tokens; our own exports have
 * none, and the bytes are returned as they are.
 */
export function oneLine(json: Buffer): Buffer {
  if (!json.includes(NEWLINE) && !json.includes(CARRIAGE_RETURN)) return json;
  const out = Buffer.allocUnsafe(json.length);
  let length = 0;
  let inString = false;
  for (let at = 0; at < json.length; at++) {
    const byte = json[at] as number;
    if (byte === QUOTE) inString = !inString;
    if (!inString && byte <= 0x20) continue;
    out[length++] = byte;
    if (byte === BACKSLASH) out[length++] = json[++at] as number;
  }
  return out.subarray(0, length);
}
