/**
 * Changes single scalars and keys of a JSON text and leaves all else as it is, whatever the depth.
 *
 * Texts, not bytes: what an old server keeps as a string within JSON may hold half a surrogate pair, which no UTF-8 can say. They are few
 * and short (logs of changes, 4 µs each), so one expression for a token does what the scanner and row-fields.ts do for bytes.
 */

export interface JsonVisitor {
  /**
   * A number, string, boolean or null.
   *
   * @param path keys from the outermost object inwards; '' stands for an array
   * @param token as written
   * @returns what takes its place; undefined to leave it
   */
  value(path: readonly string[], token: string): string | undefined;
  /** The key of a member; `path` is that of its object. */
  key(path: readonly string[], key: string): string | undefined;
}

const TOKEN = /\s*("[^"\\]*(?:\\.[^"\\]*)*"|[^\s,:[\]{}"]+|[,:[\]{}])/y;

/** @param json must be valid */
export function editJson(json: string, visitor: JsonVisitor): string {
  /** Of each open container the key that its present value has, or '' in an array. */
  const path: string[] = [];
  const kinds: ('object' | 'array')[] = [];
  let out = '';
  let last = 0;
  let expectKey = false;
  TOKEN.lastIndex = 0;
  for (let match = TOKEN.exec(json); match !== null; match = TOKEN.exec(json)) {
    const token = match[1] as string;
    let replacement: string | undefined;
    switch (token) {
      case '{':
        kinds.push('object');
        path.push('');
        expectKey = true;
        break;
      case '[':
        kinds.push('array');
        path.push('');
        expectKey = false;
        break;
      case '}':
      case ']':
        kinds.pop();
        path.pop();
        expectKey = false;
        break;
      case ',':
        expectKey = kinds.at(-1) === 'object';
        break;
      case ':':
        expectKey = false;
        break;
      default:
        if (expectKey) {
          const key = JSON.parse(token) as string;
          replacement = visitor.key(path.slice(0, -1), key);
          if (replacement !== undefined) replacement = JSON.stringify(replacement);
          path[path.length - 1] = key;
        } else replacement = visitor.value(path, token);
    }
    if (replacement !== undefined) {
      const end = TOKEN.lastIndex;
      out += json.slice(last, end - token.length) + replacement;
      last = end;
    }
  }
  return last === 0 ? json : out + json.slice(last);
}
