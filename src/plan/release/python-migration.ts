/**
 * Reads of a Django migration file the three lists that place it in the graph: `dependencies`, `replaces`, `run_before`.
 * Nothing is executed. The lists are literals in every migration that Django writes; what is not understood is an error,
 * because a wrong list makes an export that the import refuses.
 */

/** An app label and a migration's name; the name may be Django's `__first__` or `__latest__`. */
export type MigrationKey = readonly [app: string, name: string];

export interface MigrationLists {
  readonly dependencies: readonly MigrationKey[];
  readonly replaces: readonly MigrationKey[];
  readonly runBefore: readonly MigrationKey[];
}

/** Zulip's AUTH_USER_MODEL is zerver.UserProfile: what `swappable_dependency(settings.AUTH_USER_MODEL)` stands for. */
const USER_MODEL: MigrationKey = ['zerver', '__first__'];

/**
 * In this order: comments and line continuations (skipped), strings (triple-quoted first), names, any other visible character.
 * https://docs.python.org/3/reference/lexical_analysis.html
 */
const TOKEN = /#[^\n]*|\\\r?\n|[rRbBuUfF]{0,2}("""(?:[^\\]|\\[^])*?"""|'''(?:[^\\]|\\[^])*?'''|"(?:[^"\\\n]|\\[^])*"|'(?:[^'\\\n]|\\[^])*')|[A-Za-z_][A-Za-z0-9_]*|\S/g;

interface Token {
  /** The token as written; of a string, only its quote and prefix count. */
  readonly text: string;
  /** The contents of a string, undefined of any other token. */
  readonly string: string | undefined;
  /** True when only white space precedes it on its line. */
  readonly first: boolean;
}

/**
 * @param source the text of a migration file
 * @throws Error when the file has no class Migration or one of its lists is not a literal
 */
export function readMigrationLists(source: string): MigrationLists {
  const tokens = tokenize(source);
  const start = tokens.findIndex((token, index) => token.first && token.text === 'class' && tokens[index + 1]?.text === 'Migration');
  if (start < 0) throw new Error('no class Migration');
  const lists: Record<string, readonly MigrationKey[]> = {};
  let depth = 0;
  for (let index = start; index < tokens.length; index++) {
    const { text, first } = tokens[index] as Token;
    if ('([{'.includes(text)) depth++;
    if (')]}'.includes(text)) depth--;
    if (depth === 0 && first && ['dependencies', 'replaces', 'run_before'].includes(text)) {
      const list = new ListReader(tokens, afterEquals(tokens, index + 1));
      lists[text] = list.keys();
      index = list.position - 1;
    }
  }
  return { dependencies: lists.dependencies ?? [], replaces: lists.replaces ?? [], runBefore: lists.run_before ?? [] };
}

function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  for (const match of source.matchAll(TOKEN)) {
    const text = match[0];
    if (text.startsWith('#') || text.startsWith('\\')) continue;
    const before = source.slice(source.lastIndexOf('\n', match.index - 1) + 1, match.index);
    const quoted = match[1];
    const width = quoted === undefined ? 0 : /^("""|''')/.test(quoted) ? 3 : 1;
    tokens.push({ text: quoted === undefined ? text : '"', string: quoted?.slice(width, -width), first: before.trim() === '' });
  }
  return tokens;
}

/** The position behind `=`, or behind `: annotation =`. */
function afterEquals(tokens: readonly Token[], from: number): number {
  let depth = 0;
  for (let index = from; index < tokens.length; index++) {
    const { text, string, first } = tokens[index] as Token;
    if (string === undefined && '([{'.includes(text)) depth++;
    if (string === undefined && ')]}'.includes(text)) depth--;
    if (depth === 0 && text === '=') return index + 1;
    if (depth === 0 && first) break;
  }
  throw new Error('a list is not assigned where it is named');
}

/** Reads `[("app", "name"), migrations.swappable_dependency(…), …]`. */
class ListReader {
  position: number;
  readonly #tokens: readonly Token[];

  constructor(tokens: readonly Token[], position: number) {
    this.#tokens = tokens;
    this.position = position;
  }

  keys(): MigrationKey[] {
    const close = { '[': ']', '(': ')' }[this.#next().text];
    if (close === undefined) throw new Error('a list is not a literal');
    const keys: MigrationKey[] = [];
    while (!this.#take(close)) {
      keys.push(this.#take('(') ? this.#pair() : this.#swappable());
      if (!this.#take(',') && this.#peek() !== close) throw new Error('a list is not a literal');
    }
    const behind = this.#tokens[this.position];
    if (behind !== undefined && !behind.first) throw new Error('a list is computed');
    return keys;
  }

  #pair(): MigrationKey {
    const app = this.#string();
    if (!this.#take(',')) throw new Error('a dependency is not a pair of strings');
    const name = this.#string();
    this.#take(',');
    if (!this.#take(')')) throw new Error('a dependency is not a pair of strings');
    return [app, name];
  }

  /** `migrations.swappable_dependency(settings.AUTH_USER_MODEL)`, whatever the setting is called there. */
  #swappable(): MigrationKey {
    const words: string[] = [];
    while (this.#peek() !== '(') words.push(this.#next().text);
    if (words.at(-1) !== 'swappable_dependency') throw new Error('a dependency is computed');
    while (this.#next().text !== ')');
    return USER_MODEL;
  }

  /** One string, or several side by side, which Python joins. */
  #string(): string {
    let text = this.#next().string;
    if (text === undefined) throw new Error('a dependency is not a pair of strings');
    while (this.#tokens[this.position]?.string !== undefined) text += this.#next().string;
    return text;
  }

  #peek(): string | undefined {
    return this.#tokens[this.position]?.text;
  }

  #take(text: string): boolean {
    if (this.#peek() !== text) return false;
    this.position++;
    return true;
  }

  #next(): Token {
    const token = this.#tokens[this.position++];
    if (token === undefined) throw new Error('the file ends inside a list');
    return token;
  }
}
