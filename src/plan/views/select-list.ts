/** Takes a view file's SELECT apart: its select list and the rest. View files are ours, so a scanner for their form is enough. */
import { RealmliftError } from '../../errors.js';

export type SelectItem =
  | { readonly kind: 'star'; readonly alias: string }
  | { readonly kind: 'expression'; readonly text: string; readonly name: string };

export interface SplitSelect {
  readonly items: readonly SelectItem[];
  /** From FROM on. */
  readonly rest: string;
}

/**
 * Splits the first SELECT of `sql`; the branches of a UNION behind it stay in `rest`.
 * @throws RealmliftError VIEW_FILE
 */
export function splitSelect(sql: string, where: string): SplitSelect {
  const text = sql.trim();
  if (!/^SELECT\s/i.test(text)) throw new RealmliftError('VIEW_FILE', 'plan', `${where}: a view is one SELECT`);
  const parts: string[] = [];
  let depth = 0;
  let start = 'SELECT'.length;
  let quoted = false;
  let at = start;
  for (; at < text.length; at++) {
    const char = text[at] as string;
    if (char === "'") quoted = !quoted;
    if (quoted) continue;
    if (char === '(' || char === '[') depth++;
    else if (char === ')' || char === ']') depth--;
    else if (depth === 0 && char === ',') {
      parts.push(text.slice(start, at));
      start = at + 1;
    } else if (depth === 0 && /\s/.test(char) && /^\s+FROM\s/i.test(text.slice(at, at + 40))) break;
  }
  parts.push(text.slice(start, at));
  return { items: parts.map((part) => item(part.trim(), where)), rest: text.slice(at).trim() };
}

function item(text: string, where: string): SelectItem {
  const star = /^(\w+)\.\*$/.exec(text);
  if (star !== null) return { kind: 'star', alias: star[1] as string };
  const named = /\sAS\s+"?(\w+)"?$/i.exec(text);
  if (named !== null) return { kind: 'expression', text: text.slice(0, named.index), name: named[1] as string };
  const column = /^\w+\.(\w+)$/.exec(text);
  if (column !== null) return { kind: 'expression', text, name: column[1] as string };
  throw new RealmliftError('VIEW_FILE', 'plan', `${where}: "${text}" needs a name (AS …)`);
}

/** Table or selection that an alias of the FROM clause stands for. */
export function sourceOf(alias: string, rest: string): string | undefined {
  return new RegExp(`\\b(?:FROM|JOIN)\\s+(\\w+)\\s+(?:AS\\s+)?${alias}\\b`, 'i').exec(rest)?.[1];
}
