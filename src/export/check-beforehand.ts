/** What can be refused before a row of a realm leaves: files that nobody approved, no salt for avatars or a wrong one, no migration status. */
import { EXIT, RealmliftError } from '../errors.js';
import { hasMigrationStatus, migrationStatus, type MigrationStatusResult } from '../package/migration-status.js';
import { refuseWrongSalt } from './avatar-salt.js';
import type { RealmRun, RunContext } from './export-realm.js';
import { needsSalt } from './wanted.js';

/**
 * @returns the content of migration_status.json, where the export has one
 * @throws RealmliftError ORPHANS_UNAPPROVED, SALT_MISSING, AVATAR_SALT_WRONG; those of {@link migrationStatus}
 */
export async function checkBeforehand(context: RunContext, { plan, session }: Pick<RealmRun, 'plan' | 'session'>, signal: AbortSignal): Promise<MigrationStatusResult | undefined> {
  const { salt, avatars, source, store, orphans } = context;
  if (orphans === 'copy' && plan.request.mode !== 'full') {
    throw new RealmliftError('ORPHANS_UNAPPROVED', 'usage', 'files that no row claims are copied only into a full export: nobody can say whose they are', { hint: '--orphans report', exit: EXIT.usage });
  }
  if (avatars && salt === undefined && await needsSalt(session, plan)) {
    throw new RealmliftError('SALT_MISSING', 'plan', 'uploaded avatars are found by a hash salted with the server\'s avatar_salt, which is not known', {
      hint: 'give --zulip-secrets /etc/zulip/zulip-secrets.conf or ZULIP_AVATAR_SALT, or go on without avatars with --no-avatars', exit: EXIT.usage,
    });
  }
  if (avatars && salt !== undefined) await refuseWrongSalt(session, store, { salt, realm: plan.request.realm, zerverMigration: source.version.zerverMigration }, signal);
  return plan.request.mode === 'user' || !hasMigrationStatus(source.version) ? undefined : migrationStatus(source.version, context.migrationStatus);
}
