/** What the files stage is told: the files that the exported rows name. */
import type pg from 'pg';
import type { FileSkipped } from '../../files/file-events.js';
import type { WantedAvatar, WantedFiles } from '../../files/wanted-files.js';
import { AREAS, type Area } from '../../package/export-files.js';
import { avatarHash } from '../../plan/avatar-hash.js';
import { followsRule, type FileRule } from '../../plan/release/file-rules.js';
import type { ExportPlan } from '../../plan/plan-export.js';
import type { Source } from '../../plan/source.js';
import type { WantedRows } from './wanted-rows.js';

export interface WantedOptions {
  /** The server's avatar_salt; undefined leaves avatars out. */
  readonly salt: string | undefined;
  /** Users whose files may travel; undefined for everybody in the export. */
  readonly owners: ReadonlySet<number> | undefined;
  /** Told of each file that stays because of `owners`. */
  readonly onSkipped: (event: FileSkipped) => void | Promise<void>;
}

export async function wantedFiles(rows: WantedRows, plan: ExportPlan, source: Source, { salt, owners, onSkipped }: WantedOptions): Promise<WantedFiles> {
  const { request, parameters } = plan;
  const { realm, userId } = request;
  const { zerverMigration } = source.version;
  const users = await rows.users();
  const emails = new Map(users.map((user) => [user.id, user.email]));
  const bots = new Set(parameters.cross_realm_bot_ids);

  async function* avatars(): AsyncGenerator<WantedAvatar> {
    for (const user of users) {
      if (owners?.has(user.id) === false) {
        if (user.avatar_source === 'U') await onSkipped({ kind: 'skipped', area: 'avatars', key: `user ${user.id}` });
        continue;
      }
      const owner = { userId: user.id, avatarVersion: user.avatar_version, email: user.email };
      yield { userId: user.id, avatarSource: user.avatar_source, avatarVersion: user.avatar_version, hash: avatarHash(owner, salt as string, zerverMigration) };
    }
  }
  const gateway = source.systemBots.find((bot) => bot.email === 'emailgateway@zulip.com');
  return {
    realmId: realm.id,
    rules: {
      emojiOriginals: followsRule('emoji with their originals', zerverMigration),
      avatarVersions: followsRule('avatars named after user and version', zerverMigration),
      uploadedAvatarsAlone: followsRule('uploaded avatars alone', zerverMigration),
      ownerAddresses: !followsRule('records of files without addresses', zerverMigration),
    },
    uploads: () => rows.uploads(), avatars: salt === undefined ? undefined : avatars, emoji: () => rows.emoji(),
    areas: areasOf(plan, source),
    emailOf: (id) => emails.get(id),
    isRealmUser: (id) => emails.has(id) && !bots.has(id),
    mayOwnUpload: (id) => emails.has(id) && owners?.has(id) !== false,
    emailGatewayBotId: userId === undefined ? gateway?.id : undefined,
    // An export of single or approved users leaves others' files on purpose: what it does not name is no orphan.
    ...(userId === undefined && owners === undefined ? { claimedUploads: () => rows.claimed() } : {}),
  };
}

/** The directories of files that the export has. */
export function areasOf({ request }: ExportPlan, { version }: Source): Area[] {
  const follows = (rule: FileRule): boolean => followsRule(rule, version.zerverMigration);
  if (request.userId !== undefined) return follows('files of single users') ? AREAS.filter((area) => area !== 'realm_icons') : [];
  return AREAS.filter((area) => area !== 'realm_icons' || follows('icons and logos'));
}

/** True when avatars of the realm can be found only by the salted hash. */
export async function needsSalt(client: pg.Client, plan: ExportPlan): Promise<boolean> {
  const { realm, userId } = plan.request;
  const { rows: found } = await client.query(`
    SELECT 1 FROM zerver_userprofile WHERE avatar_source = 'U' AND ${userId === undefined ? `realm_id = ${realm.id}` : `id = ${userId}`} LIMIT 1`);
  return found.length > 0;
}
