/** What is refused or told before a row leaves: no salt for avatars or a wrong one, no migration status, files that nobody approved. */
import type pg from 'pg';
import { EXIT, RealmliftError } from '../errors.js';
import { hasMigrationStatus, migrationStatus, type MigrationStatusResult } from '../package/migration-status.js';
import { refuseWrongSalt } from './wanted/avatar-salt.js';
import type { RealmRun, RunContext } from './realm-run.js';
import { areasOf, needsSalt } from './wanted/wanted.js';
import { holdsAllUploads } from './wanted/wanted-rows.js';

/**
 * @returns the migration status, of releases whose exports have one
 * @throws RealmliftError ORPHANS_UNAPPROVED, SALT_MISSING, AVATAR_SALT_WRONG
 */
export async function checkBeforehand(context: RunContext, { plan }: Pick<RealmRun, 'plan'>, session: pg.Client, signal: AbortSignal): Promise<MigrationStatusResult | undefined> {
  const { salt, source, store, orphans } = context;
  const { mode, realm } = plan.request;
  if (orphans === 'copy' && mode !== 'full') {
    throw new RealmliftError('ORPHANS_UNAPPROVED', 'usage', 'files that no row claims are copied only into a full export: nobody can say whose they are', { hint: '--orphans report', exit: EXIT.usage });
  }
  const avatars = context.avatars && areasOf(plan, source).includes('avatars');
  if (avatars && salt === undefined && await needsSalt(session, plan)) {
    throw new RealmliftError('SALT_MISSING', 'plan', 'uploaded avatars are found by a hash salted with the server\'s avatar_salt, which is not known', {
      hint: 'give --zulip-secrets /etc/zulip/zulip-secrets.conf or ZULIP_AVATAR_SALT, or go on without avatars with --no-avatars', exit: EXIT.usage,
    });
  }
  if (avatars && salt !== undefined) await refuseWrongSalt(session, store, { salt, realm, zerverMigration: source.version.zerverMigration }, signal);
  return mode === 'user' || !hasMigrationStatus(source.version) ? undefined : migrationStatus(source.version, context.migrationStatus);
}

/** What whoever asked for a part of the realm might not expect of its files. */
export function filesWarnings({ source }: RunContext, { plan }: Pick<RealmRun, 'plan'>): string[] {
  const { mode, approved } = plan.request;
  if (!holdsAllUploads(source) || approved !== undefined || (mode !== 'consent' && mode !== 'public')) return [];
  return ['like Zulip until 4, the export holds every uploaded file of the realm, also those that only messages which stay name; --users FILE limits them'];
}
