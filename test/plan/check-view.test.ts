import t from 'tap';
import { checkView, type ViewRules } from '../../src/plan/views/check-view.js';

const RULES: ViewRules = {
  tables: new Set(['zerver_realm', 'zerver_stream', 'zerver_userprofile', 'zerver_message', 'zerver_subscription', 'zerver_recipient', 'zerver_client', 'zerver_usermessage']),
  selections: new Set(['exported_user', 'exported_message']),
  secrets: new Map([['zerver_userprofile', new Set(['password', 'api_key'])], ['zerver_stream', new Set(['email_token'])]]),
  stripped: new Set(['zerver_stream.email_token']),
};
const check = (sql: string, shared = false): void => checkView('zerver_view', sql, RULES, shared);
const STREAMS = 'SELECT s.* FROM zerver_stream s WHERE s.realm_id = :realm_id';

const ALLOWED: Readonly<Record<string, string>> = {
  'the realm': 'SELECT r.* FROM zerver_realm r WHERE r.id = :realm_id',
  'a table with a column for it': STREAMS,
  'a given set of ids': 'SELECT u.id, u.email FROM zerver_userprofile u WHERE u.id = ANY (:cross_realm_bot_ids)',
  'a selection': 'SELECT m.* FROM exported_message m',
  'a join by id': 'SELECT s.* FROM zerver_subscription s JOIN exported_user u ON u.id = s.user_profile_id',
  'a chain of joins': 'SELECT s.* FROM zerver_stream t JOIN zerver_recipient r ON r.type_id = t.id JOIN zerver_subscription s ON s.recipient_id = r.id WHERE t.realm_id = :realm_id AND r.type = 2',
  'an outer join to what is bound': 'SELECT m.*, t.name AS t FROM zerver_message m LEFT JOIN zerver_stream t ON t.id = m.recipient_id AND t.id > 3 WHERE m.realm_id = :realm_id',
  'ids of a selection': 'SELECT r.* FROM zerver_recipient r WHERE r.id IN (SELECT m.recipient_id FROM exported_message m UNION SELECT u.recipient_id FROM exported_user u)',
  'ids that were selected before': 'SELECT um.* FROM zerver_usermessage um WHERE um.message_id IN (SELECT unnest(:message_ids))',
  'an OR of which each side binds': 'SELECT m.* FROM zerver_message m WHERE m.sender_id = :user_id OR m.id = ANY (:message_ids)',
  'a subquery': 'SELECT x.id FROM (SELECT s.id FROM zerver_stream s WHERE s.realm_id = :realm_id UNION ALL SELECT m.id FROM exported_message m) AS x WHERE x.id > 5',
  'a question about the row': 'SELECT m.* FROM zerver_message m WHERE m.realm_id = :realm_id AND NOT EXISTS (SELECT 1 FROM zerver_subscription s WHERE s.recipient_id = m.recipient_id)',
  'every branch of a union': `${STREAMS.replace('s.*', 's.id')} UNION ALL SELECT m.id FROM exported_message m`,
};
for (const [what, sql] of Object.entries(ALLOWED)) t.test(`allowed: ${what}`, (t) => { t.doesNotThrow(() => check(sql), sql); t.end(); });

t.test('a view whose rows belong to no realm needs no predicate for its own table, but for all others', (t) => {
  const shared = (sql: string): void => checkView('zerver_client', sql, RULES, true);
  t.doesNotThrow(() => shared('SELECT c.* FROM zerver_client c'));
  t.throws(() => shared('SELECT c.* FROM zerver_client c JOIN zerver_message m ON m.sending_client_id = c.id JOIN zerver_userprofile u ON true'), { message: /no tenant predicate for zerver_userprofile/ });
  t.throws(() => check('SELECT c.* FROM zerver_client c'), { message: /no tenant predicate for zerver_client/ });
  t.end();
});

t.test('a view that needs what the operator strips says so', (t) => {
  t.throws(() => check("SELECT s.* FROM zerver_stream s WHERE s.realm_id = :realm_id AND s.email_token <> ''"), { code: 'COLUMN_NEEDED', table: 'zerver_stream', exit: 2 });
  t.end();
});

const TENANT = /has no tenant predicate/;
const SECRET = /reads the secret column zerver_userprofile\.password/;
const REFUSED: readonly (readonly [what: string, sql: string, why: RegExp])[] = [
  ['nothing', '', /cannot be parsed|is not one SELECT/],
  ['two statements', `${STREAMS}; ${STREAMS}`, /is not one SELECT/],
  ['a second statement that writes', `${STREAMS}; DELETE FROM zerver_message`, /is not one SELECT/],
  ['INSERT', 'INSERT INTO zerver_stream SELECT * FROM zerver_stream', /is not one SELECT|cannot be parsed/],
  ['UPDATE', 'UPDATE zerver_stream SET name = 1 WHERE realm_id = :realm_id', /is not one SELECT/],
  ['DELETE', 'DELETE FROM zerver_stream WHERE realm_id = :realm_id', /is not one SELECT/],
  ['TRUNCATE', 'TRUNCATE TABLE zerver_stream', /is not one SELECT|cannot be parsed/],
  ['DROP', 'DROP TABLE zerver_stream', /is not one SELECT/],
  ['CREATE TABLE AS', `CREATE TABLE copied AS ${STREAMS}`, /is not one SELECT/],
  ['COPY', 'COPY zerver_stream TO PROGRAM \'cat\'', /is not one SELECT|cannot be parsed/],
  ['SET', 'SET search_path = public', /is not one SELECT|cannot be parsed/],
  ['DO', 'DO $$ BEGIN END $$', /is not one SELECT|cannot be parsed/],
  ['SELECT INTO', 'SELECT s.id INTO copied FROM zerver_stream s WHERE s.realm_id = :realm_id', /writes/],
  ['a writing CTE', `WITH gone AS (DELETE FROM zerver_stream WHERE id = 1 RETURNING id) ${STREAMS}`, /cannot be parsed|clause with|reads/],
  ['a lock', `${STREAMS} FOR UPDATE`, /cannot be parsed|clause/],
  ['a CTE', `WITH u AS (SELECT u.id FROM zerver_userprofile u) ${STREAMS}`, /clause with/],

  ['an unknown table', 'SELECT s.* FROM django_session s', /reads django_session, which does not travel/],
  ['an unknown table that is joined', 'SELECT u.* FROM exported_user u JOIN zerver_pushdevicetoken p ON p.user_id = u.id', /reads zerver_pushdevicetoken/],
  ['an unknown table in a condition', `${STREAMS} AND EXISTS (SELECT 1 FROM pg_authid a)`, /reads pg_authid/],
  ['an unknown table in the select list', 'SELECT m.id, (SELECT a.rolpassword FROM pg_authid a LIMIT 1) AS p FROM exported_message m', /reads pg_authid/],
  ['a known name in another schema', 'SELECT s.* FROM evil.zerver_stream s WHERE s.realm_id = :realm_id', /names the schema evil/],

  ['a function that reads files', "SELECT s.id, pg_read_file('/etc/passwd') AS f FROM zerver_stream s WHERE s.realm_id = :realm_id", /calls pg_read_file\(\)/],
  ['a function with its schema', "SELECT s.id, pg_catalog.pg_sleep(1) AS f FROM zerver_stream s WHERE s.realm_id = :realm_id", /calls pg_catalog\.pg_sleep\(\)/],
  ['a harmless name in another schema', 'SELECT s.id, evil.coalesce(s.id) AS f FROM zerver_stream s WHERE s.realm_id = :realm_id', /calls evil\.coalesce\(\)/],
  ['a function in a condition', `${STREAMS} AND set_config('role', 'postgres', false) = 'x'`, /calls set_config\(\)/],
  ['a function in FROM', "SELECT l.f FROM pg_ls_dir('/') AS l", /calls pg_ls_dir\(\)/],
  ['a function that runs SQL', "SELECT s.id, query_to_xml('SELECT 1', true, true, '') AS x FROM zerver_stream s WHERE s.realm_id = :realm_id", /calls query_to_xml\(\)/],
  ['a window function', 'SELECT s.id, lag(s.id) OVER (ORDER BY s.id) AS l FROM zerver_stream s WHERE s.realm_id = :realm_id', /window_func/],

  ['no condition', 'SELECT s.* FROM zerver_stream s', TENANT],
  ['no table', 'SELECT 1 AS id', TENANT],
  ['another condition', 'SELECT s.* FROM zerver_stream s WHERE s.id > 0', TENANT],
  ['a constant', 'SELECT s.* FROM zerver_stream s WHERE s.realm_id = 2', TENANT],
  ['a column equal to itself', 'SELECT s.* FROM zerver_stream s WHERE s.realm_id = s.realm_id', TENANT],
  ['a parameter equal to itself', 'SELECT s.* FROM zerver_stream s WHERE :realm_id = :realm_id', TENANT],
  ['every other realm', 'SELECT s.* FROM zerver_stream s WHERE s.realm_id <> :realm_id', TENANT],
  ['a negation', 'SELECT s.* FROM zerver_stream s WHERE NOT (s.realm_id = :realm_id)', /calls not|no tenant predicate/],
  ['an OR', `${STREAMS} OR s.id = 5`, TENANT],
  ['an OR that is always true', `${STREAMS} OR true`, TENANT],
  ['an OR of another table', 'SELECT m.* FROM zerver_message m JOIN zerver_stream s ON s.id > 0 WHERE s.realm_id = :realm_id OR m.realm_id = :realm_id', TENANT],
  ["the realm's id of another column", 'SELECT s.* FROM zerver_stream s WHERE s.id = :realm_id', TENANT],
  ['a wider list', 'SELECT s.* FROM zerver_stream s WHERE s.realm_id = ANY (ARRAY[:realm_id, 7])', TENANT],
  ['a list with more', 'SELECT s.* FROM zerver_stream s WHERE s.realm_id IN (:realm_id, 7)', TENANT],
  ['NOT IN', 'SELECT s.* FROM zerver_stream s WHERE s.id NOT IN (SELECT m.recipient_id FROM exported_message m)', TENANT],
  ['a parameter that says nothing of the realm', 'SELECT u.id FROM zerver_userprofile u WHERE u.id = ANY (:missing_attachment_ids)', TENANT],
  ['ids of nothing', 'SELECT u.id FROM zerver_userprofile u WHERE u.id IN (SELECT unnest(:missing_attachment_ids))', TENANT],
  ['ids without a condition', 'SELECT u.id FROM zerver_userprofile u WHERE u.id IN (SELECT m.sender_id FROM zerver_message m)', TENANT],
  ['a predicate in an outer join only', 'SELECT s.* FROM zerver_stream s LEFT JOIN zerver_realm r ON r.id = s.realm_id AND r.id = :realm_id', TENANT],
  ['an outer join to a selection only', 'SELECT s.* FROM zerver_stream s LEFT JOIN exported_user u ON u.id = s.creator_id', TENANT],
  ['a right join', 'SELECT s.* FROM zerver_realm r RIGHT JOIN zerver_stream s ON s.realm_id = r.id WHERE r.id = :realm_id', TENANT],
  ['a full join', 'SELECT s.* FROM zerver_realm r FULL JOIN zerver_stream s ON s.realm_id = r.id WHERE r.id = :realm_id', TENANT],
  ['a join that joins nothing', 'SELECT s.* FROM zerver_stream s JOIN zerver_realm r ON r.id = :realm_id', TENANT],
  ['a cross join', 'SELECT s.* FROM zerver_stream s CROSS JOIN zerver_realm r WHERE r.id = :realm_id', TENANT],
  ['a comma', 'SELECT s.* FROM zerver_stream s, zerver_realm r WHERE r.id = :realm_id', TENANT],
  ['an outer join to everything', 'SELECT s.*, u.email AS e FROM zerver_stream s LEFT JOIN zerver_userprofile u ON true WHERE s.realm_id = :realm_id', TENANT],
  ['a join by what is no id', 'SELECT u.email FROM zerver_userprofile u JOIN exported_user x ON x.is_bot = u.is_bot', TENANT],
  ['a join by the client program', 'SELECT m.* FROM zerver_message m JOIN exported_message x ON x.sending_client_id = m.sending_client_id', TENANT],
  ['the last branch of a union', `${STREAMS.replace('s.*', 's.id')} UNION ALL SELECT m.id FROM zerver_message m`, TENANT],
  ['a subquery', 'SELECT x.id FROM (SELECT s.id FROM zerver_stream s) AS x', TENANT],
  ['a predicate outside of the subquery', 'SELECT x.id FROM (SELECT s.id, s.realm_id FROM zerver_stream s) AS x WHERE x.realm_id = :realm_id', TENANT],
  ['the select list', 'SELECT m.id, (SELECT string_agg(u.full_name, \',\') FROM zerver_userprofile u) AS names FROM exported_message m', TENANT],

  ['a secret column', 'SELECT u.id, u.password FROM zerver_userprofile u WHERE u.realm_id = :realm_id', SECRET],
  ['a secret under another name', 'SELECT u.id, u.password AS note FROM zerver_userprofile u WHERE u.realm_id = :realm_id', SECRET],
  ['a secret in capitals', 'SELECT u.id, u.PassWord AS note FROM zerver_userprofile u WHERE u.realm_id = :realm_id', SECRET],
  ['a secret in quotes', 'SELECT u.id, u."password" AS note FROM zerver_userprofile u WHERE u.realm_id = :realm_id', SECRET],
  ['a secret without its table', 'SELECT id, password AS note FROM zerver_userprofile u WHERE u.realm_id = :realm_id', SECRET],
  ['a secret in an expression', "SELECT u.id, left(encode(sha256(convert_to(u.password, 'UTF8')), 'hex'), 4) AS note FROM zerver_userprofile u WHERE u.realm_id = :realm_id", SECRET],
  ['a secret in a condition', "SELECT u.id FROM zerver_userprofile u WHERE u.realm_id = :realm_id AND u.password = ''", SECRET],
  ['a secret of a joined table', 'SELECT m.id, u.password FROM exported_message m JOIN zerver_userprofile u ON u.id = m.sender_id', SECRET],
  ['a secret in a subquery', 'SELECT x.p FROM (SELECT u.password AS p FROM zerver_userprofile u WHERE u.realm_id = :realm_id) AS x', SECRET],
  ['a * in a subquery', 'SELECT x.id FROM (SELECT u.* FROM zerver_userprofile u WHERE u.realm_id = :realm_id) AS x', /has a \* outside/],
  ['a * in the second branch', `${STREAMS} UNION ALL SELECT u.* FROM zerver_userprofile u WHERE u.realm_id = :realm_id`, /has a \* outside/],
  ['a * without its table', 'SELECT * FROM zerver_userprofile u WHERE u.realm_id = :realm_id', /has a \* outside/],
  ['a * in a function', 'SELECT u.id, to_jsonb(u.*) AS x FROM zerver_userprofile u WHERE u.realm_id = :realm_id', /has a \* outside/],
  ['two of them', 'SELECT u.*, s.* FROM zerver_userprofile u JOIN zerver_stream s ON s.creator_id = u.id WHERE u.realm_id = :realm_id', /more than one \*/],
  ['a whole row', 'SELECT u.id, to_jsonb(u) AS x FROM zerver_userprofile u WHERE u.realm_id = :realm_id', /takes whole rows of u/],
  ['a whole row as text', 'SELECT u.id, u::text AS x FROM zerver_userprofile u WHERE u.realm_id = :realm_id', /takes whole rows of u/],
  ['whole rows together', 'SELECT array_agg(zerver_userprofile) AS x FROM zerver_userprofile WHERE zerver_userprofile.realm_id = :realm_id', /takes whole rows of zerver_userprofile/],
  ['columns by other names', 'SELECT x.c FROM (SELECT s.id FROM zerver_stream s WHERE s.realm_id = :realm_id) AS x(a)', /renames the columns/],
  ['broken SQL', 'SELECT FROM WHERE', /cannot be parsed/],
];
for (const [what, sql, why] of REFUSED) {
  t.test(`refused: ${what}`, (t) => {
    t.throws(() => check(sql), { code: 'VIEW_REFUSED', stage: 'plan', table: 'zerver_view', message: why }, sql);
    t.end();
  });
}
