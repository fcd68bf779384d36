/**
 * The script of a pg_dump section, taken apart into its entries.
 *
 * pg_dump announces each object by a comment `-- Name: …; Type: INDEX; Schema: …; Owner: …`. Strings and function bodies may hold such
 * a line too, so quotes are followed. What stands before the first entry are settings for the whole script; settings between
 * entries (default_tablespace) hold for those that follow. Scripts are strings with one character a byte, see script-query.ts.
 */

export interface SchemaEntry {
  /** As pg_dump names it: `INDEX`, `FK CONSTRAINT`, … */
  readonly type: string;
  /** Statements, with the settings that hold for them. */
  readonly sql: string;
}

export interface SchemaScript {
  /** Settings for each session. */
  readonly settings: string;
  readonly entries: readonly SchemaEntry[];
}

/** A token that may not be cut, or one plain character run. */
const TOKEN = /--[^\n]*|\/\*|[eE]'[^'\\]*(?:(?:\\[^]|'')[^'\\]*)*'|'[^']*(?:''[^']*)*'|"[^"]*(?:""[^"]*)*"|\$([A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$|[^-/'"$eE]+|[^]/gy;
const ANNOUNCEMENT = /^-- Name: .*; Type: (.*?); Schema: /;
/** Ends the entry that it stands in, and holds until the next of its kind. */
const SETTING = /^SET (default_tablespace|default_table_access_method) = [^\n]*;$/gm;

/** What newer versions of pg_dump begin a script with: up to the same key psql takes no command of its own from it (CVE-2025-8714). */
const RESTRICTED = /^(?:--[^\n]*\n|\n)*\\restrict (\w+)\n/;

/** The key of a script that is so protected; undefined of one that is not. */
export function restrictKeyOf(script: string): string | undefined {
  return RESTRICTED.exec(script)?.[1];
}

/** Removes the commands for psql that newer versions of pg_dump put around a script. */
export function withoutPsqlCommands(script: string): string {
  const [start = '', key = ''] = RESTRICTED.exec(script) ?? [];
  if (start === '') return script;
  const end = script.lastIndexOf(`\n\\unrestrict ${key}`);
  return script.slice(start.length, end === -1 ? undefined : end);
}

/**
 * Leaves out what stands before the first entry and sets something that the server does not know: pg_dump 17 and later ends the
 * server's transaction_timeout, which older servers do not have.
 */
export function withoutUnknownSettings(script: string, known: ReadonlySet<string>): string {
  const text = withoutPsqlCommands(script);
  const start = announcements(text)[0]?.at ?? text.length;
  return text.slice(0, start).replace(/^SET (\w+) = .*;\n/gm, (line, name: string) => (known.has(name) ? line : '')) + text.slice(start);
}

/** A tablespace that a script has what follows made in; the last of the words of a statement. */
const TABLESPACE = /^SET default_tablespace = (?:"((?:[^"]|"")+)"|([^\s'";]+));$/m;

/**
 * Has the default tablespace take the place of those that the server lacks: like roles they belong to a server, and not to its databases.
 *
 * @param isKnown of a name, with one character a byte
 * @returns `lacking`: names of those that were left out
 */
export function withoutUnknownTablespaces(script: string, isKnown: (name: string) => boolean): { readonly script: string; readonly lacking: readonly string[] } {
  if (!TABLESPACE.test(script)) return { script, lacking: [] };
  const lacking = new Set<string>();
  const kept = statements(script).map(({ sql, bare }) => {
    const [line = '', quoted, plain = ''] = bare.startsWith('SET default_tablespace') ? TABLESPACE.exec(sql) ?? [] : [];
    const name = quoted?.replaceAll('""', '"') ?? plain;
    if (name === '' || isKnown(name)) return sql;
    lacking.add(name);
    return sql.replace(line, `SET default_tablespace = '';`);
  });
  return { script: kept.join(''), lacking: [...lacking] };
}

export function parseSchemaScript(script: string): SchemaScript {
  const text = withoutPsqlCommands(script);
  const starts = announcements(text);
  const header = text.slice(0, starts[0]?.at ?? text.length);
  const held = new Map<string, string>();
  const hold = (sql: string): void => {
    // A function's body may have such a line too.
    const settings = sql.search(SETTING) === -1 ? [] : statements(sql).filter(({ bare }) => bare.startsWith('SET default_'));
    for (const { sql: setting } of settings) for (const [line, name] of setting.matchAll(SETTING)) held.set(name as string, line.replace(/^SET/, 'SET LOCAL'));
  };
  hold(header);

  const entries: SchemaEntry[] = [];
  starts.forEach(({ at, type }, n) => {
    const sql = text.slice(at, starts[n + 1]?.at ?? text.length);
    const previous = entries.at(-1);
    if (type === 'COMMENT' && previous !== undefined) {
      // It belongs to the object before it, and is no reason to wait for others.
      entries[entries.length - 1] = { type: previous.type, sql: previous.sql + sql };
    } else {
      entries.push({ type, sql: `${[...held.values()].join('\n')}\n${sql}` });
    }
    hold(sql);
  });
  return { settings: header, entries };
}

/** What a restore leaves out, as pg_restore's options of these names do. */
export interface LeftOut {
  readonly owners: boolean;
  readonly privileges: boolean;
}

const PRIVILEGES = /^(?:GRANT|REVOKE|ALTER DEFAULT PRIVILEGES|(?:RE)?SET SESSION AUTHORIZATION)\b/;
/** The comment of an extension comes with it, and is its owner's: who finds it installed may not write it again. */
const OWNERS = /^(?:ALTER\s.*\sOWNER TO \S+;|COMMENT ON EXTENSION\s)/s;

/** A script without the statements that give objects to roles, or rights on them. */
export function leaveOut(script: string, { owners, privileges }: LeftOut): string {
  if (!owners && !privileges) return script;
  return statements(script).filter(({ bare }) => !(owners && OWNERS.test(bare)) && !(privileges && PRIVILEGES.test(bare))).map(({ sql }) => sql).join('');
}

/** The script cut after each semicolon: statements, or pieces of one that has more of them. `bare`: without comments, quoted text as `""`. */
function statements(script: string): { readonly sql: string; readonly bare: string }[] {
  const out: { sql: string; bare: string }[] = [];
  let sql = '';
  let bare = '';
  const finish = (): void => {
    out.push({ sql, bare: bare.trim() });
    sql = bare = '';
  };
  for (const { text } of tokens(script)) {
    if (text.startsWith('--') || text.startsWith('/*')) {
      sql += text;
    } else if (/^(?:[eE]?'|"|\$.*\$)/s.test(text)) {
      sql += text;
      bare += '""';
    } else {
      const [first = '', ...rest] = text.split(/(?<=;)/);
      sql += first;
      bare += first;
      for (const piece of rest) {
        finish();
        sql = bare = piece;
      }
      if (text.endsWith(';')) finish();
    }
  }
  if (sql !== '') finish();
  return out;
}

function announcements(script: string): { at: number; type: string }[] {
  return tokens(script).flatMap(({ at, text }) => {
    const type = text.startsWith('--') && (at === 0 || script[at - 1] === '\n') ? ANNOUNCEMENT.exec(text)?.[1] : undefined;
    return type === undefined ? [] : [{ at, type }];
  });
}

/** Comments, quoted texts and what is between them, one after the other. */
function tokens(script: string): { readonly at: number; readonly text: string }[] {
  const out: { at: number; text: string }[] = [];
  TOKEN.lastIndex = 0;
  for (let match = TOKEN.exec(script); match !== null; match = TOKEN.exec(script)) {
    const [token] = match;
    if (token === '/*') {
      TOKEN.lastIndex = endOfComment(script, TOKEN.lastIndex);
    } else if (token.startsWith('$') && token.length > 1) {
      const end = script.indexOf(token, TOKEN.lastIndex);
      TOKEN.lastIndex = end === -1 ? script.length : end + token.length;
    }
    out.push({ at: match.index, text: script.slice(match.index, TOKEN.lastIndex) });
    if (TOKEN.lastIndex >= script.length) break;
  }
  return out;
}

/** Comments of this kind nest. */
function endOfComment(text: string, start: number): number {
  let depth = 1;
  const mark = /\/\*|\*\//g;
  mark.lastIndex = start;
  for (let match = mark.exec(text); match !== null; match = mark.exec(text)) {
    depth += match[0] === '/*' ? 1 : -1;
    if (depth === 0) return mark.lastIndex;
  }
  return text.length;
}
