/** The avatars of an export, as their records name them. */
import { BARE } from '../json/each-table.js';
import { eachRow } from './each-row.js';
import type { FinishedExport } from './finished-export.js';
import { eachTableFile } from './opened-tables.js';

export interface RecordedAvatar {
  /** 40 hex digits, see avatarHash. */
  readonly hash: string;
  readonly userId: number;
  /** 1 where servers did not count yet. */
  readonly avatarVersion: number;
}

export function* recordedAvatars(source: Pick<FinishedExport, 'directory' | 'records'>): Generator<RecordedAvatar, void> {
  const listed = source.records.get('avatars');
  if (listed === undefined) return;
  for (const fields of eachRow(eachTableFile(source, [listed]), BARE)) {
    const hash = /^\d+\/([0-9a-f]{40})/.exec(fields.textOf('path') ?? '')?.[1];
    const avatarVersion = fields.integerOf('avatar_version');
    if (hash !== undefined) yield { hash, userId: fields.integerOf('user_profile_id'), avatarVersion: Number.isNaN(avatarVersion) ? 1 : avatarVersion };
  }
}
