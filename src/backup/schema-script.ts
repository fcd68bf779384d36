/**
 * The script of a pg_dump section, taken apart into its entries.
 *
 * pg_dump announces each object by a comment `-- Name: …; Type: INDEX; Schema: …; Owner: …`. Strings and function bodies may hold such
 * a line too, so quotes are followed. What stands before the first entry are settings for the whole script; settings between
 * entries (default_tablespace) hold for those that follow.
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

/** Removes the commands for psql that newer versions of pg_dump put around a script. */
export function withoutPsqlCommands(script: string): string {
  const [start = '', key = ''] = /^(?:--[^\n]*\n|\n)*\\restrict (\w+)\n/.exec(script) ?? [];
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

export function parseSchemaScript(script: string): SchemaScript {
  const text = withoutPsqlCommands(script);
  const starts = announcements(text);
  const header = text.slice(0, starts[0]?.at ?? text.length);
  const held = new Map<string, string>();
  const hold = (sql: string): void => {
    for (const [line, name] of sql.matchAll(SETTING)) held.set(name as string, line.replace(/^SET/, 'SET LOCAL'));
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

function announcements(text: string): { at: number; type: string }[] {
  const out: { at: number; type: string }[] = [];
  TOKEN.lastIndex = 0;
  for (let match = TOKEN.exec(text); match !== null; match = TOKEN.exec(text)) {
    const [token] = match;
    if (token.startsWith('--')) {
      const type = ANNOUNCEMENT.exec(token)?.[1];
      if (type !== undefined && (match.index === 0 || text[match.index - 1] === '\n')) out.push({ at: match.index, type });
    } else if (token === '/*') {
      TOKEN.lastIndex = endOfComment(text, TOKEN.lastIndex);
    } else if (token.startsWith('$') && token.length > 1) {
      const end = text.indexOf(token, TOKEN.lastIndex);
      TOKEN.lastIndex = end === -1 ? text.length : end + token.length;
    }
    if (TOKEN.lastIndex >= text.length) break;
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
