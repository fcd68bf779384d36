import t from 'tap';
import type { AppliedMigration } from '../../src/plan/release/applied-migrations.js';
import { detectZulipVersion, zulipVersion } from '../../src/plan/release/zulip-version.js';
import { withClient } from '../testbed/database-client.js';
import { withEmptyDatabase, withTestDatabase } from '../testbed/test-database.js';

/** What a server records that has applied 0001, 0029 to `last`, and some back-ports. */
function history(last: number, backports: readonly number[] = []): AppliedMigration[] {
  const numbers = [1, ...Array.from({ length: Math.max(last - 28, 0) }, (_, index) => 29 + index), ...backports];
  return numbers.map((number) => ({ app: 'zerver', name: `${String(number).padStart(4, '0')}_something` }));
}

t.test('the sample databases', async (t) => {
  await withTestDatabase('zulip-11/local', (url) => withClient(url, async (client) => {
    const version = await detectZulipVersion(client, 'zulip');
    t.match(version, { zerverMigration: 697, newestMigrationName: '0697_empty_topic_name_for_dms_from_third_party_imports', release: '11.0-dev', major: 11, override: undefined });
    t.equal(version.evidence, 'newest applied migration zerver 0697_empty_topic_name_for_dms_from_third_party_imports');
    t.equal(version.applied.length, 880);
  }));
  await withTestDatabase('zulip-8/local', (url) => withClient(url, async (client) => {
    const version = await detectZulipVersion(client, 'public');
    t.match(version, { zerverMigration: 517, release: '8.4', major: 8 }, 'also when the schema is not the one that was thought');
    t.match(version.evidence, /^newest applied migration zerver 0517_\w+; the tree is complete to 0496, back-ported to it: 0501, 0517$/);
  }));
});

t.test('what is no Zulip database is said to be none', async (t) => {
  await withEmptyDatabase((url) => withClient(url, async (client) => {
    await t.rejects(detectZulipVersion(client, 'zulip'), { code: 'NOT_ZULIP', exit: 3, message: /no table django_migrations in the schemas zulip, public$/ });
    await client.query("CREATE TABLE public.django_migrations (id int, app text, name text); INSERT INTO public.django_migrations VALUES (1, 'auth', '0001_initial')");
    await t.rejects(detectZulipVersion(client, 'zulip'), { code: 'NOT_ZULIP', message: /names no migration of zerver/ });
    await client.query("INSERT INTO public.django_migrations VALUES (2, 'zerver', '0001_initial')");
    t.match(await detectZulipVersion(client, 'zulip'), { zerverMigration: 1, release: 'before 2.1.8', major: 2 });
    await client.query('CREATE ROLE version_reader');
    await client.query('SET ROLE version_reader');
    await t.rejects(detectZulipVersion(client, 'zulip'), { code: 'RIGHT_MISSING', table: 'django_migrations', hint: /GRANT SELECT ON public\.django_migrations/ });
    await client.query('RESET ROLE; CREATE SCHEMA "my-schema"; ALTER TABLE public.django_migrations SET SCHEMA "my-schema"; GRANT USAGE ON SCHEMA "my-schema" TO version_reader; SET ROLE version_reader');
    await t.rejects(detectZulipVersion(client, 'my-schema'), { code: 'RIGHT_MISSING', hint: /GRANT USAGE ON SCHEMA "my-schema" and GRANT SELECT ON "my-schema"\.django_migrations/ });
    await client.query('RESET ROLE; DROP OWNED BY version_reader; DROP ROLE version_reader');
  }));
});

t.test('known releases', (t) => {
  for (const [last, backports, zerverMigration, release, major] of [
    [261, [], 261, '2.1.8', 2], [296, [], 296, '3.4', 3], [325, [359], 359, '4.11', 4], [387, [], 387, '5.7', 5],
    [422, [], 422, '6.2', 6], [451, [], 451, '7.5', 7], [496, [501, 517], 517, '8.4', 8], [523, [], 523, '9.0-dev', 9], [558, [], 558, '9.x', 9], [697, [], 697, '11.0-dev', 11],
    // 11.3 took 0753 from the work on 12, and 0752 not.
    [751, [], 751, '11.0 to 11.2', 11], [751, [753], 753, '11.3 to 11.6', 11], [768, [], 768, '12.0-dev', 12], [792, [], 792, '12.0-beta1+git', 12],
    // The same main line with other back-ports is the same series.
    [496, [], 517, '8.x', 8], [496, [501], 517, '8.x', 8], [558, [576], 558, '9.x', 9], [558, [576, 622], 558, '9.x', 9], [751, [753, 760], 751, '11.x', 11], [325, [], 359, '4.x', 4],
  ] as const) {
    t.match(zulipVersion(history(last, backports)), { zerverMigration, release, major }, `${last} ${backports.join(' ')}`);
  }
  t.match(zulipVersion(history(558, [576, 622])).evidence, /0622_something; the tree is complete to 0558, back-ported to it: 0576, 0622/);
  t.end();
});

t.test('servers between and after the known releases', (t) => {
  for (const [last, zerverMigration, release, major] of [
    [200, 200, 'before 2.1.8', 2], [300, 300, 'after 3.4, before 4.11', 4], [400, 400, 'after 5.7, before 6.2', 6], [430, 430, 'after 6.2, before 7.5', 7], [510, 510, 'after 7.5, before 8.4', 8], [569, 569, 'after 9.x, before 11.0-dev', 9],
    [600, 600, 'after 9.x, before 11.0-dev', 10], [689, 689, 'after 9.x, before 11.0-dev', 10], [740, 740, 'after 11.0-dev, before 11.0 to 11.2', 11],
    [752, 752, 'after 11.0 to 11.2, before 11.3 to 11.6', 11], [754, 754, 'after 11.3 to 11.6, before 12.0-dev', 12], [780, 780, 'after 12.0-dev, before 12.0-beta1+git', 12], [800, 800, 'after 12.0-beta1+git', 12],
  ] as const) {
    t.match(zulipVersion(history(last)), { zerverMigration, release, major }, String(last));
  }
  t.end();
});

t.test('a squashed migration stands for its numbers, a hole in the main line is not its end', (t) => {
  const squashed = [{ app: 'zerver', name: '0001_squashed_0569' }, ...history(697).filter(({ name }) => name > '0570')];
  t.match(zulipVersion(squashed), { zerverMigration: 697, release: '11.0-dev' });
  t.match(zulipVersion([{ app: 'zerver', name: '0001_squashed_0569' }]), { zerverMigration: 569, newestMigrationName: '0001_squashed_0569' });
  t.match(zulipVersion(history(720).filter(({ name }) => !name.startsWith('0705'))), { zerverMigration: 720 });
  t.match(zulipVersion([...history(451), { app: 'zilencer', name: '0999_other_app' }]), { zerverMigration: 451 });
  t.end();
});

t.test('--zulip-version overrides, and the database narrows it down', (t) => {
  for (const [override, last, zerverMigration, major] of [
    ['8.4', 517, 517, 8], ['8.4', 697, 517, 8], ['6.2', 300, 388, 6], ['6.2', 697, 422, 6], ['5.0', 697, 387, 5], ['2.1.8', 261, 261, 2], ['7.5', 300, 423, 7], ['9.0-dev', 523, 523, 9], ['9.4', 697, 599, 9],
    ['10.3', 697, 696, 10], ['10.3', 523, 600, 10], ['11.0-dev+git', 523, 697, 11], ['11.2', 730, 730, 11], ['12.0-dev', 760, 760, 12], ['11.6', 792, 753, 11], ['12.0', 751, 754, 12], ['8', 500, 500, 8],
  ] as const) {
    t.match(zulipVersion(history(last), override), { zerverMigration, release: override, major, override }, `${override} on ${last}`);
  }
  t.equal(zulipVersion(history(523), '8.4').evidence, '--zulip-version 8.4, rules of migration 0517 (the database: 9.0-dev, newest applied migration zerver 0523_something)');
  for (const override of ['', 'main', 'v8.4', '8.4;', '8..4', '99999.1']) t.throws(() => zulipVersion(history(523), override), { code: 'ZULIP_VERSION', exit: 2 }, override);
  for (const override of ['99', '13.0', '1.9']) t.throws(() => zulipVersion(history(523), override), { code: 'ZULIP_VERSION', exit: 2, hint: /^known are 2\.1 to 12;/ }, override);
  t.end();
});
