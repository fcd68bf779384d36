// While an export runs, the server goes on: nothing of that may be seen.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import t from 'tap';
import { SIDE_FILES } from '../../src/package/side-files.js';
import { filesBelow } from '../files/pull-fixture.js';
import { exportRealm, withSource, type Choices } from './test-source.js';

/** What another session does over and over, each a transaction: every kind of change to every kind of row. */
const CHANGES = [
  ...['zerver_message', 'zerver_reaction', 'zerver_userprofile', 'zerver_subscription', 'zerver_usermessage', 'zerver_alertword', 'zerver_realmauditlog'].map(insertCopies),
  `UPDATE zerver_message SET content = content || ' EDITED', subject = left('EDITED ' || subject, 60), last_edit_time = now() WHERE id % 7 = $1 % 7`,
  `UPDATE zerver_reaction SET emoji_name = 'EDITED' WHERE id % 5 = $1 % 5`,
  `UPDATE zerver_userprofile SET full_name = 'EDITED', allow_private_data_export = NOT allow_private_data_export, is_active = NOT is_active WHERE NOT is_bot AND id % 5 = $1 % 5`,
  `UPDATE zerver_subscription SET active = NOT active, color = '#ED17ED' WHERE id % 5 = $1 % 5`,
  `UPDATE zerver_stream SET name = left('EDITED ' || name, 60), invite_only = NOT invite_only WHERE id % 3 = $1 % 3`,
  `UPDATE zerver_attachment SET file_name = 'EDITED', path_id = 'EDITED/' || path_id WHERE id % 5 = $1 % 5 AND path_id NOT LIKE 'EDITED%'`,
  `UPDATE zerver_userprofile SET avatar_version = avatar_version + 1, avatar_source = 'U' WHERE id % 5 = $1 % 5`,
  `UPDATE zerver_realm SET name = 'EDITED' WHERE $1 > 0`,
  ...['zerver_message', 'zerver_reaction', 'zerver_subscription', 'zerver_usermessage', 'zerver_attachment_messages'].map((table) => `DELETE FROM ${table} WHERE id % 23 = $1 % 23`),
  `DELETE FROM zerver_userprofile WHERE id % 23 = $1 % 23 AND NOT is_bot AND id NOT IN (SELECT sender_id FROM zerver_scheduledmessage)`,
];

/** Copies of some rows under new ids. Columns that must be unique are told apart. */
function insertCopies(table: string): string {
  return `INSERT INTO ${table} SELECT (jsonb_populate_record(x, to_jsonb(x) || jsonb_build_object('id', nextval(pg_get_serial_sequence('${table}', 'id')), 'uuid', gen_random_uuid(),
    'api_key', md5(random()::text), 'email', x.id || random()::text || '@new.example', 'delivery_email', x.id || random()::text || '@new.example', 'emoji_code', left(md5(random()::text), 8),
    'word', left(md5(random()::text), 8), 'recipient_id', CASE '${table}' WHEN 'zerver_subscription' THEN to_jsonb((random() * 1e9)::int) ELSE to_jsonb(x) -> 'recipient_id' END,
    'message_id', CASE '${table}' WHEN 'zerver_usermessage' THEN to_jsonb((random() * 1e9)::int) ELSE to_jsonb(x) -> 'message_id' END))).* FROM ${table} x WHERE x.id % 29 = $1 % 29`;
}

/** Rounds of changes that are committed before the first row is exported. */
const FIRST_ROUNDS = 3;

/** Changes the database until it is stopped. */
class Writer {
  #round = 0;
  #stopped = false;
  #working: Promise<void> | undefined;
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  get rounds(): number {
    return this.#round;
  }

  /** Resolves when every change was committed a few times; then they go on. */
  async begin(): Promise<void> {
    const client = new pg.Client({ connectionString: this.#url });
    await client.connect();
    // Foreign keys do not hold a superuser up who says so: a deletion needs no order.
    await client.query('SET search_path = zulip; SET session_replication_role = replica');
    const round = async (): Promise<void> => {
      this.#round++;
      for (const change of CHANGES) await client.query(change, [this.#round]);
    };
    for (let done = 0; done < FIRST_ROUNDS; done++) await round();
    this.#working = (async () => {
      try {
        while (!this.#stopped) await round();
      } finally {
        await client.end();
      }
    })();
    this.#working.catch(() => undefined);
  }

  async end(): Promise<void> {
    this.#stopped = true;
    await this.#working;
  }
}

/** SHA-256 of every file, but of those that tell of the run itself. */
function content(directory: string): Record<string, string> {
  return Object.fromEntries(filesBelow(directory).filter((path) => !['manifest.json', 'report.json', ...SIDE_FILES].includes(path)).sort()
    .map((path) => [path, createHash('sha256').update(readFileSync(join(directory, path))).digest('hex')]));
}

/** Runs `work` with a copy of the database, which nobody uses yet. */
async function withCopy<T>(url: string, work: (copy: string) => Promise<T>): Promise<T> {
  const copy = new URL(url);
  const name = decodeURIComponent(copy.pathname.slice(1));
  copy.pathname = `/${name}_before`;
  const server = new URL(url);
  server.pathname = '/postgres';
  const run = async (sql: string): Promise<void> => {
    const client = new pg.Client({ connectionString: server.href });
    await client.connect();
    await client.query(sql).finally(() => client.end());
  };
  await run(`CREATE DATABASE "${name}_before" TEMPLATE "${name}"`);
  try {
    return await work(copy.href);
  } finally {
    await run(`DROP DATABASE "${name}_before" WITH (FORCE)`);
  }
}

for (const mode of ['full', 'consent'] as const) {
  t.test(`an export under changes is the export of the database as it was when the snapshot was taken (${mode})`, async (t) => {
    await withSource('zulip-11/local', async (source) => withCopy(source.url, async (before) => {
      const choices: Choices = { mode, force: true, randomSeed: 'the same', jobs: 3, verify: false };
      const expected = content(await exportRealm({ ...source, url: before }, join(t.testdir(), 'before'), 'acme', choices));

      // The files are opened after the snapshot was taken and before any worker joins it: by then rows of every kind have changed.
      const writer = new Writer(source.url);
      const openStore: typeof source.openStore = async () => {
        await writer.begin();
        return source.openStore();
      };
      const during = await exportRealm({ ...source, openStore }, join(t.testdirName, 'during'), 'acme', choices);
      const { rounds } = writer;
      await writer.end();
      t.ok(rounds > FIRST_ROUNDS, `the changes went on while the export ran (${rounds} rounds of ${CHANGES.length})`);
      t.strictSame(content(during), expected);

      const after = content(await exportRealm(source, join(t.testdirName, 'after'), 'acme', choices));
      for (const file of ['realm.json', 'messages-000001.json', 'attachment.json', 'avatars/records.json']) {
        t.not(after[file], expected[file], `an export begun later differs in ${file}`);
      }
    }));
  });
}
